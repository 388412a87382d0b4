//! Tests of pages for unusual summaries that no real run produces.

use serde_json::json;

use super::markup::NO_DATA;
use super::*;
use crate::load::baseline::{Baseline, Change, Compared};
use crate::load::scenario::Scenario;
use crate::load::summary::{Expected, Mark, MarkKind, Second};

/// A summary without measurements.
pub(in crate::load::report) fn sample() -> Summary {
    let text = "{ title: t, dataset: demo, users: 1, admission: { batch: 1, every: 1s } }";
    let settings = Scenario::parse("test", text, &[]).unwrap();
    let dataset = json!({
        "profile": "demo", "concerts": 1, "dates": 1, "seats": 50, "users": 10, "onSaleConcert": 1,
        "onSaleSeats": 50, "popularSeats": 5, "seatsPerDate": 50, "seededAt": "then"
    });
    let summary = json!({
        "schema": 2, "version": "1", "scenario": "test", "settings": settings, "shards": [],
        "target": "http://127.0.0.1:1", "serverVersion": "1", "dataset": dataset, "startedAt": "now",
        "elapsedSeconds": 0.0, "eased": false, "ending": "complete", "verdict": "passed",
        "reasons": [], "thresholds": [], "users": {}, "operations": [],
        "statuses": { "success": 0, "client": 0, "server": 0, "none": 0 }, "dropped": {},
        "estimate": [], "audits": { "count": 0, "worst": 0 },
        "fairness": { "checks": 0, "inversions": 0 },
        "generator": {
            "workers": 1, "cores": 1, "machine": "m", "connections": 1, "wanted": 1, "limited": []
        },
        "timeline": { "interval": 1.0, "points": [] }, "marks": [],
        "histograms": {
            "crowds": [], "cells": [], "faults": [], "lag": "", "connectionWait": "", "etaError": ""
        }
    });
    serde_json::from_value(summary).unwrap()
}

#[test]
fn a_run_of_nothing_has_a_page_that_says_no_data() {
    let page = html(&sample());
    assert!(page.contains("<title>test: passed</title>"));
    assert!(page.contains("<span id=\"verdict\">Passed</span>"));
    assert!(page.matches(NO_DATA).count() > 8, "{page}");
    for nonsense in ["NaN", "inf ", "inf%", "Infinity"] {
        assert!(!page.contains(nonsense), "{nonsense}");
    }
}

#[test]
fn a_run_of_one_second_has_a_page() {
    let mut summary = sample();
    summary.timeline.points.push(Second {
        second: 1.0,
        tps: 3.0,
        ok: 2.0,
        refused: 1.0,
        p50: Some(4.0),
        ..Second::default()
    });
    let page = html(&summary);
    assert!(page.contains("class=\"area ok\"") && page.contains("class=\"line p50\""));
    assert!(
        page.contains("max 4.0 ms") && !page.contains("NaN"),
        "{page}"
    );
}

#[test]
fn no_text_from_outside_becomes_markup() {
    const EVIL: &str = "</pre></script><script>alert('x')</script><img src=x>\"&";
    let evil = || EVIL.to_owned();
    let mut summary = sample();
    for field in [
        &mut summary.scenario,
        &mut summary.settings.title,
        &mut summary.settings.dataset,
        &mut summary.target,
        &mut summary.version,
        &mut summary.server_version,
        &mut summary.started_at,
        &mut summary.dataset.profile,
        &mut summary.dataset.seeded_at,
        &mut summary.generator.machine,
    ] {
        *field = evil();
    }
    summary.reasons.push(evil());
    summary.shards.push(evil());
    summary.generator.limited.push(evil());
    summary.audit_problem = Some(evil());
    summary.users.insert(evil(), 1);
    summary.dropped.insert(evil(), 1);
    let lookup = json!({ "checked": 1, "missing": 1, "examples": [EVIL] });
    summary.lookup = Some(serde_json::from_value(lookup).unwrap());
    let row = json!({
        "traffic": EVIL, "operation": "pay", "phase": "pay", "count": 1, "rate": 1.0, "ok": 0,
        "refused": 0, "errors": 1, "faults": { EVIL: 1 }
    });
    summary
        .operations
        .push(serde_json::from_value(row).unwrap());
    let judged = json!({
        "name": EVIL, "unit": "count", "relation": "at-most", "limit": 1.0, "outcome": "no-data"
    });
    summary
        .thresholds
        .push(serde_json::from_value(judged).unwrap());
    summary.estimate.push(Expected {
        quantity: evil(),
        expected: evil(),
        measured: Some(evil()),
    });
    for kind in [
        MarkKind::Phase,
        MarkKind::Fault,
        MarkKind::Alert,
        MarkKind::Control,
    ] {
        summary.marks.push(Mark {
            second: 1.0,
            kind,
            text: evil(),
        });
    }
    summary.timeline.points.push(Second {
        second: 2.0,
        users: [(evil(), 1)].into(),
        ..Second::default()
    });
    let compared = |change| Compared {
        name: evil(),
        before: 1.0,
        now: 2.0,
        change,
    };
    summary.baseline = Some(Baseline {
        started_at: evil(),
        server_version: evil(),
        noise: 0.1,
        compared: vec![compared(Change::Worse), compared(Change::Same)],
    });
    let page = html(&summary);
    assert!(
        !page.contains("<script>alert") && !page.contains("<img"),
        "{page}"
    );
    // One script has the readings, the other is the code.
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(page.matches("</pre>").count(), 1);
    let shown = page.matches("&lt;script&gt;alert(&#39;x&#39;)").count();
    assert!(shown >= 28, "{shown} of the texts are there");
}

#[test]
fn the_longest_timeline_makes_a_page_of_bounded_size() {
    let mut summary = sample();
    summary.timeline.points = (1..=1_200)
        .map(|at| Second {
            second: f64::from(at) * 1.37,
            tps: 12_345.678,
            ok: 10_000.123 + f64::from(at),
            refused: 2_000.5,
            errors: 345.055,
            p50: Some(12.345),
            p95: Some(123.456),
            p99: Some(1_234.567),
            queue_p95: Some(1.234),
            waiting: Some(100_000),
            admitted_mark: Some(50_000),
            held: 1_000,
            sold: 20_000,
            ..Second::default()
        })
        .collect();
    let size = html(&summary).len();
    assert!(size < 500_000, "{size}");
}
