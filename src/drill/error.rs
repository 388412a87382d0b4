//! Why a drill could not run.

use crate::load::LoadError;
use crate::yaml::FileError;

/// Why a drill could not run. Nothing was judged then.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The drill's server.
    #[error("the drill's server: {0}")]
    Server(String),
    /// The traffic.
    #[error("the drill's traffic: {0}")]
    Load(#[from] LoadError),
    /// The rules, or the drill beside them.
    #[error("{0}")]
    File(#[from] FileError),
}
