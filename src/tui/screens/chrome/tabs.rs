//! The tabs of the first line. On a narrow terminal their names are cut, but all tabs stay.

use crate::cells;
use crate::tui::model::Screen;

/// The name before the tabs.
pub(crate) const NAME: &str = " concertctl ";
/// The fewest letters of a tab that are still readable.
const LEAST: usize = 2;

/// The columns before the tabs, and the text of each tab with the chosen one in full. The name before the tabs is
/// shortened first, unless it has a notice that must be visible.
pub(crate) fn tabs(chosen: Screen, room: usize, named: bool) -> (usize, Vec<(Screen, String)>) {
    let before = NAME.len() + 1;
    let cut_to = |longest: usize, before: &str| -> Vec<(Screen, String)> {
        let tab = |screen: &Screen| {
            let longest = if *screen == chosen {
                usize::MAX
            } else {
                longest
            };
            let title = cells::head(screen.title(), longest);
            (*screen, format!("{before}{} {title} ", screen.number()))
        };
        Screen::ALL.iter().map(tab).collect()
    };
    let width = |tabs: &[(Screen, String)]| tabs.iter().map(|(_, tab)| tab.len()).sum::<usize>();
    let whole = cut_to(usize::MAX, " ");
    if width(&whole) + before <= room {
        return (before, whole);
    }
    let before = if named { before } else { 0 };
    // Give up the blanks before the letters of the names.
    let mut longest = 12;
    let mut tabs = whole;
    while width(&tabs) + before > room && longest > LEAST {
        longest -= 1;
        tabs = cut_to(longest, "");
    }
    (before, tabs)
}

/// The screen whose tab is at column `x`.
pub(crate) fn tab_at(chosen: Screen, room: usize, named: bool, x: u16) -> Option<Screen> {
    let (mut left, tabs) = tabs(chosen, room, named);
    let mut here = tabs.into_iter().filter(|(_, tab)| {
        let within = (left..left + tab.len()).contains(&usize::from(x));
        left += tab.len();
        within
    });
    here.next().map(|(screen, _)| screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tab_is_visible_at_any_width_and_clickable_where_it_is_drawn() {
        for chosen in Screen::ALL {
            for (room, named) in [
                (68, false),
                (71, false),
                (71, true),
                (106, false),
                (186, true),
            ] {
                let (mut x, tabs) = tabs(*chosen, room, named);
                assert!(!named || x > 0);
                for (screen, tab) in &tabs {
                    assert!(*screen != *chosen || tab.contains(chosen.title()));
                    let at = |x: usize| tab_at(*chosen, room, named, x as u16);
                    let ends = (at(x), at(x + tab.len() - 1));
                    assert_eq!(ends, (Some(*screen), Some(*screen)));
                    x += tab.len();
                }
                assert!(x <= room, "{room}: {tabs:?}");
                assert_eq!(tab_at(*chosen, room, named, x as u16), None);
            }
        }
    }
}
