//! The dialog of faults: the kinds, which of them the server has now, and the form that injects one.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod question;

/// The dialog, on a kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultsDialog {
    /// Index into `fault_fields::forms()`.
    pub(crate) chosen: usize,
}
