//! Steers a run with keys on its terminal.

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::load::{Command, LoadControl};

/// The keys in the line below the bars.
pub(super) const HELP: &str = "p pause  r resume  + faster  - slower  n next phase  q stop";

/// Switches the terminal to keys without Enter and without echo. Dropping it restores the terminal.
pub(super) struct Keys {
    before: Termios,
}

impl Keys {
    /// Listens if standard input is a terminal.
    pub(super) fn listen(control: LoadControl) -> Option<Keys> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut quiet = before.clone();
        // Signals and output stay unchanged. Only typed keys arrive at once and without echo.
        quiet.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Now, &quiet).ok()?;
        // Only the end of the process ends this read, so the thread is never joined.
        let read = move || {
            for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if let Some(command) = command(key) {
                    control.send(command);
                }
            }
        };
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(read)
            .ok()?;
        Some(Keys { before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A closed terminal needs no restoring.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn command(key: u8) -> Option<Command> {
    Some(match key {
        b'p' => Command::Pause,
        b'r' => Command::Resume,
        b'+' | b'=' => Command::Faster,
        b'-' => Command::Slower,
        b'n' => Command::Next,
        b'q' => Command::Stop,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_key_that_the_help_names() {
        for known in Command::ALL {
            let key = (b' '..=b'~').find(|key| command(*key) == Some(known));
            let key = char::from(key.expect("a key"));
            let named = HELP.split("  ").any(|part| part.starts_with(key));
            assert!(named || key == '+', "{known:?} {key}");
        }
    }
}
