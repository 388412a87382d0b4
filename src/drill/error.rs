//! The reasons why a drill could not run.

use crate::load::LoadError;
use crate::yaml::FileError;

/// A reason why a drill could not run. Nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The drill's server failed.
    #[error("the drill's server: {0}")]
    Server(String),
    /// The traffic failed.
    #[error("the drill's traffic: {0}")]
    Load(#[from] LoadError),
    /// The rules are wrong, or the drill does not fit them.
    #[error("{0}")]
    File(#[from] FileError),
}
