//! A source that accepts connections and never answers: keys still work, the panels show the problem and the age of
//! their data, and recover when the source answers.

use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::fake_sources::{Fake, demo};
use crate::support::proxy::Proxy;
use crate::terminal::Console;

/// Half the time-out of a source: a key that takes longer waited for a source.
const NEVER: Duration = Duration::from_secs(1);
/// Longer than an attempt, the pause after it and the next attempt.
const LONG: Duration = Duration::from_secs(6);
const KEYS: usize = 20;

/// A screen that shows the source.
struct Case {
    source: &'static str,
    flag: &'static str,
    screen: &'static str,
    seen: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        source: "metrics",
        flag: "--prometheus-url",
        screen: "overview",
        seen: "42 /s",
    },
    Case {
        source: "logs",
        flag: "--loki-url",
        screen: "logs",
        seen: "first words",
    },
    Case {
        source: "alerts",
        flag: "--alertmanager-url",
        screen: "alerts",
        seen: "no alert",
    },
    Case {
        source: "server",
        flag: "--ops-url",
        screen: "overview",
        seen: "42 /s",
    },
    Case {
        source: "traces",
        flag: "--tempo-url",
        screen: "traces",
        seen: "no trace",
    },
];

/// The time from a key to the frame that it changes.
fn answer(console: &mut Console, key: &str, help: bool) -> Duration {
    let pressed = Instant::now();
    console.press(key);
    while console.text().contains("Actions, from any screen") != help {
        assert!(
            pressed.elapsed() < Duration::from_secs(30),
            "{}",
            console.text()
        );
        thread::sleep(Duration::from_millis(1));
    }
    pressed.elapsed()
}

/// Presses keys for a while.
fn press_keys(console: &mut Console) -> Vec<Duration> {
    let began = Instant::now();
    let mut waits = Vec::new();
    while waits.len() < KEYS || began.elapsed() < LONG {
        let (key, help) = match waits.len() % 2 {
            0 => ("?", true),
            _ => ("\x1b", false),
        };
        let waited = answer(console, key, help);
        assert!(waited < NEVER, "a key waited {waited:?}: for a source?");
        waits.push(waited);
        thread::sleep(Duration::from_millis(90));
    }
    if waits.len() % 2 == 1 {
        answer(console, "\x1b", false);
    }
    waits.sort();
    waits
}

/// The number of dimmed cells.
fn dimmed(console: &Console) -> usize {
    let parser = console.screen.lock();
    let screen = parser.screen();
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let cells = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    cells
        .filter_map(|(row, col)| screen.cell(row, col))
        .filter(|cell| cell.dim())
        .count()
}

fn hangs(case: &Case, fake: &Fake) {
    let runtime = Handle::current();
    let mut proxy = runtime.block_on(Proxy::to(fake.addr));
    let (silent, well) = (format!("http://{}", proxy.addr()), fake.url());
    let mut args = Vec::new();
    for one in &CASES {
        let url = if one.flag == case.flag {
            &silent
        } else {
            &well
        };
        args.extend([one.flag, url.as_str()]);
    }
    args.extend(["--screen", case.screen]);
    let mut console = Console::run(&args, &[], (80, 24));
    console.see("● server  ● metrics  ● logs  ● alerts");
    console.see(case.seen);
    assert_eq!(dimmed(&console), 0, "{}", console.text());

    runtime.block_on(proxy.blackhole());
    let waits = press_keys(&mut console);
    let (median, worst) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!(
        "{} silent: {} keys answered in {} ms (median), {} ms at worst",
        case.source,
        waits.len(),
        median.as_millis(),
        worst.as_millis()
    );
    console.see(&format!("✖ {} retry", case.source));
    console.see("old: no answer within 2 s");
    assert!(dimmed(&console) > 0, "{}", console.text());
    console.see(case.seen);

    runtime.block_on(proxy.open());
    console.see("● server  ● metrics  ● logs  ● alerts");
    console.until("data that are new", |text| !text.contains(" old"));
    assert_eq!(dimmed(&console), 0, "{}", console.text());
    console.press("q");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success());
}

async fn while_silent(case: &'static Case) {
    let fake = Fake::start().await;
    fake.facts.lock().dataset = Some(demo());
    let at = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    let line = r#"{"level":"WARN","message":"first words"}"#;
    fake.facts.lock().lines.push((at, line.into()));
    let blocking = tokio::task::spawn_blocking(move || hangs(case, &fake));
    blocking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_while_prometheus_hangs_and_its_panels_show_that_until_it_answers() {
    while_silent(&CASES[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_while_loki_hangs_and_the_log_shows_that_until_it_answers() {
    while_silent(&CASES[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_while_alertmanager_hangs_and_the_list_shows_that_until_it_answers() {
    while_silent(&CASES[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_while_the_server_hangs_and_its_panels_show_that_until_it_answers() {
    while_silent(&CASES[3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_work_while_tempo_hangs_and_the_list_shows_that_until_it_answers() {
    while_silent(&CASES[4]).await;
}
