use std::time::{Duration, Instant};

use super::*;
use crate::load::model::Fault;
use crate::load::recorder::Sample;

fn scenario(overrides: &[&str]) -> Scenario {
    let text = "title: t\ndataset: demo\nusers: 1\nadmission: { batch: 1, every: 1s }\n";
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Scenario::parse("t", text, &overrides).unwrap()
}

fn frame(latencies_ms: &[u64], errors: usize) -> Frame {
    let (mut frame, now) = (Frame::default(), Instant::now());
    let mut record = |millis: u64, class, fault, status| {
        let done = now + Duration::from_millis(millis);
        let (operation, phase) = (Operation::Pay, PhaseName::Pay);
        frame.record(&Sample {
            operation,
            phase,
            class,
            fault,
            status,
            planned: now,
            sent: now,
            done,
        });
    };
    latencies_ms
        .iter()
        .for_each(|millis| record(*millis, Class::Ok, None, 200));
    (0..errors).for_each(|_| record(1, Class::Error, Some(Fault::Server), 500));
    frame
}

fn judge(overrides: &[&str], frame: &Frame) -> Vec<(String, Outcome)> {
    let ending = Ending::Complete;
    let evidence = Evidence {
        frame,
        only: None,
        audit: None,
        lookup: None,
        unfinished: 0,
        ending,
    };
    let judged = thresholds(&scenario(overrides), &evidence);
    judged
        .into_iter()
        .map(|judged| (judged.name, judged.outcome))
        .collect()
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
    let judged = Judged::new("x".to_owned(), Unit::Count, 0.0, None);
    let (verdict, reasons) = verdict(&[judged], Ending::Complete, 0, &[]);
    assert_eq!(
        (verdict, reasons),
        (Verdict::Failed, vec!["x: no data".to_owned()])
    );
}

#[test]
fn a_limited_generator_never_passes_and_excuses_only_slowness() {
    let judged = |unit, measured| Judged::new("x".to_owned(), unit, 1.0, Some(measured));
    let limited = ["the generator lagged".to_owned()];
    let of =
        |judged: &[Judged], limited: &[String]| verdict(judged, Ending::Complete, 0, limited).0;
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
    let of = |ending| verdict(&[], ending, 3, &[]).0;
    assert_eq!(of(Ending::Complete), Verdict::Passed);
    assert_eq!(of(Ending::Stopped), Verdict::Inconclusive);
    assert_eq!(of(Ending::TimeOver), Verdict::Inconclusive);
    assert_eq!(of(Ending::ServerLost), Verdict::Failed);
    let no_data = [Judged::new("x".to_owned(), Unit::Count, 0.0, None)];
    let missed = [Judged::new("x".to_owned(), Unit::Count, 0.0, Some(1.0))];
    let stopped = |judged: &[Judged]| verdict(judged, Ending::Stopped, 3, &[]).0;
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
