//! Generates requests from an operation's description: some are valid, most have one or several mistakes.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::document::{Document, Operation};

/// A complete request, which is shown if its answer is wrong.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The encoded path and query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
}

/// A token in some state, its user, and a reservation of the user.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) user: i64,
    pub(super) token: String,
    pub(super) reservation: i64,
}

/// Generates requests; the same seed gives the same requests.
pub(super) struct Maker<'a> {
    random: SmallRng,
    document: &'a Document,
    holders: &'a [Holder],
}

const WORDS: &[&str] = &[
    "",
    "x",
    "null",
    "NaN",
    "-",
    "1.5",
    "1e3",
    "0x10",
    "१२",
    "가나다",
    "\u{202e}",
    "🎟",
    "a/b",
    "..",
    "%",
    "' OR 1=1 --",
    "\u{0}",
    "\r\nX: y",
    "9223372036854775808",
    "-9223372036854775809",
    "00000000000000000001",
    "+1",
    " 1",
    "1,2",
    "true",
];

const NUMBERS: &[i64] = &[
    0,
    -1,
    1,
    2,
    i64::MAX,
    i64::MIN,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64 + 1,
    1_000,
    1_001,
    100_000_000,
    100_000_001,
    1 << 53,
    -(1 << 53),
];

impl<'a> Maker<'a> {
    pub(super) fn new(seed: u64, document: &'a Document, holders: &'a [Holder]) -> Self {
        Maker {
            random: SmallRng::seed_from_u64(seed),
            document,
            holders,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(&mut self.random).expect("a choice").clone()
    }

    pub(super) fn request(&mut self, operation: &Operation) -> Request {
        let (holder, token) = self.token();
        let mut path = operation.path.clone();
        let mut query = Vec::new();
        let mut headers = HeaderMap::new();
        for (name, place, schema) in &operation.parameters {
            match place.as_str() {
                "path" => {
                    let value = self.parameter(name, schema, &holder);
                    path = path.replace(&format!("{{{name}}}"), &encoded(&value));
                }
                "query" if self.chance(70) => {
                    let value = self.parameter(name, schema, &holder);
                    query.push(format!("{name}={}", encoded(&value)));
                    if self.chance(5) {
                        query.push(format!("{name}=1"));
                    }
                }
                "query" => {}
                "header" if name == "Wait-Token" => {
                    if let Some(value) = &token {
                        headers.insert("wait-token", value.clone());
                    }
                }
                "header" => self.idempotency_key(&mut headers),
                other => panic!("a parameter in {other}"),
            }
        }
        if self.chance(5) {
            let odd = ["%ff=%00", "=", "&&", "limit", "%zz=1", "[]=x"];
            query.push(self.pick(&odd).to_owned());
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let body = match &operation.body {
            Some(schema) => Some(self.body(schema, &holder, &mut headers)),
            None => self.chance(5).then(|| b"{\"a\":1}".to_vec()),
        };
        self.odd_headers(&mut headers);
        Request {
            method: operation.method.clone(),
            path,
            headers,
            body,
        }
    }

    /// A token in some state, an invalid one, or none, with its holder.
    fn token(&mut self) -> (Holder, Option<HeaderValue>) {
        let text = |text: &str| HeaderValue::from_str(text).ok();
        let holder = self.pick(self.holders);
        if self.chance(80) {
            if self.chance(5) {
                let mut forged = holder.token.clone().into_bytes();
                let at = self.random.random_range(0..forged.len());
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                return (holder, HeaderValue::from_bytes(&forged).ok());
            }
            let token = text(&holder.token);
            return (holder, token);
        }
        let nonsense = match self.random.random_range(0..5) {
            0 => None,
            1 => text(""),
            2 => text("Bearer x"),
            3 => HeaderValue::from_bytes(&[0xff, 0xfe, 0x80]).ok(),
            _ => text(&"A".repeat(self.random.random_range(1..8_000))),
        };
        (holder, nonsense)
    }

    fn idempotency_key(&mut self, headers: &mut HeaderMap) {
        let key: &[u8] = match self.random.random_range(0..10) {
            0 => b"",
            1 => b"with space",
            2 => &[b'k'; 129],
            3 => &[0xc3, 0xa9],
            4 => &[b'k'; 128],
            5 | 6 => b"used-again",
            _ => return,
        };
        let value = HeaderValue::from_bytes(key).expect("bytes of a header");
        headers.append("idempotency-key", value.clone());
        if self.chance(5) {
            headers.append("idempotency-key", value);
        }
    }

    fn odd_headers(&mut self, headers: &mut HeaderMap) {
        let odd: &[(&str, &[u8])] = &[
            (
                "traceparent",
                b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            (
                "traceparent",
                b"00-00000000000000000000000000000000-0000000000000000-00",
            ),
            ("traceparent", b"ff-zz-\xff-"),
            ("accept", b"text/xml"),
            ("accept-encoding", b"gzip, br;q=banana"),
            ("content-encoding", b"gzip"),
            ("x-forwarded-for", b"127.0.0.1, ' OR 1=1"),
            ("range", b"bytes=0-0,-1"),
            ("authorization", b"Bearer \xf0"),
            ("x-http-method-override", b"DELETE"),
            ("cookie", b"a=b; wait-token=1"),
        ];
        while self.chance(20) {
            let (name, value) = self.pick(odd);
            let value = HeaderValue::from_bytes(value).expect("bytes of a header");
            headers.append(HeaderName::from_static(name), value);
        }
    }

    /// The value of a path or query parameter.
    fn parameter(&mut self, name: &str, schema: &Value, holder: &Holder) -> String {
        if self.chance(15) {
            return self.pick(WORDS).to_owned();
        }
        match self.integer(name, schema, holder) {
            Value::Number(number) => number.to_string(),
            other => other.to_string(),
        }
    }

    /// Usually a number that exists: a small id, or an id of the user.
    fn integer(&mut self, name: &str, schema: &Value, holder: &Holder) -> Value {
        match name {
            "userId" if self.chance(70) => return json!(holder.user),
            "reservationId" if self.chance(50) => return json!(holder.reservation),
            _ => {}
        }
        if self.chance(15) {
            let bounds = [&schema["minimum"], &schema["maximum"]];
            let bound = bounds.into_iter().filter_map(Value::as_i64).next_back();
            let around = bound.unwrap_or(0) + self.random.random_range(-1..=1);
            return json!(around);
        }
        if self.chance(20) {
            return json!(self.pick(NUMBERS));
        }
        let most = match name {
            "concertId" => 3,
            "performanceDateId" => 8,
            "userId" => 60,
            "amount" => 200_000,
            _ => 130,
        };
        json!(self.random.random_range(1..=most))
    }

    fn body(&mut self, schema: &Value, holder: &Holder, headers: &mut HeaderMap) -> Vec<u8> {
        let kinds = [
            "text/plain",
            "application/json; charset=utf-8",
            "APPLICATION/JSON",
            "application/jsonp",
            "",
            "application/x-www-form-urlencoded",
            "application/json, text/plain",
        ];
        let kind = if self.chance(85) {
            "application/json"
        } else {
            self.pick(&kinds)
        };
        if !(kind.is_empty() && self.chance(50)) {
            let kind = HeaderValue::from_static(kind);
            headers.insert("content-type", kind);
        }
        let right = self.object(schema, holder);
        if self.chance(60) {
            return right.to_string().into_bytes();
        }
        self.spoilt(right)
    }

    /// A valid object of the schema, sometimes without its optional fields.
    fn object(&mut self, schema: &Value, holder: &Holder) -> Value {
        let schema = self.document.resolve(schema).clone();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut object = serde_json::Map::new();
        for (name, rule) in schema["properties"].as_object().unwrap() {
            if required.contains(&json!(name)) || self.chance(25) {
                let rule = self.document.resolve(rule).clone();
                object.insert(name.clone(), self.integer(name, &rule, holder));
            }
        }
        Value::Object(object)
    }

    /// The same with one of many mistakes.
    fn spoilt(&mut self, mut right: Value) -> Vec<u8> {
        let object = right.as_object_mut().expect("bodies are objects");
        let names: Vec<String> = object.keys().cloned().collect();
        let name = self.pick(&names);
        match self.random.random_range(0..12) {
            0 => drop(object.remove(&name)),
            1 => drop(object.insert(name, json!(null))),
            2 => drop(object.insert(name, json!(self.pick(WORDS)))),
            3 => drop(object.insert(name, json!(1.5))),
            4 => drop(object.insert(name, json!([1]))),
            5 => drop(object.insert(name, json!({ "a": 1 }))),
            6 => drop(object.insert("unknown".to_owned(), json!(self.pick(WORDS)))),
            7 => {
                let text = right.to_string();
                let at = self.random.random_range(0..text.len());
                return text.as_bytes()[..at].to_vec();
            }
            8 => {
                let digits = "9".repeat(self.random.random_range(19..400));
                return format!("{{\"{name}\":{digits}}}").into_bytes();
            }
            9 => {
                let pad = " ".repeat(self.random.random_range(16_000..40_000));
                return format!("{right}{pad}").into_bytes();
            }
            10 => {
                let depth = self.random.random_range(1..8_000);
                return format!("{{\"{name}\":{}", "[".repeat(depth)).into_bytes();
            }
            _ => {
                let mut bytes = right.to_string().into_bytes();
                let at = self.random.random_range(0..bytes.len());
                bytes[at] = self.random.random();
                return bytes;
            }
        }
        right.to_string().into_bytes()
    }
}

/// Percent-encodes one segment of a path. An empty text and `..` become others, because clients would remove them.
fn encoded(text: &str) -> String {
    match text {
        "" => "%20".to_owned(),
        ".." => "%2e%2e%3b".to_owned(),
        _ => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            text.bytes()
                .map(|byte| match plain(byte) {
                    true => char::from(byte).to_string(),
                    false => format!("%{byte:02X}"),
                })
                .collect()
        }
    }
}
