//! Standard output of the commands. Only this module, the console's screen and the log write to it.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::{FAILED, fail};

/// Writes all of `text`. A closed pipe is not an error.
///
/// # Errors
/// The text cannot be written; the message says why.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}

/// Standard output for a stream of lines. If the reader closes the pipe, a write fails.
pub(super) fn stream() -> impl io::Write + Send {
    io::stdout()
}

/// Prints `text` and ends with `code`, or with 1 if it cannot be written.
pub(super) fn print_and_exit(text: &str, code: u8) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::from(code),
        Err(why) => fail(FAILED, &why),
    }
}

/// Returns whether colours may be used: a terminal, and no `NO_COLOR`.
pub(super) fn takes_colours() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal() && !plain
}

/// Returns whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}
