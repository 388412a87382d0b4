//! The time axis that all charts share: its end, the cursor and the marks, as data.

/// The visible part of the time axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeView {
    /// The time at which the charts are frozen, in Unix milliseconds; `None` while they are live.
    pub(crate) end: Option<i64>,
    /// The time cursor, in Unix milliseconds.
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
