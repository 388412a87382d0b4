//! Steering a rehearsal, and changing admission.

use super::*;
use crate::load::Command;

fn on_load() -> Model {
    let mut model = console(Some("demo"), 0);
    model.screen = Screen::Load;
    model.load.run = Some(running());
    model
}

#[test]
fn a_rehearsal_is_steered_without_a_question_and_one_key_pauses_and_resumes() {
    let mut model = on_load();
    assert_eq!(keys(&mut model, " "), [Effect::Steer(Command::Pause)]);
    let paused = Progress {
        paused: true,
        pace: 0.8,
        ..Progress::default()
    };
    update(&mut model, NOW, Event::LoadProgress(Box::new(paused)));
    let run = model.load.run.as_ref().unwrap();
    assert_eq!(run.steered().as_deref(), Some("paused, ×0.8"));
    assert_eq!(keys(&mut model, " "), [Effect::Steer(Command::Resume)]);
    for (pressed, command) in [
        ("<", Command::Slower),
        (",", Command::Slower),
        (">", Command::Faster),
        (".", Command::Faster),
    ] {
        assert_eq!(
            keys(&mut model, pressed),
            [Effect::Steer(command)],
            "{pressed}"
        );
    }
    assert_eq!(
        keys(&mut model, "n"),
        [],
        "ending a phase asks, because it cannot be undone"
    );
    assert_eq!(keys(&mut model, "y"), [Effect::Steer(Command::Next)]);
}

#[test]
fn steering_without_a_rehearsal_is_refused_with_the_reason() {
    let mut model = on_load();
    for state in [RunState::Stopping, RunState::Failed("x".into())] {
        model.load.run.as_mut().unwrap().state = state;
        for key in [" ", "<", ">", "n"] {
            model.notice = None;
            assert_eq!(keys(&mut model, key), []);
            assert!(
                model.dialog.is_none() && !notice(&model).is_empty(),
                "{key}"
            );
        }
    }
    model.load.run = None;
    keys(&mut model, " ");
    assert!(notice(&model).contains("Enter launches"));
}

#[test]
fn the_pace_is_shown_only_if_it_differs_from_the_scenarios() {
    let steered = |pace| {
        let mut run = running();
        run.progress.pace = pace;
        run.steered()
    };
    assert_eq!([0.0, 1.0, 1.002].map(steered), [None, None, None]);
    let texts = [1.25, 1.5625, 16.0, 0.0625].map(steered);
    let wanted = ["×1.25", "×1.56", "×16", "×0.06"].map(|text| Some(text.to_owned()));
    assert_eq!(texts, wanted);
}

#[test]
fn admission_is_changed_after_a_question_that_shows_both_settings() {
    let mut model = console(Some("demo"), 0);
    assert_eq!(keys(&mut model, "b1,000\t5s\n"), []);
    let Some(Dialog::Ask(question)) = &model.dialog else {
        panic!("{:?}", model.dialog)
    };
    assert_eq!(question.lines[0], "500 every 15 s → 1,000 every 5 s.");
    assert_eq!(question.lines[1], "At most 2,000 → 12,000 people a minute.");
    let effects = keys(&mut model, "y");
    let [Effect::Admission(change, action)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    let wanted = AdmissionChange {
        batch: Some(1_000),
        every_ms: Some(5_000),
        ..AdmissionChange::default()
    };
    assert_eq!(*change, wanted);
    assert_eq!(action, "admission set to 1,000 every 5 s");
}

#[test]
fn an_empty_field_leaves_its_setting_unchanged() {
    let mut model = console(Some("demo"), 0);
    let effects = keys(&mut model, "b\t1m\ny");
    assert!(
        matches!(effects.as_slice(), [Effect::Admission(change, _)]
            if change.batch.is_none() && change.every_ms == Some(60_000)),
        "{effects:?}"
    );
}

#[test]
fn an_admission_out_of_bounds_is_refused_with_the_allowed_range() {
    for (typed, mistake, field) in [
        ("0\n", "1 to 1,000,000", 0),
        ("1000001\n", "1 to 1,000,000", 0),
        ("many\n", "1 to 1,000,000", 0),
        ("\t99ms\n", "100ms to 1h", 1),
        ("\t61m\n", "100ms to 1h", 1),
        ("\t15\n", "such as 15s", 1),
        ("\n", "nothing would change", 0),
        ("500\t15s\n", "nothing would change", 1),
    ] {
        let mut model = console(Some("demo"), 0);
        assert_eq!(keys(&mut model, &format!("b{typed}")), [], "{typed:?}");
        let Some(Dialog::Form(form)) = &model.dialog else {
            panic!("{typed:?}: {:?}", model.dialog)
        };
        let wrong = form.wrong.as_deref().unwrap_or_default();
        assert!(wrong.contains(mistake), "{typed:?}: {wrong}");
        assert_eq!(form.focus, field, "{typed:?}");
    }
}

#[test]
fn while_a_rehearsal_runs_the_question_states_that_its_end_restores_admission() {
    let mut model = on_load();
    keys(&mut model, "b700\n");
    assert!(matches!(&model.dialog, Some(Dialog::Ask(question))
            if question.lines[2].contains("puts the earlier setting back")));
}

#[test]
fn text_is_pasted_into_a_form() {
    let mut model = console(Some("demo"), 0);
    keys(&mut model, "b");
    update(&mut model, NOW, Event::Paste("70\n0".into()));
    keys(&mut model, "\n");
    assert!(
        matches!(&model.dialog, Some(Dialog::Ask(question))
            if question.lines[0].contains("→ 700 every")),
        "{:?}",
        model.dialog
    );
}

#[test]
fn the_progress_of_a_seeding_replaces_its_start_notice_but_not_a_failure() {
    let running = || {
        let seed = SeedProgress {
            phase: SeedPhase::Running,
            ..SeedProgress::default()
        };
        Event::Ops(Box::new((status(Some("demo"), 0), seed)))
    };
    for (result, stays) in [(Ok(()), false), (Err("refused".to_owned()), true)] {
        let mut model = console(Some("demo"), 0);
        let what = "seeding onsale: began".into();
        update(&mut model, NOW, Event::Done { what, result });
        update(&mut model, NOW, running());
        assert_eq!(model.notice.is_some(), stays);
    }
}

#[test]
fn the_last_points_of_a_long_rehearsal_are_kept() {
    let mut model = on_load();
    for n in 0..7_300 {
        let progress = Box::new(Progress::default());
        update(&mut model, NOW + n * 250, Event::LoadProgress(progress));
    }
    let run = model.load.run.as_ref().unwrap();
    assert_eq!(run.tps.len(), 7_200);
}
