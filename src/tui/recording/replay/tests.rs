//! The schedule of a replay, and the lines that it shows.

use super::*;
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::recording::format::tests::{START, recorded};
use crate::tui::update::update;

fn down(reason: &str) -> Event {
    Event::Down {
        source: Source::Loki,
        reason: reason.into(),
        retry_ms: 1,
    }
}

fn player(events: &[Event]) -> Player {
    Player::new(Recording::parse(&recorded(events)).unwrap())
}

async fn is_due(player: &Player, within_ms: u64) -> bool {
    let due = Player::due(Some(player));
    let within = Duration::from_millis(within_ms);
    tokio::time::timeout(within, due).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn lines_come_at_the_recorded_speed_or_faster_or_paused() {
    let mut player = player(&[down("a"), down("b"), down("c"), down("d")]);
    let model = Model::default();
    assert!(is_due(&player, 1).await, "the first at once");
    assert!(player.next(&model).is_some());
    assert!(!is_due(&player, 990).await);
    assert!(is_due(&player, 20).await, "the next a second later");
    assert!(player.next(&model).is_some());

    player.set_speed(10);
    assert!(!is_due(&player, 80).await);
    assert!(is_due(&player, 30).await, "ten times faster");
    player.next(&model);

    player.set_speed(0);
    let held_at = player.now();
    assert!(!is_due(&player, 100_000).await, "held");
    assert_eq!(player.now(), held_at);

    player.set_speed(60);
    assert!(is_due(&player, 100).await);
    assert!(player.next(&model).is_some());
    assert!(player.next(&model).is_none());
    assert!(!is_due(&player, 100_000).await, "the end");
    assert_eq!(player.now(), START + 3000, "where time stands still");
    assert!(matches!(
        player.view(),
        RecordingState::Playing(Playing { ended: true, .. })
    ));
}

#[test]
fn speeds_have_two_ends() {
    let mut playing = Playing {
        speed: 1,
        ended: false,
        span: (0, 1),
    };
    let mut seen = Vec::new();
    for faster in [true; 7].into_iter().chain([false; 8]) {
        playing.speed = playing.other_speed(faster);
        seen.push(playing.speed);
    }
    assert_eq!(seen, [2, 5, 10, 30, 60, 60, 60, 30, 10, 5, 2, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_recorded_trace_is_found_each_time_and_any_other_is_missing() {
    use crate::clients::tempo::Trace;
    use crate::tui::model::Screen;
    use crate::tui::screens::traces::{Open, State};
    let (known, other) = (
        "0af7651916cd43dd8448eb211c80319c",
        "00000000000000000000000000000001",
    );
    let trace = Trace {
        id: known.into(),
        start_ns: 1,
        duration_ns: 1,
        spans: Vec::new(),
    };
    let mut player = player(&[Event::Trace {
        id: known.into(),
        trace: Ok(Some(trace)),
    }]);
    let mut model = Model {
        screen: Screen::Traces,
        now: START,
        ..Model::default()
    };
    let mut opened = |id: &str| {
        model.traces.open = Some(Open::new(id, false));
        for event in player.again(&model) {
            update(&mut model, START, event);
        }
        let state = model.traces.open.take().unwrap().state;
        // The trace was closed, so opening it again is a new request.
        assert!(player.again(&model).is_empty());
        state
    };
    assert!(matches!(opened(known), State::Here(_)));
    assert_eq!(opened(other), State::Missing);
    assert!(matches!(opened(known), State::Here(_)));
}

fn logged(at_ns: i64, line: &str) -> Event {
    Event::Logs {
        query: "of the recording".into(),
        lines: vec![LogLine {
            at_ns,
            labels: Default::default(),
            line: line.into(),
        }],
        skipped: false,
    }
}

#[tokio::test]
async fn a_new_filter_also_applies_to_the_lines_played_already() {
    let mut player = player(&[
        logged(1, r#"{"level":"INFO","message":"seat 7"}"#),
        logged(2, r#"{"level":"ERROR","message":"seat 8"}"#),
        logged(3, r#"{"level":"ERROR","message":"seat 7"}"#),
        logged(4, r#"{"level":"ERROR","message":"seat 7 to come"}"#),
    ]);
    let mut model = Model::default();
    for _ in 0..3 {
        let event = player.next(&model).unwrap();
        update(&mut model, START, event);
    }
    assert_eq!(model.logs.records.len(), 3);
    assert!(player.again(&model).is_empty(), "nothing was changed");

    model.logs.text = "seat 7".into();
    model.logs.level = Level::Error;
    model.logs.reset();
    for event in player.again(&model) {
        update(&mut model, START, event);
    }
    let shown: Vec<_> = model.logs.records.iter().map(|one| one.at_ns).collect();
    assert_eq!(shown, [3]);
    let event = player.next(&model).unwrap();
    update(&mut model, START, event);
    assert_eq!(model.logs.records.len(), 2, "what comes is filtered too");
}
