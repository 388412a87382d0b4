//! The time cursor and the marks that all charts share, as data.

/// The visible part of the time axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeView {
    /// The end at which the charts are frozen (Unix milliseconds). `None` when they follow the time.
    pub(crate) end: Option<i64>,
    /// The instant that is looked at, in Unix milliseconds.
    pub(crate) cursor: Option<i64>,
}

/// The kind of a mark.
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
