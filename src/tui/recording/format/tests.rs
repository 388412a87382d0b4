//! The reader returns every recorded line, and refuses everything else.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use std::collections::BTreeMap;

use super::*;
use crate::api::ops::{AdmissionState, QueueState, SeedProgress, Status};
use crate::clients::alertmanager::{Alert, Silence};
use crate::clients::loki::LogLine;
use crate::clients::prometheus::{Labels, RuleAlert, Series};
use crate::clients::tempo::{FoundTrace, Kind, Span, SpanEvent, Status as SpanStatus, Trace};
use crate::tui::connection::Source;
use crate::tui::event::Event;
use crate::tui::model::{Model, Screen};
use crate::tui::recording::replay::fitted_event;
use crate::tui::screens;
use crate::tui::screens::traces::{Asked, Coverage};
use crate::tui::sources::panels::{PanelId, panel};
use crate::tui::update::update;

/// 2026-06-01 12:00:00 UTC.
pub(crate) const START: i64 = 1_780_315_200_000;

fn series(value: f64) -> Series {
    Series {
        labels: Labels::from([("status".into(), "AVAILABLE".into())]),
        points: vec![(START - 1000, 0.1), (START, value)],
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        api_addr: "127.0.0.1:8080".into(),
        dataset: None,
        queue: QueueState::default(),
        admission: AdmissionState {
            batch: 500,
            every_ms: 15_000,
            paused: false,
            opens_at_ms: Some(START),
            open: true,
            follow: Default::default(),
            rate: 0.0,
        },
        consoles: 1,
        memory_bytes: None,
    }
}

fn found() -> FoundTrace {
    FoundTrace {
        id: "0af7651916cd43dd8448eb211c80319c".into(),
        service: "concertctl-api".into(),
        name: "POST /reservations".into(),
        start_ns: 1_780_315_200_000_000_000,
        duration_ms: 212,
        errors: Some(1),
    }
}

fn trace() -> Trace {
    let span = Span {
        id: "b7ad6b7169203331".into(),
        parent: None,
        service: "concertctl-api".into(),
        name: "POST /reservations".into(),
        kind: Kind::Server,
        offset_ns: 0,
        duration_ns: 212_000_000,
        status: SpanStatus::Error("late".into()),
        attributes: BTreeMap::from([("http.route".into(), "/reservations".into())]),
        events: vec![SpanEvent {
            offset_ns: 7,
            name: "exception".into(),
            attributes: BTreeMap::from([("exception.type".into(), "IOException".into())]),
        }],
        more_events: 3,
    };
    Trace {
        id: found().id,
        start_ns: found().start_ns,
        duration_ns: 212_000_000,
        spans: vec![span],
    }
}

fn all_events() -> Vec<Event> {
    let answer = |value| Ok(vec![series(value)]);
    let now = BTreeMap::from([
        (panel(PanelId::Tps).query.into(), answer(f64::NAN)),
        (panel(PanelId::P95).query.into(), answer(f64::INFINITY)),
        (panel(PanelId::Seats).query.into(), answer(1.0 / 3.0)),
        (panel(PanelId::Errors).query.into(), Err("refused".into())),
    ]);
    vec![
        Event::Metrics {
            at: START,
            past: Some(now.clone()),
            now,
        },
        Event::Logs {
            query: r#"{service_name=~".+"}"#.into(),
            lines: vec![LogLine {
                at_ns: START * 1_000_000,
                labels: Labels::new(),
                line: "two\nlines \u{1b}[31m".into(),
            }],
            skipped: true,
        },
        Event::LogsRefused {
            reason: "no".into(),
        },
        Event::Alerts(vec![Alert::default()]),
        Event::Silences(vec![Silence::default()]),
        Event::RuleAlerts(Ok(vec![RuleAlert::default()])),
        Event::RuleAlerts(Err("no rules".into())),
        Event::Traces {
            asked: Asked::default(),
            found: vec![found()],
            coverage: Coverage::From(64),
        },
        Event::Trace {
            id: found().id,
            trace: Ok(Some(trace())),
        },
        Event::TracesThere,
        Event::Ops(Box::new((status(), SeedProgress::default()))),
        Event::Down {
            source: Source::Loki,
            reason: "gone".into(),
            retry_ms: 4_000,
        },
        Event::Clock {
            source: Source::Ops,
            ahead_s: -7,
        },
    ]
}

/// A recording of these events, a second apart.
pub(crate) fn recorded(events: &[Event]) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&Head::new("sale:8081")).unwrap();
    bytes.push(b'\n');
    for (event, second) in events.iter().zip(0..) {
        let entry = Entry {
            t: START + 1000 * second,
            event,
        };
        bytes.extend(serde_json::to_vec(&entry).unwrap());
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn every_event_of_a_source_is_read_as_it_was_recorded() {
    let events = all_events();
    let recording = Recording::parse(&recorded(&events)).unwrap();
    assert_eq!(recording.head.target, "sale:8081");
    let read: Vec<_> = recording
        .entries
        .iter()
        .map(|entry| format!("{:?}", entry.event))
        .collect();
    // Compare texts, because NaN is not equal to itself.
    let expected: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(read, expected);
    assert!(
        serde_json::to_vec(&Event::Tick).is_err(),
        "every kind of event is recorded"
    );
}

#[test]
fn an_error_in_a_file_names_the_line() {
    let good = recorded(&all_events());
    let text = String::from_utf8(good.clone()).unwrap();
    let wrong = |bytes: &[u8]| Recording::parse(bytes).unwrap_err();
    let line = |number: usize, with: &str| {
        let mut lines: Vec<_> = text.lines().collect();
        lines[number - 1] = with;
        wrong((lines.join("\n") + "\n").as_bytes())
    };
    let cases = [
        (wrong(b""), 1, "empty"),
        (wrong(b"\x7fELF\x02\n"), 1, "not a recording"),
        (wrong(b"{\"version\":1}\n"), 1, "not a recording"),
        (
            wrong(br#"{"kind":"console recording","version":2}"#),
            1,
            "version 2",
        ),
        (
            wrong(text.split_inclusive('\n').next().unwrap().as_bytes()),
            2,
            "nothing was recorded",
        ),
        (line(3, "what?"), 3, "expected"),
        (line(3, r#"{"t":-1,"said":{"alerts":[]}}"#), 3, "time"),
        (line(4, r#"{"t":1,"said":{"sang":[]}}"#), 4, "sang"),
        (
            line(
                4,
                r#"{"t":1,"said":{"clock":{"source":"moon","ahead_s":1}}}"#,
            ),
            4,
            "there is no source \"moon\"",
        ),
        (
            line(
                2,
                r#"{"t":1,"said":{"metrics":{"at":1,"now":{"x":{"series":[{"labels":{},"points":[[1,"many"]]}]}}}}}"#,
            ),
            2,
            "\"many\" is no value",
        ),
    ];
    for ((number, why), expected_line, expected) in cases {
        assert!(
            number == expected_line && why.contains(expected),
            "{number}: {why} (expected {expected_line}: {expected})"
        );
    }
}

#[test]
fn time_never_decreases_in_a_recording() {
    let mut text = String::from_utf8(recorded(&all_events())).unwrap();
    text.push_str("{\"t\":5,\"said\":{\"alerts\":[]}}\n");
    let recording = Recording::parse(text.as_bytes()).unwrap();
    assert_eq!(recording.span(), (START, START + 12_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_file_makes_the_console_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        digits in any::<bool>(),
    ) {
        let mut bytes = recorded(&all_events());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // A changed digit keeps the JSON valid and changes times and counts.
            let digit = digits && bytes[at].is_ascii_digit();
            bytes[at] = if digit { b'0' + byte % 10 } else if digits { bytes[at] } else { byte };
        }
        if let Ok(recording) = Recording::parse(&bytes) {
            for screen in Screen::ALL {
                let mut model = Model { screen: *screen, ..Model::default() };
                for entry in &recording.entries {
                    let event = fitted_event(entry, &model);
                    update(&mut model, entry.t, event);
                }
                let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
                screens::draw(&model, &mut buffer);
            }
        }
    }
}

#[test]
fn a_file_larger_than_any_recording_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MAX_READ + 1).unwrap();
    let error = Recording::read(&path).unwrap_err();
    assert!(error.contains("larger than any recording"), "{error}");
}

#[test]
fn json_that_is_not_a_recording_is_refused() {
    let other = b"{\"kind\":\"a diary\",\"version\":1,\"program\":\"x\",\"target\":\"y\"}\n";
    let (line, error) = Recording::parse(other).unwrap_err();
    assert_eq!(line, 1);
    assert!(error.contains("not a recording"), "{error}");
}

fn compressed(text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        encoder.write_all(line).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_truncated_recording_is_read_up_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    let plain = recorded(&all_events());
    let all = Recording::parse(&plain).unwrap().entries.len();
    for whole in [plain.clone(), compressed(&plain)] {
        // The number of entries that are read from each length, the whole file first.
        let read = (0..=whole.len()).rev().map(|length| {
            std::fs::write(&path, &whole[..length]).unwrap();
            Recording::read(&path).map_or(0, |recording| recording.entries.len())
        });
        let read: Vec<usize> = read.collect();
        assert!(read.is_sorted_by(|one, next| one >= next), "{read:?}");
        // A line is read as soon as its last byte is present, so every number of entries occurs.
        let mut numbers = read.clone();
        numbers.dedup();
        assert_eq!(numbers, (0..=all).rev().collect::<Vec<_>>());
    }
}

#[test]
fn a_small_file_that_grows_beyond_any_recording_is_not_read() {
    let bomb = compressed(&vec![b'x'; 2 << 20]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb");
    std::fs::write(&path, bomb).unwrap();
    let read = |most| text(std::fs::File::open(&path).unwrap(), most).unwrap();
    assert!(read(1 << 20).is_none());
    assert!(read(4 << 20).is_some());
}

/// Lines as earlier versions of the program wrote them.
const VERSION_1: &str = r#"{"kind":"console recording","version":1,"target":"sale:8081","program":"0.1.0"}
{"t":1780315200000,"said":{"metrics":{"at":1780315200000,"now":{"q":{"series":[{"labels":{"a":"b"},"points":[[1780315199000,"NaN"],[1780315200000,0.5]]}]},"r":{"refused":"no"}},"past":null}}}
{"t":1780315200001,"said":{"metrics":{"at":1780315200001,"now":{},"past":{"q":{"series":[]}}}}}
{"t":1780315200002,"said":{"logs":{"query":"{}","lines":[{"at_ns":1,"labels":{"a":"b"},"line":"x"}],"skipped":false}}}
{"t":1780315200003,"said":{"logsRefused":{"reason":"no"}}}
{"t":1780315200004,"said":{"boardLogs":[["q",{"Ok":[{"at_ns":1,"labels":{},"line":"x"}]}],["r",{"Err":"no"}]]}}
{"t":1780315200005,"said":{"alerts":[]}}
{"t":1780315200006,"said":{"silences":[]}}
{"t":1780315200007,"said":{"ruleAlerts":{"Err":"no"}}}
{"t":1780315200008,"said":{"traces":{"found":[],"cut":true,"from_ms":64}}}
{"t":1780315200009,"said":{"traces":{"found":[],"cut":false}}}
{"t":1780315200010,"said":{"trace":{"id":"ab","trace":{"Ok":null}}}}
{"t":1780315200011,"said":"tracesThere"}
{"t":1780315200012,"said":{"down":{"source":"logs","reason":"gone","retry_ms":4000}}}
{"t":1780315200013,"said":{"clock":{"source":"server","ahead_s":-7}}}
"#;

#[test]
fn recordings_of_version_1_are_read_and_written_unchanged() {
    let recording = Recording::parse(VERSION_1.as_bytes()).unwrap();
    let written = recording
        .entries
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap());
    let lines: Vec<&str> = VERSION_1.lines().skip(1).collect();
    assert_eq!(written.collect::<Vec<_>>(), lines);
}
