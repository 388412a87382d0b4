use super::*;
use crate::domain::statement;

const LONG: Duration = Duration::from_secs(60);

fn faults() -> (Faults, Metrics) {
    let metrics = Metrics::new().unwrap();
    (Faults::new(metrics.clone(), true), metrics)
}

fn active(metrics: &Metrics, kind: FaultKind) -> bool {
    let text = metrics.render();
    let name = format!("concert_fault_active{{fault=\"{}\"}} ", kind.as_str());
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.expect("the gauge is there from the start") == "1"
}

fn slow(statement: Option<&str>, millis: u64) -> Fault {
    Fault::SlowStatement {
        statement: statement.map(str::to_owned),
        delay: Duration::from_millis(millis),
    }
}

fn errors(share: f64) -> Fault {
    Fault::Errors {
        share,
        status: 500,
        routes: Some(vec!["POST /reservations".to_owned()]),
    }
}

#[tokio::test]
async fn a_fault_breaks_only_what_it_names_and_only_until_it_ends() {
    let (faults, metrics) = faults();
    assert_eq!(faults.statement_delay("ping"), None);
    assert!(FaultKind::injectable().all(|kind| !active(&metrics, kind)));
    faults
        .inject(slow(Some("ping"), 7), LONG, "a test")
        .unwrap();
    let seven = Some(Duration::from_millis(7));
    assert_eq!(faults.statement_delay("ping"), seven);
    assert_eq!(faults.statement_delay("commit"), None);
    assert!(active(&metrics, FaultKind::SlowStatement));
    assert!(faults.end(FaultKind::SlowStatement, "a test"));
    assert_eq!(faults.statement_delay("ping"), None);
    assert!(!active(&metrics, FaultKind::SlowStatement));
    assert!(
        !faults.end(FaultKind::SlowStatement, "a test"),
        "it is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_fault_replaces_the_old_one_of_its_kind_and_stays_its_own_time() {
    let (faults, metrics) = faults();
    let second = Duration::from_secs(1);
    let old = faults.inject(slow(None, 1), second, "old").unwrap();
    let new = faults.inject(slow(None, 2), LONG, "new").unwrap();
    assert!(old.is_over() && !new.is_over());
    faults.inject(errors(1.0), LONG, "another kind").unwrap();
    tokio::time::sleep(2 * second).await;
    assert!(
        active(&metrics, FaultKind::SlowStatement),
        "the old one's end is not the new one's"
    );
    let by: Vec<_> = faults.list().iter().map(|it| it.by.clone()).collect();
    assert_eq!(by, ["another kind", "new"]);
    faults.end_all("a test");
    assert!(faults.list().is_empty());
    assert!(FaultKind::injectable().all(|kind| !active(&metrics, kind)));
}

#[tokio::test]
async fn a_fault_ends_by_itself_and_blocked_threads_continue() {
    let (faults, metrics) = faults();
    let short = Duration::from_millis(50);
    faults.inject(slow(None, 30_000), short, "a test").unwrap();
    let held_up = faults.clone();
    let begun = Instant::now();
    let thread = tokio::task::spawn_blocking(move || held_up.slow_down_thread("ping"));
    thread.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    while active(&metrics, FaultKind::SlowStatement) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never ends");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(faults.list().is_empty());
}

/// No other task runs until this test waits for something.
#[tokio::test]
async fn a_fault_whose_time_is_over_has_no_effect_although_nothing_ended_it_yet() {
    let (faults, metrics) = faults();
    let short = Duration::from_millis(1);
    let injected = faults.inject(slow(None, 7), short, "a test").unwrap();
    while !injected.is_over() {
        std::thread::yield_now();
    }
    assert!(active(&metrics, FaultKind::SlowStatement), "it was ended");
    assert_eq!(faults.statement_delay("ping"), None);
    assert!(faults.list().is_empty());
}

#[tokio::test]
async fn a_cut_link_hangs_or_refuses_and_works_again_after_the_fault() {
    let (faults, _) = faults();
    assert!(faults.redis_link().await.is_ok());
    let cut = |how| Fault::RedisCut { how };
    faults.inject(cut(LinkCut::Refuse), LONG, "a test").unwrap();
    assert!(faults.redis_link().await.is_err());
    faults.inject(cut(LinkCut::Hang), LONG, "a test").unwrap();
    let short = Duration::from_millis(20);
    let hanging = tokio::time::timeout(short, faults.redis_link()).await;
    assert!(hanging.is_err(), "{hanging:?}");
    let (link, ()) = tokio::join!(faults.redis_link(), async {
        faults.end(FaultKind::RedisCut, "a test");
    });
    assert!(link.is_err(), "what was sent meanwhile is lost");
    assert!(faults.redis_link().await.is_ok());
}

#[tokio::test]
async fn a_share_of_the_requests_is_hit() {
    let (faults, _) = faults();
    faults.inject(errors(0.3), LONG, "a test").unwrap();
    let hit = |route| {
        (0..10_000)
            .filter(|_| faults.error_for("POST", route) == Some(500))
            .count()
    };
    // Ten standard deviations.
    assert!((2_540..=3_460).contains(&hit("/reservations")));
    assert_eq!(hit("/queue"), 0);
    assert_eq!(faults.error_for("GET", "/reservations"), None);
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_name_and_change_nothing() {
    let (faults, metrics) = faults();
    let bad_status = Fault::Errors {
        share: 1.0,
        status: 418,
        routes: None,
    };
    let none = Fault::PoolExhaustion {
        connections: Some(0),
    };
    for (fault, length, named) in [
        (errors(2.0), LONG, "share is 2"),
        (errors(-0.1), LONG, "share is -0.1"),
        (errors(f64::NAN), LONG, "share is NaN"),
        (bad_status, LONG, "status is 418"),
        (slow(None, 0), LONG, "delay is 0s"),
        (slow(None, 30_001), LONG, "delay is 30s1ms"),
        (slow(Some("seats.raed"), 1), LONG, "\"seats.raed\""),
        (none, LONG, "connections is 0"),
        (errors(1.0), Duration::ZERO, "for is 0s"),
        (errors(1.0), LONGEST + LONG, "1ms to 1h"),
    ] {
        let refused = faults.inject(fault, length, "a test").unwrap_err();
        assert!(refused.to_string().contains(named), "{refused}");
    }
    assert!(faults.list().is_empty());
    assert!(FaultKind::injectable().all(|kind| !active(&metrics, kind)));
    let alone = Faults::new(metrics, false);
    let cut = Fault::RedisCut { how: LinkCut::Hang };
    let refused = alone.inject(cut, LONG, "a test").unwrap_err();
    assert!(matches!(refused, Refused::NothingToBreak(_)), "{refused}");
}

/// The metrics use the names in the list of statements, and the list is complete.
#[test]
fn the_statements_that_can_be_slow_are_those_of_the_store() {
    let uses = regex::Regex::new(r"\bstatement::([A-Z_]+)\b").unwrap();
    let store = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let texts = ["sqlite", "server"].map(|backend| {
        let files = std::fs::read_dir(store.join(backend)).unwrap();
        let texts = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file());
        texts
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect::<String>()
    });
    let name = |constant: &str| constant.to_lowercase().replacen('_', ".", 1);
    let mut named: Vec<_> = texts
        .iter()
        .flat_map(|text| uses.captures_iter(text).map(|used| name(&used[1])))
        .chain(["commit".to_owned()])
        .collect();
    named.sort();
    named.dedup();
    assert_eq!(named, statement::ALL);
}

/// `cargo test --release faults::tests::cost -- --ignored --nocapture`
#[test]
#[ignore = "measures, and asserts nothing"]
#[allow(clippy::print_stdout, reason = "prints what it measured")]
fn cost_of_asking_while_nothing_is_injected() {
    let faults = Faults::default();
    let asked = 100_000_000_u32;
    let begun = Instant::now();
    for _ in 0..asked {
        std::hint::black_box(std::hint::black_box(&faults).statement_delay("ping"));
    }
    let each = begun.elapsed().as_secs_f64() * 1e9 / f64::from(asked);
    println!("{each:.2} ns");
}

#[tokio::test]
async fn a_sealed_fault_acts_and_is_shown_only_with_the_key() {
    let (faults, metrics) = faults();
    let key = faults.seal(LONG).unwrap();
    assert!(matches!(faults.seal(LONG), Err(Refused::Sealed(_))));
    faults.inject(slow(None, 7), LONG, "a test").unwrap();
    assert!(faults.statement_delay("ping").is_some(), "it acts");
    assert!(!active(&metrics, FaultKind::SlowStatement));
    assert!(faults.shown().is_empty());
    assert_eq!(faults.reason("a fault", "no reason"), "no reason");
    assert!(faults.check_key(None).is_err());
    assert!(faults.check_key(Some("guessed")).is_err());
    assert!(faults.check_key(Some(&key)).is_ok());
    assert!(!faults.unseal("guessed"));
    assert!(faults.unseal(&key));
    assert!(active(&metrics, FaultKind::SlowStatement));
    assert_eq!(faults.shown().len(), 1);
    assert!(faults.check_key(None).is_ok());
    assert!(matches!(faults.seal(LONG), Err(Refused::NothingToBreak(_))));
}

#[tokio::test(start_paused = true)]
async fn a_seal_ends_by_itself_and_not_the_next_one() {
    let (faults, _) = faults();
    let old = faults.seal(Duration::from_secs(2)).unwrap();
    assert!(faults.unseal(&old));
    faults.seal(Duration::from_secs(10)).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(
        faults.are_sealed(),
        "the old one's end is not the new one's"
    );
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!faults.are_sealed());
}
