//! Keeps the certificate of a running server up to date: it is read again when its files change and at SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::listeners::ServerFile;
use crate::telemetry::Metrics;
use crate::tls::ServerTls;
use crate::tls::server::Stamps;

/// The time between two checks of the files for a change. docs/tls.md gives it twice.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The pause after which refused files are read again. Time alone makes a certificate valid that was not valid yet.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The certificate of a server, and what must follow it: the metric of its expiry, and `server.json` in the data
/// directory, from which commands on this machine learn which certificate to trust.
pub(super) struct Renewal {
    tls: Arc<ServerTls>,
    metrics: Metrics,
    data_dir: PathBuf,
    file: ServerFile,
    hangup: Signal,
    /// The reason why the files were last refused, and the time.
    refused: Option<(String, Instant)>,
}

impl Renewal {
    /// Handles SIGHUP from now on.
    pub(super) fn new(
        tls: Arc<ServerTls>,
        metrics: Metrics,
        data_dir: PathBuf,
        file: ServerFile,
    ) -> anyhow::Result<Renewal> {
        metrics.set_certificate_expiry(tls.expires());
        Ok(Renewal {
            tls,
            metrics,
            data_dir,
            file,
            hangup: signal(SignalKind::hangup())?,
            refused: None,
        })
    }

    /// Reads the files again whenever they change, at SIGHUP, and after a while if they were refused.
    pub(super) async fn run(mut self) {
        let mut read = self.tls.stamps();
        // Certificate and key are written one after the other. So a change is read only when the next check finds the
        // files unchanged since.
        let mut changing = None;
        loop {
            let is_asked = tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => false,
                hangup = self.hangup.recv() => match hangup {
                    Some(()) => true,
                    // The runtime is ending.
                    None => return,
                },
            };
            let Some(now) = stamps(&self.tls).await else {
                return;
            };
            let is_changed = now != read;
            if is_changed && !is_asked && changing.as_ref() != Some(&now) {
                changing = Some(now);
                continue;
            }
            changing = None;
            if is_asked || is_changed {
                // Forgets the last refusal, so that the same reason is logged again.
                self.refused = None;
            } else if !self.is_retry_due() {
                continue;
            }
            read = now;
            self.reload().await;
        }
    }

    fn is_retry_due(&self) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|(_, at)| at.elapsed() >= RETRY_INTERVAL)
    }

    async fn reload(&mut self) {
        let tls = Arc::clone(&self.tls);
        // On a blocking thread, for the same reason as in `stamps`.
        let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
            return;
        };
        let expires = self.tls.expires();
        match reloaded {
            Ok(is_new) => {
                let new = if is_new { "a new" } else { "the same" };
                tracing::info!(%expires, "the TLS files were read again; {new} certificate serves");
            }
            Err(why) => {
                let known = self.refused.as_ref().map(|(known, _)| known);
                if known != Some(&why) {
                    tracing::error!(
                        %expires,
                        "the TLS files were refused, and the certificate in use stays: {why}"
                    );
                }
                self.refused = Some((why, Instant::now()));
                return;
            }
        }
        self.refused = None;
        self.metrics.set_certificate_expiry(expires);
        self.file.set_certificate(Some(&self.tls));
        if let Err(error) = self.file.write(&self.data_dir) {
            tracing::warn!("commands on this machine do not know the new certificate: {error:#}");
        }
    }
}

/// The state of the files; `None` when the runtime ends.
async fn stamps(tls: &Arc<ServerTls>) -> Option<Stamps> {
    let tls = Arc::clone(tls);
    // On a blocking thread, so that a file system that hangs does not block a thread that serves requests.
    let looking = tokio::task::spawn_blocking(move || tls.files().stamps());
    looking.await.ok()
}
