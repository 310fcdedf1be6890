//! Tokens to join with.
//!
//! Text form, letters of hexadecimal and dots only, so it needs no quoting in shells and URLs:
//!
//! ```text
//!   <id>.<secret>.<authority>      12 . 32 . 64 digits
//!     |     |         '-- SHA-256 of the authority's certificate: whom the joiner may trust
//!     |     '------------ known to the joiner only; the store has its SHA-256
//!     '------------------ names the token in lists and logs
//! ```

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::facts::fingerprint;

const ID: usize = 6;
const SECRET: usize = 16;

/// A token to join with.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: [u8; ID],
    secret: [u8; SECRET],
    authority: [u8; 32],
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A text of another form. (It is not quoted: it may be a secret with a typing error.)
    #[error("not a token: a token is 12, 32 and 64 hexadecimal digits, with dots between")]
    Form,
    /// The kernel gives no random bytes.
    #[error("cannot make a token: the system has no random numbers")]
    Random,
}

impl Token {
    /// A new token for an authority with this fingerprint (64 hexadecimal digits).
    pub fn generate(authority: &str) -> Result<Self, TokenError> {
        let (mut id, mut secret) = ([0; ID], [0; SECRET]);
        getrandom::fill(&mut id).map_err(|_| TokenError::Random)?;
        getrandom::fill(&mut secret).map_err(|_| TokenError::Random)?;
        Ok(Self {
            id,
            secret,
            authority: part(Some(authority))?,
        })
    }

    /// What it is called in lists.
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }

    /// The whole token, secret and all: for the one who is to join.
    pub fn reveal(&self) -> String {
        let [id, secret] = [hex::encode(self.id), hex::encode(self.secret)];
        format!("{id}.{secret}.{}", self.authority())
    }

    /// The fingerprint of the authority the joiner may trust.
    pub fn authority(&self) -> String {
        hex::encode(self.authority)
    }

    /// Whether this certificate (DER) is of that authority.
    pub fn trusts(&self, der: &[u8]) -> bool {
        fingerprint(der) == self.authority()
    }

    /// What the store keeps of the secret.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        let token = Self {
            id: part(parts.next())?,
            secret: part(parts.next())?,
            authority: part(parts.next())?,
        };
        match parts.next() {
            None => Ok(token),
            Some(_) => Err(TokenError::Form),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is for nobody's log.
        write!(f, "Token({})", self.id())
    }
}

fn part<const N: usize>(text: Option<&str>) -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.ok_or(TokenError::Form)?, &mut bytes)
        .map_err(|_| TokenError::Form)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form_and_hides_its_secret() {
        let token = Token::generate(&fingerprint(b"der")).expect("token");
        let text = token.reveal();
        assert_eq!(text.len(), 12 + 1 + 32 + 1 + 64);
        assert_eq!(format!(" {text}\n").parse::<Token>().expect("parse"), token);
        assert!(token.trusts(b"der") && !token.trusts(b"other"));
        let secret = text.split('.').nth(1).expect("secret");
        assert!(!format!("{token:?}").contains(secret));
        assert_ne!(
            Token::generate(&token.authority()).expect("second").id(),
            token.id()
        );
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let good = Token::generate(&"ab".repeat(32)).expect("token").reveal();
        for bad in [
            String::new(),
            "..".into(),
            good[1..].to_owned(),
            format!("{good}.00"),
            format!("{good}0"),
            good.replacen('.', "", 1),
            good.replace("ab", "xy"),
        ] {
            bad.parse::<Token>().expect_err(&bad);
        }
        Token::generate("ab").expect_err("no fingerprint");
    }
}
