//! All keys of a prefix, in pages of bounded answers at one revision.
//!
//! ```text
//!   128 keys --> fits: the next page is twice as large again
//!      ^  |----> too large: a fourth of them, ... one key --> too large: that key without its value
//!      '----------------------------------------------------------------'
//! ```
//!
//! Real values have some hundred bytes. Whoever can write may leave any number of large ones: they cost
//! time, and are left out.

use std::time::Duration;

use serde::de::Error as _;
use serde_json::json;

use super::classify::name;
use super::error::Error;
use super::kv::RangeReply;
use super::transport::{Client, MAX_ANSWER};
use super::wire::{KeyValue, encode, end_of};

/// Keys asked for at once: etcd has the whole page in memory before it answers, which of so many values
/// of 1 MiB takes it two seconds.
pub(super) const PAGE: usize = 128;
/// The largest answer with values, in bytes: 8 KiB for each key of a page.
const MAX_PAGE: usize = 1 << 20;
/// Values up to here are listed, in bytes; as long as one can mean anything.
const MAX_VALUE: usize = crate::json::MAX_BYTES;
/// A listing is begun anew so often when etcd forgets its revision in the middle of it.
const LISTINGS: usize = 3;
/// All of it takes no longer, however readily page comes after page.
const LIMIT: Duration = Duration::from_secs(60);

/// All keys of a prefix as they were at one revision of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The store's revision.
    pub revision: i64,
    /// In order of keys. A value of more than 64 KiB is left out, as if it were empty.
    pub pairs: Vec<KeyValue>,
}

/// What an answer has of the keys.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// At most so many of them.
    Pairs(usize),
    /// The first one, without its value.
    FirstKey,
}

impl Client {
    /// All keys that begin with `prefix`, at one revision. [`Error::TooLarge`] if keys and values together
    /// have more than 64 MiB in memory, [`Error::TimedOut`] after a minute.
    pub async fn list(&self, prefix: &str) -> Result<Listing, Error> {
        self.list_within(LIMIT, prefix).await
    }

    async fn list_within(&self, limit: Duration, prefix: &str) -> Result<Listing, Error> {
        let listing = tokio::time::timeout(limit, self.list_again(prefix)).await;
        listing.unwrap_or_else(|_| {
            self.count_failure();
            Err(Error::TimedOut {
                endpoint: self.last_asked(),
            })
        })
    }

    async fn list_again(&self, prefix: &str) -> Result<Listing, Error> {
        let mut attempt = 1;
        loop {
            match self.list_once(prefix).await {
                Err(Error::Compacted { .. }) if attempt < LISTINGS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn list_once(&self, prefix: &str) -> Result<Listing, Error> {
        let mut from = prefix.as_bytes().to_vec();
        let mut listing = Listing {
            revision: 0,
            pairs: Vec::new(),
        };
        let mut wanted = Wanted::Pairs(PAGE);
        let mut bytes = 0;
        loop {
            let page = self.range(prefix, &from, listing.revision, wanted).await;
            let page = match (page, wanted.less()) {
                (Err(Error::TooLarge { .. }), Some(less)) => {
                    wanted = less;
                    continue;
                }
                (page, _) => page?,
            };
            if page.kvs.len() > wanted.limit() {
                return Err(Error::Malformed {
                    endpoint: self.last_asked(),
                    source: serde_json::Error::custom("it has more keys than were asked for"),
                });
            }
            wanted = wanted.next();
            if listing.revision == 0 {
                listing.revision = page.header.revision;
            }
            // A page that does not get on would be asked for for ever.
            let next = page.kvs.last().map(|last| [&last.key[..], b"\0"].concat());
            let pairs = page.kvs.into_iter().map(bounded);
            listing
                .pairs
                .extend(pairs.inspect(|pair| bytes += size(pair)));
            if bytes > MAX_ANSWER {
                return Err(Error::TooLarge {
                    endpoint: prefix.to_owned(),
                    max: MAX_ANSWER,
                });
            }
            match next {
                Some(next) if page.more && next > from => from = next,
                _ => return Ok(listing),
            }
        }
    }

    async fn range(
        &self,
        prefix: &str,
        from: &[u8],
        revision: i64,
        wanted: Wanted,
    ) -> Result<RangeReply, Error> {
        let (keys_only, max) = match wanted {
            Wanted::Pairs(_) => (false, MAX_PAGE),
            // A key may be long, too.
            Wanted::FirstKey => (true, MAX_ANSWER),
        };
        let body = json!({
            "key": encode(from),
            "range_end": encode(end_of(prefix.as_bytes())),
            "limit": wanted.limit().to_string(),
            "revision": revision.to_string(),
            "keys_only": keys_only,
        });
        self.call_bounded("/v3/kv/range", &body, max).await
    }

    /// The name of the endpoint that answered last.
    fn last_asked(&self) -> String {
        name(self.endpoint(self.order().next().unwrap_or_default()))
    }
}

impl Wanted {
    /// So many keys are asked for.
    fn limit(self) -> usize {
        match self {
            Self::Pairs(limit) => limit,
            Self::FirstKey => 1,
        }
    }

    /// What to ask for if the answer is too large; none if it cannot be less.
    fn less(self) -> Option<Self> {
        match self {
            Self::Pairs(1) => Some(Self::FirstKey),
            Self::Pairs(limit) => Some(Self::Pairs((limit / 4).max(1))),
            Self::FirstKey => None,
        }
    }

    /// What to ask for next. Large values come together: after one of them the next alone.
    fn next(self) -> Self {
        match self {
            Self::Pairs(limit) => Self::Pairs((2 * limit).min(PAGE)),
            Self::FirstKey => Self::Pairs(1),
        }
    }
}

fn bounded(mut pair: KeyValue) -> KeyValue {
    if pair.value.len() > MAX_VALUE {
        pair.value = Vec::new();
    }
    pair
}

/// What a key takes in memory, in bytes: even an empty one takes some.
fn size(pair: &KeyValue) -> usize {
    size_of::<KeyValue>() + pair.key.len() + pair.value.len()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;
    use crate::etcd::Settings;

    /// An etcd with keys without end, of which it gives so many on each page, until the test ends.
    fn endless(on_a_page: usize) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                // Who hangs up early has what it wanted.
                let _ = answer(stream, number, on_a_page);
            }
        });
        Client::new(Settings::new([format!("http://{address}")])).expect("a client")
    }

    fn answer(mut stream: TcpStream, number: usize, on_a_page: usize) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"}") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                length => request.extend_from_slice(&buffer[..length]),
            }
        }
        let keys =
            (0..on_a_page).map(|key| json!({"key": encode(format!("p{number:08}{key:08}"))}));
        let keys: Vec<_> = keys.collect();
        let body = json!({"header": {"revision": "7"}, "kvs": keys, "more": true}).to_string();
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all((head + &body).as_bytes())
    }

    #[tokio::test]
    async fn keys_without_end_have_their_time() {
        let limit = Duration::from_millis(500);
        let begun = Instant::now();
        let error = endless(1)
            .list_within(limit, "p")
            .await
            .expect_err("no end");
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!((limit..20 * limit).contains(&begun.elapsed()));
    }

    #[tokio::test]
    async fn a_page_has_no_more_than_was_asked_for() {
        let error = endless(PAGE + 1).list("p").await.expect_err("too many");
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        let client = endless(PAGE);
        let limit = Duration::from_millis(200);
        let error = client.list_within(limit, "p").await.expect_err("no end");
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }

    #[test]
    fn a_key_counts_however_short_it_is() {
        let empty: KeyValue = serde_json::from_str("{}").expect("a key");
        assert!(size(&empty) >= 64);
    }

    #[test]
    fn less_is_asked_for_down_to_one_key_and_more_again() {
        let limit = |wanted: Wanted| match wanted {
            Wanted::Pairs(limit) => limit,
            Wanted::FirstKey => 0,
        };
        let down = std::iter::successors(Some(Wanted::Pairs(PAGE)), |wanted| wanted.less());
        assert!(down.map(limit).eq([128, 32, 8, 2, 1, 0]));
        let up = std::iter::successors(Some(Wanted::FirstKey), |wanted| Some(wanted.next()));
        assert!(
            up.take(10)
                .map(limit)
                .eq([0, 1, 2, 4, 8, 16, 32, 64, 128, 128])
        );
    }
}
