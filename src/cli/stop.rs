//! The request to stop a command: SIGINT or SIGTERM.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From its creation on neither signal ends the process: the command decides when it stops.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    requested: bool,
}

impl StopSignals {
    /// To be called before there is anything that a sudden end would leave behind.
    ///
    /// # Errors
    /// The system has no room for another signal handler.
    pub(super) fn listen() -> io::Result<StopSignals> {
        Ok(StopSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            requested: false,
        })
    }

    /// Returns when a signal has come, and at once from then on.
    pub(super) async fn requested(&mut self) {
        if self.requested {
            return;
        }
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.requested = true;
    }
}
