//! The terminal: taken over, and given back whatever happens.
//!
//! A panic on the console's own thread restores it before the message is printed. A panic on
//! another thread (a task of the embedded server, say) ends that task only: the console stays, and
//! the message is shown in its status line instead of being printed across the screen.

use std::io::{self, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use parking_lot::Mutex;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal is ours at the moment.
static OURS: AtomicBool = AtomicBool::new(false);
/// The thread that draws, while the terminal is ours.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What broke on other threads since it was last asked.
static BROKEN: Mutex<Option<String>> = Mutex::new(None);

/// The terminal while it is ours; dropped, it is as it was.
pub(super) struct Session {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Session {
    /// Takes the terminal over: raw mode, alternate screen, cursor hidden; clicks, if they are wanted.
    ///
    /// # Errors
    /// When the terminal refuses; then it is as it was.
    pub(super) fn start(mouse: bool) -> io::Result<Session> {
        install_hook();
        *OWNER.lock() = Some(thread::current().id());
        OURS.store(true, Ordering::SeqCst);
        let session = (|| {
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
            Terminal::new(CrosstermBackend::new(io::stdout()))
        })();
        match session {
            Ok(terminal) => Ok(Session { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Rings the bell.
    pub(super) fn bell(&mut self) -> io::Result<()> {
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

/// Gives the terminal back, once. Failures are of no use to anybody here: the terminal is gone.
pub(super) fn restore() {
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

/// Whether the terminal is still ours: a panic may have given it back.
pub(super) fn is_ours() -> bool {
    OURS.load(Ordering::SeqCst)
}

/// What broke in the background since the last call.
pub(super) fn take_broken() -> Option<String> {
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
                let said = info.payload_as_str().unwrap_or("no message");
                *BROKEN.lock() = Some(format!("a background task broke: {said}{place}"));
            } else {
                restore();
                earlier(info);
            }
        }));
    });
}
