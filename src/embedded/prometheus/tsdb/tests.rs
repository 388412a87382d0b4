use std::time::Duration;

use super::*;

fn labels(name: &str, n: usize) -> Labels {
    Labels::from_pairs([(METRIC_NAME, name.to_owned()), ("n", n.to_string())])
}

fn small(max_bytes: usize, retention_s: u64, max_series: usize) -> Tsdb {
    Tsdb::new(TsdbConfig {
        max_bytes,
        retention: Duration::from_secs(retention_s),
        max_series,
    })
}

fn samples(db: &Tsdb, name: &str) -> Vec<(Labels, Vec<i64>)> {
    db.select(Some(name), |_| true, i64::MIN, i64::MAX)
        .into_iter()
        .map(|s| (s.labels.clone(), s.decode(i64::MIN, i64::MAX).0))
        .collect()
}

#[test]
fn finds_by_name_and_window_in_label_order() {
    let db = Tsdb::new(TsdbConfig::default());
    for n in [2, 1] {
        for t in 0..500 {
            db.append(&labels("a", n), t * 1000, 1.0).unwrap();
        }
    }
    db.append(&labels("b", 1), 0, 1.0).unwrap();
    let found = db.select(Some("a"), |_| true, 250_000, 252_000);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].labels, labels("a", 1));
    assert_eq!(
        found[1].decode(250_000, 252_000).0,
        [250_000, 251_000, 252_000]
    );
    assert!(db.select(Some("b"), |_| true, 1, 9).is_empty());
}

#[test]
fn refuses_samples_that_are_not_newer() {
    let db = Tsdb::new(TsdbConfig::default());
    let l = labels("a", 1);
    db.append(&l, 1000, 1.0).unwrap();
    assert_eq!(db.append(&l, 999, 1.0), Err(AppendError::OutOfOrder));
    assert_eq!(
        db.append(&l, 1000, 2.0),
        Err(AppendError::DuplicateTimestamp)
    );
    assert!(
        db.append(&l, 1000, 1.0).is_ok(),
        "the same again is no error"
    );
    assert_eq!(samples(&db, "a")[0].1, [1000]);
    assert_eq!(db.stats().samples_out_of_order, 2);
    assert_eq!(db.append(&l, i64::MAX, 1.0), Err(AppendError::OutOfBounds));
}

#[test]
fn the_byte_budget_holds_and_the_oldest_goes_first() {
    let db = small(40_000, 1_000_000, 100);
    for t in 0..20_000 {
        for n in 0..4 {
            db.append(&labels("a", n), t * 1000, (t * 7 % 1013) as f64 * 0.1)
                .unwrap();
        }
        assert!(db.stats().bytes <= 40_000);
    }
    let stats = db.stats();
    assert!(stats.samples_evicted > 0);
    assert!(stats.oldest_ms > Some(0));
    for (_, ts) in samples(&db, "a") {
        assert_eq!(ts.last(), Some(&19_999_000), "the newest stays");
        assert!(ts.len() > 200);
    }
}

#[test]
fn samples_older_than_the_retention_are_dropped_and_refused() {
    let db = small(1 << 20, 600, 100);
    db.append(&labels("silent", 0), 0, 1.0).unwrap();
    for t in 0..60_000 {
        db.append(&labels("a", 0), t * 1000, 1.0).unwrap();
    }
    let oldest = samples(&db, "a")[0].1[0];
    let (newest, slack) = (59_999_000, 240_000);
    assert!(oldest >= newest - 600_000 - slack, "{oldest}");
    assert!(samples(&db, "silent").is_empty());
    assert_eq!(db.stats().series, 1);
    assert_eq!(
        db.append(&labels("b", 0), 1000, 1.0),
        Err(AppendError::OutOfBounds)
    );
}

#[test]
fn series_over_the_limit_are_refused_and_counted() {
    let db = small(1 << 20, 600, 2);
    for n in 0..2 {
        db.append(&labels("a", n), 0, 1.0).unwrap();
    }
    assert_eq!(
        db.append(&labels("a", 2), 0, 1.0),
        Err(AppendError::TooManySeries)
    );
    assert_eq!(db.stats().samples_over_series_limit, 1);
    assert!(db.append(&labels("a", 1), 1, 1.0).is_ok());
}

#[test]
fn a_budget_smaller_than_the_heads_still_holds() {
    let db = small(2_000, 600, 1_000);
    for n in 0..500 {
        db.append(&labels("a", n), n as i64, 1.0).unwrap();
        assert!(db.stats().bytes <= 2_000);
    }
    assert!(db.stats().series >= 1);
}

#[test]
fn the_strings_of_series_removed_for_the_byte_budget_are_freed() {
    let db = small(2_000, 600, 1_000);
    for n in 0..500 {
        db.append(&labels("a", n), n as i64, 1.0).unwrap();
    }
    let inner = db.inner.read();
    assert!(inner.series.len() < 100, "series were removed");
    // `__name__`, `a` and `n`, and a value of `n` for each series.
    assert_eq!(inner.symbols.len(), 3 + inner.series.len());
}

#[test]
fn a_stale_marker_ends_a_series_unless_it_went_on() {
    let db = Tsdb::new(TsdbConfig::default());
    let ended = db.append(&labels("a", 0), 1000, 1.0).unwrap();
    let alive = db.append(&labels("a", 1), 3000, 1.0).unwrap();
    db.mark_stale([ended, alive], 2000);
    let found = db.select(Some("a"), |_| true, 0, 9000);
    assert!(is_stale(found[0].decode(0, 9000).1[1]));
    assert_eq!(found[1].decode(0, 9000).1, [1.0]);
}
