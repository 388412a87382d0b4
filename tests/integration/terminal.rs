//! The real binary in a real pseudo-terminal. Tests read its screen and press its keys.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::fake_sources::TOKEN;

const PATIENCE: Duration = Duration::from_secs(60);

pub fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

/// A console in a pseudo-terminal.
pub struct Console {
    child: Box<dyn Child + Send + Sync>,
    pub master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    pub screen: Arc<Mutex<vt100::Parser>>,
    /// All bytes that were written to the terminal.
    pub written: Arc<Mutex<Vec<u8>>>,
    /// The settings of the terminal before the console took it over.
    pub before: String,
    output_ended: mpsc::Receiver<()>,
}

impl Console {
    pub fn start(url: &str, more: &[&str]) -> Console {
        Console::start_sized(url, more, (80, 24))
    }

    pub fn start_sized(url: &str, more: &[&str], size: (u16, u16)) -> Console {
        Console::start_with(url, TOKEN, more, size)
    }

    pub fn start_with(url: &str, token: &str, more: &[&str], size: (u16, u16)) -> Console {
        let args: Vec<&str> = [&["--ops-url", url], more].concat();
        Console::run(&args, &[("CONCERTCTL_OPS_TOKEN", token)], size)
    }

    /// Runs `concertctl tui` with these arguments and variables.
    pub fn run(args: &[&str], vars: &[(&str, &str)], (cols, rows): (u16, u16)) -> Console {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_concertctl"));
        command.arg("tui");
        command.args(args);
        Console::spawn(command, vars, (cols, rows))
    }

    /// Runs a shell script whose `$0` is the binary.
    pub fn script(script: &str, args: &[String], size: (u16, u16)) -> Console {
        let mut command = CommandBuilder::new("bash");
        command.args(["-c", script, env!("CARGO_BIN_EXE_concertctl")]);
        command.args(args);
        Console::spawn(command, &[], size)
    }

    fn spawn(
        mut command: CommandBuilder,
        vars: &[(&str, &str)],
        (cols, rows): (u16, u16),
    ) -> Console {
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = format!("{:?}", pair.master.get_termios().unwrap());
        for name in ["NO_COLOR", "CONCERTCTL_DATA_DIR", "CONCERTCTL_OPS_TOKEN"] {
            command.env_remove(name);
        }
        let always = [
            ("TERM", "xterm-256color"),
            ("LC_ALL", "C.UTF-8"),
            ("RUST_BACKTRACE", "0"),
        ];
        for (name, value) in always.iter().chain(vars) {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(cols), 0)));
        let seen = Arc::clone(&screen);
        let written = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&written);
        let (ended, output_ended) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                all.lock().extend_from_slice(&bytes[..count]);
                seen.lock().process(&bytes[..count]);
            }
            let _ = ended.send(());
        });
        let keys = pair.master.take_writer().unwrap();
        Console {
            child,
            master: pair.master,
            keys,
            screen,
            written,
            before,
            output_ended,
        }
    }

    /// The current settings of the terminal.
    pub fn line_discipline(&self) -> String {
        format!("{:?}", self.master.get_termios().unwrap())
    }

    pub fn text(&self) -> String {
        self.screen.lock().screen().contents()
    }

    /// Waits until the screen shows `wanted`.
    pub fn see(&self, wanted: &str) {
        self.until(wanted, |text| text.contains(wanted));
    }

    pub fn until(&self, what: &str, seen: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if seen(&text) {
                return;
            }
            assert!(Instant::now() < deadline, "never saw {what:?}:\n{text}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for the end, and checks that the terminal is restored.
    pub fn ended_with_the_terminal_restored(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "the console does not end:\n{}",
                self.text()
            );
            thread::sleep(Duration::from_millis(10));
        };
        let after = self.line_discipline();
        assert_eq!(
            after, self.before,
            "the settings of the terminal are not restored"
        );
        let _ = self.output_ended.recv_timeout(PATIENCE);
        let parser = self.screen.lock();
        assert!(
            !parser.screen().alternate_screen(),
            "still on the alternate screen"
        );
        assert!(!parser.screen().hide_cursor(), "the cursor is hidden");
        assert!(
            !parser.screen().bracketed_paste(),
            "bracketed paste is still on"
        );
        (status, parser.screen().contents())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
