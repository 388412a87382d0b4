//! Grafana's units, as far as dashboards of services use them.

use crate::tui::format;

/// A unit and its number of decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    id: String,
    decimals: Option<usize>,
}

/// Prefixes of units, a factor of 1000 or 1024 apart.
const PLAIN: &[&str] = &["", "k", "M", "G", "T", "P"];
const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi"];

impl Unit {
    /// The unit with Grafana's id; at most ten decimals.
    pub(crate) fn new(id: &str, decimals: Option<u64>) -> Unit {
        let decimals = decimals.map(|count| usize::try_from(count.min(10)).unwrap_or(0));
        Unit {
            id: id.to_owned(),
            decimals,
        }
    }

    /// The number and its unit, separately.
    pub(crate) fn show(&self, value: f64) -> (String, String) {
        if !value.is_finite() {
            return (format::not_finite(value), String::new());
        }
        let plain = |suffix: &str| (self.number(value), suffix.to_owned());
        let scaled = |factor: f64, steps, suffix| self.scaled(value * factor, steps, suffix);
        match self.id.as_str() {
            "percent" => self.percent(value),
            "percentunit" => self.percent(value * 100.0),
            "s" | "dtdurations" | "dthms" | "clocks" => self.time(value),
            "ms" | "dtdurationms" | "clockms" => self.time(value / 1e3),
            "µs" | "us" => self.time(value / 1e6),
            "ns" => self.time(value / 1e9),
            "m" => self.time(value * 60.0),
            "h" => self.time(value * 3_600.0),
            "d" => self.time(value * 86_400.0),
            "bytes" => scaled(1.0, BINARY, "B"),
            "kbytes" => scaled(1024.0, BINARY, "B"),
            "mbytes" => scaled(1024.0 * 1024.0, BINARY, "B"),
            "gbytes" => scaled(1024.0 * 1024.0 * 1024.0, BINARY, "B"),
            "tbytes" => scaled(1024_f64.powi(4), BINARY, "B"),
            "decbytes" => scaled(1.0, PLAIN, "B"),
            "deckbytes" => scaled(1e3, PLAIN, "B"),
            "decmbytes" => scaled(1e6, PLAIN, "B"),
            "decgbytes" => scaled(1e9, PLAIN, "B"),
            "dectbytes" => scaled(1e12, PLAIN, "B"),
            "bits" => scaled(1.0, BINARY, "b"),
            "decbits" => scaled(1.0, PLAIN, "b"),
            "Bps" => scaled(1.0, PLAIN, "B/s"),
            "binBps" => scaled(1.0, BINARY, "B/s"),
            "KBs" => scaled(1e3, PLAIN, "B/s"),
            "MBs" => scaled(1e6, PLAIN, "B/s"),
            "GBs" => scaled(1e9, PLAIN, "B/s"),
            "KiBs" => scaled(1024.0, BINARY, "B/s"),
            "MiBs" => scaled(1024.0 * 1024.0, BINARY, "B/s"),
            "GiBs" => scaled(1024.0 * 1024.0 * 1024.0, BINARY, "B/s"),
            "bps" => scaled(1.0, PLAIN, "b/s"),
            "Kbits" => scaled(1e3, PLAIN, "b/s"),
            "Mbits" => scaled(1e6, PLAIN, "b/s"),
            "Gbits" => scaled(1e9, PLAIN, "b/s"),
            "binbps" => scaled(1.0, BINARY, "b/s"),
            "reqps" | "cps" | "ops" | "rps" | "iops" | "pps" | "wps" | "eps" | "mps" => plain("/s"),
            "reqpm" | "opm" | "cpm" | "rpm" | "wpm" | "epm" => plain("/min"),
            "hertz" | "rothz" => scaled(1.0, PLAIN, "Hz"),
            "watt" => scaled(1.0, PLAIN, "W"),
            "volt" => scaled(1.0, PLAIN, "V"),
            "amp" => scaled(1.0, PLAIN, "A"),
            "joule" => scaled(1.0, PLAIN, "J"),
            "celsius" => plain("°C"),
            "fahrenheit" => plain("°F"),
            "humidity" => self.percent(value),
            "rotrpm" => plain("rpm"),
            "currencyUSD" => plain("$"),
            "currencyEUR" => plain("€"),
            "currencyGBP" => plain("£"),
            "currencyJPY" => plain("¥"),
            "short" | "" | "sishort" => plain(""),
            "none" | "string" => (self.in_full(value), String::new()),
            "locale" => (grouped(&self.in_full(value)), String::new()),
            "sci" => (self.scientific(value), String::new()),
            "hex" => (hexadecimal(value, ""), String::new()),
            "hex0x" => (hexadecimal(value, "0x"), String::new()),
            "bool" => either(value, ["false", "true"]),
            "bool_yes_no" => either(value, ["no", "yes"]),
            "bool_on_off" => either(value, ["off", "on"]),
            date if date.starts_with("dateTime") => (instant(value), String::new()),
            other => self.own(other, value),
        }
    }

    /// A custom unit: `suffix:seats`, or any word, which Grafana writes after the number.
    fn own(&self, id: &str, value: f64) -> (String, String) {
        let (kind, rest) = id.split_once(':').unwrap_or(("suffix", id));
        match kind {
            "si" => self.scaled(value, PLAIN, rest),
            "currency" if rest.chars().count() == 1 => (self.number(value), rest.to_owned()),
            "time" => (instant(value), String::new()),
            "bool" => either(value, ["false", "true"]),
            _ => (self.number(value), rest.trim().to_owned()),
        }
    }

    /// The number with its unit, short enough for the scale of a chart.
    pub(crate) fn tick(&self, value: f64) -> String {
        let (number, unit) = self.show(value);
        let number = number.strip_suffix(".0").unwrap_or(&number).to_owned();
        match unit.as_str() {
            "/s" | "/min" => number,
            _ => format!("{number}{}", unit.trim_end_matches("/s")),
        }
    }

    fn number(&self, value: f64) -> String {
        match self.decimals {
            Some(count) if value.abs() < 9_999.5 => grouped(&format!("{value:.count$}")),
            _ if value != 0.0 && value.abs() < 0.05 => significant(value),
            _ => format::short(value),
        }
    }

    /// The number with all its digits before the point and, without a wish for decimals, three significant ones.
    fn in_full(&self, value: f64) -> String {
        if let Some(count) = self.decimals {
            return format!("{value:.count$}");
        }
        if value.fract() == 0.0 {
            return format!("{value:.0}");
        }
        let (mut places, mut size) = (2, value.abs());
        while size >= 10.0 && places > 0 {
            (places, size) = (places - 1, size / 10.0);
        }
        while size < 1.0 && places < 10 {
            (places, size) = (places + 1, size * 10.0);
        }
        let text = format!("{value:.places$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }

    /// `1.25e+6`
    fn scientific(&self, value: f64) -> String {
        let text = match self.decimals {
            Some(count) => format!("{value:.count$e}"),
            None => {
                let exact = format!("{value:e}");
                match exact.len() > 10 {
                    true => format!("{value:.4e}"),
                    false => exact,
                }
            }
        };
        match text.contains("e-") {
            true => text,
            false => text.replace('e', "e+"),
        }
    }

    fn percent(&self, value: f64) -> (String, String) {
        let number = match self.decimals {
            Some(count) => format!("{value:.count$}"),
            None => format::percent(value),
        };
        (number, "%".into())
    }

    fn scaled(&self, value: f64, steps: &[&str], suffix: &str) -> (String, String) {
        let base = if steps.contains(&"Ki") {
            1024.0
        } else {
            1000.0
        };
        let (mut value, mut at) = (value, 0);
        while value.abs() >= base * 0.999_5 && at + 1 < steps.len() {
            value /= base;
            at += 1;
        }
        let number = match self.decimals {
            Some(count) => format!("{value:.count$}"),
            None if value == 0.0 || value.abs() >= 99.95 => format!("{value:.0}"),
            None => {
                let text = format!("{value:.1}");
                text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
            }
        };
        (number, format!("{}{suffix}", steps[at]))
    }

    /// Seconds in a readable unit, from microseconds to days.
    fn time(&self, seconds: f64) -> (String, String) {
        let size = seconds.abs();
        let (factor, unit) = match size {
            0.0 => (1.0, "s"),
            _ if size < 0.000_999_5 => (1e6, "us"),
            _ if size < 0.999_5 => (1e3, "ms"),
            _ if size < 120.0 => (1.0, "s"),
            _ if size < 7_200.0 => (1.0 / 60.0, "min"),
            _ if size < 172_800.0 => (1.0 / 3_600.0, "h"),
            _ => (1.0 / 86_400.0, "d"),
        };
        let value = seconds * factor;
        let number = match self.decimals {
            Some(count) => format!("{value:.count$}"),
            None if value.abs() >= 9.95 => format!("{value:.0}"),
            None => {
                let text = format!("{value:.2}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        };
        (number, unit.into())
    }
}

/// `1F4`
fn hexadecimal(value: f64, prefix: &str) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let digits = format::whole(value.abs());
    format!("{sign}{prefix}{digits:X}")
}

/// A two-state value as a word.
fn either(value: f64, [off, on]: [&str; 2]) -> (String, String) {
    let word = if value == 0.0 { off } else { on };
    (word.to_owned(), String::new())
}

/// Unix milliseconds as a date and a time, UTC.
fn instant(ms: f64) -> String {
    let ms = i64::try_from(format::whole(ms.max(0.0))).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "–".into(),
    }
}

/// `1284.50` as `1,284.50`.
fn grouped(number: &str) -> String {
    let mut end = number.find('.').unwrap_or(number.len());
    let first = usize::from(number.starts_with('-'));
    let mut grouped = number.to_owned();
    while end > first + 3 {
        end -= 3;
        grouped.insert(end, ',');
    }
    grouped
}

/// Two significant digits: `0.0042`.
fn significant(value: f64) -> String {
    let size = value.abs();
    if size < 1e-6 {
        return format!("{value:.0e}");
    }
    let mut places = 2;
    let mut least = 0.1;
    while size < least && places < 8 {
        places += 1;
        least /= 10.0;
    }
    let text = format!("{value:.places$}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(id: &str, value: f64) -> String {
        let (number, unit) = Unit::new(id, None).show(value);
        format!("{number} {unit}").trim_end().to_owned()
    }

    #[test]
    fn values_are_shown_in_a_readable_unit() {
        let cases = [
            ("percentunit", 0.0312, "3.1 %"),
            ("percent", 97.0, "97.0 %"),
            ("s", 0.0421, "42 ms"),
            ("s", 0.000_25, "250 us"),
            ("s", 0.0, "0 s"),
            ("s", 15.0, "15 s"),
            ("s", 5_400.0, "90 min"),
            ("ms", 1_500.0, "1.5 s"),
            ("bytes", 1536.0, "1.5 KiB"),
            ("bytes", 8_589_934_592.0, "8 GiB"),
            ("bps", 12_400_000.0, "12.4 Mb/s"),
            ("bps", -12_400_000.0, "-12.4 Mb/s"),
            ("Bps", 0.0, "0 B/s"),
            ("reqps", 1_284.0, "1,284 /s"),
            ("short", 0.0042, "0.0042"),
            ("suffix:seats", 7.0, "7 seats"),
            ("something new", 7.0, "7 something new"),
            ("decmbytes", 1_500.0, "1.5 GB"),
            ("KBs", 2_000.0, "2 MB/s"),
            ("celsius", 41.5, "42 °C"),
            ("si:req", 12_400.0, "12.4 kreq"),
            ("dateTimeAsIso", 1_780_315_200_000.0, "2026-06-01 12:00:00"),
            ("bool_on_off", 1.0, "on"),
            ("s", f64::NAN, "–"),
            ("s", f64::INFINITY, "∞"),
            ("short", f64::NEG_INFINITY, "-∞"),
            ("percentunit", f64::INFINITY, "∞"),
            ("short", 1_234_567.0, "1.23M"),
            ("none", 1_234_567.0, "1234567"),
            ("none", 0.123_456, "0.123"),
            ("none", -12.5, "-12.5"),
            ("string", 20_000.0, "20000"),
            ("locale", 1_234_567.0, "1,234,567"),
            ("sci", 1_250_000.0, "1.25e+6"),
            ("sci", 0.000_25, "2.5e-4"),
            ("sci", 0.0, "0e+0"),
            ("hex", 500.0, "1F4"),
            ("hex", -500.0, "-1F4"),
            ("hex0x", 1_234_567.0, "0x12D687"),
        ];
        for (id, value, wanted) in cases {
            assert_eq!(shown(id, value), wanted, "{id} {value}");
        }
    }

    #[test]
    fn decimals_are_kept_as_the_panel_asks() {
        let two = Unit::new("short", Some(2));
        assert_eq!(two.show(1.0).0, "1.00");
        assert_eq!(two.show(-1284.5).0, "-1,284.50");
        assert_eq!(Unit::new("reqps", Some(0)).show(12.6).0, "13");
        assert_eq!(
            Unit::new("short", Some(u64::MAX)).show(1.0).0,
            "1.0000000000"
        );
    }
}
