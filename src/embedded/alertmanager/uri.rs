//! The check of `generatorURL`, with the decisions of Go's `url.ParseRequestURI`.

/// Returns whether the text is a URI with a scheme, or an absolute path.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    let is_scheme = |scheme: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part)
    };
    let with_scheme = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
    let rest = with_scheme.map_or(text, |(_, rest)| rest);
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        // The rest of `mailto:a@b` has no rules.
        return with_scheme.is_some() || text == "*";
    }
    match rest.strip_prefix("//").filter(|_| with_scheme.is_some()) {
        None => has_valid_escapes(rest),
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            is_authority(authority) && has_valid_escapes(path)
        }
    }
}

/// `user:password@host:port`
fn is_authority(text: &str) -> bool {
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", text),
    };
    let is_in_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(is_in_user) || !has_valid_escapes(user) {
        return false;
    }
    let port = match host.strip_prefix('[') {
        Some(address) => match address.rsplit_once(']') {
            Some((_, port)) => port,
            None => return false,
        },
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = (port.is_empty() || port.starts_with(':'))
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_in_host = |c: char| {
        !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    is_port && host.chars().all(is_in_host) && has_valid_escapes(host)
}

/// Returns whether two hexadecimal digits follow each `%`.
fn has_valid_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    let is_escape = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    parts.all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decisions are those of Alertmanager 0.25.
    #[test]
    fn a_uri_has_a_scheme_or_is_an_absolute_path() {
        for good in [
            "http://x/y",
            "HTTP://X",
            "http://",
            "http:x",
            "mailto:a@b",
            "foo://bar",
            "localhost:9090/x",
            "/path",
            "//x",
            "http://[::1]:9090/graph?g0.expr=up%20%3D%3D+0",
        ] {
            assert!(is_request_uri(good), "{good}");
        }
        for bad in [
            "x",
            "not a url",
            "#f",
            "?q",
            "%zz",
            "/%zz",
            "http://a b",
            "http://[::1",
            "http://a:b",
            "http://x/\n",
            ":x",
        ] {
            assert!(!is_request_uri(bad), "{bad}");
        }
    }
}
