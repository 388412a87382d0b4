//! The console that starts its own server, in a pseudo-terminal.

use std::net::SocketAddr;
use std::path::Path;

use concertctl::serve::ServerFile;
use rustix::process::Signal;

use crate::console_rehearsal::rehearse;
use crate::terminal::Console;

/// Starts a console on a data directory. Its server listens on free ports.
fn start(dir: &Path, more: &[&str], vars: &[(&str, &str)], size: (u16, u16)) -> Console {
    let places = ["--ops-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"];
    let dir = ["--data-dir", dir.to_str().unwrap()];
    let args: Vec<&str> = [&dir[..], &places, more].concat();
    Console::run(&args, vars, size)
}

/// The addresses of the server on this data directory.
fn addresses(dir: &Path) -> [SocketAddr; 2] {
    let bytes = std::fs::read(dir.join(ServerFile::NAME)).unwrap();
    let file: ServerFile = serde_json::from_slice(&bytes).unwrap();
    [file.api_addr, file.ops_addr]
}

fn is_closed(addresses: [SocketAddr; 2]) -> bool {
    addresses
        .iter()
        .all(|address| std::net::TcpStream::connect(address).is_err())
}

/// The test for the other size is in `console_rehearsal`.
#[test]
fn one_command_starts_a_server_seeds_rehearses_and_leaves_no_process_at_120x40() {
    let dir = tempfile::tempdir().unwrap();
    let mut console = start(dir.path(), &[], &[], (120, 40));
    console.see("server (embedded)");
    console.see("The ticket service runs at 127.0.0.1:");
    rehearse(&mut console);
    let listening = addresses(dir.path());
    console.press("q");
    let (status, after) = console.ended_with_the_terminal_restored();
    assert!(status.success(), "{status:?}");
    assert_eq!(after.trim(), "", "the screen is restored");
    assert!(is_closed(listening), "the server must end with the console");
}

#[test]
fn a_signal_ends_the_server_too_and_restores_the_terminal() {
    for size in [(80, 24), (120, 40)] {
        let dir = tempfile::tempdir().unwrap();
        let console = start(dir.path(), &[], &[], size);
        console.see("press s to seed demo data");
        let listening = addresses(dir.path());
        console.signal(Signal::TERM);
        let (status, _) = console.ended_with_the_terminal_restored();
        assert_eq!(status.exit_code(), 143);
        assert!(is_closed(listening), "the server must end with the console");
    }
}

#[test]
fn a_failing_server_ends_the_console_with_the_terminal_restored_and_the_reason_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let console = start(dir.path(), &["--server-panic-after-start"], &[], (80, 24));
    let (status, text) = console.ended_with_the_terminal_restored();
    assert_eq!(status.exit_code(), 1, "{text}");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(
        lines,
        ["concertctl: the embedded server ended: its operations listener ended"]
    );
}

#[test]
fn a_panic_of_the_console_restores_the_terminal_and_ends_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let console = start(dir.path(), &["--panic-after-start"], &[], (80, 24));
    let (status, text) = console.ended_with_the_terminal_restored();
    assert!(!status.success());
    assert!(text.contains("asked to break"), "{text}");
    assert!(is_closed(addresses(dir.path())));
}

#[test]
fn the_level_filter_keeps_records_of_the_level_and_above() {
    let dir = tempfile::tempdir().unwrap();
    let mut console = start(dir.path(), &["--screen", "logs"], &[], (80, 24));
    console.see("serving");
    console.press("v");
    console.until("INFO and above, the record still there", |text| {
        text.contains("INFO and above") && text.contains("serving")
    });
    console.press("v");
    console.until("WARN and above, the record hidden", |text| {
        text.contains("WARN and above") && text.contains("matches the filter")
    });
    console.press("q");
    console.ended_with_the_terminal_restored();
}

/// The parameters of every "select graphic rendition" sequence (ECMA-48, 8.3.117).
fn renditions(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written);
    let sequence = regex::Regex::new("\x1b\\[([0-9;:]*)m").unwrap();
    let found = sequence.captures_iter(&text);
    found.map(|of| of[1].to_owned()).collect()
}

/// Returns whether a parameter sets a colour: 30 to 38, 40 to 48, 90 to 107. The parameters 39 and 49 restore the
/// default.
fn is_colour(parameters: &str) -> bool {
    parameters.split([';', ':']).any(|one| {
        matches!(
            one.parse::<u16>(),
            Ok(30..=38 | 40..=48 | 58 | 90..=97 | 100..=107)
        )
    })
}

#[test]
fn no_color_suppresses_all_colours() {
    let colours = |vars: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let mut console = start(dir.path(), &[], vars, (80, 24));
        console.see("press s to seed demo data");
        for (keys, seen) in [
            ("s", "Seed a dataset"),
            ("\r", "is seeded"),
            ("3", "all levels"),
            ("5", "onsale-short"),
            ("6", "╭ Alerts "),
            ("?", "Actions, from any screen"),
        ] {
            console.press(keys);
            console.see(seen);
        }
        console.press("qq");
        let written = std::sync::Arc::clone(&console.written);
        console.ended_with_the_terminal_restored();
        let written = written.lock();
        let renditions = renditions(&written);
        assert!(!renditions.is_empty(), "bold and reversed are allowed");
        renditions.into_iter().filter(|one| is_colour(one)).count()
    };
    assert_eq!(colours(&[("NO_COLOR", "1")]), 0);
    assert!(
        colours(&[("NO_COLOR", "")]) > 0,
        "an empty variable has no effect"
    );
}

#[test]
fn a_port_in_use_is_reported_with_the_flag_that_changes_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let args = [
        "--data-dir",
        dir,
        "--ops-addr",
        "127.0.0.1:0",
        "--api-addr",
        &place,
    ];
    let console = Console::run(&args, &[], (80, 24));
    let (status, text) = console.ended_with_the_terminal_restored();
    assert_eq!(status.exit_code(), 1);
    assert!(
        text.contains("is in use") && text.contains("--api-addr"),
        "{text}"
    );
}

#[test]
fn quitting_warns_about_the_other_console_that_loses_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = start(dir.path(), &[], &[], (120, 40));
    host.see("press s to seed demo data");
    let [_, ops] = addresses(dir.path());
    let guest = Console::start_with(&format!("http://{ops}/"), "none", &[], (80, 24));
    guest.see("press s to seed demo data");
    host.see("server (embedded, 2 consoles)");
    host.press("q");
    host.see("Another console is attached");
    host.press("n");
    host.until("the question closed", |text| {
        !text.contains("Another console")
    });
    host.press("q");
    host.see("Another console is attached");
    host.press("y");
    assert!(host.ended_with_the_terminal_restored().0.success());
    guest.see("✖ server");
}
