//! What the loop shows its frames on: the terminal, or a test.

use std::io;

use ratatui::buffer::Buffer;

use crate::tui::terminal::Session;

/// What the loop shows its frames on.
pub(crate) trait Screen {
    /// Draws a frame.
    fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()>;
    /// Rings the bell.
    fn bell(&mut self) -> io::Result<()>;
    /// Forgets what is on the screen, so that all of it is drawn anew.
    fn clear(&mut self) -> io::Result<()>;
    /// Gives the terminal back and stops the process; returns when it is continued.
    async fn suspend(&mut self) -> io::Result<()>;
    /// Resolves when the process was stopped from outside and is continued.
    async fn continued(&mut self);
    /// Sets the terminal as it was before that.
    fn take_back(&mut self) -> io::Result<()>;
}

impl Screen for Session {
    fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.terminal
            .draw(|frame| paint(frame.buffer_mut()))
            .map(drop)
    }

    fn bell(&mut self) -> io::Result<()> {
        Session::bell(self)
    }

    fn clear(&mut self) -> io::Result<()> {
        Session::clear(self)
    }

    async fn suspend(&mut self) -> io::Result<()> {
        Session::suspend(self).await
    }

    async fn continued(&mut self) {
        Session::continued(self).await;
    }

    fn take_back(&mut self) -> io::Result<()> {
        Session::take_back(self)
    }
}
