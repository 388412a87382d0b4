//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, by
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
//!
//! The decision about a trace is made at its end. So the sampler selects only among ordinary traces. Slow and failed
//! ones are kept too, except under `always_off`.

use super::set;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler that the environment names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// The share of ordinary traces that are kept, 0 to 1.
    pub ratio: f64,
    /// The caller's decision takes precedence over the share.
    pub parent: bool,
    /// No trace is kept, not even a slow one.
    pub off: bool,
}

impl Sampler {
    /// The sampler that the environment names, if it names one, and the warnings about unusable values.
    #[must_use]
    pub fn from_environment() -> (Option<Sampler>, Vec<String>) {
        match set(SAMPLER) {
            Some(name) => Sampler::named(&name, set(ARGUMENT).as_deref()),
            None => (None, Vec::new()),
        }
    }

    fn named(name: &str, argument: Option<&str>) -> (Option<Sampler>, Vec<String>) {
        let lower = name.trim().to_ascii_lowercase();
        let (parent, own) = match lower.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, lower.as_str()),
        };
        let mut warnings = Vec::new();
        let ratio = match own {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let given = argument.map(|text| (text, text.trim().parse::<f64>().ok()));
                match given {
                    None => 1.0,
                    Some((_, Some(ratio))) if (0.0..=1.0).contains(&ratio) => ratio,
                    Some((text, _)) => {
                        let text: String = text.chars().take(40).collect();
                        warnings.push(format!(
                            "{ARGUMENT} is {text:?}, which must be a number from 0 to 1: 1 is used"
                        ));
                        1.0
                    }
                }
            }
            _ => {
                let name: String = name.chars().take(40).collect();
                let known =
                    "always_on, always_off or traceidratio, each alone or after parentbased_";
                let warning =
                    format!("{SAMPLER} is {name:?}, which must be {known}: it is not used");
                return (None, vec![warning]);
            }
        };
        let off = own == "always_off" && !parent;
        (Some(Sampler { ratio, parent, off }), warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_read_by_their_names() {
        for (name, argument, ratio, parent, off) in [
            ("always_on", None, 1.0, false, false),
            ("always_off", Some("0.5"), 0.0, false, true),
            ("traceidratio", Some("0.25"), 0.25, false, false),
            ("traceidratio", None, 1.0, false, false),
            ("parentbased_always_on", None, 1.0, true, false),
            ("parentbased_always_off", None, 0.0, true, false),
            ("ParentBased_TraceIdRatio", Some(" 0.1 "), 0.1, true, false),
        ] {
            let expected = Sampler { ratio, parent, off };
            let read = Sampler::named(name, argument);
            assert_eq!(read, (Some(expected), Vec::new()), "{name}");
        }
        for bad in ["1.5", "-1", "half", "NaN"] {
            let (sampler, warnings) = Sampler::named("traceidratio", Some(bad));
            assert_eq!(sampler.unwrap().ratio, 1.0, "{bad}");
            assert!(warnings[0].contains(bad), "{warnings:?}");
        }
        let (sampler, warnings) = Sampler::named("xray", None);
        assert_eq!(sampler, None);
        assert!(warnings[0].contains("xray"), "{warnings:?}");
    }
}
