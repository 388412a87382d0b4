//! The mouse: clicks on tabs, rows and charts; the wheel acts like the arrow keys. Pure: computes the layout again
//! from the model to find the element under a click.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::tui::event::Effect;
use crate::tui::input::keys::Action;
use crate::tui::model::Model;
use crate::tui::screens::act::act;
use crate::tui::screens::hit::hit;
use crate::tui::screens::table::view;
use crate::tui::screens::view::Hit;
use crate::tui::timeline;

/// The rows that one step of the wheel moves.
const WHEEL: usize = 3;

pub(crate) fn on_mouse(model: &mut Model, mouse: MouseEvent) -> Vec<Effect> {
    // Dialogs are answered by keys only, so that an accidental click cannot answer one.
    if model.dialog.is_some() || model.logs.editing.is_some() {
        return Vec::new();
    }
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let at = Position::new(mouse.column, mouse.row);
    match mouse.kind {
        MouseEventKind::ScrollUp => wheel(model, Action::Up),
        MouseEventKind::ScrollDown => wheel(model, Action::Down),
        MouseEventKind::Down(MouseButton::Left) | MouseEventKind::Drag(MouseButton::Left) => {
            match hit(model, area, at) {
                Some(Hit::Tab(screen)) => return act(model, Action::Show(screen)),
                Some(Hit::Row(row)) => view(model.screen).choose(model, row),
                Some(Hit::Instant(at)) => timeline::put(model, at),
                None => {}
            }
        }
        _ => {}
    }
    Vec::new()
}

fn wheel(model: &mut Model, action: Action) {
    for _ in 0..WHEEL {
        // `act` returns no effects for Up and Down.
        let _ = act(model, action);
    }
}
