//! The dialog of a blind drill's player: the alerts to acknowledge, the answers and the mitigations.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::cells;
use crate::drill::blind::Board;
use crate::drill::blind::action::{Action, Mitigation, causes, remedy};
use crate::tui::event::Effect;
use crate::tui::format::one_line;
use crate::tui::input::dialog::Dialog;
use crate::tui::input::dialog::answer::{After, chosen};
use crate::tui::model::{Model, NoticeKind};
use crate::tui::theme;
use crate::tui::widgets::message::{ROOM, message};

/// The batches of admission that the player can choose.
const BATCHES: [u64; 3] = [1, 5, 20];

/// Handles `m`: opens the dialog if a blind drill is under way.
pub(crate) fn open(model: &mut Model) {
    let first = board(model).and_then(|board| choices(board).into_iter().next());
    match first {
        Some((_, chosen)) => model.dialog = Some(Dialog::Play(chosen)),
        None => model.tell(
            NoticeKind::Info,
            "no blind drill is running: select `blind` and press s",
        ),
    }
}

/// The player's view, while a blind drill is under way.
fn board(model: &Model) -> Option<&Board> {
    let run = model.drills.run.as_ref().filter(|run| run.is_under_way())?;
    run.progress.blind.as_ref()
}

/// The possible actions, each in words: alerts to acknowledge, then answers, then mitigations.
fn choices(board: &Board) -> Vec<(String, Action)> {
    let alerts = board.alerts.iter().map(|alert| {
        let text = format!("acknowledge  {}", one_line(alert));
        (text, Action::Acknowledge(alert.clone()))
    });
    let answers = causes().iter().map(|cause| {
        let text = format!("answer       {}: {}", cause.component, cause.mechanism);
        (text, Action::Answer(cause.clone()))
    });
    let admission = [Mitigation::PauseAdmission, Mitigation::ResumeAdmission]
        .into_iter()
        .chain(BATCHES.map(Mitigation::ChangeBatch));
    let own = admission.chain([Mitigation::RestartServer]).map(|it| {
        let text = match &it {
            Mitigation::PauseAdmission => "pause admission".to_owned(),
            Mitigation::ResumeAdmission => "resume admission".to_owned(),
            Mitigation::ChangeBatch(batch) => format!("admit {batch} with each batch"),
            _ => "restart the server".to_owned(),
        };
        (text, it)
    });
    let mut mechanisms: Vec<&String> = causes().iter().map(|cause| &cause.mechanism).collect();
    mechanisms.sort();
    mechanisms.dedup();
    // Sorted by component, like the answers.
    mechanisms.sort_by_key(|mechanism| remedy(mechanism));
    let clear = mechanisms.into_iter().map(|mechanism| {
        let text = remedy(mechanism).to_owned();
        (text, Mitigation::Clear(mechanism.clone()))
    });
    let mitigations = own.chain(clear).map(|(text, mitigation)| {
        let text = format!("mitigate     {text}");
        (text, Action::Mitigate(mitigation))
    });
    alerts.chain(answers).chain(mitigations).collect()
}

/// The position of the chosen action in the list.
fn place(choices: &[(String, Action)], marked: &Action) -> Option<usize> {
    choices.iter().position(|(_, action)| action == marked)
}

pub(crate) fn on_key(model: &Model, marked: Action, key: KeyEvent) -> After {
    let Some(board) = board(model) else {
        return After::Close(vec![]);
    };
    let mut choices = choices(board);
    let place = place(&choices, &marked);
    if let Some(at) = chosen(key, place.unwrap_or(0), choices.len()) {
        return After::Keep(Dialog::Play(choices.swap_remove(at).1));
    }
    match key.code {
        // An alert that has just ended is no longer in the list.
        KeyCode::Enter if place.is_some() => After::Close(vec![Effect::PlayDrill(marked)]),
        KeyCode::Char('q' | 'm') => After::Close(vec![]),
        _ => After::Keep(Dialog::Play(marked)),
    }
}

pub(crate) fn draw(model: &Model, marked: &Action, buffer: &mut Buffer, area: Rect) {
    let Some(board) = board(model) else { return };
    let choices = choices(board);
    let place = place(&choices, marked);
    let rows = usize::from(area.height).saturating_sub(6).max(1);
    let skip = (place.unwrap_or(0) + 1).saturating_sub(rows);
    let lines = choices.iter().enumerate().skip(skip).take(rows);
    let lines: Vec<Line<'static>> = lines
        .map(|(index, (text, _))| {
            let (marker, style) = match Some(index) == place {
                true => ("▶ ", theme::key()),
                false => ("  ", theme::text()),
            };
            Line::styled(format!("{marker}{}", cells::cut(text, ROOM - 2)), style)
        })
        .collect();
    let number = place.map_or(0, |place| place + 1);
    let keys = format!(
        "{number} of {}: ↑ ↓ choose, Enter does it, Esc closes",
        choices.len()
    );
    message(
        buffer,
        area,
        "What is broken, and what to do",
        &keys,
        &lines,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_fits_in_the_dialog() {
        for (text, _) in choices(&Board::default()) {
            assert_eq!(cells::cut(&text, ROOM - 2), text);
        }
    }
}
