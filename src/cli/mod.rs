//! The command line: one file per subcommand, flags to settings to run.

use std::process::ExitCode;

/// Parses the process arguments and runs the chosen subcommand.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
