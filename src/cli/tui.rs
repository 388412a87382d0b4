//! `concertctl tui`: flags to options, attach or start the embedded server, run the console.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::clients::ops::Ops;
use crate::clients::{HttpSource, Secret};
use crate::tui::load_port::{LoadPort, NoLoad};
use crate::tui::{Exit, Options, Screen, ServerEnded};

/// Where the operations listener is by default.
const DEFAULT_OPS: &str = "127.0.0.1:8081";

/// The console: see whether the sale is healthy, act, rehearse.
///
/// Without --ops-url it attaches to a server on 127.0.0.1:8081 or, if there is none, starts one in
/// this process, so that one command gives everything.
#[derive(Clone, Debug, clap::Args)]
pub struct TuiArgs {
    /// Operations listener of the server to attach to
    #[arg(long, visible_alias = "target", value_name = "URL")]
    pub ops_url: Option<String>,
    /// Prometheus API to read metrics from [default: the operations listener]
    #[arg(long, value_name = "URL")]
    pub prometheus_url: Option<String>,
    /// Loki API to read logs from [default: the operations listener]
    #[arg(long, value_name = "URL")]
    pub loki_url: Option<String>,
    /// Alertmanager API to read and post alerts [default: the operations listener]
    #[arg(long, value_name = "URL")]
    pub alertmanager_url: Option<String>,
    /// File that holds the operations token; CONCERTCTL_OPS_TOKEN holds the token itself
    #[arg(long, value_name = "FILE")]
    pub ops_token_file: Option<PathBuf>,
    /// Where the embedded server keeps its data [default: by the platform]
    #[arg(long, value_name = "DIR", conflicts_with = "ops_url")]
    pub data_dir: Option<PathBuf>,
    /// Turn every action off
    #[arg(long)]
    pub read_only: bool,
    /// Use only ASCII characters
    #[arg(long)]
    pub ascii: bool,
    /// First screen, by number or name
    #[arg(long, value_name = "SCREEN", default_value = "1", value_parser = screen)]
    pub screen: Screen,
    /// Print one screen as text and end: for scripts, CI logs and screen readers
    #[arg(long)]
    pub once: bool,
    /// Break after the first frame, to show that the terminal is restored
    #[arg(long, hide = true)]
    pub panic_after_start: bool,
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

/// A server that was started in this process.
struct Embedded {
    ops_url: String,
    token: Secret,
    ended: ServerEnded,
    stop: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Starts the server in this process.
///
/// # Errors
/// Why it cannot start.
async fn start_embedded(_data_dir: Option<PathBuf>) -> anyhow::Result<Embedded> {
    anyhow::bail!("not wired yet")
}

/// The load generator of this process.
fn load_port() -> Arc<dyn LoadPort> {
    Arc::new(NoLoad)
}

/// Runs the console. Exit code 0: left by the user; 1: could not run; 2: wrong use; 128 + n: ended
/// by signal n.
pub async fn run(args: TuiArgs) -> ExitCode {
    match console(args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("concertctl tui: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn console(args: TuiArgs) -> anyhow::Result<ExitCode> {
    let attached_to_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !args.once && !attached_to_terminal {
        eprintln!(
            "concertctl tui: needs a terminal; without one, `concertctl load` rehearses and \
             `concertctl tui --once` prints one screen as text"
        );
        return Ok(ExitCode::from(2));
    }
    let token = match token(&args)? {
        Ok(token) => token,
        Err(code) => return Ok(code),
    };
    let ops_url = args
        .ops_url
        .clone()
        .unwrap_or_else(|| DEFAULT_OPS.to_owned());
    let embedded = match (&args.ops_url, args.once) {
        (Some(_), _) | (None, true) => None,
        (None, false) if answers(&ops_url).await => None,
        (None, false) => Some(start_embedded(args.data_dir.clone()).await?),
    };
    let (ops_url, token, ended, stop) = match embedded {
        None => (ops_url, token, None, None),
        Some(Embedded {
            ops_url,
            token,
            ended,
            stop,
        }) => (ops_url, Some(token), Some(ended), Some(stop)),
    };
    let options = options(&args, ops_url, token, ended);
    if args.once {
        return once(&options).await;
    }
    let result = crate::tui::run(options, load_port()).await;
    if let Some(stop) = stop {
        stop.await;
    }
    Ok(match result? {
        Exit::Asked => ExitCode::SUCCESS,
        Exit::Signal(number) => ExitCode::from(128 + number),
        Exit::ServerEnded(reason) => anyhow::bail!("the embedded server ended: {reason}"),
    })
}

fn options(
    args: &TuiArgs,
    ops_url: String,
    token: Option<Secret>,
    server_ended: Option<ServerEnded>,
) -> Options {
    let or_ops = |url: &Option<String>| url.clone().unwrap_or_else(|| ops_url.clone());
    // NO_COLOR counts when it is there and not empty (no-color.org).
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Options {
        prometheus_url: or_ops(&args.prometheus_url),
        loki_url: or_ops(&args.loki_url),
        alertmanager_url: or_ops(&args.alertmanager_url),
        token,
        read_only: args.read_only,
        colour: colour && !args.once,
        ascii: args.ascii || !utf8_locale(|name| std::env::var(name).ok()),
        screen: args.screen,
        server_ended,
        panic_after_start: args.panic_after_start,
        ops_url,
    }
}

/// The token of the file, else of the environment; a file that cannot be read is wrong use.
fn token(args: &TuiArgs) -> anyhow::Result<Result<Option<Secret>, ExitCode>> {
    let Some(path) = &args.ops_token_file else {
        let given = std::env::var("CONCERTCTL_OPS_TOKEN")
            .ok()
            .filter(|token| !token.trim().is_empty());
        return Ok(Ok(given.map(|token| Secret::new(&token))));
    };
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(Ok(Some(Secret::new(&text)))),
        Ok(_) => {
            eprintln!("concertctl tui: the token file {} is empty", path.display());
            Ok(Err(ExitCode::from(2)))
        }
        Err(error) => {
            eprintln!(
                "concertctl tui: the token file {} cannot be read: {error}",
                path.display()
            );
            Ok(Err(ExitCode::from(2)))
        }
    }
}

/// Whether an operations listener answers there.
async fn answers(ops_url: &str) -> bool {
    match HttpSource::new(ops_url) {
        Ok(source) => Ops::new(source, None).status().await.is_ok(),
        Err(_) => false,
    }
}

/// The locale's character set, by the variables' order of precedence in POSIX.
fn utf8_locale(var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| var(name).filter(|value| !value.is_empty());
    match ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set) {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        // Containers often have no locale at all, and a terminal that shows UTF-8.
        None => true,
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the screen as text is this command's output"
)]
async fn once(options: &Options) -> anyhow::Result<ExitCode> {
    let load = load_port();
    let (text, answered) = crate::tui::once(
        options,
        load.as_ref(),
        size(|name| std::env::var(name).ok()),
    )
    .await?;
    print!("{text}");
    if answered {
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!(
        "no source answered at {}; start a server with `concertctl serve`",
        options.ops_url
    )
}

/// COLUMNS × LINES, by default 80×24; at most what a page can be.
fn size(var: impl Fn(&str) -> Option<String>) -> (u16, u16) {
    let of = |name, least: u16| {
        var(name)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(least)
            .clamp(least, 500)
    };
    (of("COLUMNS", 80), of("LINES", 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_on_unicode_by_precedence() {
        let with = |pairs: &'static [(&str, &str)]| {
            utf8_locale(|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[("LC_CTYPE", "ko_KR.EUC-KR")]));
        assert!(with(&[]));
    }

    #[test]
    fn the_page_is_never_smaller_than_the_screens_need() {
        assert_eq!(size(|_| None), (80, 24));
        assert_eq!(
            size(|name| Some(if name == "COLUMNS" { "120" } else { "40" }.into())),
            (120, 40)
        );
        assert_eq!(size(|_| Some("7".into())), (80, 24));
        assert_eq!(size(|_| Some("many".into())), (80, 24));
        assert_eq!(size(|_| Some("65000".into())), (500, 500));
    }

    #[test]
    fn a_wrong_screen_is_told_which_there_are() {
        assert!(screen("9").unwrap_err().contains("6 (Alerts)"));
    }
}
