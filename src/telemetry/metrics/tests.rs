use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn samples(metrics: &Metrics) -> Vec<String> {
    metrics
        .render()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn assert_has(metrics: &Metrics, line: &str) {
    let lines = samples(metrics);
    assert!(lines.iter().any(|l| l == line), "no {line} in {lines:#?}");
}

#[test]
fn counters_are_at_zero_before_anything_happened() {
    let metrics = Metrics::new().unwrap();
    for line in [
        "concert_reservations_total{outcome=\"reserved\"} 0",
        "concert_payments_total{outcome=\"insufficient_balance\"} 0",
        "concert_queue_registered_total 0",
        "concert_queue_admitted_total 0",
        "http_server_active_requests 0",
    ] {
        assert_has(&metrics, line);
    }
}

#[test]
fn a_gauge_that_was_never_set_is_absent() {
    let metrics = Metrics::new().unwrap();
    let text = metrics.render();
    for name in [
        "concert_seats",
        "concert_queue_waiting",
        "concert_admission",
        "db_client_connection_count",
        "concert_log_dropped",
    ] {
        assert!(!text.contains(name), "{name} is exported:\n{text}");
    }
    metrics.set_seats(7, 2, 0);
    assert_has(&metrics, "concert_seats{status=\"AVAILABLE\"} 7");
    assert_has(&metrics, "concert_seats{status=\"UNAVAILABLE\"} 0");
}

#[test]
fn a_request_is_timed_by_method_route_and_status() {
    let metrics = Metrics::new().unwrap();
    let route = metrics.route("GET", "/api/v1/queue");
    route.start();
    route.start();
    assert_eq!(metrics.active_requests(), 2);
    assert_has(&metrics, "http_server_active_requests 2");
    route.finish(200, Duration::from_millis(50));
    route.finish(418, Duration::from_millis(600));
    assert_eq!(metrics.active_requests(), 0);
    let labels = |status| {
        format!(
            "http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"/api/v1/queue\""
        )
    };
    let name = "http_server_request_duration_seconds";
    // 50 ms are within the objective of 50 ms.
    assert_has(
        &metrics,
        &format!("{name}_bucket{{{},le=\"0.025\"}} 0", labels(200)),
    );
    assert_has(
        &metrics,
        &format!("{name}_bucket{{{},le=\"0.05\"}} 1", labels(200)),
    );
    assert_has(
        &metrics,
        &format!("{name}_bucket{{{},le=\"+Inf\"}} 1", labels(200)),
    );
    assert_has(&metrics, &format!("{name}_sum{{{}}} 0.05", labels(200)));
    assert_has(&metrics, &format!("{name}_count{{{}}} 1", labels(418)));
}

#[test]
fn names_and_labels_are_those_of_the_contract() {
    let metrics = Metrics::new().unwrap();
    metrics.reservation(ReservationOutcome::LimitReached);
    metrics.payment(PaymentOutcome::Paid);
    metrics.registered(3);
    metrics.admitted(2);
    metrics.set_queue(10, 5, 42);
    metrics.set_admission(500, 15.0, true, false);
    metrics.seat_lock("embedded", LockOutcome::Busy, Duration::from_micros(10));
    metrics.db_wait(Duration::from_micros(300));
    metrics.db_operation("reservation.insert", Duration::from_millis(2));
    metrics.db_operation("reservation.insert", Duration::from_millis(2));
    metrics.set_db_connections(1, 3, 4);
    metrics.log_dropped_source(|| 9);
    for line in [
        "concert_reservations_total{outcome=\"limit_reached\"} 1",
        "concert_payments_total{outcome=\"paid\"} 1",
        "concert_queue_registered_total 3",
        "concert_queue_admitted_total 2",
        "concert_queue_waiting 10",
        "concert_queue_active 5",
        "concert_queue_admitted_mark 42",
        "concert_admission_batch 500",
        "concert_admission_interval_seconds 15",
        "concert_admission_paused 1",
        "concert_admission_open 0",
        "concert_seat_lock_wait_seconds_count{backend=\"embedded\",outcome=\"busy\"} 1",
        "db_client_connection_wait_time_seconds_bucket{le=\"0.0005\"} 1",
        "db_client_operation_duration_seconds_count{db_operation_name=\"reservation.insert\"} 2",
        "db_client_connection_count{state=\"idle\"} 3",
        "db_client_connection_max 4",
        "concert_log_dropped_total 9",
    ] {
        assert_has(&metrics, line);
    }
    let text = metrics.render();
    assert!(
        !text.contains("otel_scope") && !text.contains("target_info"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE concert_reservations_total counter\n"),
        "{text}"
    );
}

#[test]
fn two_services_in_one_process_count_apart() {
    let (one, two) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    one.registered(5);
    assert_has(&one, "concert_queue_registered_total 5");
    assert_has(&two, "concert_queue_registered_total 0");
}

/// The rows of the table in docs/telemetry.md: names, and the first word of each description.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let page = include_str!("../../../docs/telemetry.md");
    let rows = page
        .lines()
        .skip_while(|line| *line != "| metric | kind, labels |");
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| {
        let (names, kind) = row.trim_start_matches('|').split_once('|').unwrap();
        let kind = kind.trim().split([' ', ';', ':']).next().unwrap();
        let names = names.split('`').skip(1).step_by(2);
        names.map(move |name| (name, kind))
    });
    names.filter(|(name, _)| !name.ends_with('*')).collect()
}

#[test]
fn every_metric_is_documented_under_its_name_and_kind() {
    let declared = Service::declared();
    let declared: BTreeMap<_, _> = declared.iter().map(|(n, k)| (n.as_str(), *k)).collect();
    assert_eq!(declared, documented());
}

#[test]
fn a_metric_is_named_in_one_source_file() {
    let files = std::fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/telemetry/metrics"
    ));
    let files = files.unwrap().map(|file| file.unwrap().path());
    let sources: Vec<String> = files
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        // Tests contain the names that they expect, so their text is left out.
        .map(|text| {
            text.split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    for (name, kind) in Service::declared() {
        let name = match kind {
            "counter" => name.trim_end_matches("_total"),
            _ => name.as_str(),
        };
        let quoted = format!("\"{name}\"");
        let naming = sources.iter().filter(|text| text.contains(&quoted));
        assert_eq!(naming.count(), 1, "{name}");
    }
}
