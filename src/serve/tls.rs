//! Keeps the certificate of a running server up to date: reads its files again when they change, and at SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::listeners::ServerFile;
use crate::telemetry::Metrics;
use crate::tls::ServerTls;

/// The time between two checks of the files for a change. docs/tls.md gives it twice.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The certificate of a server, and what must follow it: the metric of its expiry, and `server.json` in the data
/// directory, from which commands on this machine learn which certificate to trust.
pub(super) struct Renewal {
    tls: Arc<ServerTls>,
    metrics: Metrics,
    data_dir: PathBuf,
    file: ServerFile,
    hangup: Signal,
}

impl Renewal {
    /// From now on SIGHUP no longer ends the process. The log file has a handler of its own: `reopen_on_hangup` in
    /// `cli::serve`.
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
        })
    }

    /// Reads the files again when they change, and at SIGHUP. Refused files are not tried again until they change.
    pub(super) async fn run(mut self) {
        let mut last_read = self.tls.stamps();
        // Certificate and key are written one after the other. So a change is read only when the next check finds the
        // files unchanged since.
        let mut changing = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => {
                    let now = self.tls.files().stamps();
                    if now == last_read {
                        changing = None;
                        continue;
                    }
                    if changing.as_ref() != Some(&now) {
                        changing = Some(now);
                        continue;
                    }
                    last_read = now;
                }
                hangup = self.hangup.recv() => {
                    if hangup.is_none() {
                        // The runtime ends.
                        return;
                    }
                    last_read = self.tls.files().stamps();
                }
            }
            changing = None;
            self.reload().await;
        }
    }

    async fn reload(&mut self) {
        let tls = Arc::clone(&self.tls);
        // A file system that hangs must not hold up a thread that serves requests.
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
                tracing::error!(
                    %expires,
                    "the TLS files were refused, and the certificate in use stays: {why}"
                );
                return;
            }
        }
        self.metrics.set_certificate_expiry(expires);
        self.file.set_certificate(Some(&self.tls));
        if let Err(error) = self.file.write(&self.data_dir) {
            tracing::warn!("commands on this machine do not know the new certificate: {error:#}");
        }
    }
}
