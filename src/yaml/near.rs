//! The name that was meant, among those that there are.

/// `; did you mean …? There are …`.
#[must_use]
pub fn suggestion(given: &str, known: &[&str]) -> String {
    let mut names = known.to_vec();
    names.sort_by_key(|name| distance(name, given));
    let hint = match names.first() {
        None => return String::new(),
        Some(name) if distance(name, given) <= 2.max(given.len() / 3) => {
            format!("; did you mean `{name}`?")
        }
        Some(_) => ".".to_owned(),
    };
    names.sort_unstable();
    format!("{hint} There are {}", names.join(", "))
}

/// Edits that turn one name into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_all_are_listed() {
        let known = ["every", "batch"];
        assert_eq!(
            suggestion("evry", &known),
            "; did you mean `every`? There are batch, every"
        );
        assert_eq!(suggestion("zebra", &known), ". There are batch, every");
        assert_eq!(suggestion("x", &[]), "");
    }
}
