//! Screens when a source refuses, warns or disagrees with another one, and during a recording or a replay.

use super::*;
use crate::api::ops::SeedProgress;
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::recording::view::{Playing, RecordingState};
use crate::tui::update::update;

fn playing(speed: u32, ended: bool) -> RecordingState {
    RecordingState::Playing(Playing {
        speed,
        ended,
        span: (NOW - 600_000, NOW + 1_200_000),
    })
}

/// The first line, and the last but one.
fn edges(model: &Model) -> (String, String) {
    let text = text(&buffer(model, SIZES[0]));
    let lines: Vec<_> = text.lines().collect();
    (lines[0].to_owned(), lines[22].to_owned())
}

#[test]
fn every_screen_shows_that_a_recording_is_played() {
    for screen in Screen::ALL {
        let mut model = ok(*screen);
        model.load.run = None;
        model.recording = playing(1, false);
        let (first, status) = edges(&model);
        assert!(first.starts_with(" REPLAY 1x "), "{first}");
        assert!(status.contains("recorded at 127.0.0.1:8081"), "{status}");
        assert!(
            status.contains("2026-06-01 11:50:00 to 12:20:00 UTC"),
            "{status}"
        );
        model.recording = playing(0, false);
        assert!(edges(&model).0.starts_with(" REPLAY held "));
        model.recording = playing(5, true);
        assert!(edges(&model).0.starts_with(" REPLAY end "));
    }
    let mut model = ok(Screen::Overview);
    model.load.run = None;
    model.settings.read_only = true;
    model.recording = playing(10, false);
    shot("replay", &model, SIZES[0]);
}

#[test]
fn every_screen_shows_that_a_recording_is_made_and_that_it_stopped() {
    let mut model = ok(Screen::Alerts);
    model.recording = RecordingState::Recording(1_300_000);
    shot("recording", &model, SIZES[0]);
    let why = "sale.jsonl: it has reached its bound of 64 MiB".to_owned();
    update(
        &mut model,
        NOW,
        Event::Recording(RecordingState::Stopped(why)),
    );
    let text = text(&buffer(&model, SIZES[0]));
    assert!(text.contains("REC stopped"), "{text}");
    assert!(
        text.contains("nothing more is recorded: sale.jsonl"),
        "{text}"
    );
}

#[test]
fn a_disagreement_of_figures_is_shown_on_the_panel_and_in_the_status_line() {
    let mut model = ok(Screen::Overview);
    model.load.run = None;
    let mut at = NOW;
    for _ in 0..40 {
        at += 1_000;
        let answer = Box::new((status(true), SeedProgress::default()));
        update(&mut model, at, Event::Ops(answer));
        let past = None;
        update(
            &mut model,
            at,
            Event::Metrics {
                at,
                now: metrics(at),
                past,
            },
        );
    }
    model.notice = None;
    for size in SIZES {
        shot("disagreement", &model, size);
    }
}

#[test]
fn a_source_that_refuses_credentials_shows_the_reason_and_the_next_attempt() {
    let mut model = started(Screen::Overview);
    feed(&mut model, NOW, true);
    model.notice = None;
    for source in [Source::Prometheus, Source::Loki] {
        let refused = crate::clients::ClientError::Refused {
            status: 401,
            message: "no".into(),
        };
        let reason = crate::tui::sources::reason::reason(source, &refused);
        let retry_ms = 15_000;
        update(
            &mut model,
            NOW + 3_000,
            Event::Down {
                source,
                reason,
                retry_ms,
            },
        );
    }
    shot("not_authorised", &model, SIZES[1]);
}

#[test]
fn a_warning_of_a_source_is_shown_in_header_and_status_line() {
    let warned = |warning: Option<&str>| Event::Warned {
        source: Source::Prometheus,
        warning: warning.map(str::to_owned),
    };
    let mut model = ok(Screen::Overview);
    let partial = "its answers are partial: a part of its storage is away";
    update(&mut model, NOW, warned(Some(partial)));
    for size in SIZES {
        let drawn = text(&buffer(&model, size));
        assert!(drawn.contains("▲ metrics  ● logs"), "{drawn}");
        assert!(
            drawn.contains("▲ metrics: its answers are partial"),
            "{drawn}"
        );
    }
    update(&mut model, NOW, warned(None));
    assert!(!text(&buffer(&model, SIZES[0])).contains("partial"));
}

#[test]
fn admitted_and_registered_are_of_the_same_dataset() {
    let mut model = ok(Screen::Overview);
    // The status is about the new dataset, the last scrape about the previous one.
    let mut new = status(true);
    new.queue = crate::api::ops::QueueState::default();
    model.status = Some(new);
    let drawn = text(&buffer(&model, SIZES[0]));
    assert!(drawn.contains("mark      0 of 0 registered"), "{drawn}");
    assert!(drawn.contains("reservations since server start"), "{drawn}");
}

#[test]
fn nothing_is_on_sale_without_a_dataset() {
    for screen in Screen::ALL {
        let mut model = ok(*screen);
        let mut empty = status(false);
        empty.admission.open = true;
        model.status = Some(empty);
        for size in SIZES {
            let drawn = text(&buffer(&model, size));
            assert!(drawn.contains("no dataset"), "{drawn}");
            assert!(
                !drawn.contains("sale open") && !drawn.contains("● open"),
                "{drawn}"
            );
        }
    }
}
