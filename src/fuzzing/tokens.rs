//! Fuzz target `tokens`: Wait-Tokens and `traceparent` headers.

use crate::domain::token::{Token, TokenKey};
use crate::domain::{Epoch, Place, Timestamp, UserId};
use crate::telemetry::TraceContext;

use super::inputs::{first_line, text};

/// Parses the input as a `traceparent` and as a token, and overlays it on a valid token. Only an unchanged token may
/// verify.
pub(super) fn run(data: &[u8]) {
    let key = TokenKey::new(&[7; 32]).expect("32 bytes are enough");
    let header = text(data);
    let context = TraceContext::from_traceparent(Some(header));
    assert!(
        context.trace_id != 0 && context.span_id != 0,
        "an id is zero"
    );
    let sent = TraceContext::from_traceparent(Some(&context.traceparent()));
    assert_eq!(
        sent.trace_id, context.trace_id,
        "the trace changed on its way"
    );
    assert_eq!(sent.parent_span_id, Some(context.span_id));

    check(&key, header);
    check(&key, first_line(header).0);
    let token = token(data);
    let signed = key.sign(&token);
    assert_eq!(key.verify(&signed), Ok(token), "a signed token is refused");
    let laid_over: String = signed
        .bytes()
        .zip(data.iter().chain(std::iter::repeat(&0)))
        .map(|(byte, change)| char::from((byte ^ change) & 0x7f))
        .collect();
    if laid_over != signed {
        assert!(key.verify(&laid_over).is_err(), "forged: {laid_over}");
    }
    let other = TokenKey::new(&[8; 32]).expect("32 bytes are enough");
    assert!(other.verify(&signed).is_err(), "another key opens a token");
}

/// A text verifies only if it is exactly the text that the key signs, so each token has one text.
fn check(key: &TokenKey, text: &str) {
    if let Ok(token) = key.verify(text) {
        assert_eq!(key.sign(&token), text, "two texts are one token");
    }
}

fn token(data: &[u8]) -> Token {
    let word = |at: usize| {
        let mut word = [0_u8; 8];
        for (to, from) in word.iter_mut().zip(data.iter().skip(at * 8)) {
            *to = *from;
        }
        u64::from_be_bytes(word)
    };
    Token {
        epoch: Epoch(word(0)),
        place: Place(word(1)),
        user: UserId(word(2).cast_signed()),
        issued_at: Timestamp(word(3).cast_signed()),
    }
}
