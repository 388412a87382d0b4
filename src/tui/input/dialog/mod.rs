//! The dialogs: they stand in front of a screen and take the keys.

pub(crate) mod answer;
pub(crate) mod draw;
pub(crate) mod keys;

use crate::tui::event::{Effect, ProfileFile};
use crate::tui::input::faults::FaultsDialog;
use crate::tui::input::forms::Form;
use crate::tui::input::line::Input;
use crate::tui::input::palette::Palette;
use crate::tui::input::play::PlayDialog;

#[derive(Clone, Debug)]
pub(crate) enum Dialog {
    /// The key map; the scroll position.
    Help(u16),
    /// Choose a dataset and confirm.
    Seed(SeedDialog),
    /// Choose a rehearsal and confirm.
    Launch(LaunchDialog),
    /// An alert raised by hand.
    Raise(AlertForm),
    /// A question with yes or no.
    Ask(Question),
    /// All actions by name.
    Palette(Palette),
    /// A log record in full; the scroll position.
    Record(u16),
    /// A span of a trace in full; the scroll position.
    Span(u16),
    /// A few lines to fill in.
    Form(Form),
    /// The faults of the server.
    Faults(FaultsDialog),
    /// What the player of a blind drill can do.
    Play(PlayDialog),
    /// The audit log; the scroll position.
    History(u16),
}

/// A dataset profile on offer.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// Large: its name has to be typed as a confirmation.
    pub(crate) typed: bool,
}

/// The profiles that a server knows by name.
pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        name: "demo",
        text: "5 concerts, 10,000 seats, 2,000 users; a second",
        typed: false,
    },
    Profile {
        name: "onsale",
        text: "500 concerts, 10 million seats, 20,000 users; 30 seconds",
        typed: true,
    },
];

/// Whether a profile's name has to be typed before it is seeded.
pub(crate) fn needs_typing(profile: &str) -> bool {
    PROFILES
        .iter()
        .any(|known| known.name == profile && known.typed)
}

/// The step of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Choosing from the list, whose last line is a file.
    #[default]
    Choose,
    /// The path of a file is being typed, or the file is being read.
    Path(PathField),
    /// Choosing from all phases (0) and each alone.
    Phase(usize),
    /// `y` is awaited.
    Confirm,
    /// The name is being typed.
    Type(Input),
}

/// The path of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathField {
    pub(crate) path: Input,
    /// It is being read.
    pub(crate) reading: bool,
    /// The reason why the file cannot be used.
    pub(crate) wrong: Option<String>,
}

/// Seeding.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeedDialog {
    /// Index into [`PROFILES`]; behind them the file.
    pub(crate) chosen: usize,
    /// The file that was read.
    pub(crate) file: Option<ProfileFile>,
    pub(crate) stage: Stage,
}

impl SeedDialog {
    /// The chosen profile, unless it is a file.
    pub(crate) fn profile(&self) -> Option<&'static Profile> {
        PROFILES.get(self.chosen)
    }
}

/// Launching.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaunchDialog {
    /// Index of the scenario; behind them the file.
    pub(crate) chosen: usize,
    /// One phase alone, as an index; absent: all of them.
    pub(crate) phase: Option<usize>,
    pub(crate) stage: Stage,
}

/// What a launch does to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reseed {
    /// The dataset fits and is untouched.
    NotNeeded,
    /// The dataset fits, but holds an earlier run: a rehearsal begins on an unused one.
    Used,
    /// There is no dataset, or another one.
    Needed,
}

/// The fields of the form, in order.
pub(crate) const FORM_FIELDS: usize = 3;
/// Severities to choose from, as alert rules name them.
pub(crate) const SEVERITIES: &[&str] = &["critical", "warning", "info"];

/// An alert to raise.
#[derive(Clone, Debug)]
pub(crate) struct AlertForm {
    pub(crate) name: Input,
    pub(crate) severity: usize,
    pub(crate) summary: Input,
    /// 0 name, 1 severity, 2 summary.
    pub(crate) focus: usize,
    /// The problem that the last try to send it found.
    pub(crate) wrong: Option<&'static str>,
}

impl Default for AlertForm {
    fn default() -> AlertForm {
        AlertForm {
            name: "OperatorAlert".into(),
            severity: 1,
            summary: Input::default(),
            // The only field that has to be filled in.
            focus: FORM_FIELDS - 1,
            wrong: None,
        }
    }
}

/// A question with yes or no.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<String>,
    /// What `y` does, in words.
    pub(crate) yes: &'static str,
    pub(crate) effects: Vec<Effect>,
}
