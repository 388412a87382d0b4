//! Suggestions for a mistyped name.

use strsim::levenshtein;

/// `; did you mean …? There are …`, with the nearest of the known names, whatever their case.
#[must_use]
pub fn among(given: &str, known: &[&str]) -> String {
    let mut names = known.to_vec();
    let given = given.to_lowercase();
    let distance = |name: &str| levenshtein(&name.to_lowercase(), &given);
    names.sort_by_key(|name| distance(name));
    let hint = match names.first() {
        None => return String::new(),
        Some(name) if distance(name) <= 2.max(given.len() / 3) => {
            format!("; did you mean `{name}`?")
        }
        Some(_) => ".".to_owned(),
    };
    names.sort_unstable();
    format!("{hint} There are {}", names.join(", "))
}

/// `there is no such drill; did you mean …? There are …, or give the path of a file`.
#[must_use]
pub fn no_such(what: &str, given: &str, known: &[&str]) -> String {
    let near = among(given, known);
    format!("there is no such {what}{near}, or give the path of a file")
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
        assert_eq!(
            among("EVERY", &known),
            "; did you mean `every`? There are batch, every"
        );
        assert_eq!(among("zebra", &known), ". There are batch, every");
        assert_eq!(among("x", &[]), "");
        assert_eq!(
            no_such("setting", "evry", &known),
            "there is no such setting; did you mean `every`? There are batch, every, or give the path of a file"
        );
    }
}
