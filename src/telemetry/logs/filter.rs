//! The filter of the log: the operator's text, and the defaults for libraries.

use strsim::levenshtein;
use tracing_subscriber::EnvFilter;

/// Leaves out debug and info records of libraries. The operator's filter takes precedence.
const QUIET: &str = "hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,tower=warn,sqlx=warn,\
                     opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off,\
                     opentelemetry-http=off,opentelemetry-prometheus=warn,tonic=warn,\
                     mio=warn,rustls=warn";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks a filter such as `info` or `info,concertctl::store=debug`. The empty text is `info`.
///
/// `EnvFilter` reads a word that is not a level as a target, and then logs only that target: `warning` would silence
/// the program. So a target must have a level, or be a path such as `concertctl::store`.
///
/// # Errors
/// The text is not a filter. The message names the wrong part and the nearest level.
pub fn check(text: &str) -> Result<(), String> {
    for part in text.split(',').map(str::trim) {
        let (target, level) = match part.split_once('=') {
            // The fields of a span may contain anything.
            _ if part.contains(['[', ']', '{', '}']) => continue,
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None if part.is_empty() || part.contains("::") => continue,
            None => (None, part),
        };
        if is_level(level) || level.contains('=') {
            continue;
        }
        let hint = nearest(level).map(|level| format!("did you mean {level}? "));
        let hint = hint.unwrap_or_default();
        let levels = format!("{hint}The levels are {}", LEVELS.join(", "));
        return Err(match target {
            Some(target) => {
                format!("{level:?} in {part:?} is not a level of the target {target}: {levels}")
            }
            None => format!(
                "{level:?} is not a level: {levels}; a target needs one, such as hyper=debug"
            ),
        });
    }
    wanted(text).parse::<EnvFilter>().map(drop).map_err(|_| {
        format!(
            "{text:?} is not a filter: write a level ({}), or pairs such as info,concertctl::store=debug",
            LEVELS.join(", ")
        )
    })
}

/// Parses the filter and adds the defaults for libraries.
pub(super) fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    // The operator's filter is checked alone, so that an error quotes the operator's own text.
    check(text).map_err(|problem| anyhow::anyhow!("--log: {problem}"))?;
    let combined = format!("{QUIET},{}", wanted(text)).parse();
    combined
        .map_err(|error| anyhow::anyhow!("the log filter does not go with its defaults: {error}"))
}

/// Removes blanks, which `EnvFilter` would take for a part of a target.
fn wanted(text: &str) -> String {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    match parts.iter().all(|part| part.is_empty()) {
        true => "info".to_owned(),
        false => parts.join(","),
    }
}

/// Names and numbers of levels, as `EnvFilter` reads them.
fn is_level(text: &str) -> bool {
    text.is_empty() || text.parse::<tracing::level_filters::LevelFilter>().is_ok()
}

/// The level that the text probably means: one that the text begins with, or that begins with the text, else one with a
/// few letters changed.
fn nearest(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let related = |level: &&str| level.starts_with(&text) || text.starts_with(*level);
    let near = |level: &&str| levenshtein(level, &text) <= 2;
    let levels = LEVELS.into_iter();
    let related = levels.clone().find(related);
    related.or_else(|| {
        levels
            .filter(near)
            .min_by_key(|level| levenshtein(level, &text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_level_that_is_meant() {
        for (text, meant) in [
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("information", "info"),
            ("err", "error"),
            ("debugg", "debug"),
            ("ifno", "info"),
            ("info,warning", "warn"),
            ("warning, concertctl::store=debug", "warn"),
            ("concertctl::store=warning", "warn"),
            ("info,hyper=verbose", ""),
            ("verbose", ""),
            ("hyper", ""),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains("is not a level"), "{text}: {error}");
            assert!(
                error.contains("The levels are off, error, warn, info"),
                "{text}: {error}"
            );
            let hint = format!("did you mean {meant}?");
            assert_eq!(error.contains(&hint), !meant.is_empty(), "{text}: {error}");
            let error = filter(text).unwrap_err().to_string();
            assert!(error.starts_with("--log: "), "{error}");
        }
    }

    #[test]
    fn levels_targets_and_spans_are_filters() {
        for text in [
            "",
            " ",
            "off",
            "WARN",
            "3",
            "info,concertctl::store=debug",
            "concertctl::http",
            "hyper=debug",
            "[request]=debug",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
            assert!(filter(text).is_ok(), "{text:?}");
        }
    }
}
