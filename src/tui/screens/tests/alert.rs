//! An alert in full: with evidence, before the evidence has arrived, and without any.

use super::*;
use crate::clients::loki::LogLine;
use crate::clients::rules::Rule;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::palette::Palette;
use crate::tui::screens::logs::Record;
use crate::tui::sources::evidence::{Evidence, LimitLine, Wanted};

fn with_evidence(change: impl FnOnce(&mut Evidence)) -> Model {
    let mut model = ok(Screen::Alerts);
    model.alerts.open = true;
    let of = Wanted::of(&model.alerts.list[0], NOW);
    let (from, to) = (of.began - 120_000, NOW);
    let points = (0..=60).map(|n| {
        let at = from + (to - from) / 60 * n;
        (at, if at < of.began { 0.002 } else { 0.048 })
    });
    let record = |seconds: i64, message: &str| {
        let line = format!(
            r#"{{"level":"ERROR","service_name":"concertctl-api","message":"{message}","additional_data":{{"duration_ms":3.2}}}}"#
        );
        Record::new(LogLine {
            at_ns: (of.began + seconds * 1_000) * 1_000_000,
            labels: labels(&[("service_name", "concertctl-api")]),
            line,
        })
    };
    let mut evidence = Evidence {
        from,
        to,
        rule: Some(Rule {
            name: "HighErrorRate".into(),
            query: "job:concert_buying_errors:rate15s / job:concert_buying_requests:rate15s > 0.01"
                .into(),
            duration: 1.0,
            health: "ok".into(),
            ..Rule::default()
        }),
        figure: vec![points.collect()],
        limit: Some(LimitLine::Number(0.01)),
        side: Some("above"),
        no_figure: None,
        records: vec![
            record(-2, "POST /reservations 500"),
            record(1, "POST /reservations 503"),
            record(2, "the database does not answer"),
        ],
        no_records: None,
        of,
    };
    change(&mut evidence);
    model.alerts.evidence = Some(evidence);
    model
}

#[test]
fn an_alert_in_full_matches_its_snapshots() {
    let found = with_evidence(|_| {});
    for size in [SIZES[0], SIZES[1], (200, 60)] {
        shot("alert_open", &found, size);
    }
    let mut beside = found.clone();
    beside.alerts.open = false;
    shot("alert_beside", &beside, SIZES[1]);
    let mut looking = found.clone();
    looking.alerts.evidence = None;
    shot("alert_looking", &looking, SIZES[0]);
    let nothing = with_evidence(|evidence| {
        evidence.rule = None;
        evidence.figure.clear();
        evidence.limit = None;
        evidence.records.clear();
    });
    shot("alert_by_hand", &nothing, SIZES[0]);
    let failed = with_evidence(|evidence| {
        evidence.rule = None;
        evidence.side = None;
        evidence.figure.clear();
        evidence.no_figure = Some("no answer within 2 s".into());
        evidence.records.clear();
        evidence.no_records = Some("refused (502): upstream".into());
    });
    shot("alert_failed", &failed, SIZES[0]);
}

#[test]
fn the_cursor_and_the_marks_match_their_snapshots() {
    let mut model = ok(Screen::Overview);
    model.load.begun = [(NOW - 200_000, "onsale-short: open".to_owned())].into();
    model.time.cursor = Some(NOW - 120_000);
    shot("overview_cursor", &model, SIZES[0]);
    shot("overview_cursor", &model, SIZES[1]);
    model.time.end = Some(NOW - 60_000);
    model.enlarged = Some(crate::tui::sources::panels::PanelId::P95);
    shot("overview_enlarged", &model, SIZES[0]);
}

#[test]
fn the_palette_matches_its_snapshot() {
    let mut model = ok(Screen::Alerts);
    model.dialog = Some(Dialog::Palette(Palette {
        text: "the".into(),
        chosen: 1,
    }));
    shot("palette", &model, SIZES[0]);
    model.settings.read_only = true;
    model.dialog = Some(Dialog::Palette(Palette {
        text: "nonsense".into(),
        chosen: 0,
    }));
    shot("palette_nothing", &model, SIZES[0]);
}

#[test]
fn a_light_background_changes_colours_only() {
    let mut model = ok(Screen::Overview);
    let dark = buffer(&model, SIZES[0]);
    model.settings.light = true;
    let light = buffer(&model, SIZES[0]);
    assert_eq!(text(&dark), text(&light));
    assert!(
        dark.content
            .iter()
            .zip(&light.content)
            .any(|(a, b)| a.fg != b.fg)
    );
}

#[test]
fn a_click_hits_the_element_that_is_drawn_there() {
    use crate::tui::screens::hit::hit;
    use crate::tui::screens::view::Hit;
    use ratatui::layout::Position;
    for size in [SIZES[0], SIZES[1]] {
        let area = Rect::new(0, 0, size.0, size.1);
        let model = ok(Screen::Alerts);
        let drawn = text(&buffer(&model, size));
        let lines: Vec<&str> = drawn.lines().collect();
        for screen in Screen::ALL {
            // On a narrow terminal the name of a tab is cut.
            let tab = format!("{} {}", screen.number(), &screen.title()[..4]);
            let tab = lines[0].find(&tab).unwrap();
            let at = Position::new(u16::try_from(tab).unwrap(), 0);
            assert_eq!(hit(&model, area, at), Some(Hit::Tab(*screen)));
        }
        for (row, alert) in model.alerts.list.iter().enumerate() {
            let name = &alert.labels["alertname"];
            let y = lines
                .iter()
                .position(|line| line.contains(name.as_str()))
                .unwrap();
            let at = Position::new(5, u16::try_from(y).unwrap());
            assert_eq!(
                hit(&model, area, at),
                Some(Hit::Row(row)),
                "{name}\n{drawn}"
            );
        }
        let outside = Position::new(5, size.1 - 1);
        assert_eq!(hit(&model, area, outside), None);
    }
}

#[test]
fn a_long_runbook_address_is_wrapped_and_reached_by_scrolling() {
    const RUNBOOK: &str = "https://github.com/concertctl/concertctl/blob/main/docs/runbooks/\
         HighErrorRate.md#what-to-look-at-first-when-nobody-else-is-awake";
    let mut model = with_evidence(|_| {});
    for alert in &mut model.alerts.list {
        let described = "What it means, at length. ".repeat(20);
        alert.annotations.insert("description".into(), described);
        alert
            .annotations
            .insert("runbook_url".into(), RUNBOOK.into());
    }
    let list = model.alerts.list.clone();
    model.alerts.take(list, NOW);
    model.alerts.open = true;
    let shown = |model: &Model| text(&buffer(model, SIZES[0]));
    assert!(shown(&model).contains("PgDn: more"), "{}", shown(&model));
    model.alerts.scroll = 200;
    let end = shown(&model);
    assert!(
        end.contains("nobody-else-is-awake") && end.contains("PgUp: back"),
        "{end}"
    );
    let page: String = end.split_whitespace().collect();
    let page: String = page.chars().filter(|c| *c != '│').collect();
    assert!(page.contains(RUNBOOK), "{end}");
}
