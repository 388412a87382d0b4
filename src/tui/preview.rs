//! Draws the console from files alone, for the fuzz targets: without network and terminal.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clients::prometheus::{Labels, Series};
use crate::tui::app::{as_text, replayed};
use crate::tui::dashboard::Dashboard;
use crate::tui::event::Event;
use crate::tui::model::{Model, Screen, Settings};
use crate::tui::recording::format::Recording;
use crate::tui::screens::board::Board;
use crate::tui::update::update;

/// The shortest recording: its only line gives the time for a dashboard.
const EMPTY: &[u8] =
    b"{\"kind\":\"console recording\",\"version\":1,\"target\":\"a:1\",\"program\":\"0\"}\n\
    {\"t\":1780315200000,\"said\":\"tracesThere\"}\n";

/// The number of panels that are also drawn enlarged.
const ENLARGED: usize = 12;

/// A recording and a dashboard to draw.
#[derive(Debug)]
pub(crate) struct Preview {
    recording: Recording,
    dashboard: Option<Arc<Dashboard>>,
    screens: &'static [Screen],
}

impl Preview {
    /// A dashboard, which is drawn without any answer and with answers to all its queries.
    pub(crate) fn of_dashboard(text: &str) -> Result<Preview, String> {
        let dashboard = Dashboard::read(text).map_err(|error| error.to_string())?;
        Ok(Preview {
            recording: parse(EMPTY)?,
            dashboard: Some(Arc::new(dashboard)),
            screens: &[Screen::Board],
        })
    }

    /// A recording, which is drawn with the shipped dashboard.
    pub(crate) fn of_recording(bytes: &[u8]) -> Result<Preview, String> {
        Ok(Preview {
            recording: parse(bytes)?,
            dashboard: None,
            screens: Screen::ALL,
        })
    }

    /// Draws each screen, `size` columns by rows.
    pub(crate) fn draw(&self, size: (u16, u16)) {
        for screen in self.screens {
            let board = Board::of(self.dashboard.as_ref());
            let settings = Settings {
                once: true,
                ..Settings::default()
            };
            let model = Model {
                settings,
                screen: *screen,
                board,
                size,
                ..Model::default()
            };
            replayed(model, &self.recording);
        }
        if let Some(dashboard) = &self.dashboard {
            answered(dashboard, size);
        }
    }
}

/// The time of the answers, in Unix milliseconds.
const NOW: i64 = 1_780_315_200_000;
/// The number of rounds of queries. A query may depend on earlier answers: a variable may refer to another one.
const ROUNDS: i64 = 4;

/// Series for any query, with the labels that dashboards group by and extreme values. `odd`: without labels.
fn series(odd: bool) -> Vec<Series> {
    let values = [0.0, 0.25, 97.0, -3.0, 1e12];
    let numbered = (0..6_i64).zip(values.iter().cycle());
    let one = |(n, value): (i64, &f64)| Series {
        labels: ["instance", "job", "namespace", "le", "label"]
            .iter()
            .map(|label| ((*label).to_owned(), n.to_string()))
            .collect::<Labels>(),
        points: (0..20)
            .map(|at| (NOW - (20 - at) * 2_000, *value * at as f64))
            .collect(),
    };
    let mut all: Vec<Series> = numbered.map(one).collect();
    if odd {
        all.iter_mut().for_each(|one| one.labels.clear());
    }
    all
}

/// Answers the queries of the board, and then the queries that depend on the answers.
fn answer(model: &mut Model) {
    for round in 0..ROUNDS {
        let queries = model.board_queries();
        let answers: BTreeMap<_, _> = queries
            .into_iter()
            .map(|query| {
                let odd = query.len() % 5 == 0;
                (query, Ok(series(odd)))
            })
            .collect();
        let event = Event::Metrics {
            at: NOW + round,
            now: answers.clone(),
            past: Some(answers),
        };
        update(model, NOW + round, event);
    }
}

/// Draws the board with answers to all its queries: its beginning, its end, and panels enlarged.
fn answered(dashboard: &Arc<Dashboard>, size: (u16, u16)) {
    let mut model = Model {
        screen: Screen::Board,
        board: Board::of(Some(dashboard)),
        size,
        now: NOW,
        ..Model::default()
    };
    answer(&mut model);
    as_text(&model, size);
    for _ in 0..ENLARGED {
        model.board.enlarged = !model.board.is_row(model.board.chosen);
        answer(&mut model);
        as_text(&model, size);
        model.board.pick(&model.answers, model.times());
        model.board.move_by(1);
    }
    model.board.enlarged = false;
    model.board.move_by(isize::MAX);
    as_text(&model, size);
}

fn parse(bytes: &[u8]) -> Result<Recording, String> {
    Recording::parse(bytes).map_err(|(line, why)| format!("line {line}: {why}"))
}
