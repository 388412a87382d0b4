//! The panels of the Board that are visible, chosen, folded and queried.

use std::collections::BTreeMap;

use super::*;
use crate::clients::prometheus::{Labels, Series};
use crate::tui::dashboard::Cell;

const BODY: (u16, u16) = (80, 20);
const TIMES: Times = Times {
    step_ms: 2_000,
    span_ms: 300_000,
    end_ms: 1_780_315_200_000,
};

fn choose_each(board: &mut Board, size: (u16, u16)) -> usize {
    let mut steps = 0;
    loop {
        let view = board.view(size);
        let whole = |shelf: &Shelf| {
            let holds = |cell: &Cell| cell.panel == board.chosen;
            shelf.cells.iter().any(holds) && u32::from(shelf.height) + shelf.y <= u32::from(size.1)
        };
        assert!(
            view.shelves.iter().any(whole),
            "panel {}: {view:?}",
            board.chosen
        );
        let before = board.chosen;
        board.move_by(1);
        steps += 1;
        if board.chosen == before {
            return steps;
        }
    }
}

#[test]
fn a_chosen_panel_is_visible() {
    for size in [BODY, (120, 36), (200, 56), (80, 8)] {
        let mut board = Board::default();
        let steps = choose_each(&mut board, size);
        assert_eq!(
            steps,
            board.dashboard.panels.len() - 1,
            "all but the heading before it"
        );
    }
}

#[test]
fn only_visible_panels_are_queried() {
    let mut board = Board::default();
    let answers = Answers::default();
    let asked = |board: &Board| board.queries(&answers, TIMES, BODY);
    let some = asked(&board);
    assert!((7..20).contains(&some.len()), "{some:?}");
    assert!(
        some.iter()
            .any(|query| query.contains("concert_queue_waiting"))
    );
    assert!(board.log_queries(&answers, TIMES, BODY).is_empty());
    board.open();
    assert_eq!(
        asked(&board).len(),
        3,
        "the enlarged panel's and the two variables'"
    );
    board.open();
    board.move_by(isize::MAX);
    let logs = board.log_queries(&answers, TIMES, BODY);
    assert!(
        !asked(&board)
            .iter()
            .any(|query| query.contains("concert_queue_waiting"))
    );
    assert_eq!(logs.len(), 1, "{logs:?}");
}

#[test]
fn a_row_folds_and_unfolds_its_panels() {
    let mut board = Board::default();
    let all = board.listed().len();
    board.next_section(false);
    board.move_by(isize::MIN);
    assert!(board.is_row(board.chosen));
    board.open();
    assert_eq!(board.listed().len(), all - board.members(0));
    board.move_by(1);
    assert!(board.is_row(board.chosen), "folded panels are skipped");
    board.move_by(-1);
    board.open();
    assert_eq!(board.listed().len(), all);
    assert!(!board.enlarged);
}

#[test]
fn a_folded_row_inside_a_folded_row_shows_its_panels_when_both_are_open() {
    let text = r#"{ "panels": [
        { "type": "row", "title": "outer", "collapsed": true, "panels": [
            { "type": "stat", "title": "of outer", "targets": [{ "expr": "a" }], "gridPos": { "y": 1 } },
            { "type": "row", "title": "inner", "collapsed": true, "gridPos": { "y": 9 }, "panels": [
                { "type": "stat", "title": "of inner", "targets": [{ "expr": "b" }] },
                { "type": "stat", "title": "of inner too", "targets": [{ "expr": "c" }] }
            ] }
        ] },
        { "type": "stat", "title": "after", "targets": [{ "expr": "d" }], "gridPos": { "y": 20 } }
    ] }"#;
    let mut board = Board::new(Arc::new(Dashboard::read(text).unwrap()));
    assert_eq!(board.listed(), [0, 5]);
    assert_eq!((board.members(0), board.members(2)), (3, 2));
    board.chosen = 0;
    board.open();
    assert_eq!(
        board.listed(),
        [0, 1, 2, 5],
        "the inner row is still folded"
    );
    board.chosen = 2;
    board.open();
    assert_eq!(board.listed(), [0, 1, 2, 3, 4, 5]);
    board.chosen = 0;
    board.open();
    assert_eq!(board.listed(), [0, 5], "the outer row hides the inner one");
}

#[test]
fn an_empty_dashboard_has_nothing_to_choose() {
    let mut board = Board::new(Arc::new(Dashboard::default()));
    board.open();
    board.move_by(1);
    board.next_section(true);
    assert!(!board.pick(&Answers::default(), TIMES));
    assert!(!board.enlarged && board.view(BODY) == View::default());
}

#[test]
fn choice_and_folded_rows_stay_when_panels_are_repeated_again() {
    let text = r#"{
        "templating": { "list": [{ "name": "v", "type": "query", "query": "label_values(up, v)",
            "includeAll": true }] },
        "panels": [
            { "type": "row", "title": "Row $v", "repeat": "v", "gridPos": { "y": 0 } },
            { "type": "stat", "title": "inside", "targets": [{ "expr": "up{v=\"$v\"}" }], "gridPos": { "y": 1 } },
            { "type": "row", "title": "Last", "gridPos": { "y": 9 } }
        ] }"#;
    let mut board = Board::new(Arc::new(Dashboard::read(text).unwrap()));
    let answered = |values: &[&str]| {
        let mut answers = Answers::default();
        let query = Query::from("group by (v) (up)");
        let wanted = BTreeSet::from([Query::clone(&query)]);
        let of = |value: &&str| Series {
            labels: Labels::from([("v".to_owned(), (*value).to_owned())]),
            points: vec![(1, 1.0)],
        };
        let series = values.iter().map(of).collect();
        answers.apply_now(&wanted, &BTreeMap::from([(query, Ok(series))]), 1, (1, 0));
        answers
    };
    let titles = |board: &Board, answers: &Answers| -> Vec<String> {
        let scope = board.scope(answers, TIMES);
        let panels = board.dashboard.panels.iter();
        panels.map(|panel| panel.heading(&scope)).collect()
    };
    let two = answered(&["b", "c"]);
    board.repeat(&two, TIMES);
    assert_eq!(
        titles(&board, &two),
        ["Row b", "inside", "Row c", "inside", "Last"]
    );
    board.chosen = 2;
    board.open();
    board.move_by(1);
    assert_eq!((board.chosen, board.listed()), (4, vec![0, 1, 2, 4]));
    let three = answered(&["a", "b", "c"]);
    board.repeat(&three, TIMES);
    assert_eq!(board.chosen, 6, "still the last row");
    assert_eq!(board.listed(), [0, 1, 2, 3, 4, 6], "still folded");
    let asked = board.queries(&three, TIMES, BODY);
    assert!(asked.contains("up{v=\"a\"}"), "{asked:?}");
}
