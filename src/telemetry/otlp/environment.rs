//! The values of OpenTelemetry's environment variables, and warnings about values without effect.
//!
//! As the specification requires, an unusable value is reported and the default applies:
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::resource::decode;
use super::{Otlp, Signal, set};

/// The allowed pauses between two pushes of metrics, in milliseconds. A shorter one would keep the process busy.
const INTERVALS: RangeInclusive<u64> = 100..=3_600_000;
/// The allowed time-outs for a collector's answer, in milliseconds.
const TIMEOUTS: RangeInclusive<u64> = 1..=3_600_000;

/// The specification's default of one minute is longer than many rehearsals.
const INTERVAL: Duration = Duration::from_secs(5);
/// Shorter than the specification's 10 s, so that the last push does not delay the end of the process.
const TIMEOUT: Duration = Duration::from_secs(3);

const INTERVAL_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TIMEOUT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const DISABLED_VARIABLE: &str = "OTEL_SDK_DISABLED";
const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The duration that applies, and the reason why the environment's value does not.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    value: Duration,
    warning: Option<String>,
}

/// Reads `variable` with the value `given` in whole milliseconds.
fn milliseconds(
    variable: &str,
    given: Option<&str>,
    bounds: &RangeInclusive<u64>,
    default: Duration,
) -> Setting {
    let Some(text) = given else {
        return Setting {
            value: default,
            warning: None,
        };
    };
    let parsed = text.trim().parse().ok();
    match parsed.filter(|millis| bounds.contains(millis)) {
        Some(millis) => Setting {
            value: Duration::from_millis(millis),
            warning: None,
        },
        None => Setting {
            value: default,
            warning: Some(format!(
                "{variable} is {:?}, which must be a whole number of milliseconds from {} to {}: \
                 the default of {} ms is used",
                text.chars().take(40).collect::<String>(),
                bounds.start(),
                bounds.end(),
                default.as_millis(),
            )),
        },
    }
}

fn interval() -> Setting {
    let given = set(INTERVAL_VARIABLE);
    milliseconds(INTERVAL_VARIABLE, given.as_deref(), &INTERVALS, INTERVAL)
}

/// The value of the signal's own variable, or of the variable for all signals.
fn timeout(signal: Signal) -> Setting {
    let own = signal.variable("TIMEOUT");
    let (variable, given) = match set(&own) {
        Some(given) => (own.as_str(), Some(given)),
        None => (TIMEOUT_VARIABLE, set(TIMEOUT_VARIABLE)),
    };
    milliseconds(variable, given.as_deref(), &TIMEOUTS, TIMEOUT)
}

/// The pause between two pushes of metrics.
pub(super) fn push_interval() -> Duration {
    interval().value
}

/// The time-out for the collector's answer to a push of `signal`.
pub(super) fn push_timeout(signal: Signal) -> Duration {
    timeout(signal).value
}

/// Returns whether the environment disables all pushes.
pub(super) fn is_disabled() -> bool {
    set(DISABLED_VARIABLE).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A warning about a value that is neither true nor false. The specification counts it as false.
fn not_disabled(given: Option<&str>) -> Option<String> {
    let value = given?;
    let known = ["true", "false"];
    let is_known = known.iter().any(|it| value.eq_ignore_ascii_case(it));
    (!is_known).then(|| {
        let value: String = value.chars().take(40).collect();
        format!("{DISABLED_VARIABLE} is {value:?}, which must be true or false: false is used")
    })
}

impl Otlp {
    /// A warning for each environment variable with an unusable value.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let timeouts = Signal::ALL.map(timeout);
        let mut warnings: Vec<String> = std::iter::once(interval())
            .chain(timeouts)
            .filter_map(|setting| setting.warning)
            .chain(not_disabled(set(DISABLED_VARIABLE).as_deref()))
            .chain(super::resource::warning())
            .chain(Signal::ALL.into_iter().flat_map(wrong_headers))
            .chain(Signal::ALL.into_iter().flat_map(unknown_values))
            .collect();
        // Several signals may share one variable.
        let mut seen = HashSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        let ignored: Vec<&str> = IGNORED.iter().copied().filter(|it| is_set(it)).collect();
        if !ignored.is_empty() {
            warnings.push(format!(
                "these variables of OpenTelemetry have no effect here: {}",
                ignored.join(", ")
            ));
        }
        warnings
    }
}

/// Warnings about headers that are not sent, or are not sent as intended. They leave out the texts, which may be
/// secrets.
fn wrong_headers(signal: Signal) -> Vec<String> {
    let own = signal.variable("HEADERS");
    let variable = match set(&own) {
        Some(_) => own,
        None => HEADERS_VARIABLE.to_owned(),
    };
    let headers = set(&variable).unwrap_or_default();
    let about = [
        (
            unsent(&headers),
            "has entries that are not sent",
            "each must be NAME=VALUE, with other characters percent-encoded, and a comma between two",
        ),
        (
            undecoded(&headers),
            "has values that are sent as they are written",
            "a % begins two hexadecimal digits; write %25 for the sign itself",
        ),
    ];
    let about = about.into_iter().filter(|(places, ..)| !places.is_empty());
    let warnings = about.map(|(places, what, hint)| {
        let places: Vec<String> = places.iter().map(usize::to_string).collect();
        format!("{variable} {what} (number {}): {hint}", places.join(", "))
    });
    warnings.collect()
}

/// The entries, each with its place, from 1 on.
fn entries(headers: &str) -> impl Iterator<Item = (usize, &str)> {
    let entries = (1..).zip(headers.split(','));
    entries.filter(|(_, entry)| !entry.trim().is_empty())
}

/// The places of the entries that are not headers, and so are not sent.
fn unsent(headers: &str) -> Vec<usize> {
    let is_header = |entry: &str| {
        let (name, value) = entry.split_once('=').unwrap_or_default();
        let value = value.trim();
        let value = decode(value).unwrap_or_else(|| value.to_owned());
        !value.is_empty()
            && HeaderName::from_bytes(name.trim().as_bytes()).is_ok()
            && HeaderValue::from_str(&value).is_ok()
    };
    let unsent = entries(headers).filter(|(_, entry)| !is_header(entry));
    unsent.map(|(place, _)| place).collect()
}

/// The places of the headers whose percent-encoding is invalid. The exporter sends them undecoded.
fn undecoded(headers: &str) -> Vec<usize> {
    let unsent = unsent(headers);
    let is_decoded = |entry: &str| {
        let value = entry.split_once('=').map_or("", |(_, value)| value);
        decode(value.trim()).is_some()
    };
    let undecoded = entries(headers).filter(|(_, entry)| !is_decoded(entry));
    let places = undecoded.map(|(place, _)| place);
    places.filter(|place| !unsent.contains(place)).collect()
}

fn is_set(name: &str) -> bool {
    set(name).is_some()
}

/// Warnings about variables with an unknown name as their value.
fn unknown_values(signal: Signal) -> Vec<String> {
    let exporter = format!("OTEL_{}_EXPORTER", signal.upper());
    let compression = match set(&signal.variable("COMPRESSION")) {
        Some(_) => signal.variable("COMPRESSION"),
        None => "OTEL_EXPORTER_OTLP_COMPRESSION".to_owned(),
    };
    let known = [
        (exporter, ["otlp", "none"], "otlp"),
        (compression, ["gzip", "none"], "none"),
    ];
    let warnings = known.into_iter().filter_map(|(variable, known, default)| {
        let value = set(&variable)?;
        let is_known = known.iter().any(|it| value.eq_ignore_ascii_case(it));
        let [one, other] = known;
        (!is_known).then(|| {
            let value: String = value.chars().take(40).collect();
            format!("{variable} is {value:?}, which must be {one} or {other}: {default} is used")
        })
    });
    warnings.collect()
}

/// Variables of the specification that have no effect here. `OTEL_PROPAGATORS` is not listed, because its default is
/// W3C Trace Context, which this program uses.
const IGNORED: &[&str] = &[
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_CONFIG_FILE",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOG_LEVEL",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_METRICS_EXEMPLAR_FILTER",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_bounds_is_named_and_the_default_is_used() {
        let read = |text| milliseconds("OTEL_X", Some(text), &INTERVALS, INTERVAL);
        for wrong in [
            "0",
            "-1",
            "99",
            "3600001",
            "5s",
            "1e3",
            "soon",
            "99999999999999999999999",
        ] {
            let Setting { value, warning } = read(wrong);
            assert_eq!(value, INTERVAL, "{wrong}");
            let warning = warning.expect(wrong);
            for part in ["OTEL_X", wrong, "100 to 3600000", "5000 ms"] {
                assert!(warning.contains(part), "{wrong}: {warning}");
            }
        }
        for (right, millis) in [("100", 100), (" 500 ", 500), ("3600000", 3_600_000)] {
            let expected = Setting {
                value: Duration::from_millis(millis),
                warning: None,
            };
            assert_eq!(read(right), expected);
        }
        let unset = milliseconds("OTEL_X", None, &INTERVALS, INTERVAL);
        assert_eq!((unset.value, unset.warning), (INTERVAL, None));
    }

    #[test]
    fn entries_that_are_no_headers_are_found() {
        assert!(unsent("authorization=Bearer%20a%2Cb==, X-Y = z ,").is_empty());
        assert_eq!(unsent("Authorization: Bearer x"), [1]);
        assert_eq!(unsent("a=1,,bad,=x,n n=1,b=%0A,c="), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn headers_with_invalid_percent_encoding_are_found() {
        assert!(undecoded("a=b,authorization=Bearer%20x, ,bad").is_empty());
        assert_eq!(undecoded("c=%zz"), [1]);
        assert_eq!(undecoded("a=1,b=%4,bad,c=100%,d=%ff"), [2, 4, 5]);
        assert!(unsent("c=%zz").is_empty());
    }

    #[test]
    fn a_switch_that_is_neither_true_nor_false_is_named() {
        for wrong in ["yes", "1", "on", "tru"] {
            let warning = not_disabled(Some(wrong)).expect(wrong);
            for part in ["OTEL_SDK_DISABLED", wrong, "true or false", "false is used"] {
                assert!(warning.contains(part), "{wrong}: {warning}");
            }
        }
        for right in [None, Some("true"), Some("FALSE")] {
            assert_eq!(not_disabled(right), None);
        }
    }
}
