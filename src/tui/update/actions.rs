//! The actions of keys. An action that destroys data, puts load on a system or affects customers first asks for
//! confirmation.

use jiff::{SignedDuration, Timestamp};

use crate::api::ops::{AdmissionChange, Opening};
use crate::clients::alertmanager::PostableAlert;
use crate::clients::prometheus::Labels;
use crate::load::ScenarioInfo;
use crate::tui::connection::{Link, Source};
use crate::tui::event::Effect;
use crate::tui::format::count;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::dialog::{
    AlertForm, Dialog, LaunchDialog, Reseed, SEVERITIES, SeedDialog, Stage,
};
use crate::tui::model::{Model, NoticeKind, RunState, Screen};
use crate::tui::screens::alerts::Stage as Come;
use crate::tui::sources::panels::{PanelId, panel};

/// The time after which an alert raised by hand ends unless it is resolved before.
const RAISED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(crate) fn quit(model: &mut Model) -> Vec<Effect> {
    let already_asked =
        matches!(&model.dialog, Some(Dialog::Ask(question)) if question.effects == [Effect::Quit]);
    let lines = leaves_behind(model);
    if lines.is_empty() || already_asked {
        return vec![Effect::Quit];
    }
    model.dialog = Some(Dialog::Ask(Question {
        title: "Quit?",
        lines,
        yes: "quit",
        effects: vec![Effect::Quit],
    }));
    Vec::new()
}

/// The warnings about everything that ends with this console.
fn leaves_behind(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    if model.load.is_under_way() {
        lines.push(
            "A rehearsal is under way. It will be stopped. The users that it registered stay in the queue."
                .to_owned(),
        );
    } else if model.drills.is_under_way() {
        lines.push("A drill is under way. It will be stopped and its fault ended.".to_owned());
    } else if model.is_seeding() && model.settings.embedded {
        lines.push(
            "A seeding is under way. It is cancelled; the dataset that was there stays.".to_owned(),
        );
    }
    let others = model.status.as_ref().map_or(0, |status| status.consoles);
    if let (true, Some(others @ 1..)) = (model.settings.embedded, others.checked_sub(1)) {
        let who = match others {
            1 => "Another console is".to_owned(),
            _ => format!("{} other consoles are", count(others)),
        };
        lines.push(format!(
            "{who} attached to the server of this one, which ends with it."
        ));
    }
    lines
}

pub(crate) fn seed(model: &mut Model) {
    if model.load.is_under_way() {
        model.tell(
            NoticeKind::Failed,
            "a rehearsal is under way: stop it first (x)",
        );
    } else if model.is_seeding() {
        model.tell(NoticeKind::Failed, "a seeding is under way: x cancels it");
    } else if server_is_known(model) {
        model.dialog = Some(Dialog::Seed(SeedDialog::default()));
    }
}

pub(crate) fn launch(model: &mut Model) {
    let chosen = if model.screen == Screen::Load {
        model.load.chosen
    } else {
        0
    };
    if can_launch(model) {
        model.dialog = Some(Dialog::Launch(LaunchDialog {
            chosen,
            ..LaunchDialog::default()
        }));
    }
}

fn can_launch(model: &mut Model) -> bool {
    if model.load.is_under_way() {
        model.tell(
            NoticeKind::Failed,
            "a rehearsal is under way: stop it first (x)",
        );
    } else if model.drills.is_under_way() {
        model.tell(
            NoticeKind::Failed,
            "a drill is under way, and two loads on one machine distort each other: wait for it, or stop it (x)",
        );
    } else if model.is_seeding() {
        model.tell(
            NoticeKind::Failed,
            "a seeding is under way: wait for it, or cancel it (x)",
        );
    } else {
        return server_is_known(model);
    }
    false
}

pub(crate) fn server_is_known(model: &mut Model) -> bool {
    let reason = match &model.source(Source::Ops).link {
        Link::Up => return true,
        Link::Waiting => "it has not answered yet".to_owned(),
        Link::Down { reason, .. } => reason.clone(),
    };
    let target = model.settings.target.clone();
    model.tell(
        NoticeKind::Failed,
        format!("the server at {target} cannot be operated: {reason}"),
    );
    false
}

/// Enter on the Load screen: launches the chosen scenario, after the choice of its phases.
pub(crate) fn launch_chosen(model: &mut Model) {
    let chosen = model.load.chosen;
    if can_launch(model) {
        model.dialog = Some(Dialog::Launch(LaunchDialog {
            chosen,
            stage: Stage::Phase(0),
            ..LaunchDialog::default()
        }));
    }
}

pub(crate) fn pause(model: &mut Model) {
    if !server_is_known(model) {
        return;
    }
    let status = model.status.as_ref();
    let paused = status.is_some_and(|status| status.admission.paused);
    let waiting = count(status.map_or(0, |status| status.queue.waiting));
    let change = AdmissionChange {
        paused: Some(!paused),
        ..AdmissionChange::default()
    };
    let (title, line, yes, action) = if paused {
        (
            "Resume admission?",
            format!("{waiting} people wait. The next batch is admitted when it is due."),
            "resume it",
            "admission resumed",
        )
    } else {
        (
            "Pause admission?",
            format!("{waiting} people wait. No one else is admitted until it is resumed."),
            "pause it",
            "admission paused",
        )
    };
    model.dialog = Some(Dialog::Ask(Question {
        title,
        lines: vec![line],
        yes,
        effects: vec![Effect::Admission(change, action.into())],
    }));
}

pub(crate) fn open_sale(model: &mut Model) {
    if !server_is_known(model) {
        return;
    }
    let open = model
        .status
        .as_ref()
        .is_some_and(|status| status.admission.open);
    let waiting = model
        .status
        .as_ref()
        .map_or(0, |status| status.queue.waiting);
    let (title, line, yes, opening, action) = if open {
        let line = format!(
            "{} people wait. No one else is admitted until it is opened again.",
            count(waiting)
        );
        (
            "Close the sale?",
            line,
            "close the sale",
            Opening::Closed,
            "the sale is closed",
        )
    } else {
        let line = format!(
            "{} people wait. The first batch is admitted at once.",
            count(waiting)
        );
        (
            "Open the sale?",
            line,
            "open the sale",
            Opening::Now,
            "the sale is open",
        )
    };
    let change = AdmissionChange {
        opening: Some(opening),
        ..AdmissionChange::default()
    };
    let effects = vec![Effect::Admission(change, action.into())];
    model.dialog = Some(Dialog::Ask(Question {
        title,
        lines: vec![line],
        yes,
        effects,
    }));
}

pub(crate) fn stop(model: &mut Model) {
    let (title, line, yes, effect) = if model.load.is_under_way() {
        if model
            .load
            .run
            .as_ref()
            .is_some_and(|run| run.state == RunState::Stopping)
        {
            model.tell(NoticeKind::Info, "the rehearsal is stopping");
            return;
        }
        (
            "Stop the rehearsal?",
            "It is judged on what it did so far.",
            "stop it",
            Effect::StopLoad,
        )
    } else if model.drills.is_under_way() {
        if model.drills.is_stopping() {
            model.tell(NoticeKind::Info, "the drill is stopping");
            return;
        }
        (
            "Stop the drill?",
            "Its fault and its server are ended. The verdict will be inconclusive.",
            "stop it",
            Effect::StopDrill,
        )
    } else if model.is_seeding() {
        (
            "Cancel the seeding?",
            "The dataset that was there stays in use.",
            "cancel it",
            Effect::CancelSeed,
        )
    } else {
        model.tell(
            NoticeKind::Info,
            "nothing to stop: no rehearsal, no drill and no seeding is under way",
        );
        return;
    };
    model.dialog = Some(Dialog::Ask(Question {
        title,
        lines: vec![line.into()],
        yes,
        effects: vec![effect],
    }));
}

/// The effect of a launch of `scenario` on the data.
pub(crate) fn reseed(model: &Model, scenario: &ScenarioInfo) -> Reseed {
    match model
        .status
        .as_ref()
        .map(|status| (&status.dataset, status.queue))
    {
        Some((Some(dataset), queue))
            if scenario.dataset.is_empty() || dataset.profile == scenario.dataset =>
        {
            let untouched = queue.registered == 0;
            if untouched {
                Reseed::NotNeeded
            } else {
                Reseed::Used
            }
        }
        _ => Reseed::Needed,
    }
}

/// The state of the system, for an annotation of the alert: `TPS 1,284 /s, p95 buy 612 ms, queue 12.3k`.
fn seen(model: &Model) -> Option<String> {
    let shown = [
        PanelId::Tps,
        PanelId::Errors,
        PanelId::P95,
        PanelId::Waiting,
    ];
    let figures = shown.into_iter().filter_map(|id| {
        let value = model.metrics.get(id).value()?;
        let panel = panel(id);
        Some(format!("{} {}", panel.title, panel.unit.text(value)))
    });
    let figures = figures.collect::<Vec<_>>().join(", ");
    let fresh = model.source(Source::Prometheus).link == Link::Up;
    (fresh && !figures.is_empty()).then_some(figures)
}

/// The alert of the form, or the mistake in the form.
pub(crate) fn alert(model: &Model, form: &AlertForm) -> Result<Effect, &'static str> {
    let (name, summary) = (form.name.text().trim(), form.summary.text().trim());
    if name.is_empty() {
        return Err("the name is missing");
    }
    if summary.is_empty() {
        return Err("describe the problem in the summary");
    }
    let now = Timestamp::from_millisecond(model.now)
        .map_err(|_| "this machine's clock is out of range")?;
    let until = now
        .checked_add(RAISED_FOR)
        .map_err(|_| "this machine's clock is out of range")?;
    let pairs = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let severity = SEVERITIES.get(form.severity).copied().unwrap_or("warning");
    let mut annotations: Labels = pairs(&[("summary", summary)]);
    annotations.extend(seen(model).map(|seen| ("seen".to_owned(), seen)));
    let alert = PostableAlert {
        labels: pairs(&[
            ("alertname", name),
            ("severity", severity),
            ("source", "operator"),
        ]),
        annotations,
        starts_at: Some(now.to_string()),
        ends_at: Some(until.to_string()),
    };
    Ok(Effect::PostAlert(alert, format!("alert {name} raised")))
}

/// Resolves the chosen alert. Asks first unless a person raised it: a rule may raise it again. The list of the rules'
/// alerts may be older than the alert, so it decides only what the question says.
pub(crate) fn resolve(model: &mut Model) -> Vec<Effect> {
    let refusal = match model.alerts.chosen().map(|row| row.stage) {
        None => "there is no alert to resolve",
        Some(Come::Pending) => "it does not fire yet: there is nothing to resolve",
        Some(Come::Resolved) => "it is over already",
        Some(_) => "",
    };
    let Some(row) = model.alerts.chosen().filter(|_| refusal.is_empty()) else {
        model.tell(NoticeKind::Info, refusal);
        return Vec::new();
    };
    let alert = &row.alert;
    let ended = Timestamp::from_millisecond(model.now)
        .map(|now| now.to_string())
        .ok();
    let by_hand = alert
        .labels
        .get("source")
        .is_some_and(|source| source == "operator");
    let name = crate::tui::screens::alerts::name(alert);
    let action = if by_hand {
        format!("alert {name} resolved")
    } else {
        format!("alert {name} resolved; its rule raises it again while the condition holds")
    };
    let post = PostableAlert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: Some(alert.starts_at.clone()).filter(|at| !at.is_empty()),
        ends_at: ended,
    };
    let effects = vec![Effect::PostAlert(post, action)];
    if by_hand {
        return effects;
    }
    let again = if model.alerts.is_held_by_a_rule(&alert.labels) {
        format!(
            "The condition of {name} still holds: Prometheus sends the alert again soon, and it comes back."
        )
    } else {
        format!(
            "If the condition of {name} still holds, Prometheus sends it again and it comes back."
        )
    };
    model.dialog = Some(Dialog::Ask(Question {
        title: "Resolve it?",
        lines: vec![
            again,
            "It ends by itself when its cause does. A acknowledges it, S silences it.".into(),
        ],
        yes: "resolve it all the same",
        effects,
    }));
    Vec::new()
}
