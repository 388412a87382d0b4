use std::time::{Duration, Instant};

use super::*;
use crate::load::model::{Class, ErrorKind, Operation, TraceIds};
use crate::load::recorder::{BUYERS, Sample};

fn scenario(overrides: &[&str]) -> Scenario {
    let text = "title: t\ndataset: demo\nusers: 1\nadmission: { batch: 1, every: 1s }\n\
        traffic:\n  strangers:\n    { executor: closed, users: 2, lasts: 1s, journeys: [{ steps: [{ call: pay }] }] }\n";
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Scenario::parse("t", text, &overrides).unwrap()
}

fn frame(latencies_ms: &[u64], errors: usize) -> Frame {
    let (mut frame, now) = (Frame::default(), Instant::now());
    let mut record = |millis: u64, class, error_kind, status| {
        let done = now + Duration::from_millis(millis);
        frame.record(&Sample {
            trace: TraceIds::default(),
            traffic: BUYERS,
            user: 1,
            operation: Operation::Pay,
            class,
            error_kind,
            status,
            due: now,
            sent: now,
            done,
        });
    };
    latencies_ms
        .iter()
        .for_each(|millis| record(*millis, Class::Ok, None, 200));
    (0..errors).for_each(|_| record(1, Class::Error, Some(ErrorKind::Server), 500));
    frame
}

fn judge(overrides: &[&str], frame: &Frame) -> Vec<(String, Outcome)> {
    let ending = Ending::Complete;
    let evidence = Evidence {
        frame,
        only_phase: None,
        audit: None,
        worst_audit: 0,
        lookup: None,
        unacknowledged: None,
        unfinished: 0,
        generator_memory: Some(300_000_000),
        server_memory: None,
        ending,
    };
    let scenario = scenario(overrides);
    let judged = judge_thresholds(
        &scenario,
        &evidence,
        LiveThresholds::new(&scenario, None).judged(),
    );
    judged
        .into_iter()
        .map(|judged| (judged.name, judged.outcome))
        .collect()
}

fn at_most(unit: Unit, limit: f64, measured: Option<f64>) -> Judged {
    Judged::new("x".to_owned(), unit, Relation::AtMost, limit, measured)
}

fn one(name: &str, outcome: Outcome) -> Vec<(String, Outcome)> {
    vec![(name.to_owned(), outcome)]
}

#[test]
fn a_threshold_holds_the_latency_of_successes_against_its_limit() {
    let frame = frame(&[10, 20, 400], 3);
    assert_eq!(
        judge(&["thresholds.pay.p50=21ms"], &frame),
        one("pay.p50", Outcome::Passed)
    );
    assert_eq!(
        judge(&["thresholds.pay.p95=399ms"], &frame),
        one("pay.p95", Outcome::Missed)
    );
    assert_eq!(
        judge(&["thresholds.pay.error_rate=0.5"], &frame),
        one("pay.error_rate", Outcome::Passed)
    );
    assert_eq!(
        judge(&["thresholds.pay.error_rate=0.49"], &frame),
        one("pay.error_rate", Outcome::Missed)
    );
    assert_eq!(
        judge(&["thresholds.pay.rate=4"], &frame),
        one("pay.rate", Outcome::Missed)
    );
}

#[test]
fn a_threshold_without_samples_has_no_data_and_fails() {
    for threshold in ["p95=1s", "error_rate=1", "rate=0"] {
        let judged = judge(
            &[&format!("thresholds.cancel.{threshold}")],
            &frame(&[1], 0),
        );
        assert_eq!(judged[0].1, Outcome::NoData, "{threshold}");
    }
    assert_eq!(
        judge(&["thresholds.oversold=0"], &frame(&[1], 0)),
        one("oversold", Outcome::NoData)
    );
    let judged = at_most(Unit::Count, 0.0, None);
    let (verdict, reasons) = verdict(
        &[judged],
        Ending::Complete,
        0,
        MeasurementQuality::default(),
    );
    assert_eq!(
        (verdict, reasons),
        (Verdict::Failed, vec!["x: no data".to_owned()])
    );
}

#[test]
fn a_limited_generator_never_passes_and_excuses_only_slowness() {
    let judged = |unit, measured| at_most(unit, 1.0, Some(measured));
    let limited = ["the generator lagged".to_owned()];
    let of = |judged: &[Judged], limited: &[String]| {
        let quality = MeasurementQuality {
            limited,
            load_reduced: false,
        };
        verdict(judged, Ending::Complete, 0, quality).0
    };
    assert_eq!(of(&[judged(Unit::Milliseconds, 0.5)], &[]), Verdict::Passed);
    assert_eq!(
        of(&[judged(Unit::Milliseconds, 0.5)], &limited),
        Verdict::Inconclusive
    );
    assert_eq!(
        of(&[judged(Unit::Milliseconds, 2.0)], &limited),
        Verdict::Inconclusive
    );
    assert_eq!(of(&[judged(Unit::Milliseconds, 2.0)], &[]), Verdict::Failed);
    assert_eq!(of(&[judged(Unit::Count, 2.0)], &limited), Verdict::Failed);
}

#[test]
fn a_run_that_was_cut_short_never_passes() {
    let of = |ending| verdict(&[], ending, 3, MeasurementQuality::default()).0;
    assert_eq!(of(Ending::Complete), Verdict::Passed);
    assert_eq!(of(Ending::Stopped), Verdict::Inconclusive);
    assert_eq!(of(Ending::TimeOver), Verdict::Inconclusive);
    assert_eq!(of(Ending::ServerLost), Verdict::Failed);
    let load_reduced = MeasurementQuality {
        limited: &[],
        load_reduced: true,
    };
    let (reduced, reasons) = verdict(&[], Ending::Complete, 0, load_reduced);
    assert_eq!(reduced, Verdict::Inconclusive, "{reasons:?}");
    let no_data = [at_most(Unit::Count, 0.0, None)];
    let missed = [at_most(Unit::Count, 0.0, Some(1.0))];
    let stopped =
        |judged: &[Judged]| verdict(judged, Ending::Stopped, 3, MeasurementQuality::default()).0;
    assert_eq!(
        stopped(&no_data),
        Verdict::Inconclusive,
        "the data was taken away"
    );
    assert_eq!(
        stopped(&missed),
        Verdict::Failed,
        "what was seen stays seen"
    );
}

/// Runs live thresholds over seconds with successes of these latencies. Returns the final judgements, and the second in
/// which a threshold ended the run.
fn watched(overrides: &[&str], seconds: &[&[u64]]) -> (Vec<Judged>, Option<usize>) {
    let scenario = scenario(overrides);
    let mut watches = LiveThresholds::new(&scenario, None);
    let (mut sum, begun, mut ended) = (Frame::default(), Instant::now(), None);
    for (at, latencies) in seconds.iter().enumerate() {
        let second = frame(latencies, 0);
        sum.add(&second);
        let now = begun + Duration::from_secs(at as u64);
        if watches
            .second(&second, &sum, at as f64 + 1.0, now)
            .is_some()
        {
            ended = ended.or(Some(at));
        }
    }
    (watches.judged().collect(), ended)
}

#[test]
fn a_window_sees_what_the_whole_run_hides() {
    let quiet: &[u64] = &[10; 100];
    let bad: &[u64] = &[900; 50];
    let run: Vec<&[u64]> = (0..60)
        .map(|at| if at == 30 { bad } else { quiet })
        .collect();
    let limits = ["thresholds.pay.p95=500ms", "thresholds.pay.window=2s"];
    let (judged, _) = watched(&limits, &run);
    assert_eq!(judged.len(), 1);
    let (outcome, window) = (judged[0].outcome, judged[0].window);
    assert_eq!((outcome, window), (Outcome::Missed, Some(2)));
    // Second 31 of the seconds 30 to 32 has the slow requests, and the first window with them ends there.
    assert_eq!(judged[0].worst_at, Some(31.0));
    assert!(judged[0].measured > Some(890.0), "{judged:?}");
    // Over the whole run, 50 of 5,950 are slow.
    let whole = frame(&run.concat(), 0);
    let limit = ["thresholds.pay.p95=500ms"];
    assert_eq!(judge(&limit, &whole), one("pay.p95", Outcome::Passed));
    let (judged, _) = watched(&limits, &[quiet; 60]);
    assert_eq!(judged[0].outcome, Outcome::Passed);
}

#[test]
fn a_window_without_samples_has_no_data_and_a_run_shorter_than_it_is_judged_by_what_there_is() {
    let limits = ["thresholds.pay.p95=500ms", "thresholds.pay.window=10s"];
    let (judged, _) = watched(&limits, &[&[] as &[u64]; 30]);
    assert_eq!(judged[0].outcome, Outcome::NoData);
    let (judged, _) = watched(&limits, &[&[900], &[900]]);
    assert_eq!(judged[0].outcome, Outcome::Missed);
}

#[test]
fn a_limit_that_is_missed_for_as_long_as_it_says_ends_the_run_and_not_before() {
    let (quiet, bad): (&[u64], &[u64]) = (&[10; 10], &[900; 10]);
    let limits = [
        "thresholds.pay.p95=500ms",
        "thresholds.pay.window=1s",
        "thresholds.pay.abort=3s",
    ];
    let (_, ended) = watched(&limits, &[quiet, bad, bad, bad, quiet, quiet]);
    assert_eq!(ended, None, "2 s, then it was well again");
    let (judged, ended) = watched(&limits, &[quiet, bad, bad, bad, bad, quiet]);
    assert_eq!(ended, Some(4));
    let (verdict, reasons) = verdict(&judged, Ending::Aborted, 1, MeasurementQuality::default());
    assert_eq!(verdict, Verdict::Failed);
    assert!(
        reasons.contains(&"pay.p95 missed".to_owned()),
        "{reasons:?}"
    );
}

#[test]
fn dropped_arrivals_fail_the_run_even_without_a_threshold() {
    let mut frame = frame(&[1], 0);
    assert_eq!(judge(&[], &frame), []);
    frame.dropped[BUYERS] = 2;
    assert_eq!(judge(&[], &frame), one("dropped", Outcome::Missed));
    let allowed = ["thresholds.dropped=2"];
    assert_eq!(judge(&allowed, &frame), one("dropped", Outcome::Passed));
}

#[test]
fn a_traffic_group_is_judged_by_its_own_requests() {
    let traffic = [
        "thresholds.strangers.successes=0",
        "thresholds.strangers.requests=1",
    ];
    let mut both = Frame::of(2);
    both.record(&Sample {
        trace: TraceIds::default(),
        traffic: BUYERS,
        user: 1,
        operation: Operation::Pay,
        class: Class::Ok,
        error_kind: None,
        status: 200,
        due: Instant::now(),
        sent: Instant::now(),
        done: Instant::now(),
    });
    let outcomes = |frame: &Frame| -> Vec<Outcome> {
        judge(&traffic, frame)
            .into_iter()
            .map(|(_, it)| it)
            .collect()
    };
    assert_eq!(outcomes(&both), [Outcome::NoData, Outcome::NoData]);
    both.record(&Sample {
        trace: TraceIds::default(),
        traffic: 1,
        user: 1,
        operation: Operation::Pay,
        class: Class::Refused,
        error_kind: None,
        status: 403,
        due: Instant::now(),
        sent: Instant::now(),
        done: Instant::now(),
    });
    assert_eq!(outcomes(&both), [Outcome::Passed, Outcome::Passed]);
}

#[test]
fn thresholds_are_shown_with_sign_and_unit_and_no_data_counts_as_missed() {
    let judged = |unit, limit, measured| {
        let relation = match unit {
            Unit::PerSecond => Relation::AtLeast,
            _ => Relation::AtMost,
        };
        Judged::new("buying.p95".to_owned(), unit, relation, limit, measured)
    };
    let held = judged(Unit::Milliseconds, 500.0, Some(42.4));
    assert_eq!(
        (held.condition().as_str(), held.measured_text().as_str()),
        ("buying.p95 ≤ 500 ms", "42 ms")
    );
    assert_eq!(held.outcome, Outcome::Passed);
    let none = judged(Unit::PerSecond, 10.0, None);
    assert_eq!(
        (none.condition().as_str(), none.measured_text().as_str()),
        ("buying.p95 ≥ 10.0/s", "no data")
    );
    assert_eq!(none.outcome, Outcome::NoData);
}
