//! The state of a recording on the screens while it is made or played.

/// The playing speeds. 0 means paused.
pub(crate) const SPEEDS: &[u32] = &[0, 1, 2, 5, 10, 30, 60];

/// The state of a recording on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum TapeView {
    /// There is none.
    #[default]
    None,
    /// So many bytes are recorded.
    Recording(u64),
    /// The recording has stopped, for this reason.
    Stopped(String),
    /// One is played.
    Playing(Playing),
}

/// A recording that is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Playing {
    /// One of the speeds; 0: held.
    pub(crate) speed: u32,
    /// The last line was shown.
    pub(crate) ended: bool,
    /// The beginning and the end, in Unix milliseconds.
    pub(crate) span: (i64, i64),
}

impl Playing {
    /// The next speed up or down; held is the slowest.
    pub(crate) fn other_speed(&self, faster: bool) -> u32 {
        let at = SPEEDS.iter().position(|one| *one == self.speed);
        let at = at.unwrap_or(1);
        let to = if faster { at + 1 } else { at.saturating_sub(1) };
        SPEEDS[to.min(SPEEDS.len() - 1)]
    }
}
