//! The table of all screens.

/// Passes the table to the macro `$then`: each screen with its folder in `screens`, its title, and the question that
/// it answers. The position of a screen is its number and its key. The enum, the views and the keys are generated
/// from the table.
macro_rules! screens {
    ($then:ident) => {
        $then! {
            Overview overview "Overview" "Is the sale healthy?";
            Resources resources "Resources" "What runs short?";
            Logs logs "Logs" "What does the server say?";
            Traces traces "Traces" "Where did the time go?";
            Load load "Load" "Rehearse.";
            Alerts alerts "Alerts" "What is wrong?";
            Drills drills "Drills" "Does the response work?";
            Board board "Board" "A Grafana dashboard.";
        }
    };
}
pub(crate) use screens;

macro_rules! declare {
    ($($screen:ident $folder:ident $title:literal $answers:literal;)+) => {
        /// A screen. Its number is its key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Screen {
            $(#[doc = $answers] $screen,)+
        }

        impl Screen {
            /// All screens, in the order of their numbers.
            pub const ALL: &[Screen] = &[$(Screen::$screen,)+];

            /// Its name.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Screen::$screen => $title,)+
                }
            }
        }
    };
}
screens!(declare);

impl Default for Screen {
    fn default() -> Screen {
        Screen::ALL[0]
    }
}

impl Screen {
    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The screen with this number or name; case does not matter.
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
        assert_eq!(Screen::named("7"), Some(Screen::Drills));
        assert_eq!(Screen::named("9"), None);
    }

    #[test]
    fn every_number_is_one_key() {
        let numbers = Screen::ALL.iter().map(|screen| screen.number());
        assert!(numbers.eq(1..=8));
    }
}
