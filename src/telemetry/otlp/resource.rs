//! The resource: the service that pushes, and its instance.
//!
//! It follows
//! <https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>:
//! values of `OTEL_RESOURCE_ATTRIBUTES` are percent-encoded, one entry that is not `NAME=VALUE` or cannot be decoded
//! voids the variable, and `OTEL_SERVICE_NAME` takes precedence over its `service.name`.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;

use super::set;

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// The resource of `service` at `instance`. The environment may override every attribute.
pub(in crate::telemetry) fn resource(service: &'static str, instance: Option<&str>) -> Resource {
    let given = set(ATTRIBUTES).and_then(|text| parse(&text).ok());
    let named = set(SERVICE_NAME);
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(known(service, instance))
        .with_attributes(given.unwrap_or_default())
        .with_attributes(named.map(|name| KeyValue::new("service.name", name)))
        .build()
}

/// What the process knows of itself.
fn known(service: &'static str, instance: Option<&str>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new(
            "host.name",
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        ),
    ];
    if let Some(instance) = instance {
        attributes.push(KeyValue::new("service.instance.id", instance.to_owned()));
    }
    attributes
}

/// The reason why the environment's attributes do not apply.
pub(super) fn warning() -> Option<String> {
    let text = set(ATTRIBUTES)?;
    let entry = parse(&text).err()?;
    let entry: String = entry.chars().take(40).collect();
    Some(format!(
        "{ATTRIBUTES} is not used: {entry:?} in it is not NAME=VALUE with other characters \
         percent-encoded"
    ))
}

/// Parses `name=value,name=value`. The error is the invalid entry.
fn parse(text: &str) -> Result<Vec<KeyValue>, &str> {
    let entries = text.split(',').map(str::trim);
    let pair = |entry| {
        let (name, value) = str::split_once(entry, '=').ok_or(entry)?;
        let name = decode(name.trim()).filter(|name| !name.is_empty());
        let (name, value) = name.zip(decode(value.trim())).ok_or(entry)?;
        Ok(KeyValue::new(name, value))
    };
    entries
        .filter(|entry| !entry.is_empty())
        .map(pair)
        .collect()
}

/// Decodes percent-encoding. `None` if it is invalid.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_decoded_and_one_that_cannot_be_voids_all() {
        let pairs = |text| -> Vec<(String, String)> {
            let pairs = parse(text).unwrap().into_iter();
            pairs
                .map(|it| (it.key.to_string(), it.value.to_string()))
                .collect()
        };
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs("a=b, team = blue%2Cgreen ,x%3Dy=%C3%A9 e,empty=,"),
            [
                own("a", "b"),
                own("team", "blue,green"),
                own("x=y", "\u{e9} e"),
                own("empty", "")
            ]
        );
        for (text, entry) in [
            ("a=b,c", "c"),
            ("a=b,c=%4", "c=%4"),
            ("a=%zz", "a=%zz"),
            ("a=%ff", "a=%ff"),
            ("=b", "=b"),
        ] {
            assert_eq!(parse(text).unwrap_err(), entry, "{text}");
        }
    }
}
