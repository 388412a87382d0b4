//! The console for the person on call.
//!
//! Tasks (`sources`, `effects`) do all I/O and send `event::Event`s over a bounded channel. `update` applies an event
//! to the `model` and returns effects. `screens` draws the model. Both are pure, so tests need no terminal. A screen
//! is a folder in `screens` with one `View`: its keys, its data, its actions, its drawing, its mouse areas. The
//! console reads the system only over HTTP (`clients`). A rehearsal runs in this process (`load_generator`), but sends
//! its requests to the listener like any client.

mod app;
mod audit;
mod connection;
mod dashboard;
pub mod drill_runner;
pub(crate) mod effects;
mod event;
mod faults;
mod format;
mod input;
pub mod load_generator;
mod model;
pub(crate) mod navigation;
#[cfg(any(test, fuzzing))]
mod preview;
mod recording;
mod screens;
mod sources;
mod terminal;
mod theme;
mod time_view;
mod timeline;
mod update;
mod widgets;
mod window;
mod zone;
mod zoom;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use audit::FILE_NAME as AUDIT_FILE_NAME;
pub use dashboard::json::DashboardError;
pub use dashboard::{Dashboard, MAX_BYTES as MAX_DASHBOARD_BYTES};
pub use model::Screen;
pub use recording::format::Recording;
pub use recording::record::RecordingFile;
pub use zone::Zone;

use crate::clients::alertmanager::Alertmanager;
use crate::clients::loki::Loki;
use crate::clients::ops::Ops;
use crate::clients::prometheus::Prometheus;
use crate::clients::tempo::Tempo;
use crate::clients::{Api, BadUrl, Credentials, HttpSource, Secret, without_password};
use crate::tui::load_generator::LoadGenerator;
use crate::tui::model::{Model, Settings};
use crate::tui::screens::board::Board;
use crate::tui::sources::clients::{Clients, now_ms};

#[cfg(any(test, fuzzing))]
pub(crate) use preview::Preview;

/// Resolves with the reason when the embedded server ends on its own.
pub type ServerEnded = Pin<Box<dyn Future<Output = String> + Send>>;

/// Every PromQL query of the console. A test compares the queries with the exported metrics.
pub fn queries() -> impl Iterator<Item = String> {
    let panels = sources::panels::PANELS
        .iter()
        .map(|panel| panel.query.to_owned());
    panels.chain(screens::resources::all_queries())
}

/// Every LogQL query of the Logs screen, of the error records of an alert and of the links to the log, each after its
/// purpose. A test checks that each query finds records in a store. `trace` is the id of a trace.
pub fn log_queries(trace: &str) -> impl Iterator<Item = (&'static str, String)> {
    screens::logs::all_queries(trace)
}

/// The options of the console.
pub struct Options {
    /// The operations listener, `http://HOST:PORT/`.
    pub ops_url: String,
    pub prometheus_url: String,
    pub loki_url: String,
    pub tempo_url: String,
    pub alertmanager_url: String,
    /// The token for writes to the operations listener.
    pub token: Option<Secret>,
    /// The credentials for the other sources.
    pub credentials: Credentials,
    pub source_timeout: Duration,
    /// All actions that change something are off.
    pub read_only: bool,
    /// The operator's name, for the audit log and for acknowledgements.
    pub who: String,
    /// The file of the audit log; `None` for no file.
    pub audit_log: Option<PathBuf>,
    pub colour: bool,
    pub ascii: bool,
    /// Whether the terminal's background is light.
    pub light: bool,
    pub zone: Zone,
    /// Whether the console handles the mouse. The terminal's own selection then needs Shift.
    pub mouse: bool,
    pub screen: Screen,
    /// The dashboard of the Board; `None` for the shipped on-sale dashboard.
    pub dashboard: Option<Arc<Dashboard>>,
    /// Whether the server runs in this process and ends with the console.
    pub embedded: bool,
    /// The end of a server in this process, which ends the console.
    pub server_ended: Option<ServerEnded>,
    pub record: Option<RecordingFile>,
    /// The recording to show. No source is asked then.
    pub replay: Option<Recording>,
    /// Panic after the first frame: a test checks that the terminal is restored.
    pub panic_after_start: bool,
}

/// The reason why the console ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The user quit.
    Asked,
    /// A signal, by its number.
    Signal(u8),
    /// The embedded server ended, for this reason.
    ServerEnded(String),
}

/// The failure that ended the console.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An address cannot be used.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// The terminal failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] std::io::Error),
    /// A part of the console panicked; its message was printed.
    #[error("a part of the console broke, see above")]
    Broken,
}

impl Options {
    fn clients(&self) -> Result<Clients, BadUrl> {
        let timely = |source: HttpSource| source.with_timeout(self.source_timeout);
        let source = |url: &str, api: Api| {
            HttpSource::with_access(url, self.credentials.of(api)).map(timely)
        };
        let ops = source(&self.ops_url, Api::Ops)?;
        let alertmanager = source(&self.alertmanager_url, Api::Alertmanager)?;
        // The token goes to the operations listener and to no other host.
        let same = alertmanager.same_place(&ops);
        let token = self.token.clone().filter(|_| same);
        let guarded = |url: &str, api: Api| {
            let mut access = self.credentials.of(api);
            if let Some(token) = &self.token
                && HttpSource::new(url).is_ok_and(|source| source.same_place(&ops))
                && without_password(url) == url
            {
                // Credentials that the user gave for this source have precedence.
                let _ = access.bearer(token);
            }
            HttpSource::with_access(url, access).map(timely)
        };
        Ok(Clients {
            prometheus: Prometheus::new(source(&self.prometheus_url, Api::Prometheus)?),
            loki: Loki::new(guarded(&self.loki_url, Api::Loki)?),
            tempo: Tempo::new(guarded(&self.tempo_url, Api::Tempo)?),
            alertmanager: Alertmanager::new(alertmanager, token),
            ops: Ops::new(ops, self.token.clone()),
        })
    }

    fn settings(&self, clients: &Clients) -> Settings {
        let replayed = self
            .replay
            .as_ref()
            .map(|recording| recording.head.target.clone());
        Settings {
            read_only: self.read_only || replayed.is_some(),
            who: self.who.clone(),
            audit_log: self.audit_log.clone(),
            colour: self.colour,
            ascii: self.ascii,
            light: self.light,
            target: replayed.unwrap_or_else(|| clients.ops.authority()),
            embedded: self.embedded,
            zone: self.zone.clone(),
            once: false,
        }
    }

    /// The model before any source has answered.
    fn model(&self, clients: &Clients) -> Model {
        Model {
            settings: self.settings(clients),
            now: now_ms(),
            screen: self.screen,
            board: Board::of(self.dashboard.as_ref()),
            ..Model::default()
        }
    }

    /// The model for one screen as text.
    fn model_of_once(&self, clients: &Clients, size: (u16, u16)) -> Model {
        let mut model = self.model(clients);
        model.settings.once = true;
        model.settings.colour = false;
        model.size = size;
        model
    }
}

/// Runs the console on the terminal of this process. The caller polls it on one thread (`block_on`): a panic on that
/// thread restores the terminal, and a panic elsewhere is shown in the status line.
pub async fn run(options: Options, load: Arc<dyn LoadGenerator>) -> Result<Exit, Failure> {
    let mut clients = options.clients()?;
    clients.ops = clients.ops.as_console(uuid::Uuid::now_v7().to_string());
    Box::pin(app::run(options, clients, load)).await
}

/// Asks every source once. Returns one screen as text, `size` columns by rows, and whether any source answered.
pub async fn once(
    options: &Options,
    load: &dyn LoadGenerator,
    size: (u16, u16),
) -> Result<(String, bool), Failure> {
    let clients = options.clients()?;
    Ok(match &options.replay {
        Some(recording) => (
            app::replayed(options.model_of_once(&clients, size), recording),
            true,
        ),
        None => Box::pin(app::once(options, &clients, load, size)).await,
    })
}

#[cfg(test)]
mod tests {
    pub(super) mod fake;
}
