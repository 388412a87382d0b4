//! From the record of a failed request to its trace and back, by keys alone, in a pseudo-terminal with a real server
//! that answers with injected errors.

use concertctl::api::ops::Fault;

use crate::support::TestServer;
use crate::terminal::Console;

/// The value of the field `name` in the open record.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(name))?;
    let value = line.split(name).nth(1)?.split_whitespace().next()?;
    Some(value.to_owned())
}

/// Follows the links from the record to its trace, to the trace's records, and back.
fn follow(url: &str, token: &str, size: (u16, u16)) {
    let mut console = Console::start_with(url, token, &[], size);
    console.see("5xx rate");
    console.press("3");
    console.see("GET /concerts failed with 500");
    console.press("vvv");
    console.see("ERROR only");
    console.see("GET /concerts failed with 500");
    console.press("\r");
    console.until("the record in full", |text| {
        text.contains("Record of") && field(text, " trace_id ").is_some()
    });
    let trace = field(&console.text(), " trace_id ").expect("the record names its trace");
    assert_eq!(trace.len(), 32, "{trace}");
    console.press("t");
    console.until("the waterfall of that trace with its failed root", |text| {
        let title = format!("Trace {}: GET /concerts ✖", &trace[..8]);
        let row = |line: &str| line.contains("✖ GET /concerts") && line.contains(" ms ");
        text.contains(&title) && text.lines().any(row) && text.contains("waited here")
    });
    console.see("Logs › Traces");
    console.press("L");
    console.until("the records of that trace and no other", |text| {
        let records = text.lines().filter(|line| line.contains("failed with 500"));
        text.contains(&format!("trace {}", &trace[..8])) && records.count() == 1
    });
    console.press("\x1b");
    console.see("waited here");
    console.press("\x1b");
    console.until("the record again, still open", |text| {
        text.contains("Record of") && field(text, " trace_id ").as_deref() == Some(&trace)
    });
    console.press("\x1b");
    // Wait, because Esc and a key sent together are read as Alt with that key.
    console.until("the record closed", |text| !text.contains("Record of"));
    console.press("4v");
    console.until("the failed traces, that one among them", |text| {
        text.contains("Traces: failed") && text.contains(&trace[..8])
    });
    console.press("q");
    let (status, _) = console.ended_with_the_terminal_restored();
    assert!(status.success(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_from_the_record_of_a_failed_request_to_its_trace_and_back() {
    let server = TestServer::seeded(1, 10, 10).await;
    let burst = Fault::Errors {
        share: 1.0,
        status: 500,
        routes: None,
    };
    let length = std::time::Duration::from_secs(120);
    let inject = server.ops.inject_fault(&burst, length, Some("a test"));
    inject.await.unwrap();
    let user = server.admitted(1).await;
    for _ in 0..3 {
        assert_eq!(user.get("/concerts").await.status, 500);
    }
    let (url, token) = (server.ops_url.clone(), server.ops_token.clone());
    let console = move || {
        for size in [(80, 24), (120, 40)] {
            follow(&url, &token, size);
        }
    };
    tokio::task::spawn_blocking(console).await.unwrap();
    server.stop().await;
}
