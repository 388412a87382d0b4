//! What the screens show of a recording that is made or played.

/// How many times faster than it was; 0: held.
pub(crate) const SPEEDS: &[u32] = &[0, 1, 2, 5, 10, 30, 60];

/// What the screen tells of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum TapeView {
    /// There is none.
    #[default]
    None,
    /// So many bytes are recorded.
    Recording(u64),
    /// Nothing is recorded any more, and why.
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
    /// When it begins and ends, Unix milliseconds.
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
