//! The console as a user runs it: the real binary in a real pseudo-terminal, with sources over HTTP.

use std::process::Command;

use concertctl::clients::prometheus::Labels;
use portable_pty::PtySize;
use rustix::process::Signal;

use crate::fake_sources::Fake;
use crate::terminal::{Console, cells};

/// Runs a blocking test beside the fake server.
async fn with_fake(test: impl FnOnce(Fake) + Send + 'static) {
    let fake = Fake::start().await;
    tokio::task::spawn_blocking(move || test(fake))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_sees_the_keys_reads_the_help_and_quits() {
    with_fake(|fake| {
        for size in [(80, 24), (120, 40)] {
            let mut console = Console::start_sized(&fake.url(), &[], size);
            console.see("press s to seed demo data");
            console.see("none firing");
            assert!(console.screen.lock().screen().alternate_screen());
            console.press("?");
            console.see("launch a rehearsal, one phase, or");
            console.press("\x1b");
            console.until("the help closed", |text| !text.contains("one phase, or"));
            console.press("q");
            let (status, after) = console.ended_with_the_terminal_restored();
            assert!(status.success(), "{status:?}");
            assert_eq!(after.trim(), "", "the screen is restored");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_on_the_screen_follow_their_source() {
    with_fake(|fake| {
        fake.facts.lock().dataset = Some(crate::fake_sources::demo());
        let mut console = Console::start(&fake.url(), &[]);
        console.see("42 /s");
        fake.facts.lock().tps = 1_234.0;
        console.see("1,234 /s");
        console.press("q");
        console.ended_with_the_terminal_restored();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_pausing_and_an_alert_by_hand_reach_the_server() {
    with_fake(|fake| {
        let mut console = Console::start(&fake.url(), &[]);
        console.see("press s to seed demo data");
        console.press("s");
        console.see("Nothing is loaded yet");
        console.press("\r");
        console.see("everything is ready");
        assert_eq!(fake.facts.lock().seeded[0].profile.as_deref(), Some("demo"));
        console.press("p");
        console.see("No one else is admitted until it is resumed");
        assert!(
            !fake.facts.lock().paused,
            "pausing must ask first, because it affects customers"
        );
        console.press("y");
        console.see("admission paused");
        assert!(fake.facts.lock().paused);
        console.press("a");
        console.see("Raise an alert");
        console.press("payments hang\r");
        console.see("alert OperatorAlert raised");
        console.press("6");
        console.see("payments hang");
        console.press("r");
        console.see("alert OperatorAlert resolved");
        console.see("– resolved");
        console.press("q");
        console.ended_with_the_terminal_restored();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_filtered_and_opened() {
    with_fake(|fake| {
        let say = |message: &str| {
            let at = jiff::Timestamp::now().as_nanosecond() as i64;
            let line = format!(r#"{{"level":"WARN","service_name":"concertctl-api","message":"{message}","additional_data":{{"seat":7}}}}"#);
            fake.facts.lock().lines.push((at, line));
        };
        say("first words");
        let mut console = Console::start(&fake.url(), &["--screen", "logs"]);
        console.see("first words");
        say("second words");
        console.see("second words");
        console.press("/second\r");
        console.until("only the second", |text| text.contains("with “second”") && !text.contains("first words"));
        assert!(fake.facts.lock().log_queries.iter().any(|query| query.ends_with(r#"|~ "(?i)second""#)));
        console.see("second words");
        console.press("\r");
        console.see("additional_data.seat");
        console.press("\x1b");
        console.until("the record closed", |text| !text.contains("additional_data.seat"));
        console.press("q");
        console.ended_with_the_terminal_restored();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_with_the_terminal_restored() {
    with_fake(|fake| {
        for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
            let console = Console::start(&fake.url(), &[]);
            console.see("none firing");
            console.signal(signal);
            let (status, _) = console.ended_with_the_terminal_restored();
            assert_eq!(status.exit_code(), code, "{signal:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_restores_the_terminal_and_leaves_its_message_readable() {
    with_fake(|fake| {
        let console = Console::start(&fake.url(), &["--panic-after-start"]);
        let (status, text) = console.ended_with_the_terminal_restored();
        assert!(!status.success());
        assert!(
            text.contains("asked to break after the first frame"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_too_small_shows_the_required_size_and_works_after_resizing() {
    with_fake(|fake| {
        let mut console = Console::start_sized(&fake.url(), &[], (60, 20));
        console.see("needs 80x24, this is 60x20");
        let size = PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        };
        console
            .screen
            .lock()
            .screen_mut()
            .set_size(cells(24), cells(80));
        console.master.resize(size).unwrap();
        console.see("none firing");
        console.press("q");
        console.ended_with_the_terminal_restored();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_refuses_actions_and_ascii_draws_only_ascii() {
    with_fake(|fake| {
        fake.facts.lock().dataset = Some(crate::fake_sources::demo());
        let mut console = Console::start(&fake.url(), &["--read-only", "--ascii"]);
        console.see("42 /s");
        console.press("p");
        console.see("read-only: cannot pause");
        assert!(!fake.facts.lock().paused);
        assert!(console.text().is_ascii(), "{}", console.text());
        console.press("\x03");
        console.ended_with_the_terminal_restored();
    })
    .await;
}

fn run(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concertctl"));
    command
        .arg("tui")
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("COLUMNS")
        .env_remove("LINES");
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn without_a_terminal_the_error_gives_advice_and_the_exit_code_is_2() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains("concertctl load") && text.contains("tui --once"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn once_prints_a_screen_as_text() {
    with_fake(|fake| {
        fake.facts.lock().dataset = Some(crate::fake_sources::demo());
        fake.facts.lock().alerts = vec![concertctl::clients::alertmanager::Alert {
            labels: Labels::from([
                ("alertname".into(), "HotSeat".into()),
                ("severity".into(), "warning".into()),
            ]),
            starts_at: "2026-01-01T00:00:00Z".into(),
            ..Default::default()
        }];
        let output = run(&["--once", "--screen", "6", "--ops-url", &fake.url()]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(
            text.contains("HotSeat") && text.contains("warning"),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "no escape sequences");
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        let overview = run(&["--once", "--ops-url", &fake.url()]);
        assert!(
            String::from_utf8(overview.stdout)
                .unwrap()
                .contains("42 /s")
        );
    })
    .await;
}

#[test]
fn once_without_any_source_reports_it_and_fails() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let output = run(&["--once", "--ops-url", &format!("127.0.0.1:{port}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no source answered")
    );
}

#[test]
fn bad_addresses_screens_and_token_files_are_reported() {
    for (args, message) in [
        (vec!["--once", "--ops-url", "ftp://x"], "ftp"),
        (vec!["--once", "--screen", "9"], "there is no such screen"),
        (
            vec!["--once", "--ops-token-file", "/no/such/file"],
            "cannot read the token file /no/such/file",
        ),
    ] {
        let output = run(&args);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}
