//! The dialogs: an open dialog covers a part of the screen and gets all keys.

pub(crate) mod answer;
pub(crate) mod draw;
pub(crate) mod keys;
pub(crate) mod question;

use crate::drill::blind::action::Action;
use crate::tui::event::ProfileFile;
use crate::tui::input::dialog::question::Question;
use crate::tui::input::faults::FaultsDialog;
use crate::tui::input::forms::Form;
use crate::tui::input::line::Input;
use crate::tui::input::palette::Palette;

#[derive(Clone, Debug)]
pub(crate) enum Dialog {
    /// The key map, with the scroll position.
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
    /// A log record in full, with the scroll position.
    Record(u16),
    /// A span of a trace in full, with the scroll position.
    Span(u16),
    /// A few lines to fill in.
    Form(Form),
    /// The faults of the server.
    Faults(FaultsDialog),
    /// The actions of a blind drill's player, with the marked one. It holds the action and not its position, because
    /// positions change when an alert begins or ends.
    Play(Action),
    /// The audit log, with the scroll position.
    History(u16),
}

/// A dataset profile of the list.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// The profile is large, so that the user must type its name to confirm.
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

/// Returns whether the user must type the profile's name before it is seeded.
pub(crate) fn needs_typing(profile: &str) -> bool {
    PROFILES
        .iter()
        .any(|known| known.name == profile && known.typed)
}

/// The step of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The user chooses from the list, whose last line is a file.
    #[default]
    Choose,
    /// The user types the path of a file, or the file is being read.
    Path(PathField),
    /// The user chooses all phases (0) or one of them.
    Phase(usize),
    /// The dialog waits for `y`.
    Confirm,
    /// The user types the name.
    Type(Input),
}

/// The path of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathField {
    pub(crate) path: Input,
    /// The file is being read.
    pub(crate) reading: bool,
    /// The reason why the file cannot be used.
    pub(crate) wrong: Option<String>,
}

/// Seeding.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeedDialog {
    /// Index into [`PROFILES`]; the index after the last one is the file.
    pub(crate) chosen: usize,
    /// The file that was read.
    pub(crate) file: Option<ProfileFile>,
    pub(crate) stage: Stage,
}

impl SeedDialog {
    /// The chosen profile; `None` if a file is chosen.
    pub(crate) fn profile(&self) -> Option<&'static Profile> {
        PROFILES.get(self.chosen)
    }
}

/// Launching.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaunchDialog {
    /// Index of the scenario; the index after the last one is the file.
    pub(crate) chosen: usize,
    /// The index of the only phase to run; `None` for all phases.
    pub(crate) phase: Option<usize>,
    pub(crate) stage: Stage,
}

/// The effect of a launch on the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reseed {
    /// The right dataset is active and unused.
    NotNeeded,
    /// The right dataset is active but holds an earlier run. A rehearsal needs an unused one.
    Used,
    /// No dataset is active, or another one.
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
    /// The mistake that the last attempt to send the form found.
    pub(crate) wrong: Option<&'static str>,
}

impl Default for AlertForm {
    fn default() -> AlertForm {
        AlertForm {
            name: "OperatorAlert".into(),
            severity: 1,
            summary: Input::default(),
            // The summary is the only required field.
            focus: FORM_FIELDS - 1,
            wrong: None,
        }
    }
}
