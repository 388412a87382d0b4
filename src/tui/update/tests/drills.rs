//! Drills by key: start, stop, progress.

use super::*;
use crate::drill::progress::Step;
use crate::drill::verdict::Verdict;
use crate::tui::screens::drills::DrillState;
use crate::tui::screens::tests::drills::{list, report, under_way};

fn on_drills() -> Model {
    let mut model = console(Some("demo"), 0);
    model.drills.take(list(true));
    model.screen = Screen::Drills;
    model
}

#[test]
fn a_drill_is_started_after_a_question_and_followed_to_its_verdict() {
    let mut model = on_drills();
    assert_eq!(keys(&mut model, "js"), []);
    assert!(matches!(&model.dialog, Some(Dialog::Ask(question))
            if question.lines[1].contains("Nothing is sent to")));
    assert_eq!(keys(&mut model, "n"), [], "n cancels");
    assert!(!model.drills.is_under_way());
    let started = Effect::StartDrill("slow-charge".into());
    assert_eq!(keys(&mut model, "sy"), [started]);
    assert!(
        model.drills.is_under_way(),
        "the drill runs at once, so a second s is refused"
    );
    let progress = under_way().progress;
    update(&mut model, NOW, Event::DrillProgress(Box::new(progress)));
    let run = model.drills.run_of_chosen().unwrap();
    assert_eq!(run.progress.step, Step::Fault);
    let ended = Event::DrillEnded(Ok(Box::new(report(Verdict::Passed))));
    assert_eq!(update(&mut model, NOW, ended), [Effect::Bell]);
    assert_eq!(notice(&model), "drill slow-charge passed");
    let run = model.drills.run_of_chosen().unwrap();
    assert!(matches!(run.state, DrillState::Ended(_)));
    // A late event of a finished drill changes nothing.
    let late = Event::DrillProgress(Box::default());
    update(&mut model, NOW, late);
    assert_eq!(model.drills.run.unwrap().progress.step, Step::Fault);
}

#[test]
fn a_drill_is_stopped_from_any_screen_after_a_question() {
    for screen in ["7", "1"] {
        let mut model = on_drills();
        model.drills.run = Some(under_way());
        keys(&mut model, screen);
        assert_eq!(keys(&mut model, "x"), []);
        assert_eq!(keys(&mut model, "y"), [Effect::StopDrill]);
        assert!(model.drills.is_stopping());
        keys(&mut model, "x");
        assert!(model.dialog.is_none());
        assert_eq!(notice(&model), "the drill is stopping");
    }
}

#[test]
fn a_drill_and_a_rehearsal_never_run_together() {
    let mut model = on_drills();
    model.drills.run = Some(under_way());
    keys(&mut model, "s");
    assert!(notice(&model).contains("a drill is under way"));
    keys(&mut model, "1l");
    assert!(model.dialog.is_none() && notice(&model).contains("a drill is under way"));
    let mut model = on_drills();
    model.load.run = Some(running());
    keys(&mut model, "s");
    assert!(model.dialog.is_none() && notice(&model).contains("a rehearsal is under way"));
}

#[test]
fn a_drill_file_with_a_mistake_is_not_started_and_the_mistake_is_shown() {
    let mut model = on_drills();
    keys(&mut model, "jjjjjjs");
    assert!(model.dialog.is_none());
    assert!(
        notice(&model).contains("no such scenario"),
        "{}",
        notice(&model)
    );
    let mut none = on_drills();
    none.drills.take(vec![]);
    keys(&mut none, "jks\n\n");
    assert_eq!(notice(&none), "there is no drill to start");
}

#[test]
fn enter_opens_the_plan_and_enter_escape_or_another_choice_closes_it() {
    let mut model = on_drills();
    for leave in [KeyCode::Enter, KeyCode::Esc, KeyCode::Down] {
        press(&mut model, KeyCode::Enter);
        assert!(model.drills.plan);
        press(&mut model, leave);
        assert!(!model.drills.plan, "{leave:?}");
    }
}

#[test]
fn after_a_drill_the_list_is_read_again_and_the_choice_stays() {
    let mut model = on_drills();
    keys(&mut model, "jj");
    let mut other = list(true);
    other.remove(0);
    update(&mut model, NOW, Event::Drills(other));
    assert_eq!(model.drills.drill().unwrap().name, "quiet");
}

#[test]
fn quitting_warns_that_the_drill_ends() {
    let mut model = on_drills();
    model.drills.run = Some(under_way());
    assert_eq!(keys(&mut model, "q"), []);
    assert!(matches!(&model.dialog, Some(Dialog::Ask(question))
            if question.lines[0].contains("A drill is under way")));
    assert_eq!(keys(&mut model, "y"), [Effect::Quit]);
}

#[test]
fn a_drill_that_could_not_run_shows_the_reason_in_one_line() {
    let mut model = on_drills();
    keys(&mut model, "sy");
    let why = "the drill's server:\nno place for its data".to_owned();
    update(&mut model, NOW, Event::DrillEnded(Err(why)));
    let text = notice(&model);
    assert!(
        text.starts_with("drill errors could not run: the drill's server:"),
        "{text}"
    );
    assert!(!text.contains('\n'));
}

#[test]
fn read_only_neither_starts_nor_stops_a_drill_but_shows_its_plan() {
    let mut model = on_drills();
    model.settings.read_only = true;
    for key in ["s", "x", "!"] {
        assert_eq!(keys(&mut model, key), []);
        assert!(
            model.dialog.is_none() && notice(&model).starts_with("read-only"),
            "{key}"
        );
    }
    press(&mut model, KeyCode::Enter);
    assert!(model.drills.plan);
}

#[test]
fn the_player_of_a_blind_drill_acts_from_a_list_and_only_while_it_is_played() {
    use crate::drill::blind::Board;
    use crate::drill::blind::action::{Action, Mitigation};
    let mut model = on_drills();
    assert_eq!(keys(&mut model, "m"), []);
    assert!(model.dialog.is_none(), "no blind drill is played");
    let mut run = under_way();
    run.progress.blind = Some(Board {
        alerts: vec!["SlowStatements".to_owned()],
        ..Board::default()
    });
    model.drills.run = Some(run);
    let acknowledged = Action::Acknowledge("SlowStatements".to_owned());
    assert_eq!(
        keys(&mut model, "m\n"),
        [Effect::PlayDrill(acknowledged)],
        "the alerts stand first"
    );
    // Mitigations come last in the list.
    keys(&mut model, "m");
    press(&mut model, KeyCode::End);
    let effects = keys(&mut model, "\n");
    assert!(
        matches!(
            effects.as_slice(),
            [Effect::PlayDrill(Action::Mitigate(Mitigation::Clear(_)))]
        ),
        "{effects:?}"
    );
    // A new alert moves the list, but not the choice.
    keys(&mut model, "m");
    press(&mut model, KeyCode::Down);
    let alerts = ["ServerDown", "SlowStatements"].map(str::to_owned);
    let progress = &mut model.drills.run.as_mut().unwrap().progress;
    progress.blind.as_mut().unwrap().alerts = alerts.to_vec();
    let effects = keys(&mut model, "\n");
    assert!(
        matches!(effects.as_slice(), [Effect::PlayDrill(Action::Answer(_))]),
        "{effects:?}"
    );
    keys(&mut model, "m");
    model.drills.run = None;
    assert_eq!(keys(&mut model, "\n"), [], "the drill is over");
}
