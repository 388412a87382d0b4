//! The plan of a drill: its faults, and the worst case of each alert beside its budget.

use ratatui::text::{Line, Span};
use serde_json::{Map, Value};

use crate::cells;
use crate::drill::blind;
use crate::drill::plan::{Planned, PlannedInject};
use crate::tui::drill_runner::DrillInfo;
use crate::tui::format::one_line;
use crate::tui::input::forms::duration_ms;
use crate::tui::screens::drills::lines::{bar, wrap};
use crate::tui::theme;

/// The columns for the names of the facts.
const NAME: usize = 9;

/// The traffic, the faults and the expected alerts, in a few lines.
pub(crate) fn facts(drill: &DrillInfo, width: usize) -> Vec<Line<'static>> {
    let mut lines = fact("traffic", &drill.traffic, width);
    for inject in &drill.plan {
        let text = format!(
            "{}, at {} after the opening",
            fault(&inject.fault),
            inject.at
        );
        lines.extend(fact("fault", &text, width));
        let names: Vec<&str> = inject.alerts.iter().map(|it| it.alert.as_str()).collect();
        let text = match names.is_empty() {
            true => "no alert; users served again".to_owned(),
            false => names.join(", "),
        };
        lines.extend(fact("expects", &text, width));
    }
    if drill.name == blind::NAME {
        lines.extend(fact(
            "fault",
            "drawn from the shipped drills, and withheld",
            width,
        ));
    } else if drill.plan.is_empty() {
        let text = format!("no alert for {}: nothing is broken", drill.watch);
        lines.extend(fact("expects", &text, width));
    }
    lines
}

fn fact(name: &str, text: &str, width: usize) -> Vec<Line<'static>> {
    let text = cells::wrap(&one_line(text), width.saturating_sub(NAME)).into_iter();
    let line = |(index, text): (usize, String)| {
        let name = if index == 0 { name } else { "" };
        Line::from(vec![
            Span::styled(format!("{name:<NAME$}"), theme::quiet()),
            Span::raw(text),
        ])
    };
    text.enumerate().map(line).collect()
}

/// A fault in words: `latency for 20s: delay 1s, share 0.5`. Text that is not a JSON object is returned unchanged.
pub(crate) fn fault(json: &str) -> String {
    let Ok(mut settings) = serde_json::from_str::<Map<String, Value>>(json) else {
        return json.to_owned();
    };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        Value::Array(all) => {
            let all = all.iter().map(|one| one.as_str().unwrap_or_default());
            all.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let mut take = |name: &str| settings.remove(name).map(plain).unwrap_or_default();
    let (kind, length) = (take("kind"), take("for"));
    let rest = settings.into_iter();
    let rest: Vec<String> = rest
        .map(|(name, it)| format!("{name} {}", plain(it)))
        .collect();
    let of = if rest.is_empty() { "" } else { ": " };
    format!(
        "{} for {length}{of}{}",
        kind.replace('_', " "),
        rest.join(", ")
    )
}

/// The plan in full.
pub(crate) fn lines(drill: &DrillInfo, width: usize) -> Vec<Line<'static>> {
    let mut lines = wrap(&drill.title, width, theme::strong());
    lines.push(Line::raw(""));
    lines.extend(facts(drill, width));
    let alerts = drill.plan.iter().any(|inject| !inject.alerts.is_empty());
    if alerts {
        lines.push(Line::raw(""));
        let text = "worst case by rule and settings, and budget, both from the fault's beginning:";
        lines.extend(wrap(text, width, theme::quiet()));
    }
    for PlannedInject { alerts, .. } in &drill.plan {
        lines.extend(alerts.iter().flat_map(|alert| planned(alert, width)));
    }
    lines
}

fn planned(alert: &Planned, width: usize) -> [Line<'static>; 2] {
    let Planned {
        alert,
        budget,
        predicted,
        rule,
        ..
    } = alert;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
    let seconds = duration_ms(budget).map_or(0.0, |ms| ms as f64 / 1e3);
    let (name, text) = (
        20.min(width / 3),
        format!(" {predicted:>5.1} of {seconds:>3.0} s"),
    );
    let room = width.saturating_sub(name + 1 + text.len()).min(30);
    let mut spans = vec![Span::styled(
        format!("{} ", cells::column(&one_line(alert), name)),
        theme::strong(),
    )];
    spans.extend(bar(predicted / seconds.max(0.001), room, theme::accent()));
    spans.push(Span::raw(text));
    let place = cells::cut_middle(&one_line(rule), width.saturating_sub(2));
    [
        Line::from(spans),
        Line::styled(format!("  {place}"), theme::quiet()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_in_words_and_other_text_unchanged() {
        let shown = fault(
            r#"{"kind":"slow_statement","for":"20s","delay":"400ms","statement":"account.charge"}"#,
        );
        assert_eq!(
            shown,
            "slow statement for 20s: delay 400ms, statement account.charge"
        );
        assert_eq!(
            fault(r#"{"kind":"kill_server","for":"2s"}"#),
            "kill server for 2s"
        );
        assert_eq!(fault("broken"), "broken");
    }
}
