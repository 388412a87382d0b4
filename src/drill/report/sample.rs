//! Sample reports for tests.

use serde_json::json;

use super::content::Report;
use super::document::Document;

/// A failed drill: one alert came in time, one came late, one did not come, and one was false.
pub(in crate::drill) fn failed() -> Report {
    let expectation = |step: &str,
                       what: &str,
                       alert: &str,
                       measured: Option<f64>,
                       outcome: &str| {
        json!({
            "inject": 0, "step": step, "what": what, "alert": alert, "budget": 18.25, "predicted": 15.5,
            "measured": measured, "outcome": outcome, "above_prediction": outcome == "late",
            "rule": "rules.yml:93"
        })
    };
    let report = json!({
        "drill": "slow", "title": "A slow statement", "seed": 41, "startedAt": "2026-11-26T11:33:07.7Z",
        "verdict": "failed", "reasons": ["SlowBuying fires: 21.7 s, budget 18 s (rules.yml:93)"],
        "expectations": [
            expectation("fires", "SlowStatements fires", "SlowStatements", Some(9.75), "met"),
            expectation("notifies", "SlowStatements notifies", "SlowStatements", Some(0.85), "met"),
            expectation("fires", "SlowBuying fires", "SlowBuying", Some(21.65), "late"),
            expectation("fires", "PoolExhausted fires", "PoolExhausted", None, "missed"),
            expectation("notifies", "PoolExhausted notifies", "PoolExhausted", None, "not_exercised"),
        ],
        "falseAlarms": [{ "alert": "ServerDown", "at": 5.25, "rule": "rules.yml:12" }],
        "fired": { "SlowStatements": [9.75], "SlowBuying": [21.65], "ServerDown": [5.25] },
        "allowed": ["SlowStatements", "SlowBuying", "PoolExhausted"],
        "faults": [[0.0, 25.0]],
        "seconds": [[-2.0, 100, 0, 12.5], [-1.0, 100, 0, 13.5], [0.0, 90, 7, 900.0], [1.0, 80, 9, null]],
        "sentence": "", "improvements": [],
        "marks": [
            { "at": 0.0, "kind": "fault_begins", "subject": "slow_statement" },
            { "at": 1.5, "kind": "symptom", "subject": "users" },
            { "at": 9.75, "kind": "firing", "subject": "SlowStatements" },
            { "at": 25.0, "kind": "fault_ends", "subject": "slow_statement" },
        ],
        "alerts": { "SlowStatements": [{
            "pending": 4.15, "firing": 9.75, "shown": 10.35, "notified": 10.65, "resolved": 50.45,
            "toldResolved": 52.55
        }] },
        "harm": {
            "requests": 4321, "failed": 1234, "people": 987, "secondsOutside": 26, "errorBudget": 5.5,
            "budgetBurnt": 12.34
        },
        "stopChecks": { "made": 14, "failed": 2, "longestGap": 6.5 },
        "basis": {
            "version": "7.8.9", "load": "onsale-short", "p95Ms": 500.0, "errorRate": 0.001,
            "faults": ["{\"kind\":\"slow_statement\"}"],
            "rules": [{ "file": "rules.yml", "sha256": "ab12" }]
        }
    });
    let report: Report = serde_json::from_value(report).unwrap();
    report.concluded()
}

/// The same drill, passed, with another name.
pub(crate) fn passed(name: &str) -> Report {
    let mut report = failed();
    name.clone_into(&mut report.drill);
    report.expectations.truncate(2);
    report.false_alarms.clear();
    report.fired.retain(|alert, _| alert == "SlowStatements");
    report.verdict = crate::drill::verdict::Verdict::Passed;
    report.concluded()
}

/// A suite of both drills.
pub(in crate::drill) fn suite() -> Document {
    Document::new(vec![failed(), passed("calm")], Vec::new())
}
