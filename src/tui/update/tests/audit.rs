//! The list of actions in the console.

use super::*;
use crate::tui::audit::{AuditEntry, KEPT};

fn entry(action: &str) -> AuditEntry {
    AuditEntry::new(NOW, "mona", action, "127.0.0.1:8081", Ok(""))
}

fn done(action: &str, failed: Option<&str>) -> Event {
    Event::Audited {
        entry: entry(action),
        failed: failed.map(str::to_owned),
    }
}

#[test]
fn the_last_actions_are_kept_after_those_of_earlier_sessions() {
    let mut model = console(None, 0);
    update(&mut model, NOW, done("now", None));
    let earlier = vec![entry("first"), entry("second"), entry("now")];
    update(&mut model, NOW, Event::AuditRead(earlier));
    let kept: Vec<&str> = model.audit.iter().map(|one| one.action.as_str()).collect();
    assert_eq!(kept, ["first", "second", "now"]);
    for n in 0..2 * KEPT {
        update(&mut model, NOW, done(&n.to_string(), None));
    }
    assert_eq!(model.audit.len(), KEPT);
    assert_eq!(
        model.audit.back().map(|one| one.action.as_str()),
        Some("399")
    );
}

#[test]
fn a_log_that_cannot_be_written_is_reported_once() {
    let mut model = console(None, 0);
    update(&mut model, NOW, done("a", Some("disk full")));
    assert_eq!(notice(&model), "disk full");
    model.notice = None;
    update(&mut model, NOW, done("b", Some("disk full")));
    assert!(model.notice.is_none());
    assert_eq!(model.audit.len(), 2, "the console remembers all the same");
    update(&mut model, NOW, done("c", None));
    update(&mut model, NOW, done("d", Some("disk full")));
    assert_eq!(notice(&model), "disk full", "again after it was written");
}

#[test]
fn the_history_opens_and_closes_by_its_key() {
    let mut model = console(None, 0);
    keys(&mut model, "H");
    assert!(matches!(model.dialog, Some(Dialog::History(0))));
    keys(&mut model, "j");
    assert!(matches!(model.dialog, Some(Dialog::History(1))));
    keys(&mut model, "H");
    assert!(model.dialog.is_none());
}

#[test]
fn the_actions_of_earlier_sessions_are_bounded() {
    let mut model = console(None, 0);
    let earlier = (0..2 * KEPT).map(|n| entry(&n.to_string())).collect();
    update(&mut model, NOW, Event::AuditRead(earlier));
    assert_eq!(model.audit.len(), KEPT);
    let last = model.audit.back().map(|one| one.action.as_str());
    assert_eq!(last, Some("399"), "the latest");
}
