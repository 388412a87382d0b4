//! The screen that the loop draws on: the terminal, or a test.

use std::io;

use ratatui::buffer::Buffer;

use crate::tui::terminal::Session;

/// A screen that frames are drawn on.
pub(crate) trait Screen {
    fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()>;
    fn bell(&mut self) -> io::Result<()>;
    /// Clears the screen, so that the next frame draws all of it.
    fn clear(&mut self) -> io::Result<()>;
    /// Restores the terminal and stops the process; returns when the process is continued.
    async fn suspend(&mut self) -> io::Result<()>;
    /// Resolves when another process stopped this one and it is continued.
    async fn continued(&mut self);
    /// Takes over the terminal again after that.
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
