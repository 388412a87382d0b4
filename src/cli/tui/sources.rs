//! The settings of the console's sources, from flags, files and the environment.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::flags::between;
use crate::clients::{Api, Credentials, Secret, TIMEOUT, Trust};

/// Headers, tokens and certificates of the sources. A source's address holds its user name and password.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SourceArgs {
    /// Header of each request to one source, such as 'loki:X-Scope-OrgID: team'; may be given several times.
    /// 'SOURCE:NAME: @FILE' reads the value from FILE. SOURCE: ops, prometheus, loki, tempo, alertmanager.
    /// CONCERTCTL_SOURCE_HEADERS holds more headers, one a line
    #[arg(long, value_name = "SOURCE:NAME: VALUE")]
    source_header: Vec<String>,
    /// File that holds the bearer token of one source, such as prometheus:/etc/token; may be given several times.
    /// CONCERTCTL_PROMETHEUS_TOKEN, _LOKI_, _TEMPO_, _ALERTMANAGER_ hold the tokens themselves
    #[arg(long, value_name = "SOURCE:FILE")]
    source_token_file: Vec<String>,
    /// PEM file of certificates to trust for sources over https, besides the system's
    #[arg(long, value_name = "FILE")]
    source_ca: Option<PathBuf>,
    /// The longest wait for a source; a slower one counts as not answering [default: 2s]
    #[arg(
        long,
        value_name = "DURATION",
        env = "CONCERTCTL_SOURCE_TIMEOUT",
        value_parser = between("200ms", "30s")
    )]
    source_timeout: Option<Duration>,
}

/// The environment variable with further headers.
const HEADERS: &str = "CONCERTCTL_SOURCE_HEADERS";

impl SourceArgs {
    /// The longest wait for a source.
    pub(super) fn timeout(&self) -> Duration {
        self.source_timeout.unwrap_or(TIMEOUT)
    }

    /// The credentials of each source.
    ///
    /// # Errors
    /// The mistake, its place, and the expected value. It never contains a secret.
    pub(super) fn credentials(
        &self,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Credentials, String> {
        let mut all = match &self.source_ca {
            Some(path) => Credentials::trusting(
                Trust::with_file(path).map_err(|why| format!("--source-ca: {why}"))?,
            ),
            None => Credentials::default(),
        };
        for text in &self.source_header {
            header(&mut all, text).map_err(|why| format!("--source-header: {why}"))?;
        }
        let more = var(HEADERS).unwrap_or_default();
        let lines = more.lines().zip(1..);
        for (text, line) in lines.filter(|(text, _)| !text.trim().is_empty()) {
            header(&mut all, text).map_err(|why| format!("{HEADERS}, line {line}: {why}"))?;
        }
        for text in &self.source_token_file {
            token_file(&mut all, text).map_err(|why| format!("--source-token-file: {why}"))?;
        }
        for api in Api::ALL.into_iter().filter(|api| *api != Api::Ops) {
            let name = format!("CONCERTCTL_{}_TOKEN", api.name().to_uppercase());
            let given = var(&name).filter(|token| !token.trim().is_empty());
            let from_file = |text: &String| text.starts_with(&format!("{}:", api.name()));
            // Like for the operations token, a file takes precedence over the environment.
            let given = given.filter(|_| !self.source_token_file.iter().any(from_file));
            if let Some(token) = given {
                let set = all.entry(api).bearer(&Secret::new(&token));
                set.map_err(|why| format!("{name}: {why}"))?;
            }
        }
        Ok(all)
    }
}

/// `loki:rest`.
fn source(text: &str) -> Result<(Api, &str), String> {
    let known = Api::ALL.map(Api::name).join(", ");
    // The rest may be a secret, so a message shows only a possible name.
    let (name, rest) = text
        .split_once(':')
        .ok_or_else(|| format!("begins with a source and a colon: one of {known}"))?;
    let api = Api::named(name.trim())
        .ok_or_else(|| format!("there is no source {name:?}; there are {known}"))?;
    Ok((api, rest))
}

fn header(all: &mut Credentials, text: &str) -> Result<(), String> {
    let (api, rest) = source(text)?;
    let example = format!("'{}:X-Scope-OrgID: team'", api.name());
    let (name, value) = rest
        .split_once(':')
        .ok_or_else(|| format!("a header has a name, a colon and a value, as in {example}"))?;
    let (name, value) = (name.trim(), value.trim());
    let value = match value.strip_prefix('@') {
        Some(path) => read(path)?,
        None => value.to_owned(),
    };
    if value.is_empty() {
        return Err(format!("the header {name} has no value, as in {example}"));
    }
    all.entry(api).header(name, &value)
}

fn token_file(all: &mut Credentials, text: &str) -> Result<(), String> {
    let (api, path) = source(text)?;
    if api == Api::Ops {
        return Err("the token of ops is given by --ops-token-file".into());
    }
    let token = read(path)?;
    all.entry(api).bearer(&Secret::new(&token))
}

/// A file's text without the white space around it.
fn read(path: &str) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_var(_: &str) -> Option<String> {
        None
    }

    fn args(header: &[&str], token: &[&str]) -> SourceArgs {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        SourceArgs {
            source_header: owned(header),
            source_token_file: owned(token),
            source_ca: None,
            source_timeout: None,
        }
    }

    #[test]
    fn each_source_gets_what_is_given_for_it_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "hunter2\n").unwrap();
        let file = file.display();
        let args = args(
            &["loki:X-Scope-OrgID: team", &format!("loki:X-Key: @{file}")],
            &[&format!("prometheus:{file}")],
        );
        let var = |name: &str| match name {
            "CONCERTCTL_SOURCE_HEADERS" => Some("\ntempo:X-Tenant: b\n".to_owned()),
            "CONCERTCTL_PROMETHEUS_TOKEN" => Some("the file comes first".to_owned()),
            "CONCERTCTL_ALERTMANAGER_TOKEN" => Some("hunter3".to_owned()),
            _ => None,
        };
        let all = args.credentials(var).unwrap();
        let shown = Api::ALL.map(|api| format!("{:?}", all.of(api)));
        assert!(shown[0].contains("[]"), "{shown:?}");
        assert!(shown[1].contains(r#"["authorization"]"#), "{shown:?}");
        assert!(
            shown[2].contains(r#""x-scope-orgid", "x-key""#),
            "{shown:?}"
        );
        assert!(shown[3].contains(r#"["x-tenant"]"#), "{shown:?}");
        assert!(shown[4].contains(r#"["authorization"]"#), "{shown:?}");
        assert!(!format!("{all:?}").contains("hunter"));
    }

    #[test]
    fn an_error_names_the_expected_value_and_no_secret() {
        let wrong =
            |header: &[&str], token: &[&str]| args(header, token).credentials(no_var).unwrap_err();
        for (error, expected) in [
            (wrong(&["hunter2"], &[]), "begins with a source"),
            (wrong(&["lokki:a: b"], &[]), "there is no source \"lokki\""),
            (wrong(&["loki:hunter2"], &[]), "'loki:X-Scope-OrgID: team'"),
            (wrong(&["loki:X-A:"], &[]), "X-A has no value"),
            (wrong(&["loki:X A: hunter2"], &[]), "is not a header's name"),
            (
                wrong(&["loki:X-A: @/no/file"], &[]),
                "/no/file cannot be read",
            ),
            (wrong(&[], &["ops:/no/file"]), "--ops-token-file"),
            (wrong(&[], &["tempo:/no/file"]), "/no/file cannot be read"),
        ] {
            assert!(error.contains(expected), "{error}");
            assert!(
                error.starts_with("--source-") && !error.contains("hunter"),
                "{error}"
            );
        }
        let var = |name: &str| (name == HEADERS).then(|| "loki:X-A: b\nloki:x-a: c".to_owned());
        let error = args(&[], &[]).credentials(var).unwrap_err();
        assert!(
            error.contains("line 2: the header x-a is given twice"),
            "{error}"
        );
    }
}
