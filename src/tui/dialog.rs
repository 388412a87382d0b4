//! What can stand in front of a screen and takes the keys: help, a question, a form, a record.

use super::event::Effect;
use super::format;
use super::forms::Form;
use super::load_port::OwnProfile;
use super::palette::Palette;

/// Something in front of the screen.
#[derive(Clone, Debug)]
pub(super) enum Dialog {
    /// The key map; how far it is scrolled.
    Help(u16),
    /// Which dataset, and is it meant?
    Seed(SeedDialog),
    /// Which rehearsal, and is it meant?
    Launch(LaunchDialog),
    /// An alert raised by hand.
    Raise(AlertForm),
    /// A question with yes or no.
    Ask(Question),
    /// All actions by name.
    Palette(Palette),
    /// A log record in full; how far it is scrolled.
    Record(u16),
    /// A span of a trace in full; how far it is scrolled.
    Span(u16),
    /// A few lines to fill in.
    Form(Form),
    /// What was done; how far it is scrolled.
    History(u16),
}

/// A dataset profile on offer.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) text: String,
    /// So large that its name has to be typed.
    pub(super) typed: bool,
    /// The profile itself, where a server does not know it by name.
    pub(super) yaml: Option<String>,
}

/// More seats than this take a while, and are not seeded by two keys.
const MANY_SEATS: u64 = 1_000_000;

/// The profiles that can be seeded: those that a server knows by name, then the user's own.
#[derive(Clone, Debug)]
pub(super) struct Profiles(Vec<Profile>);

impl Default for Profiles {
    fn default() -> Profiles {
        let known = |name: &str, text: &str, typed| Profile {
            name: name.to_owned(),
            text: text.to_owned(),
            typed,
            yaml: None,
        };
        Profiles(vec![
            known(
                "demo",
                "5 concerts, 10,000 seats, 2,000 users; a second",
                false,
            ),
            known(
                "onsale",
                "500 concerts, 10 million seats, 20,000 users; 30 seconds",
                true,
            ),
        ])
    }
}

impl Profiles {
    pub(super) fn with(own: Vec<OwnProfile>) -> Profiles {
        let mut profiles = Profiles::default();
        profiles.0.extend(own.into_iter().map(|own| Profile {
            text: format!(
                "your own: {} seats, {} users",
                format::count(own.seats),
                format::count(own.users)
            ),
            typed: own.seats > MANY_SEATS,
            yaml: Some(own.text),
            name: own.name,
        }));
        profiles
    }

    pub(super) fn all(&self) -> &[Profile] {
        &self.0
    }

    /// The one in that row; in the last, beyond it.
    pub(super) fn row(&self, at: usize) -> Option<&Profile> {
        self.0.get(at).or(self.0.last())
    }

    /// Whether a profile's name has to be typed before it is seeded.
    pub(super) fn needs_typing(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.name == name && known.typed)
    }
}

/// How far a question has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Choosing from the list.
    #[default]
    Choose,
    /// `y` is awaited.
    Confirm,
    /// The name is being typed.
    Type(String),
}

/// Seeding.
#[derive(Clone, Debug, Default)]
pub(super) struct SeedDialog {
    pub(super) chosen: usize,
    pub(super) stage: Stage,
}

/// Launching.
#[derive(Clone, Debug, Default)]
pub(super) struct LaunchDialog {
    /// Row of the list, as `Load::rows` has it.
    pub(super) chosen: usize,
    pub(super) stage: Stage,
}

/// What a launch does to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reseed {
    /// The dataset fits and is untouched.
    NotNeeded,
    /// The dataset fits, but holds an earlier run: a rehearsal begins on an unused one.
    Used,
    /// There is no dataset, or another one.
    Needed,
}

/// The fields of the form, in order.
pub(super) const FORM_FIELDS: usize = 3;
/// Severities to choose from, as alert rules name them.
pub(super) const SEVERITIES: &[&str] = &["critical", "warning", "info"];

/// An alert to raise.
#[derive(Clone, Debug)]
pub(super) struct AlertForm {
    pub(super) name: String,
    pub(super) severity: usize,
    pub(super) summary: String,
    /// 0 name, 1 severity, 2 summary.
    pub(super) focus: usize,
    /// What is wrong with it, said on the last try to send it.
    pub(super) wrong: Option<&'static str>,
}

impl Default for AlertForm {
    fn default() -> AlertForm {
        AlertForm {
            name: "OperatorAlert".into(),
            severity: 1,
            summary: String::new(),
            // The only field that has to be filled in.
            focus: FORM_FIELDS - 1,
            wrong: None,
        }
    }
}

/// A question with yes or no.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) title: &'static str,
    pub(super) lines: Vec<String>,
    /// What `y` does, in words.
    pub(super) yes: &'static str,
    pub(super) effects: Vec<Effect>,
}
