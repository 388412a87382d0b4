//! `concertctl tui`: turns flags into options, attaches to a server or starts one, and runs the console.

mod dashboard;
mod drills;
mod environment;
mod recordings;
mod rehearse;
mod sources;

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use self::environment::{size, utf8_locale};
use self::recordings::RecordingArgs;
use self::rehearse::Rehearsals;
use self::sources::SourceArgs;
use super::flags::{DataDirArg, listen_address, ops_token};
use super::local_server::{self, LocalServer};
use super::{FAILED, USAGE, fail, stdout};
use crate::clients::{Credentials, Secret, without_password};
use crate::serve::Running;
use crate::settings::{self, API_ADDR, OPS_ADDR, ServeSettings};
use crate::telemetry::{LogConfig, LogLimits, LogOutput, TraceConfig, logs};
use crate::tui::load_generator::{LoadGenerator, NoLoad};
use crate::tui::{Dashboard, Exit, Options, Recording, RecordingFile, Screen, ServerEnded, Zone};

/// The console: see whether the sale is healthy, act, rehearse.
///
/// Without --ops-url it attaches to a server on 127.0.0.1:8081, or at --ops-addr. If no server answers, it starts one
/// in this process, so that one command is enough.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TuiArgs {
    /// Operations listener of the server to attach to
    #[arg(long, visible_alias = "target", value_name = "URL")]
    ops_url: Option<String>,
    /// Address of the operations listener, of a running server or of the one to start [default: 127.0.0.1:8081]
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address, conflicts_with = "ops_url")]
    ops_addr: Option<SocketAddr>,
    /// Address of the ticketing API of the server to start [default: 127.0.0.1:8080]
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
    recordings: RecordingArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Disable every action
    #[arg(long)]
    read_only: bool,
    /// Name of the operator, for the audit log and acknowledgements [default: $USER]
    #[arg(long = "as", value_name = "NAME", value_parser = operator)]
    operator: Option<String>,
    /// Use only ASCII characters
    #[arg(long)]
    ascii: bool,
    /// Colours for a terminal with a dark or a light background, or no colours
    #[arg(long, value_enum, default_value_t, value_name = "THEME")]
    theme: Theme,
    /// Time zone of the times on the screen, such as Asia/Seoul or UTC [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = Zone::named)]
    timezone: Option<Zone>,
    /// Leave the mouse to the terminal. Otherwise tabs, rows and charts can be clicked, and Shift selects text
    #[arg(long)]
    no_mouse: bool,
    /// First screen, by number or name [default: 1, with --dashboard 8]
    #[arg(long, value_name = "SCREEN", value_parser = screen)]
    screen: Option<Screen>,
    /// Grafana dashboard (JSON) that the Board shows [default: the shipped on-sale dashboard]
    #[arg(long, value_name = "FILE")]
    dashboard: Option<PathBuf>,
    /// Print one screen as text and exit: for scripts, CI logs and screen readers
    #[arg(long)]
    once: bool,
    /// Panic after the first frame, to show that the terminal is restored
    #[arg(long, hide = true)]
    panic_after_start: bool,
    /// Panic in the embedded server after the start, to show that the terminal is restored
    #[arg(long, hide = true)]
    server_panic_after_start: bool,
}

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

/// A name that fits into one line.
fn operator(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().any(char::is_control) || name.chars().count() > 64 {
        return Err("a name has 1 to 64 characters, none of them a control character".into());
    }
    Ok(name.to_owned())
}

/// The operator: the name in the flag, else the name of the user.
fn who(args: &TuiArgs, var: impl Fn(&str) -> Option<String>) -> String {
    let known = || {
        let mut names = ["USER", "LOGNAME"].iter();
        names.find_map(|name| var(name).and_then(|text| operator(&text).ok()))
    };
    let name = args.operator.clone().or_else(known);
    name.unwrap_or_else(|| "unknown".into())
}

/// The exit code and the reason of a console that could not run.
struct Failed(u8, String);

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed(FAILED, format!("{error:#}"))
    }
}

fn wrong_use(why: String) -> Failed {
    Failed(USAGE, why)
}

/// Runs the console. Exit codes: 0 the user left, 1 could not run, 2 wrong use, 128 + n ended by signal n.
pub(super) async fn run(args: TuiArgs) -> ExitCode {
    match Box::pin(console(&args)).await {
        Ok(code) => code,
        Err(Failed(code, why)) => fail(code, &why),
    }
}

async fn console(args: &TuiArgs) -> Result<ExitCode, Failed> {
    check_terminal(args)?;
    let mut inputs = Inputs::read(args)?;
    let data_dir = args.data_dir.path();
    let replays = inputs.replay.is_some();
    let server = match replays {
        true => Server::elsewhere(OPS_ADDR.to_string(), None),
        false => Server::find_or_start(args, &data_dir, inputs.token.take()).await?,
    };
    let load: Arc<dyn LoadGenerator> = match replays {
        true => Arc::new(NoLoad),
        false => Arc::new(Rehearsals {
            embedded: server.embedded.is_some(),
            data_dir: data_dir.clone(),
        }),
    };
    let options = options(args, &data_dir, &server, inputs);
    if args.once {
        return Box::pin(once(&options, load.as_ref())).await;
    }
    if args.server_panic_after_start
        && let Some(running) = &server.embedded
    {
        running.break_down();
    }
    let exit = crate::tui::run(options, load).await;
    let stopped = server.stop().await;
    let code = match exit.map_err(anyhow::Error::from)? {
        Exit::Asked => ExitCode::SUCCESS,
        Exit::Signal(number) => ExitCode::from(128 + number),
        Exit::ServerEnded(reason) => {
            let why = format!("the embedded server ended: {reason}");
            return Err(Failed(FAILED, why));
        }
    };
    stopped?;
    Ok(code)
}

fn check_terminal(args: &TuiArgs) -> Result<(), Failed> {
    if args.once || std::io::stdin().is_terminal() && stdout::is_terminal() {
        return Ok(());
    }
    let why = "tui needs a terminal; without one, `concertctl load` rehearses and \
               `concertctl tui --once` prints one screen as text";
    Err(wrong_use(why.to_owned()))
}

/// The inputs that are read from files and the environment before the console starts anything.
struct Inputs {
    token: Option<Secret>,
    credentials: Credentials,
    dashboard: Option<Arc<Dashboard>>,
    replay: Option<Recording>,
    record: Option<RecordingFile>,
}

impl Inputs {
    fn read(args: &TuiArgs) -> Result<Inputs, Failed> {
        let token = ops_token(args.ops_token_file.as_deref()).map_err(wrong_use)?;
        let dashboard = args.dashboard.as_deref().map(dashboard::read).transpose();
        let credentials = args.sources.credentials(text_variable);
        let failed = |why| Failed(FAILED, why);
        Ok(Inputs {
            token,
            dashboard: dashboard.map_err(wrong_use)?.map(Arc::new),
            credentials: credentials.map_err(wrong_use)?,
            replay: args.recordings.replay().map_err(failed)?,
            record: args.recordings.record().map_err(failed)?,
        })
    }
}

/// The server that the console shows.
struct Server {
    ops_url: String,
    token: Option<Secret>,
    /// The embedded server; `None` if the server runs in another process.
    embedded: Option<Running>,
}

impl Server {
    fn elsewhere(ops_url: String, token: Option<Secret>) -> Server {
        Server {
            ops_url,
            token,
            embedded: None,
        }
    }

    /// The server that the flags name, else one that answers, else one that starts in this process. The token comes
    /// from the data directory if the server is this user's.
    async fn find_or_start(
        args: &TuiArgs,
        data_dir: &Path,
        token: Option<Secret>,
    ) -> anyhow::Result<Server> {
        let local = LocalServer::of(data_dir);
        let found = match &args.ops_url {
            Some(url) => Some(url.clone()),
            None => first_that_answers(args.ops_addr, local.as_ref()).await,
        };
        let ops_url = match found {
            Some(url) => url,
            None if args.once => args.ops_addr.unwrap_or(OPS_ADDR).to_string(),
            None => return Server::start(args, data_dir).await,
        };
        let token = token.or_else(|| {
            let local = local.filter(|local| local.is_at(&ops_url))?;
            local.token().ok()
        });
        Ok(Server::elsewhere(ops_url, token))
    }

    /// Starts the server in this process: at the addresses of the flags, else at the default addresses, where other
    /// commands find it, else at free ports.
    async fn start(args: &TuiArgs, data_dir: &Path) -> anyhow::Result<Server> {
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
        // Standard output is the screen, so the log goes to the embedded store only.
        let logs = logs::init(LogConfig {
            service_name: "concertctl-api",
            output: LogOutput::None,
            filter: text_variable("CONCERTCTL_LOG").unwrap_or_else(|| "info".to_owned()),
            queue: 65_536,
            limits: LogLimits::default(),
            traces: TraceConfig::default(),
        })?;
        // Each user has a connection. If the system refuses, the old limit holds and connections wait.
        let _ = crate::load::raise_file_limit();
        let running = crate::serve::start(settings, &logs).await?;
        Ok(Server {
            ops_url: format!("{}/", running.ops_url()),
            token: Some(Secret::new(&running.ops_token)),
            embedded: Some(running),
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self.embedded {
            Some(running) => running.stop().await,
            None => Ok(()),
        }
    }
}

/// The address of a running server: that of the flag, else the default one, else the one that this data directory
/// names.
async fn first_that_answers(
    asked: Option<SocketAddr>,
    local: Option<&LocalServer>,
) -> Option<String> {
    // Only the file of the data directory says whether the server speaks TLS.
    let url = |addr: SocketAddr| {
        let local = local.filter(|local| local.ops_addr() == addr);
        local.map_or_else(|| addr.to_string(), LocalServer::ops_url)
    };
    let places = match asked {
        Some(asked) => [Some(url(asked)), None],
        None => [Some(url(OPS_ADDR)), local.map(LocalServer::ops_url)],
    };
    for place in places.into_iter().flatten() {
        if local_server::status(&place).await.is_some() {
            return Some(place);
        }
    }
    None
}

fn options(args: &TuiArgs, data_dir: &Path, server: &Server, inputs: Inputs) -> Options {
    let var = |name: &str| std::env::var(name).ok();
    let or_ops = |url: &Option<String>| url.clone().unwrap_or_else(|| server.ops_url.clone());
    let ended = |running: &Running| Box::pin(running.ended()) as ServerEnded;
    // NO_COLOR counts when it is set and not empty (no-color.org).
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A recording allows no actions, so there is nothing to audit.
    let is_audited = inputs.replay.is_none();
    Options {
        prometheus_url: or_ops(&args.prometheus_url),
        loki_url: or_ops(&args.loki_url),
        tempo_url: or_ops(&args.tempo_url),
        alertmanager_url: or_ops(&args.alertmanager_url),
        ops_url: server.ops_url.clone(),
        token: server.token.clone(),
        credentials: inputs.credentials,
        source_timeout: args.sources.timeout(),
        read_only: args.read_only,
        colour: colour && !args.once && args.theme != Theme::None,
        light: args.theme == Theme::Light,
        zone: args.timezone.clone().unwrap_or_else(Zone::system),
        mouse: !args.no_mouse,
        who: who(args, var),
        audit_log: is_audited.then(|| data_dir.join(crate::tui::AUDIT_FILE_NAME)),
        ascii: args.ascii || !utf8_locale(var),
        screen: args.screen.unwrap_or(match args.dashboard {
            Some(_) => Screen::Board,
            None => Screen::Overview,
        }),
        dashboard: inputs.dashboard,
        embedded: server.embedded.is_some(),
        server_ended: server.embedded.as_ref().map(ended),
        record: inputs.record,
        replay: inputs.replay,
        panic_after_start: args.panic_after_start,
    }
}

/// The text of an environment variable of this program.
fn text_variable(name: &str) -> Option<String> {
    settings::variable(name).and_then(|value| value.into_string().ok())
}

async fn once(options: &Options, load: &dyn LoadGenerator) -> Result<ExitCode, Failed> {
    let size = size(|name| std::env::var(name).ok());
    let once = Box::pin(crate::tui::once(options, load, size)).await;
    let (text, answered) = once.map_err(anyhow::Error::from)?;
    stdout::print(&text).map_err(|why| Failed(FAILED, why))?;
    if answered {
        return Ok(ExitCode::SUCCESS);
    }
    let why = format!(
        "no source answered at {}; start a server with `concertctl serve`",
        without_password(&options.ops_url)
    );
    Err(Failed(FAILED, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_screen_is_refused_with_the_list_of_screens() {
        assert!(screen("9").unwrap_err().contains("6 (Alerts)"));
    }
}
