//! The main use of the console by keys alone, in a pseudo-terminal with a real server: seed, launch, see the traffic,
//! raise an alert, quit.

use crate::support::TestServer;
use crate::terminal::Console;

/// The number after `name` on the screen.
fn number(text: &str, name: &str) -> Option<f64> {
    let rest = text.split(name).nth(1)?.trim_start();
    let digits: String = rest
        .chars()
        .take_while(|c| c.is_ascii_digit() || ",.k".contains(*c))
        .collect();
    let (digits, factor) = match digits.strip_suffix('k') {
        Some(digits) => (digits.to_owned(), 1000.0),
        None => (digits, 1.0),
    };
    Some(digits.replace(',', "").parse::<f64>().ok()? * factor)
}

/// Uses the console from the first screen to the verdict.
pub fn rehearse(console: &mut Console) {
    console.see("press s to seed demo data");
    console.press("s\r");
    console.see("demo is seeded");
    console.see("press l to launch a rehearsal");
    console.press("l");
    console.see("onsale-short");
    console.press("\r");
    console.see("all phases, one after the other");
    console.press("\r");
    console.see("The demo dataset is there and untouched");
    console.press("y");
    console.until(
        "its own and the server's TPS over the same window, above zero and within a tenth",
        |text| {
            let line = text.lines().find(|line| line.contains("over 10 s"));
            let line = line.unwrap_or_default();
            match (number(line, " TPS "), number(line, " server ")) {
                (Some(own), Some(server)) => own > 100.0 && (own - server).abs() <= 0.1 * own,
                _ => false,
            }
        },
    );
    console.press("a");
    console.see("Raise an alert");
    console.press("payments hang\r");
    console.press("1");
    console.see("OperatorAlert");
    console.press("5");
    // The number of thresholds that held does not matter here: the machine may be busy with other tests.
    console.see("of 10 thresholds held");
    console.see("unfinished");
    console.see("summary: ");
}

fn beside(server: &TestServer, size: (u16, u16)) -> impl FnOnce() + Send + 'static {
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    move || {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_str().unwrap();
        let mut console = Console::start_with(&url, &token, &["--data-dir", dir], size);
        rehearse(&mut console);
        console.press("q");
        let (status, _) = console.ended_with_the_terminal_restored();
        assert!(status.success(), "{status:?}");
        let summaries = std::fs::read_dir(home.path().join("rehearsals")).unwrap();
        assert_eq!(
            summaries.count(),
            2,
            "one file for programs and one for people"
        );
    }
}

/// The test for the other size is in `console_embedded`.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_seeds_rehearses_and_sees_an_alert_by_keys_alone_at_80x24() {
    let server = TestServer::empty().await;
    tokio::task::spawn_blocking(beside(&server, (80, 24)))
        .await
        .unwrap();
    server.stop().await;
}
