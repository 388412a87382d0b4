//! The time cursor and the marks that all charts share, as data.

/// Where on the time axis the eye is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeView {
    /// The charts end here and stand still (Unix milliseconds); absent: they follow the time.
    pub(crate) end: Option<i64>,
    /// The instant that is looked at, in Unix milliseconds.
    pub(crate) cursor: Option<i64>,
}

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkKind {
    Phase,
    Alert,
    Action,
    Fault,
}

/// Something that happened at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Unix milliseconds.
    pub(crate) at: i64,
    pub(crate) kind: MarkKind,
    pub(crate) text: String,
}

impl MarkKind {
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            MarkKind::Phase => "▶",
            MarkKind::Alert => "▲",
            MarkKind::Action => "◆",
            MarkKind::Fault => "▼",
        }
    }
}
