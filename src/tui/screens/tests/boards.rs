//! Snapshots of Resources and Board, with answers to all their queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clients::prometheus::{Labels, Series};
use crate::tui::dashboard::Dashboard;
use crate::tui::dashboard::panel::Query;
use crate::tui::dashboard::tests::every_kind;
use crate::tui::event::Event;
use crate::tui::model::{Model, Screen};
use crate::tui::screens::board::Board;
use crate::tui::screens::tests::fixtures::*;
use crate::tui::screens::tests::{buffer, shot, text};
use crate::tui::update::update;

/// The current value for a query, by a part of the query.
const VALUES: &[(&str, f64)] = &[
    ("MemAvailable_bytes{", 3_400_000_000.0),
    ("MemAvailable", 63.4),
    ("node_filesystem", 81.2),
    ("node_load", 2.4),
    ("count(node_cpu", 4.0),
    ("node_cpu", 42.0),
    ("_errs_total", 0.0),
    ("packets_total", 8_210.0),
    ("node_network", 12_400_000.0),
    ("node_disk", 5_300_000.0),
    ("connection_count{state", 100.0),
    ("connection_count", 14.0),
    ("connection_max", 16.0),
    ("wait_time", 0.182),
    ("failed|timed_out", 0.2),
    ("_up", 1.0),
    ("clamp_min", 0.41),
    ("5..", 0.0004),
    ("histogram_quantile(0.5", 0.042),
    ("histogram_quantile(0.95", 0.31),
    ("histogram_quantile(0.99", 0.62),
    ("operation_duration", 0.12),
    ("waiting", 12_345.0),
    ("active", 420.0),
    ("paused", 0.0),
    ("request_duration", 1_284.0),
];

fn values_of(label: &str) -> &'static [&'static str] {
    match label {
        "instance" => &["10.0.0.11:8081", "10.0.0.12:8081"],
        "mode" => &["user", "system", "iowait"],
        "state" => &["used", "idle"],
        "status" => &["AVAILABLE", "PENDING", "UNAVAILABLE"],
        "outcome" => &["acquired", "busy"],
        "http_request_method" => &["GET", "POST"],
        "http_route" => &["/concerts/{id}/dates", "/reservations", "/users/{id}/queue"],
        "http_response_status_code" => &["200", "201", "409"],
        "db_operation_name" => &["reservation.insert", "seat.reserve", "account.charge"],
        "job" => &["concertctl"],
        "le" => &["0.01", "0.1", "1", "+Inf"],
        _ => &[""],
    }
}

/// One set of labels for each combination of the labels that the query groups by.
fn sets(query: &str) -> Vec<Labels> {
    let by = query
        .split("by (")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let mut labels: Vec<&str> = by
        .map(|list| list.split(", ").collect())
        .unwrap_or_default();
    labels.retain(|label| *label != "le" || !query.contains("quantile"));
    let mut sets = vec![Labels::new()];
    for label in labels {
        sets = sets
            .iter()
            .flat_map(|set| {
                values_of(label).iter().map(|value| {
                    let mut set = set.clone();
                    set.insert(label.to_owned(), (*value).to_owned());
                    set
                })
            })
            .collect();
    }
    sets
}

/// A wave with a gap that ends at the current value.
fn series(query: &str, at: i64, labels: Labels, index: usize) -> (Series, Series) {
    let known = VALUES.iter().find(|(part, _)| query.contains(part));
    let value = known.map_or(5.0, |(_, value)| *value);
    let steady = value == 0.0 || value == 1.0;
    let others = 1.0 + index as f64 * 0.8;
    let now = match labels.contains_key("le") {
        true => value * others, // Each bucket includes those below it.
        false if steady => value,
        false => value / others,
    };
    let points = (0..150)
        .filter(|n| !(60..75).contains(n))
        .map(|n| {
            let wave = 0.8 + 0.2 * (n as f64 / 149.0 * 6.0 + index as f64).cos().abs();
            (
                at - 298_000 + n * 2_000,
                if steady { now } else { now * wave },
            )
        })
        .collect();
    let past = Series {
        labels: labels.clone(),
        points,
    };
    let now = Series {
        labels,
        points: vec![(at, now)],
    };
    (past, now)
}

/// Answers the queries of the screen, and those that follow once it knows the instances.
pub(crate) fn feed(model: &mut Model, at: i64) {
    for round in 0..2 {
        let at = at + round;
        let (mut past, mut now) = (BTreeMap::new(), BTreeMap::new());
        for query in model.board_queries() {
            let each = sets(&query).into_iter().enumerate();
            let (before, at_once): (Vec<_>, Vec<_>) = each
                .map(|(index, labels)| series(&query, at, labels, index))
                .unzip();
            past.insert(Query::clone(&query), Ok(before));
            now.insert(query, Ok(at_once));
        }
        now.extend(metrics(at));
        let past = Some(past);
        update(model, at, Event::Metrics { at, now, past });
    }
    let logs = model.board_logs().into_iter();
    let logs = logs.map(|query| (query, Ok(log_lines()))).collect();
    update(model, at, Event::BoardLogs(logs));
}

fn board(json: &str) -> Model {
    let mut model = started(Screen::Board);
    model.board = Board::new(Arc::new(Dashboard::read(json).unwrap()));
    crate::tui::screens::tests::fixtures::feed(&mut model, NOW, true);
    model
}

#[test]
fn an_enlarged_panel_fills_the_body_and_shows_its_figures() {
    let mut model = ok(Screen::Board);
    model.board.move_by(8);
    model.board.open();
    feed(&mut model, NOW + 1_000);
    for size in SIZES {
        shot("board_enlarged", &model, size);
    }
    let text = text(&buffer(&model, SIZES[0]));
    assert!(
        text.contains("✖ from 500 ms") && text.contains("last"),
        "{text}"
    );
    let mut model = ok(Screen::Resources);
    model.resources.enlarged = true;
    for size in SIZES {
        shot("resources_enlarged", &model, size);
    }
}

#[test]
fn the_lower_parts_of_the_board_match_their_snapshots() {
    let mut model = ok(Screen::Board);
    model.board.move_by(isize::MAX);
    feed(&mut model, NOW + 1_000);
    for size in SIZES {
        shot("board_end", &model, size);
    }
    model.board.move_by(-12);
    feed(&mut model, NOW + 2_000);
    shot("board_middle", &model, SIZES[1]);
}

#[test]
fn every_kind_of_panel_is_drawn_or_named_with_a_reason() {
    let mut json = every_kind();
    json["panels"][5]["targets"][0]["expr"] =
        "sum by (le) (rate(request_duration_bucket[1m]))".into();
    json["panels"][4]["targets"][0]["expr"] = "sum by (instance, state) (x)".into();
    json["panels"][3]["targets"][0]["expr"] = "sum by (http_route) (x)".into();
    let mut model = board(&json.to_string());
    shot("board_every_kind", &model, (120, 60));
    shot("board_every_kind", &model, (80, 24));
    model.board.move_by(isize::MAX);
    feed(&mut model, NOW + 1_000);
    shot("board_every_kind_end", &model, (120, 40));
    let text = text(&buffer(&model, (120, 40)));
    for part in [
        "a nodeGraph",
        "no panels of type nodeGraph",
        "it queries tempo",
        "folded (1 panel,",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_refused_query_shows_its_error_in_its_panel_only() {
    let mut model = ok(Screen::Board);
    let refused = |query: &Query| {
        query
            .contains("waiting")
            .then(|| Err("parse error: no".to_owned()))
    };
    model.answers = Default::default();
    let now = model.board_queries().into_iter();
    let now = now
        .filter_map(|query| Some((Query::clone(&query), refused(&query)?)))
        .collect();
    update(
        &mut model,
        NOW + 1_000,
        Event::Metrics {
            at: NOW + 1_000,
            now,
            past: None,
        },
    );
    let text = text(&buffer(&model, SIZES[1]));
    assert!(text.contains("parse error: no"), "{text}");
}
