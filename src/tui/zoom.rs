//! The zoom levels, and the time window of each. Pure.

/// The span of the window and the time between two fetched points, both in seconds.
pub(crate) const STEPS: &[(i64, i64)] =
    &[(30, 1), (60, 1), (120, 1), (300, 2), (900, 6), (3600, 24)];

/// The step that is fetched while the charts are not zoomed.
pub(crate) const FETCHED: (i64, i64) = STEPS[3];

/// The zoom level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Zoom {
    /// Fitted to the time of traffic, at most [`FETCHED`].
    #[default]
    Fit,
    /// One of [`STEPS`].
    Fixed(usize),
}

impl Zoom {
    const fn step(self) -> (i64, i64) {
        match self {
            Zoom::Fit => FETCHED,
            Zoom::Fixed(at) => STEPS[at],
        }
    }

    /// The span of the fetched window, in milliseconds.
    pub(crate) const fn span_ms(self) -> i64 {
        self.step().0 * 1000
    }

    /// The time between two fetched points, in milliseconds.
    pub(crate) const fn step_ms(self) -> i64 {
        self.step().1 * 1000
    }

    /// The distance in milliseconds from which two points have a gap between them.
    pub(crate) const fn gap_ms(self) -> i64 {
        let coarse = self.step_ms() * 5 / 2;
        if coarse > 5_000 { coarse } else { 5_000 }
    }

    /// The next shorter span than `shown` milliseconds.
    pub(crate) fn closer(shown: i64) -> Zoom {
        let shorter = STEPS.iter().rposition(|(span, _)| span * 1000 < shown);
        Zoom::Fixed(shorter.unwrap_or(0))
    }

    /// The next longer span than `shown` milliseconds.
    pub(crate) fn wider(shown: i64) -> Zoom {
        let longer = STEPS.iter().position(|(span, _)| span * 1000 > shown);
        Zoom::Fixed(longer.unwrap_or(STEPS.len() - 1))
    }
}

/// A time range, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) end: i64,
    pub(crate) span: i64,
}
