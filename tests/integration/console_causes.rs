//! From symptom to cause by keys alone, in a pseudo-terminal with a real server: an alert that a burst of 5xx raises,
//! its figure with the limit, the error records of its time, the trace of one of them, and back to the alert.

use std::time::Duration;

use concertctl::api::ops::Fault;
use tokio_util::task::AbortOnDropHandle;

use crate::support::TestServer;
use crate::terminal::Console;

/// Traffic: a client that reads the list of concerts again and again.
fn visitor(api: &str) -> AbortOnDropHandle<()> {
    let url = format!("{api}/concerts");
    AbortOnDropHandle::new(tokio::spawn(async move {
        let client = crate::support::client();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            // Ignore the answer: the alert is about answers that fail.
            let _answer = client.get(&url).send().await;
        }
    }))
}

/// The first line of the text about the chosen alert.
fn chosen(text: &str) -> String {
    let mut lines = text.lines();
    let head = lines.find(|line| line.contains("  since "));
    head.unwrap_or_default().to_owned()
}

fn by_keys(url: &str, token: &str, size: (u16, u16)) {
    let mut console = Console::start_with(url, token, &[], size);
    console.see("5xx rate");
    console.press("6");
    console.until("the alert fires", |text| {
        let mut rows = text.lines().filter(|line| line.contains("HighErrorRate"));
        rows.any(|line| line.contains("firing"))
    });
    // Go up to the first alert, then down to the wanted one.
    console.press("kkkkkkkk");
    console.until("the first is chosen", |text| chosen(text).contains("✖"));
    while !console.text().contains("✖ HighErrorRate  since") {
        let before = chosen(&console.text());
        console.press("j");
        console.until("the next is chosen", |text| chosen(text) != before);
    }
    console.press("\r");
    console.until("the alert with its figure and its records", |text| {
        let all = [
            "HighErrorRate  since",
            "fires above 0.01",
            "failed with 500",
        ];
        all.iter().all(|part| text.contains(part))
    });
    console.press("L");
    console.until("the error records of its time", |text| {
        text.contains("Alerts › Logs") && text.contains("GET /concerts failed with 500")
    });
    console.press("\r");
    console.see("Record of");
    console.press("t");
    console.until("the trace and where its time went", |text| {
        text.contains("Alerts › Logs › Traces") && text.contains("waited here")
    });
    console.press("\x1b");
    console.see("Record of");
    console.press("\x1b");
    console.until("the records", |text| !text.contains("Record of"));
    console.press("\x1b");
    console.until("the alert again", |text| {
        text.contains("HighErrorRate  since") && text.contains("fires above 0.01")
    });
    console.press("q");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_from_an_alert_to_the_span_of_a_failed_request_and_back() {
    let server = TestServer::seeded(1, 10, 10).await;
    let burst = Fault::Errors {
        share: 0.5,
        status: 500,
        routes: None,
    };
    let length = std::time::Duration::from_secs(120);
    let inject = server.ops.inject_fault(&burst, length, Some("a test"));
    inject.await.unwrap();
    let _visitor = visitor(&server.api);
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    let console = move || {
        for size in [(80, 24), (120, 40)] {
            by_keys(&url, &token, size);
        }
    };
    tokio::task::spawn_blocking(console).await.unwrap();
    server.stop().await;
}
