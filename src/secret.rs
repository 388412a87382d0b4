//! Secrets: tokens, and addresses that may hold a password. They have one type, so that no code shows one by accident.

use std::fmt;
use std::str::FromStr;

/// A text that must not be shown. `Display` and `Debug` show an address without its password, and `***` for
/// everything else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, without the white space around it (a token file usually ends in a newline).
    #[must_use]
    pub fn new(text: &str) -> Secret {
        Secret(text.trim().to_owned())
    }

    /// The text itself, for the wire only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    /// Accepts every text; the connection reports what is wrong with it. An error of the command line would quote the
    /// text, which may be a password in the wrong place.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Secret::new(text))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, url) in self.0.split(',').enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            // Parameters may also contain a password. The reader needs only the host.
            let url = url.split(['?', '#']).next().unwrap_or_default();
            let Some((scheme, rest)) = url.split_once("://") else {
                f.write_str("***")?;
                continue;
            };
            if matches!(scheme, "http" | "https") {
                // The path of a webhook is its password.
                let host = rest.split('/').next().unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                write!(f, "{scheme}://{host}")?;
                continue;
            }
            // Splits at the last @: a password may contain an unescaped one.
            match rest.rsplit_once('@') {
                None => write!(f, "{scheme}://{rest}")?,
                Some((who, host)) => match who.split_once(':') {
                    None => write!(f, "{scheme}://{who}@{host}")?,
                    Some((user, _)) => write!(f, "{scheme}://{user}:***@{host}")?,
                },
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        for (given, shown) in [
            (
                "postgres://u:secret@h:5432/db",
                "postgres://u:***@h:5432/db",
            ),
            ("postgres://u:se@cret@h/db", "postgres://u:***@h/db"),
            ("postgres://u@h/db?password=secret", "postgres://u@h/db"),
            (
                "redis://:secret@a:1,redis://:secret@b:2",
                "redis://:***@a:1,redis://:***@b:2",
            ),
            ("redis://h:6379/0", "redis://h:6379/0"),
            (
                "https://u:pw@hooks.example/services/secret",
                "https://hooks.example",
            ),
            ("hunter2", "***"),
        ] {
            let url: Secret = given.parse().expect(given);
            assert_eq!(
                (url.to_string(), format!("{url:?}")),
                (shown.to_owned(), shown.to_owned())
            );
            assert_eq!(url.expose(), given);
        }
    }
}
