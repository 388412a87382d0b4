//! The console drawn from files alone, for the fuzz targets: no network, no terminal.

use std::sync::Arc;

use super::app::replayed;
use super::board::Board;
use super::dashboard::Dashboard;
use super::model::{Screen, Settings};
use super::tape::Tape;

/// The shortest recording: one line, from which a dashboard takes the time.
const EMPTY: &[u8] =
    b"{\"kind\":\"console recording\",\"version\":1,\"target\":\"a:1\",\"program\":\"0\"}\n\
    {\"t\":1780315200000,\"said\":\"tracesThere\"}\n";

/// A recording and a dashboard to draw.
#[derive(Debug)]
pub(crate) struct Preview {
    tape: Tape,
    dashboard: Option<Arc<Dashboard>>,
    screens: &'static [Screen],
}

impl Preview {
    /// A dashboard, with nothing heard from any source.
    pub(crate) fn of_dashboard(text: &str) -> Result<Preview, String> {
        let dashboard = Dashboard::read(text).map_err(|error| error.to_string())?;
        Ok(Preview {
            tape: parse(EMPTY)?,
            dashboard: Some(Arc::new(dashboard)),
            screens: &[Screen::Board],
        })
    }

    /// A recording, shown with the shipped dashboard.
    pub(crate) fn of_recording(bytes: &[u8]) -> Result<Preview, String> {
        Ok(Preview {
            tape: parse(bytes)?,
            dashboard: None,
            screens: Screen::ALL,
        })
    }

    /// Draws each screen, `size` columns by rows.
    pub(crate) fn draw(&self, size: (u16, u16)) {
        for screen in self.screens {
            let board = Board::of(self.dashboard.as_ref());
            replayed(Settings::default(), &self.tape, *screen, board, size);
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Tape, String> {
    Tape::parse(bytes).map_err(|(line, why)| format!("line {line}: {why}"))
}
