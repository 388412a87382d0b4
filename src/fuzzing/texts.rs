//! Fuzz target `texts`: the parsers of small texts: durations, pauses, sizes, addresses, Redis's `INFO`.

use std::time::Duration;

use crate::alerting::Address;
use crate::clients::{HttpSource, without_password};
use crate::coordination::read_replies;
use crate::embedded::loki;
use crate::embedded::prometheus::promql;
use crate::load::scenario::{Pause, Time};
use crate::secret::Secret;

use super::inputs::text;

/// Gives the same input to every small parser.
pub(super) fn run(data: &[u8]) {
    let text = text(data);
    if let Ok(time) = text.parse::<Time>() {
        assert!(
            time.0 <= Duration::from_secs(24 * 3600),
            "longer than allowed"
        );
        again(&time);
    }
    if let Ok(pause) = text.parse::<Pause>() {
        again(&pause);
    }
    if let Some(ns) = loki::parse_duration(text) {
        assert!(ns >= 0, "{text:?} is negative");
    }
    let _ = promql::parse_duration(text);
    if let Ok(address) = Address::parse(text) {
        let shown = address.to_string();
        assert!(!shown.contains('@'), "{shown} shows a password");
    }
    read_replies(text, data);
    secrets(text);
}

/// A value that is written must be the same after it is read back.
#[track_caller]
fn again<T>(value: &T)
where
    T: std::fmt::Display + std::fmt::Debug + PartialEq + std::str::FromStr<Err = String>,
{
    let written = value.to_string();
    let read = written.parse::<T>();
    let read = read.unwrap_or_else(|error| panic!("{value:?} is written {written}: {error}"));
    assert_eq!(*value, read, "written {written}");
}

/// No message may show a password, wherever the address is wrong.
fn secrets(text: &str) {
    const PASSWORD: &str = "hush5ecret";
    let user = |c: char| !c.is_whitespace() && !"@/?#,".contains(c);
    let rest: String = text.chars().filter(|c| user(*c)).collect();
    // The fuzzer learns the word from the comparisons below, and writes it with a line end in it.
    if rest.contains(PASSWORD) {
        return;
    }
    for scheme in ["http", "postgres", "redis"] {
        let url = format!("{scheme}://me:{PASSWORD}@{rest}");
        let shown = without_password(&url);
        assert!(!shown.contains(PASSWORD), "{shown}");
        let Ok(secret) = url.parse::<Secret>();
        assert!(!secret.to_string().contains(PASSWORD), "{secret}");
        if let Err(error) = HttpSource::new(&url) {
            assert!(!error.to_string().contains(PASSWORD), "{error}");
        }
    }
}
