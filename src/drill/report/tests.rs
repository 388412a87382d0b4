//! Tests of all forms of the report.

use serde_json::Value;

use super::baseline::{Change, compare};
use super::matrix::{Cell, Skipped};
use super::sample::{failed, passed, suite};
use super::*;

fn both(document: &Document) -> [String; 2] {
    [html(document), markdown(document)]
}

#[test]
fn a_report_says_in_one_sentence_how_the_drill_ended() {
    assert_eq!(
        failed().sentence,
        "Failed: of 5 expectations, 1 did not happen, 1 came late, 1 could not be exercised, \
         1 came after the worst case, 1 alert was false."
    );
    assert_eq!(
        passed("calm").sentence,
        "Passed: 2 expectations were met within the budget, and no alert was false."
    );
    let mut noisy = passed("calm");
    noisy.false_alarms = failed().false_alarms;
    noisy.verdict = Verdict::Failed(vec!["Other fired".to_owned()]);
    assert_eq!(noisy.concluded().sentence, "Failed: 1 alert was false.");
    let mut lost = passed("calm");
    lost.verdict = Verdict::Failed(vec!["3 seats were sold twice".to_owned()]);
    assert_eq!(
        lost.concluded().sentence,
        "Failed: 3 seats were sold twice."
    );
    assert_eq!(suite().sentence, "Of 2 drills: 1 passed, 1 failed.");
}

#[test]
fn each_missed_late_or_false_alert_is_named_with_the_line_of_its_rule() {
    let improvements = failed().improvements;
    let told: Vec<(&str, &str)> = improvements
        .iter()
        .map(|it| (it.alert.as_deref().unwrap(), it.rule.as_deref().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("SlowBuying", "rules.yml:93"),
            ("PoolExhausted", "rules.yml:93"),
            ("PoolExhausted", "rules.yml:93"),
            ("ServerDown", "rules.yml:12"),
        ]
    );
    for page in both(&Document::new(vec![failed()], Vec::new())) {
        for it in ["rules.yml:12", "rules.yml:93", "may"] {
            assert!(page.contains(it), "{it} {page}");
        }
    }
    assert!(passed("calm").improvements.is_empty());
    let mut unsure = failed();
    unsure.verdict = Verdict::Inconclusive(vec!["the sale did not open".to_owned()]);
    let improvements = unsure.concluded().improvements;
    assert_eq!(improvements.len(), 1, "no rule is blamed: {improvements:?}");
    assert!(improvements[0].advice.ends_with("the sale did not open."));
}

/// Fields of the JSON, each with another value and the text that must then appear.
fn changes() -> Vec<(&'static str, Value, &'static str)> {
    let text = |text: &str| Value::from(text);
    vec![
        ("/drills/0/drill", text("another-drill"), "another-drill"),
        ("/drills/0/title", text("Another title"), "Another title"),
        (
            "/drills/0/sentence",
            text("Another sentence."),
            "Another sentence.",
        ),
        ("/drills/0/seed", 90_210.into(), "90210"),
        (
            "/drills/0/startedAt",
            text("2031-02-03T04:05:06Z"),
            "2031-02-03 04:05:06 UTC",
        ),
        (
            "/drills/0/reasons/0",
            text("another reason"),
            "another reason",
        ),
        (
            "/drills/0/expectations/0/what",
            text("Other fires"),
            "Other fires",
        ),
        ("/drills/0/expectations/0/budget", 77.5.into(), "77.5 s"),
        ("/drills/0/expectations/0/predicted", 66.1.into(), "66.1 s"),
        ("/drills/0/expectations/0/measured", 55.1.into(), "55.1 s"),
        (
            "/drills/0/expectations/1/outcome",
            text("not_exercised"),
            "not exercised",
        ),
        (
            "/drills/0/expectations/0/rule",
            text("r.yml:777"),
            "r.yml:777",
        ),
        (
            "/drills/0/stopChecks/made",
            4_711.into(),
            "checked 4711 times",
        ),
        ("/drills/0/stopChecks/failed", 31.into(), "31 audits failed"),
        (
            "/drills/0/stopChecks/longestGap",
            88.4.into(),
            "longest gap 88.4 s",
        ),
        ("/drills/0/marks/1/at", 44.5.into(), "44.5 s"),
        (
            "/drills/0/marks/2/subject",
            text("OtherAlert"),
            "OtherAlert",
        ),
        (
            "/drills/0/alerts/SlowStatements/0/pending",
            33.1.into(),
            "33.1 s",
        ),
        (
            "/drills/0/alerts/SlowStatements/0/shown",
            33.2.into(),
            "33.2 s",
        ),
        (
            "/drills/0/alerts/SlowStatements/0/notified",
            33.3.into(),
            "33.3 s",
        ),
        (
            "/drills/0/alerts/SlowStatements/0/resolved",
            33.4.into(),
            "33.4 s",
        ),
        (
            "/drills/0/alerts/SlowStatements/0/toldResolved",
            33.6.into(),
            "33.6 s",
        ),
        ("/drills/0/harm/failed", 55_555.into(), "55,555"),
        ("/drills/0/harm/requests", 66_666.into(), "66,666"),
        ("/drills/0/harm/people", 77_777.into(), "77,777"),
        ("/drills/0/harm/secondsOutside", 88_888.into(), "88,888 s"),
        ("/drills/0/harm/errorBudget", 99.75.into(), "99.75"),
        ("/drills/0/harm/budgetBurnt", 3.21.into(), "321 %"),
        (
            "/drills/0/improvements/0/advice",
            text("Another advice."),
            "Another advice.",
        ),
        ("/drills/0/basis/version", text("55.44.33"), "55.44.33"),
        ("/drills/0/basis/load", text("other-load"), "other-load"),
        ("/drills/0/basis/p95Ms", 765.0.into(), "765 ms"),
        ("/drills/0/basis/errorRate", 0.0321.into(), "3.21 %"),
        (
            "/drills/0/basis/faults/0",
            text("other fault"),
            "other fault",
        ),
        (
            "/drills/0/basis/rules/0/sha256",
            text("fedcba98"),
            "fedcba98",
        ),
    ]
}

#[test]
fn every_figure_of_page_and_markdown_is_that_of_the_json() {
    let document = Document::new(vec![failed()], Vec::new());
    let json: Value = serde_json::from_str(&document.to_json()).unwrap();
    let read = |json: &Value| Document::parse(&json.to_string()).unwrap();
    assert_eq!(
        both(&read(&json)),
        both(&document),
        "the JSON holds all of it"
    );
    for (path, value, shown) in changes() {
        let mut changed = json.clone();
        *changed
            .pointer_mut(path)
            .unwrap_or_else(|| panic!("{path}")) = value;
        for page in both(&read(&changed)) {
            assert!(page.contains(shown), "{path}: {shown} is not in {page}");
        }
    }
}

#[test]
fn a_drill_that_the_system_cannot_have_is_not_exercised_and_never_passed() {
    let skipped = Skipped {
        drill: "commit".to_owned(),
        reason: "no such statement".to_owned(),
        alerts: vec!["SlowStatements".to_owned(), "Elsewhere".to_owned()],
    };
    let document = Document::new(vec![passed("calm")], vec![skipped.clone()]);
    let rows = document.matrix.rows.iter();
    let rows: Vec<_> = rows.map(|row| (&*row.alert, &*row.cells)).collect();
    let expected: [(&str, &[Cell]); 2] = [
        ("Elsewhere", &[Cell::Nothing, Cell::NotExercised]),
        ("SlowStatements", &[Cell::InTime, Cell::NotExercised]),
    ];
    assert_eq!(rows, expected);
    assert_eq!(document.matrix.all.recall(), "1.00 (1 of 1)");
    let text = document.matrix.text(&document.drills, &document.skipped);
    let line = "not exercised: commit: no such statement";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("1 drills: 1 passed"), "{text}");
    let page = html(&document);
    assert!(page.contains("Not exercised: 1 more"), "{page}");
    let text = markdown(&document);
    assert!(text.contains(line), "{text}");
    // No drill ran.
    assert_eq!(Document::new(Vec::new(), vec![skipped]).exit_code(), 3);
}

#[test]
fn the_matrix_leaves_out_the_alert_of_the_injection() {
    let mut report = passed("calm");
    report.fired.insert("FaultInjected".to_owned(), vec![0.5]);
    let matrix = Document::new(vec![report], Vec::new()).matrix;
    let alerts: Vec<&str> = matrix.rows.iter().map(|row| row.alert.as_str()).collect();
    assert_eq!(alerts, ["SlowStatements"]);
    assert_eq!(matrix.all.precision(), "1.00 (1 of 1)");
}

#[test]
fn detection_is_told_from_the_fault_and_from_the_first_symptom() {
    let told = |report: &Report, words: &str| {
        let document = Document::new(vec![report.clone()], Vec::new());
        for form in [html(&document), markdown(&document), text(report)] {
            assert!(
                form.contains("9.8 s") && form.contains(words),
                "{words}: {form}"
            );
        }
    };
    let mut report = passed("calm");
    report.expectations[0].measured = Some(9.76);
    told(&report, "8.3 s after the first symptom");
    report.marks[1].at = 12.0;
    told(&report, "2.2 s before the first symptom");
    // The symptom of the next fault is none of this one.
    report.faults.push((11.0, 15.0));
    told(&report, "users noticed nothing");
    // A later fault counts from its own beginning.
    report.expectations[0].inject = 1;
    told(&report, "8.8 s after the first symptom");
}

#[test]
fn a_suite_is_one_page_with_a_matrix_that_leads_to_each_drill() {
    let document = suite();
    let of = |alert: &str| {
        let mut rows = document.matrix.rows.iter();
        rows.find(|row| row.alert == alert).unwrap().clone()
    };
    assert_eq!(of("SlowStatements").cells, [Cell::InTime, Cell::InTime]);
    assert_eq!(of("SlowStatements").score.recall(), "1.00 (2 of 2)");
    assert_eq!(of("SlowBuying").cells, [Cell::Late, Cell::Nothing]);
    assert_eq!(of("ServerDown").cells, [Cell::False, Cell::Nothing]);
    assert_eq!(of("ServerDown").score.precision(), "0.00 (0 of 1)");
    assert_eq!(document.matrix.all.recall(), "0.50 (2 of 4)");
    let page = html(&document);
    for part in [
        "href=\"#drill-2\"",
        "id=\"drill-2\"",
        "1.00 (2 of 2)",
        "✗ missed",
        "✗ false",
    ] {
        assert!(page.contains(part), "{part} {page}");
    }
    assert_eq!(page.matches("class=\"timeline\"").count(), 2);
    let ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .map(|it| it.split('"').next().unwrap())
        .collect();
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "no name is given twice: {ids:?}");
    let text = markdown(&document);
    assert!(text.contains("| SlowBuying | 0.00 (0 of 1) |"), "{text}");
}

#[test]
fn no_text_from_a_drill_file_becomes_markup() {
    const EVIL: &str = "</p><script>alert('x')</script><img src=x>|`*[a](http://x)\n# b\0";
    let mut json: Value = serde_json::from_str(&suite().to_json()).unwrap();
    poison(&mut json, EVIL);
    let mut document = Document::parse(&json.to_string()).unwrap();
    document.baseline = Some(compare(&document, &document).unwrap());
    let page = html(&document);
    assert!(
        !page.contains("<script>alert") && !page.contains("<img"),
        "{page}"
    );
    assert!(page.matches("&lt;script&gt;").count() > 20);
    let text = markdown(&document);
    assert!(
        !text.contains("<script") && !text.contains("<img"),
        "{text}"
    );
    assert!(
        !text.contains("[a](") && !text.contains("\n# b") && !text.contains('\0'),
        "{text}"
    );
    // All rows of a table have the same columns.
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("alert('x')"));
    for row in rows {
        let bars = row.replace("\\|", "").matches('|').count();
        assert!([3, 6, 7, 9].contains(&bars), "{bars}: {row}");
    }
}

/// Replaces every text that a drill file, a rule file or an alert can name.
fn poison(json: &mut Value, evil: &str) {
    const KEPT: [&str; 8] = [
        "kind",
        "verdict",
        "outcome",
        "step",
        "cells",
        "startedAt",
        "schema",
        "rows",
    ];
    match json {
        Value::String(text) => evil.clone_into(text),
        Value::Array(all) => all.iter_mut().for_each(|it| poison(it, evil)),
        Value::Object(all) => {
            for (name, value) in all.iter_mut() {
                if !KEPT.contains(&name.as_str()) {
                    poison(value, evil);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn an_earlier_run_is_compared_figure_by_figure() {
    let before = Document::new(vec![failed()], Vec::new());
    let mut later = failed();
    later.expectations[0].measured = Some(19.0);
    later.expectations[3].measured = Some(11.0);
    later.harm.failed = 1;
    later.seed = 2;
    later.basis.rules[0].sha256 = "cd34".to_owned();
    let mut now = Document::new(vec![later, passed("new")], Vec::new());
    let compared = compare(&now, &before).unwrap();
    let change = |what: &str| {
        let mut found = compared.figures.iter();
        found.find(|it| it.what == what).unwrap().change
    };
    assert_eq!(change("SlowStatements fires"), Change::Worse);
    assert_eq!(change("SlowBuying fires"), Change::Same);
    assert_eq!(change("PoolExhausted fires"), Change::Gained);
    assert_eq!(change("failed requests"), Change::Better);
    let late: Vec<&str> = compared.became_late().map(|it| it.what.as_str()).collect();
    assert_eq!(late, ["SlowStatements fires"]);
    assert_eq!(
        compared.differs,
        [
            "new is not in the earlier run",
            "the rules",
            "the seed of slow"
        ]
    );
    now.baseline = Some(compared);
    for page in both(&now) {
        for part in [
            "SlowStatements fires kept its budget before",
            "9.8 s",
            "19.0 s",
            "the rules",
        ] {
            assert!(page.contains(part), "{part} {page}");
        }
    }
    let other = Document::new(vec![passed("other")], Vec::new());
    assert!(
        compare(&other, &before)
            .unwrap_err()
            .contains("other drills")
    );
}

#[test]
fn a_file_that_is_no_report_is_refused_in_a_sentence() {
    for (text, problem) in [
        ("[]", "holds no report of a drill"),
        ("{\"schema\":99}", "version 99"),
        ("{\"schema\":1}", "holds no report of a drill"),
    ] {
        let told = Document::parse(text).unwrap_err();
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn a_drill_of_nothing_has_a_page_without_nonsense() {
    let mut empty = passed("quiet");
    empty.expectations.clear();
    empty.seconds.clear();
    empty.marks.clear();
    empty.faults.clear();
    empty.alerts.clear();
    empty.fired.clear();
    empty.harm = Default::default();
    for page in both(&Document::new(vec![empty.concluded()], Vec::new())) {
        assert!(page.contains("nothing was broken"), "{page}");
        for nonsense in ["NaN", "inf ", "Infinity"] {
            assert!(!page.contains(nonsense), "{nonsense}");
        }
    }
}
