//! Fuzz target `answers`: parses the input as an answer of Prometheus, Loki, Tempo, Alertmanager or the operations API,
//! with the clients of the console.

use crate::api::ops::{FaultList, SeedProgress, Status};
use crate::clients::{ClientError, alertmanager, decode, loki, prometheus, refusal, rules, tempo};

use super::inputs::{first_line, text};

/// The first line names the API, the rest is the answer's body.
pub(super) fn run(data: &[u8]) {
    let (kind, _) = first_line(text(data));
    let body = data.get(kind.len() + 1..).unwrap_or_default();
    refused(body);
    let read = match kind {
        "prometheus" => prometheus::read_series(body).map(|series| {
            let points: usize = series.iter().map(|one| one.points.len()).sum();
            assert!(points <= body.len(), "more points than bytes");
        }),
        "rule alerts" => prometheus::read_alerts(body).map(drop),
        "rules" => rules::read(body).map(drop),
        "loki" => loki::read_lines(body).map(|lines| {
            assert!(lines.is_sorted_by_key(|line| line.at_ns), "not in order");
        }),
        "tempo search" => tempo::read_found(body, true).map(drop),
        "tempo trace" => tempo::read_trace("1", body).map(|trace| {
            assert!(
                trace.spans.is_sorted_by_key(|span| span.offset_ns),
                "not in order"
            );
        }),
        "status" => decode::<Status>(body).map(drop),
        "seeding" => decode::<SeedProgress>(body).map(drop),
        "faults" => decode::<FaultList>(body).map(drop),
        other => read_alertmanager(other, body),
    };
    if let Err(error) = read {
        assert!(error.to_string().len() < 4096, "an endless message");
    }
}

/// `silences`, or else alerts.
pub(super) fn read_alertmanager(kind: &str, body: &[u8]) -> Result<(), ClientError> {
    match kind {
        "silences" => {
            for silence in decode::<Vec<alertmanager::Silence>>(body)? {
                silence.matchers.iter().for_each(|it| drop(it.text()));
            }
        }
        _ => drop(decode::<Vec<alertmanager::Alert>>(body)?),
    }
    Ok(())
}

/// Checks that the message of a refusal is short and has no control characters, which the terminal would obey.
fn refused(body: &[u8]) {
    let shown = refusal(http::StatusCode::BAD_REQUEST, body).to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.chars().count() < 400, "an endless refusal");
}
