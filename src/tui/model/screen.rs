//! The screens that there are.

/// A screen. Its number is its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// Is the sale healthy?
    #[default]
    Overview,
    /// What runs short?
    Resources,
    /// What does the server say?
    Logs,
    /// Where did the time go?
    Traces,
    /// Rehearse.
    Load,
    /// What is wrong?
    Alerts,
    /// A Grafana dashboard.
    Board,
}

impl Screen {
    /// All screens, in the order of their numbers.
    pub const ALL: &[Screen] = &[
        Screen::Overview,
        Screen::Resources,
        Screen::Logs,
        Screen::Traces,
        Screen::Load,
        Screen::Alerts,
        Screen::Board,
    ];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Screen::Overview => 1,
            Screen::Resources => 2,
            Screen::Logs => 3,
            Screen::Traces => 4,
            Screen::Load => 5,
            Screen::Alerts => 6,
            Screen::Board => 7,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Screen::Overview => "Overview",
            Screen::Resources => "Resources",
            Screen::Logs => "Logs",
            Screen::Traces => "Traces",
            Screen::Load => "Load",
            Screen::Alerts => "Alerts",
            Screen::Board => "Board",
        }
    }

    /// The screen of that number or name, in any case.
    #[must_use]
    pub fn named(text: &str) -> Option<Screen> {
        let of = |screen: &&Screen| {
            screen.title().eq_ignore_ascii_case(text) || screen.number().to_string() == text
        };
        Self::ALL.iter().find(of).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_are_found_by_number_and_name() {
        assert_eq!(Screen::named("3"), Some(Screen::Logs));
        assert_eq!(Screen::named("alerts"), Some(Screen::Alerts));
        assert_eq!(Screen::named("7"), Some(Screen::Board));
        assert_eq!(Screen::named("8"), None);
    }

    #[test]
    fn the_numbers_have_no_hole() {
        let numbers = Screen::ALL.iter().map(|screen| screen.number());
        assert!(numbers.eq(1..=7));
    }
}
