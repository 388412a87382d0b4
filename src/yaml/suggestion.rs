//! Suggestions for a mistyped name.

use strsim::levenshtein;

/// `; did you mean …? There are …`, the nearest of the known names first.
#[must_use]
pub fn among(given: &str, known: &[&str]) -> String {
    let mut names = known.to_vec();
    names.sort_by_key(|name| levenshtein(name, given));
    let hint = match names.first() {
        None => return String::new(),
        Some(name) if levenshtein(name, given) <= 2.max(given.len() / 3) => {
            format!("; did you mean `{name}`?")
        }
        Some(_) => ".".to_owned(),
    };
    names.sort_unstable();
    format!("{hint} There are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_all_are_listed() {
        let known = ["every", "batch"];
        assert_eq!(
            among("evry", &known),
            "; did you mean `every`? There are batch, every"
        );
        assert_eq!(among("zebra", &known), ". There are batch, every");
        assert_eq!(among("x", &[]), "");
    }
}
