//! `concertctl tui`: flags to options, attach or start the embedded server, run the console.

mod dashboard;
mod environment;
mod newest;
mod rehearse;
mod sources;
mod tapes;

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use self::environment::{size, utf8_locale};
use self::rehearse::Rehearsals;
use self::sources::SourceArgs;
use self::tapes::TapeArgs;
use super::flags::{DataDirArg, listen_address, ops_token};
use super::local_server::{self, LocalServer};
use super::{FAILED, USAGE, fail, stdout};
use crate::clients::{Credentials, Secret, without_password};
use crate::serve::Running;
use crate::settings::{API_ADDR, OPS_ADDR, ServeSettings};
use crate::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig, logs};
use crate::tui::load_port::LoadPort;
use crate::tui::{Exit, Options, Screen, ServerEnded, Zone};

/// The console: see whether the sale is healthy, act, rehearse.
///
/// Without --ops-url it attaches to a server on 127.0.0.1:8081, or where --ops-addr says, or, if there
/// is none, starts one in this process, so that one command gives everything.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TuiArgs {
    /// Operations listener of the server to attach to
    #[arg(long, visible_alias = "target", value_name = "URL")]
    ops_url: Option<String>,
    /// Where the embedded server's operations listener is, or is to be [default: 127.0.0.1:8081]
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address, conflicts_with = "ops_url")]
    ops_addr: Option<SocketAddr>,
    /// Where the embedded server's ticketing API is to be [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address, conflicts_with = "ops_url")]
    api_addr: Option<SocketAddr>,
    /// Prometheus API to read metrics from [default: the operations listener]
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_PROMETHEUS_URL",
        hide_env_values = true
    )]
    prometheus_url: Option<String>,
    /// Loki API to read logs from [default: the operations listener]
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_LOKI_URL",
        hide_env_values = true
    )]
    loki_url: Option<String>,
    /// Tempo API to read traces from [default: the operations listener]
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_TEMPO_URL",
        hide_env_values = true
    )]
    tempo_url: Option<String>,
    /// Alertmanager API to read and post alerts [default: the operations listener]
    #[arg(
        long,
        value_name = "URL",
        env = "CONCERTCTL_ALERTMANAGER_URL",
        hide_env_values = true
    )]
    alertmanager_url: Option<String>,
    /// File that holds the operations token; CONCERTCTL_OPS_TOKEN holds the token itself
    #[arg(long, value_name = "FILE")]
    ops_token_file: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    tapes: TapeArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Turn every action off
    #[arg(long)]
    read_only: bool,
    /// Who acts, for the audit log and acknowledgements [default: $USER]
    #[arg(long = "as", value_name = "NAME", value_parser = operator)]
    operator: Option<String>,
    /// Use only ASCII characters
    #[arg(long)]
    ascii: bool,
    /// Colours for a terminal with a dark or a light background, or none
    #[arg(long, value_enum, default_value_t, value_name = "THEME")]
    theme: Theme,
    /// Time zone of the times on the screen, such as Asia/Seoul or UTC [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = Zone::named)]
    timezone: Option<Zone>,
    /// Leave the mouse to the terminal; with it, tabs, rows and charts can be clicked, and text is selected with Shift
    #[arg(long)]
    no_mouse: bool,
    /// First screen, by number or name [default: 1, with --dashboard 7]
    #[arg(long, value_name = "SCREEN", value_parser = screen)]
    screen: Option<Screen>,
    /// Grafana dashboard (JSON) that the Board shows [default: the shipped on-sale dashboard]
    #[arg(long, value_name = "FILE")]
    dashboard: Option<PathBuf>,
    /// Print one screen as text and end: for scripts, CI logs and screen readers
    #[arg(long)]
    once: bool,
    /// Break after the first frame, to show that the terminal is restored
    #[arg(long, hide = true)]
    panic_after_start: bool,
    /// Break the embedded server after the start, to show that the terminal is restored
    #[arg(long, hide = true)]
    server_panic_after_start: bool,
}

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Theme {
    #[default]
    Dark,
    Light,
    None,
}

fn screen(text: &str) -> Result<Screen, String> {
    Screen::named(text).ok_or_else(|| {
        let known: Vec<_> = Screen::ALL
            .iter()
            .map(|one| format!("{} ({})", one.number(), one.title()))
            .collect();
        format!("there is no such screen; there are {}", known.join(", "))
    })
}

/// A name that can stand in a line.
fn operator(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().any(char::is_control) || name.chars().count() > 64 {
        return Err("a name has 1 to 64 characters, none of them a control character".into());
    }
    Ok(name.to_owned())
}

/// Who acts: as told, else as the system knows them.
fn who(args: &TuiArgs, var: impl Fn(&str) -> Option<String>) -> String {
    let known = || {
        let mut names = ["USER", "LOGNAME"].iter();
        names.find_map(|name| var(name).and_then(|text| operator(&text).ok()))
    };
    let told = args.operator.clone().or_else(known);
    told.unwrap_or_else(|| "unknown".into())
}

/// A server that was started in this process.
struct Embedded {
    ops_url: String,
    token: Secret,
    running: Running,
}

/// Starts the server in this process: where it was asked for, else on the default addresses, where
/// other commands find it, else where there is room.
///
/// # Errors
/// Why it cannot start.
async fn start_embedded(data_dir: &Path, args: &TuiArgs) -> anyhow::Result<Embedded> {
    let place = |asked: Option<SocketAddr>, default: SocketAddr| {
        let free = || std::net::TcpListener::bind(default).is_ok();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        asked.unwrap_or_else(|| if free() { default } else { anywhere })
    };
    let settings = ServeSettings {
        api_addr: place(args.api_addr, API_ADDR),
        ops_addr: place(args.ops_addr, OPS_ADDR),
        otlp: super::flags::collector(None)?,
        ..ServeSettings::new(data_dir.to_owned())
    };
    // Standard output is the screen: the log goes to the embedded store only.
    let logs = logs::init(LogConfig {
        service_name: "concertctl-api",
        output: LogOutput::None,
        filter: std::env::var("CONCERTCTL_LOG").unwrap_or_else(|_| "info".to_owned()),
        queue: 65_536,
        limits: LogLimits::default(),
        traces: TraceConfig::default(),
    })?;
    // Each user has a connection; refused, the old limit holds and connections wait.
    let _ = crate::load::raise_file_limit();
    let running = crate::serve::start(settings, &logs).await?;
    Ok(Embedded {
        ops_url: format!("http://{}/", running.ops_addr),
        token: Secret::new(&running.ops_token),
        running,
    })
}

/// Runs the console. Exit code 0: left by the user; 1: could not run; 2: wrong use; 128 + n: ended
/// by signal n.
pub(super) async fn run(args: TuiArgs) -> ExitCode {
    match console(args).await {
        Ok(code) => code,
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

async fn console(args: TuiArgs) -> anyhow::Result<ExitCode> {
    let attached_to_terminal = std::io::stdin().is_terminal() && stdout::is_terminal();
    if !args.once && !attached_to_terminal {
        let why = "tui needs a terminal; without one, `concertctl load` rehearses and \
                   `concertctl tui --once` prints one screen as text";
        return Ok(fail(USAGE, why));
    }
    let mut token = match ops_token(args.ops_token_file.as_deref()) {
        Ok(token) => token,
        Err(why) => return Ok(fail(USAGE, &why)),
    };
    let dashboard = match args.dashboard.as_deref().map(dashboard::read).transpose() {
        Ok(dashboard) => dashboard.map(Arc::new),
        Err(why) => return Ok(fail(USAGE, &why)),
    };
    let credentials = match args.sources.credentials(|name| std::env::var(name).ok()) {
        Ok(credentials) => credentials,
        Err(why) => return Ok(fail(USAGE, &why)),
    };
    let record = match (args.tapes.replay(), args.tapes.record()) {
        (Err(why), _) | (_, Err(why)) => return Ok(fail(FAILED, &why)),
        (Ok(Some(tape)), _) => return Box::pin(tapes::show(&args, tape, dashboard)).await,
        (Ok(None), Ok(record)) => record,
    };
    let data_dir = args.data_dir.path();
    let local = LocalServer::of(&data_dir);
    let found = match &args.ops_url {
        Some(url) => Some(url.clone()),
        None => first_that_answers(args.ops_addr, local.as_ref()).await,
    };
    let embedded = match &found {
        None if !args.once => Some(start_embedded(&data_dir, &args).await?),
        _ => None,
    };
    let ops_url = match (&embedded, found) {
        (Some(embedded), _) => embedded.ops_url.clone(),
        (None, Some(url)) => url,
        (None, None) => args.ops_addr.unwrap_or(OPS_ADDR).to_string(),
    };
    if let Some(embedded) = &embedded {
        token = Some(embedded.token.clone());
    } else if token.is_none() {
        let local = local.as_ref().filter(|local| local.is_at(&ops_url));
        token = local.and_then(|local| local.token().ok());
    }
    let load = Arc::new(Rehearsals {
        embedded: embedded.is_some(),
        summaries: data_dir.join("rehearsals"),
    });
    let ended = embedded
        .as_ref()
        .map(|embedded| Box::pin(embedded.running.ended()) as ServerEnded);
    let mut options = options(&args, &data_dir, ops_url, (token, credentials), ended);
    options.record = record;
    options.dashboard = dashboard;
    if args.once {
        return once(&options, load.as_ref()).await;
    }
    if let Some(embedded) = embedded.as_ref().filter(|_| args.server_panic_after_start) {
        embedded.running.break_down();
    }
    let result = crate::tui::run(options, load).await;
    if let Some(embedded) = embedded {
        embedded.running.stop().await;
    }
    Ok(match result? {
        Exit::Asked => ExitCode::SUCCESS,
        Exit::Signal(number) => ExitCode::from(128 + number),
        Exit::ServerEnded(reason) => anyhow::bail!("the embedded server ended: {reason}"),
    })
}

/// A server to attach to: where it was asked for; else at the default address, or on this data
/// directory.
async fn first_that_answers(
    asked: Option<SocketAddr>,
    local: Option<&LocalServer>,
) -> Option<String> {
    let places = match asked {
        Some(_) => [asked, None],
        None => [Some(OPS_ADDR), local.map(LocalServer::ops_addr)],
    };
    for place in places.into_iter().flatten() {
        if local_server::status(&place.to_string()).await.is_some() {
            return Some(place.to_string());
        }
    }
    None
}

fn options(
    args: &TuiArgs,
    data_dir: &Path,
    ops_url: String,
    (token, credentials): (Option<Secret>, Credentials),
    server_ended: Option<ServerEnded>,
) -> Options {
    let or_ops = |url: &Option<String>| url.clone().unwrap_or_else(|| ops_url.clone());
    // NO_COLOR counts when it is there and not empty (no-color.org).
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Options {
        prometheus_url: or_ops(&args.prometheus_url),
        loki_url: or_ops(&args.loki_url),
        tempo_url: or_ops(&args.tempo_url),
        alertmanager_url: or_ops(&args.alertmanager_url),
        token,
        credentials,
        source_timeout: args.sources.timeout(),
        read_only: args.read_only,
        colour: colour && !args.once && args.theme != Theme::None,
        light: args.theme == Theme::Light,
        zone: args.timezone.clone().unwrap_or_else(Zone::system),
        mouse: !args.no_mouse,
        who: who(args, |name| std::env::var(name).ok()),
        audit_log: Some(data_dir.join(crate::tui::AUDIT_FILE_NAME)),
        ascii: args.ascii || !utf8_locale(|name| std::env::var(name).ok()),
        screen: args.screen.unwrap_or(match args.dashboard {
            Some(_) => Screen::Board,
            None => Screen::Overview,
        }),
        dashboard: None,
        server_ended,
        record: None,
        replay: None,
        panic_after_start: args.panic_after_start,
        ops_url,
    }
}

async fn once(options: &Options, load: &dyn LoadPort) -> anyhow::Result<ExitCode> {
    let (text, answered) =
        crate::tui::once(options, load, size(|name| std::env::var(name).ok())).await?;
    stdout::print(&text).map_err(anyhow::Error::msg)?;
    if answered {
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!(
        "no source answered at {}; start a server with `concertctl serve`",
        without_password(&options.ops_url)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_screen_is_told_which_there_are() {
        assert!(screen("9").unwrap_err().contains("6 (Alerts)"));
    }
}
