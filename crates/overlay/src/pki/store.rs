//! The tokens that were given out, in one file: what is known of each is no secret.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_host::fs::{self, Lock};
use serde::{Deserialize, Serialize};

use super::refusal::{AdmitError, MAX_TOKENS, RedeemError, Refusal, StoreError};
use super::{Authority, Error, Profile, Request, Token, write_private};

/// Tokens that are over are shown in lists for a week.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);
const MAX_FILE: u64 = 1 << 20;

/// What is known of a token that was given out. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// What it is called.
    pub id: String,
    /// SHA-256 of the secret, in hexadecimal.
    secret_sha256: String,
    /// When it ends.
    pub expires: u64,
    /// When it was used.
    pub used: Option<u64>,
}

/// The tokens that were given out.
#[derive(Debug, Clone)]
pub struct TokenStore {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    tokens: Vec<IssuedToken>,
}

impl TokenStore {
    /// The store in this file, which is made with the first token. (A lock file is beside it.)
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A new token for the authority with this fingerprint, good for `lifetime` from `now`.
    pub fn issue(
        &self,
        authority: &str,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Token, StoreError> {
        let token = Token::generate(authority)?;
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let forgotten = seconds(now).saturating_sub(REMEMBERED.as_secs());
        document.tokens.retain(|token| token.expires > forgotten);
        if document.tokens.len() >= MAX_TOKENS {
            return Err(StoreError::Full);
        }
        document.tokens.push(IssuedToken {
            id: token.id(),
            secret_sha256: hex::encode(token.digest()),
            expires: seconds(now).saturating_add(lifetime.as_secs()),
            used: None,
        });
        self.write(&document)?;
        Ok(token)
    }

    /// All that are known, the oldest first.
    pub fn list(&self) -> Result<Vec<IssuedToken>, StoreError> {
        Ok(self.read()?.tokens)
    }

    /// Makes a token worthless; whether there was one of this name.
    pub fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let before = document.tokens.len();
        document.tokens.retain(|token| token.id != id);
        let found = document.tokens.len() < before;
        if found {
            self.write(&document)?;
        }
        Ok(found)
    }

    /// Exchanges a token for what `make` makes. The token is checked first, so a stranger costs no
    /// signature; a failed `make` leaves it good; its use is on disk before anything is handed out, so
    /// a crash can cost a token, never give two for one.
    pub fn redeem<T, E: std::error::Error + 'static>(
        &self,
        token: &Token,
        now: SystemTime,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, RedeemError<E>> {
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let index = check(&document.tokens, token, seconds(now))?;
        let made = make().map_err(RedeemError::Make)?;
        document.tokens[index].used = Some(seconds(now));
        self.write(&document)?;
        Ok(made)
    }

    /// Signs a joiner's request (PEM) if its token is right: the certificate says what `profile` makes
    /// of the request. What the sender asks for is up to `profile` to take or to leave.
    pub fn admit(
        &self,
        authority: &Authority,
        token: &Token,
        request: &str,
        now: SystemTime,
        profile: impl FnOnce(&Request) -> Result<Profile, Error>,
    ) -> Result<String, AdmitError> {
        if token.authority() != authority.facts().fingerprint {
            return Err(Refusal::Unknown.into());
        }
        self.redeem(token, now, || {
            let request = Request::parse(request)?;
            authority.sign(&request, &profile(&request)?)
        })
    }

    /// The file whose lock a change of the store needs.
    pub(super) fn lock_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        name.into()
    }

    fn lock(&self) -> Result<Lock, StoreError> {
        Ok(Lock::exclusive(&self.lock_path())?)
    }

    fn read(&self) -> Result<Document, StoreError> {
        let bytes = match fs::read_bounded(&self.path, MAX_FILE) {
            Err(error) if error.is_not_found() => return Ok(Document::default()),
            other => other?,
        };
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Unreadable {
            path: self.path.clone(),
            source,
        })
    }

    fn write(&self, document: &Document) -> Result<(), StoreError> {
        let text =
            serde_json::to_string_pretty(document).map_err(|source| StoreError::Unreadable {
                path: self.path.clone(),
                source,
            })?;
        Ok(write_private(&self.path, &text)?)
    }
}

/// The index of a token that may be used now.
fn check(tokens: &[IssuedToken], token: &Token, now: u64) -> Result<usize, Refusal> {
    let id = token.id();
    let index = tokens.iter().position(|known| known.id == id);
    // Compared in any case: whether the name is known is not to be measured.
    let expected = index
        .map(|index| &tokens[index].secret_sha256)
        .and_then(|text| hex::decode(text).ok())
        .unwrap_or_else(|| vec![0; 32]);
    let same = equal(&expected, &token.digest());
    let index = index.filter(|_| same).ok_or(Refusal::Unknown)?;
    match &tokens[index] {
        known if known.used.is_some() => Err(Refusal::Used),
        known if known.expires <= now => Err(Refusal::Expired),
        _ => Ok(index),
    }
}

/// Compares in a time that does not tell where the difference is.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    let differences = pairs.fold(0, |differences, (a, b)| black_box(differences | (a ^ b)));
    one.len() == other.len() && differences == 0
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Facts, NewRequest, Usage, Validity};
    use std::os::unix::fs::PermissionsExt;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn store() -> (tempfile::TempDir, TokenStore) {
        let directory = tempfile::tempdir().expect("tempdir");
        let store = TokenStore::new(directory.path().join("tokens.json"));
        (directory, store)
    }

    fn redeem(store: &TokenStore, token: &Token, now: SystemTime) -> Result<(), Refusal> {
        match store.redeem(token, now, || Ok::<_, std::io::Error>(())) {
            Err(RedeemError::Refused(refusal)) => Err(refusal),
            other => {
                other.expect("redeem");
                Ok(())
            }
        }
    }

    #[test]
    fn a_token_is_good_once_and_for_its_time() {
        let (directory, store) = store();
        let authority = "ab".repeat(32);
        let token = store.issue(&authority, HOUR, now()).expect("issue");
        let path = directory.path().join("tokens.json");
        let text = std::fs::read_to_string(&path).expect("file");
        assert!(!text.contains(token.reveal().split('.').nth(1).expect("secret")));
        let mode = std::fs::metadata(&path).expect("stat").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        assert_eq!(redeem(&store, &token, now() + HOUR), Err(Refusal::Expired));
        assert_eq!(redeem(&store, &token, now() + HOUR / 2), Ok(()));
        assert_eq!(redeem(&store, &token, now() + HOUR / 2), Err(Refusal::Used));
        assert_eq!(store.list().expect("list")[0].used, Some(1_800_001_800));
        // A copy of the store's file in other hands redeems nothing.
        let mut forged = token.reveal();
        forged.replace_range(13..45, &"0".repeat(32));
        let forged = forged.parse().expect("form");
        assert_eq!(redeem(&store, &forged, now()), Err(Refusal::Unknown));
    }

    #[test]
    fn a_failure_to_make_leaves_the_token_good() {
        let (_directory, store) = store();
        let token = store.issue(&"ab".repeat(32), HOUR, now()).expect("issue");
        let failed = store.redeem(&token, now(), || Err::<(), _>(std::io::Error::other("no")));
        assert!(matches!(failed, Err(RedeemError::Make(_))));
        assert_eq!(redeem(&store, &token, now()), Ok(()));
    }

    #[test]
    fn a_store_that_cannot_be_written_hands_nothing_out() {
        let (directory, store) = store();
        let token = store.issue(&"ab".repeat(32), HOUR, now()).expect("issue");
        // The store is read by its name, which is then a directory's: writing over it fails.
        let path = directory.path().join("tokens.json");
        let failed = store.redeem(&token, now(), || {
            std::fs::remove_file(&path)?;
            std::fs::create_dir(&path)
        });
        assert!(matches!(
            failed,
            Err(RedeemError::Store(StoreError::File(_)))
        ));
    }

    #[test]
    fn revoked_and_old_tokens_are_gone() {
        let (_directory, store) = store();
        assert_eq!(store.list().expect("none yet"), []);
        let token = store.issue(&"ab".repeat(32), HOUR, now()).expect("issue");
        assert!(store.revoke(&token.id()).expect("revoke"));
        assert!(!store.revoke(&token.id()).expect("again"));
        assert_eq!(redeem(&store, &token, now()), Err(Refusal::Unknown));
        store.issue(&"ab".repeat(32), HOUR, now()).expect("second");
        let later = now() + HOUR + REMEMBERED;
        let third = store.issue(&"ab".repeat(32), HOUR, later).expect("third");
        let left: Vec<String> = store
            .list()
            .expect("list")
            .into_iter()
            .map(|t| t.id)
            .collect();
        assert_eq!(left, [third.id()]);
    }

    #[test]
    fn a_joiner_with_a_token_gets_a_certificate_once() {
        let (_directory, store) = store();
        let authority = Authority::create("a", Validity::days(now(), 10)).expect("authority");
        let fingerprint = authority.facts().fingerprint.clone();
        let token = store.issue(&fingerprint, HOUR, now()).expect("issue");
        let granted = |request: &Request| {
            Ok(Profile {
                common_name: "node-2".into(),
                names: Vec::new(),
                addresses: request.addresses(),
                usage: Usage::Server,
                validity: Validity::days(now(), 5),
            })
        };
        let wanted = Profile {
            common_name: "joiner".into(),
            names: Vec::new(),
            addresses: vec!["10.0.0.2".parse().expect("ip")],
            usage: Usage::Server,
            validity: Validity::days(now(), 5),
        };
        let new = NewRequest::new(&wanted).expect("request");
        let admit =
            |token: &Token, request: &str| store.admit(&authority, token, request, now(), granted);
        assert!(matches!(admit(&token, "junk"), Err(AdmitError::Make(_))));
        let signed = admit(&token, &new.request).expect("admit");
        let facts = Facts::of_pem(&signed).expect("facts");
        assert_eq!(facts.addresses, wanted.addresses);
        assert!(matches!(
            admit(&token, &new.request),
            Err(AdmitError::Refused(Refusal::Used))
        ));
        let other = store.issue(&"cd".repeat(32), HOUR, now()).expect("other");
        assert!(matches!(
            admit(&other, &new.request),
            Err(AdmitError::Refused(Refusal::Unknown))
        ));
    }

    #[test]
    fn a_broken_file_is_named() {
        let (directory, store) = store();
        std::fs::write(directory.path().join("tokens.json"), "{").expect("write");
        let error = store.list().expect_err("broken");
        assert!(error.hint().expect("hint").contains("tokens.json"));
    }

    #[test]
    fn comparison_is_exact() {
        assert!(equal(&[1, 2], &[1, 2]) && !equal(&[1, 2], &[1, 3]) && !equal(&[1], &[1, 2]));
    }
}
