//! The `Wait-Token`: a place in the queue that its holder carries. Its signature prevents guessing and changing it.
//!
//! The layout before base64url: version (1 byte), epoch, place, user, time of issue (8 bytes each, big endian), then
//! HMAC-SHA-256 (RFC 2104) over all of these: 65 bytes in all. A change of the layout needs a new version. The server
//! verifies a token without a look-up, so a poll costs no I/O, however long the queue is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Epoch, Place, Timestamp, UserId};

/// The first byte of a token. A token with another version is invalid.
const VERSION: u8 = 1;
/// Bytes before the signature: version, epoch, place, user, time of issue.
const BODY: usize = 33;
/// Bytes of the signature.
const MAC: usize = 32;

/// Length of an encoded token in characters.
pub const ENCODED_LEN: usize = (BODY + MAC).div_ceil(3) * 4 - 1;

/// The content of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The dataset it was issued for.
    pub epoch: Epoch,
    /// The place in the queue.
    pub place: Place,
    /// The only user it acts for.
    pub user: UserId,
    /// The time of issue.
    pub issued_at: Timestamp,
}

/// The secret that tokens are signed with. `Debug` does not show it.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// The text is not a token signed with this key. The error gives no detail, so that a forger learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

impl TokenKey {
    /// The fewest bytes a secret may have.
    pub const MIN_BYTES: usize = 32;

    /// A key from its secret bytes; `None` when there are fewer than [`TokenKey::MIN_BYTES`].
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<TokenKey> {
        if secret.len() < Self::MIN_BYTES {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(TokenKey)
    }

    /// Signs `token`.
    #[must_use]
    pub fn sign(&self, token: &Token) -> String {
        let mut bytes = [0_u8; BODY + MAC];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&token.epoch.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&token.place.0.to_be_bytes());
        bytes[17..25].copy_from_slice(&token.user.0.to_be_bytes());
        bytes[25..33].copy_from_slice(&token.issued_at.0.to_be_bytes());
        let mut mac = self.0.clone();
        mac.update(&bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Verifies a token. The comparison of its signature takes constant time.
    ///
    /// # Errors
    /// [`InvalidToken`] for any text that this key did not sign.
    pub fn verify(&self, text: &str) -> Result<Token, InvalidToken> {
        let mut bytes = [0_u8; BODY + MAC];
        if text.len() != ENCODED_LEN {
            return Err(InvalidToken);
        }
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(read) if read == bytes.len() && bytes[0] == VERSION => {}
            _ => return Err(InvalidToken),
        }
        let mut mac = self.0.clone();
        mac.update(&bytes[..BODY]);
        mac.verify_slice(&bytes[BODY..]).map_err(|_| InvalidToken)?;
        let word = |at: usize| {
            let mut word = [0_u8; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        };
        Ok(Token {
            epoch: Epoch(u64::from_be_bytes(word(1))),
            place: Place(u64::from_be_bytes(word(9))),
            user: UserId(i64::from_be_bytes(word(17))),
            issued_at: Timestamp(i64::from_be_bytes(word(25))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(fill: u8) -> TokenKey {
        TokenKey::new(&[fill; 32]).expect("32 bytes are enough")
    }

    proptest! {
        #[test]
        fn a_signed_token_verifies_to_the_same_content(epoch: u64, place: u64, user: i64, at: i64) {
            let token = Token { epoch: Epoch(epoch), place: Place(place), user: UserId(user), issued_at: Timestamp(at) };
            let text = key(1).sign(&token);
            prop_assert_eq!(text.len(), ENCODED_LEN);
            prop_assert_eq!(key(1).verify(&text), Ok(token));
            prop_assert_eq!(key(2).verify(&text), Err(InvalidToken));
        }

        #[test]
        fn an_altered_token_is_refused(at in 0..ENCODED_LEN, with in "[A-Za-z0-9_-]") {
            let token = Token { epoch: Epoch(7), place: Place(1), user: UserId(2), issued_at: Timestamp(3) };
            let text = key(1).sign(&token);
            let mut altered = text.clone();
            altered.replace_range(at..=at, &with);
            prop_assert_eq!(key(1).verify(&altered).is_ok(), altered == text);
        }

        #[test]
        fn no_text_makes_verify_panic(text: String) {
            prop_assert!(key(1).verify(&text).is_err());
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(TokenKey::new(&[0; 31]).is_none());
    }
}
