//! The dialog of faults: all kinds, the active faults, and the form that injects one.

pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod question;

/// The dialog with its chosen kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultsDialog {
    /// Index into `fault_fields::forms()`.
    pub(crate) chosen: usize,
}
