//! The `Wait-Token` of a waiting user, in few bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;

/// The bytes of a token before base64url.
const BYTES: usize = 65;

/// A token. It becomes a header only while a request is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WaitToken {
    /// A token of the usual form: base64url of [`BYTES`] bytes.
    Decoded([u8; BYTES]),
    /// Any other text.
    Text(Box<[u8]>),
}

impl WaitToken {
    pub(super) fn of(header: &HeaderValue) -> WaitToken {
        let mut bytes = [0; BYTES];
        match URL_SAFE_NO_PAD.decode_slice(header, &mut bytes) {
            Ok(BYTES) => WaitToken::Decoded(bytes),
            _ => WaitToken::Text(header.as_bytes().into()),
        }
    }

    pub(super) fn header(&self) -> HeaderValue {
        let text = match self {
            WaitToken::Decoded(bytes) => Bytes::from(URL_SAFE_NO_PAD.encode(bytes)),
            WaitToken::Text(text) => Bytes::copy_from_slice(text),
        };
        HeaderValue::from_maybe_shared(text).expect("it was the value of a header")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_of_the_usual_length_is_decoded() {
        let header = HeaderValue::from_str(&"A".repeat(87)).unwrap();
        assert_eq!(WaitToken::of(&header), WaitToken::Decoded([0; BYTES]));
    }

    proptest! {
        #[test]
        fn every_token_is_sent_as_it_came(usual in "[A-Za-z0-9_-]{87}", other in "[ -~]{0,100}") {
            for text in [usual, other] {
                let header = HeaderValue::from_str(&text).unwrap();
                prop_assert_eq!(WaitToken::of(&header).header(), header);
            }
        }
    }
}
