//! The state of a recording that is made or played, for the screens.

/// The playing speeds. 0 means paused.
pub(crate) const SPEEDS: &[u32] = &[0, 1, 2, 5, 10, 30, 60];

/// The state of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordingState {
    /// Nothing is recorded or played.
    #[default]
    None,
    /// A recording is made; the bytes so far.
    Recording(u64),
    /// The recording stopped, for this reason.
    Stopped(String),
    /// A recording is played.
    Playing(Playing),
}

/// The state of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Playing {
    /// One of [`SPEEDS`].
    pub(crate) speed: u32,
    /// Whether the last line was played.
    pub(crate) ended: bool,
    /// The first and the last recorded time, in Unix milliseconds.
    pub(crate) span: (i64, i64),
}

impl Playing {
    /// The next faster or slower speed; paused is the slowest.
    pub(crate) fn other_speed(&self, faster: bool) -> u32 {
        let at = SPEEDS.iter().position(|one| *one == self.speed);
        let at = at.unwrap_or(1);
        let to = if faster { at + 1 } else { at.saturating_sub(1) };
        SPEEDS[to.min(SPEEDS.len() - 1)]
    }
}
