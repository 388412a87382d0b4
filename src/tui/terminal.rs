//! Takes over the terminal, and restores it on every way out.
//!
//! A panic on the console's own thread restores the terminal before the message is printed. A panic on another thread,
//! such as a task of the embedded server, ends only that task: the console continues and shows the message in its
//! status line, because a printed message would damage the screen.

use std::io::{self, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use parking_lot::Mutex;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the console holds the terminal.
static OURS: AtomicBool = AtomicBool::new(false);
/// The thread that draws, while the console holds the terminal.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// The newest panic of another thread that [`take_broken`] has not returned yet.
static BROKEN: Mutex<Option<String>> = Mutex::new(None);

/// Holds the terminal; dropping it restores the terminal.
pub(crate) struct Session {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
    /// Receives SIGCONT.
    continued: tokio::signal::unix::Signal,
}

/// The longest time that a process takes to stop after SIGTSTP. The wait ends at SIGCONT; it lasts this long only if
/// the system ignores the signal.
const STOPS_WITHIN: Duration = Duration::from_millis(200);

/// Sets raw mode, the alternate screen, a hidden cursor, and, with `mouse`, reports of clicks.
fn take_over(mouse: bool) -> io::Result<()> {
    *OWNER.lock() = Some(thread::current().id());
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        cursor::Hide
    )?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

impl Session {
    /// Takes over the terminal. On an error the terminal is restored.
    pub(crate) fn start(mouse: bool) -> io::Result<Session> {
        install_hook();
        let session = take_over(mouse).and_then(|()| {
            Ok(Session {
                terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?,
                mouse,
                continued: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
            })
        });
        if session.is_err() {
            restore();
        }
        session
    }

    /// Restores the terminal and stops the process, as a shell's Ctrl-Z does; returns when the process is continued.
    ///
    /// The signal goes to the whole process group, so that the program that started the console stops too and the shell
    /// gets the terminal. If no shell can continue the process, the system ignores the signal, and the console
    /// continues at once.
    pub(crate) async fn suspend(&mut self) -> io::Result<()> {
        restore();
        let sent = kill_current_process_group(Signal::TSTP);
        // Threads stop at different instants, so wait: the code below must run after the stop.
        let _ = tokio::time::timeout(STOPS_WITHIN, self.continued.recv()).await;
        self.take_back()?;
        sent.map_err(io::Error::from)
    }

    /// Resolves when the process was stopped and is continued.
    pub(crate) async fn continued(&mut self) {
        if self.continued.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes over the terminal again, from any state.
    pub(crate) fn take_back(&mut self) -> io::Result<()> {
        // crossterm believes that raw mode is still set, but the shell may have changed it.
        let _ = disable_raw_mode();
        take_over(self.mouse)?;
        self.clear()
    }

    /// Clears the screen, so that the next frame draws all of it.
    ///
    /// `Terminal::clear` is not used: it asks the terminal for the cursor position and waits for the answer, which
    /// arrives among the keys, and which some terminals never send.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    pub(crate) fn bell(&mut self) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(b"\x07")?;
        Write::flush(out)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal, once. Ignores failures, because then the terminal no longer exists.
pub(crate) fn restore() {
    if OURS.swap(false, Ordering::SeqCst) {
        *OWNER.lock() = None;
        let _ = disable_raw_mode();
        let _ = execute!(
            io::stdout(),
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
    }
}

/// Returns whether the console holds the terminal. After a panic it does not.
pub(crate) fn is_ours() -> bool {
    OURS.load(Ordering::SeqCst)
}

/// The message of the newest panic of another thread since the last call.
pub(crate) fn take_broken() -> Option<String> {
    BROKEN.lock().take()
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let owner = *OWNER.lock();
            if is_ours() && owner != Some(thread::current().id()) {
                let place = info.location().map_or(String::new(), |at| {
                    format!(" ({}:{})", at.file(), at.line())
                });
                let message = info.payload_as_str().unwrap_or("no message");
                *BROKEN.lock() = Some(format!("a background task broke: {message}{place}"));
            } else {
                restore();
                earlier(info);
            }
        }));
    });
}
