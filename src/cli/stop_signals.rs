//! The signals that stop a command: SIGINT and SIGTERM.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// While this value exists, neither signal ends the process: the command decides when it stops.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    requested: bool,
}

impl StopSignals {
    /// Call this before the command creates anything that it must clean up.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub(super) fn listen() -> io::Result<StopSignals> {
        Ok(StopSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            requested: false,
        })
    }

    /// Returns when a signal has arrived, and at once from then on.
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
