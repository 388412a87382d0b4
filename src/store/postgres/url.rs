//! Parses a database URL. The driver's own parser accepts only one host, and reads the password file.

use percent_encoding::percent_decode_str;

use crate::store::StoreError;

/// The form of a URL, for messages.
const FORM: &str = "postgres://USER:PASSWORD@HOST:5432/DATABASE";

/// The parts of a URL, decoded.
pub(super) struct Url {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) database: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
}

impl Url {
    /// Parses a URL.
    pub(super) fn parse(url: &str) -> Result<Url, StoreError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| {
            unusable(format!(
                "its URL must begin with postgres:// or mysql://, as in {FORM}"
            ))
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if credentials.contains('@') || database.contains('@') {
            return Err(unusable(
                "its URL has an @ or : where the host should be: percent-encode special characters of the password (@ as %40, : as %3A)",
            ));
        }
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (credentials, None),
        };
        let parameters = query.split('&').filter(|pair| !pair.is_empty());
        let mut url = Url {
            user: some(decoded(user)?),
            password,
            hosts: Vec::new(),
            database: some(decoded(database)?),
            parameters: parameters.map(parameter).collect::<Result<_, _>>()?,
        };
        let ports = url.take("port");
        let named = url.take("host").or(url.take("hostaddr"));
        url.hosts = hosts_of(named.as_deref().unwrap_or(hosts), ports.as_deref())?;
        for (name, part) in [("user", &mut url.user), ("password", &mut url.password)] {
            let given = take(&mut url.parameters, name);
            *part = given.or(part.take());
        }
        url.database = url.take("dbname").or(url.database.take());
        Ok(url)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        take(&mut self.parameters, name)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn take(parameters: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = parameters.iter().position(|(known, _)| known == name)?;
    Some(parameters.remove(at).1)
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn parameter(pair: &str) -> Result<(String, String), StoreError> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decoded(name)?, decoded(value)?))
}

/// Parses a list of hosts such as `a:5433,[::1],c`. `ports` is the list of ports in a parameter.
fn hosts_of(hosts: &str, ports: Option<&str>) -> Result<Vec<(String, u16)>, StoreError> {
    let ports: Vec<&str> = ports.map_or(Vec::new(), |ports| ports.split(',').collect());
    let host = |(at, text): (usize, &str)| {
        let (name, port) = match text.strip_prefix('[').and_then(|it| it.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = port.or(ports.get(at).or(ports.first()).copied());
        let port = port
            .map_or(Ok(5432), str::parse)
            .map_err(|_| unreadable())?;
        Ok((decoded(name)?, port))
    };
    let hosts: Vec<(String, u16)> = hosts
        .split(',')
        .enumerate()
        .map(host)
        .collect::<Result<_, StoreError>>()?;
    match hosts.iter().any(|(name, _)| name.is_empty()) {
        true => Err(unusable(format!("its URL names no host: write {FORM}"))),
        false => Ok(hosts),
    }
}

pub(super) fn unusable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable(why.into())
}

/// The error for an unreadable URL. It does not contain the URL, because a part of it may be the password.
fn unreadable() -> StoreError {
    unusable(format!(
        "its URL cannot be read: write {FORM}, with special characters of the password percent-encoded (@ as %40, / as %2F)"
    ))
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| unreadable())
}
