//! How long the certificates of this host are good.

use std::path::Path;
use std::time::{Duration, SystemTime};

use ignite_host::fs;

use super::endpoint::time;
use super::trouble::{Kind, Trouble};
use crate::etcd::ClientTls;
use crate::pki::Facts;

/// Time enough to make a new one; of short lives the last third.
const SOON: Duration = Duration::from_secs(30 * 86_400);
const MAX_PEM: u64 = 1 << 20;

/// Looks at the files for TLS. One that cannot be read keeps the client from being made, which is told
/// elsewhere.
pub(super) fn look(tls: Option<&ClientTls>, now: SystemTime) -> Vec<Trouble> {
    let ca = tls.and_then(|tls| tls.ca.as_deref());
    let identity = tls.and_then(|tls| tls.identity.as_ref());
    let own = identity.map(|pair| pair.certificate.as_path());
    let files = [("authority's certificate", ca), ("client certificate", own)];
    let files = files.into_iter();
    files
        .filter_map(|(what, path)| of_file(what, path?, now))
        .collect()
}

fn of_file(what: &str, path: &Path, now: SystemTime) -> Option<Trouble> {
    let bytes = fs::read_bounded(path, MAX_PEM).ok()?;
    let facts = Facts::of_pem(&String::from_utf8_lossy(&bytes)).ok()?;
    trouble(what, path, &facts, now)
}

fn trouble(what: &str, path: &Path, facts: &Facts, now: SystemTime) -> Option<Trouble> {
    let path = path.display();
    let life = facts.not_after.duration_since(facts.not_before);
    let soon = SOON.min(life.unwrap_or_default() / 3);
    let renew = format!("put a new one to {path}, then restart the agent");
    if let Ok(ago) = now.duration_since(facts.not_after) {
        let ago = time(ago.as_secs());
        let text = format!("The {what} for etcd, {path}, expired {ago} ago");
        return Some(Trouble::new(Kind::CertificateExpired, text, renew));
    }
    if let Ok(ahead) = facts.not_before.duration_since(now)
        && !ahead.is_zero()
    {
        let ahead = time(ahead.as_secs());
        let text =
            format!("The {what} for etcd, {path}, is not valid yet: its time begins in {ahead}");
        let remedy = "check the clock of this host, and of the one that made it";
        return Some(Trouble::new(Kind::CertificateExpired, text, remedy));
    }
    let left = facts.not_after.duration_since(now).unwrap_or_default();
    (left < soon).then(|| {
        let left = time(left.as_secs());
        let text = format!("The {what} for etcd, {path}, expires in {left}");
        Trouble::new(Kind::CertificateExpiresSoon, text, renew)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Validity};

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn certificates_that_end_are_told_in_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ca, key) = (
            directory.path().join("ca.crt"),
            directory.path().join("ca.key"),
        );
        let now = SystemTime::now();
        let authority = Authority::create("test", Validity::days(now, 100)).expect("made");
        authority.save(&ca, &key).expect("saved");
        let tls = ClientTls {
            ca: Some(ca.clone()),
            identity: None,
        };
        let told = |now| {
            let troubles = look(Some(&tls), now).into_iter();
            let text = |trouble: Trouble| {
                let text = trouble.text.replace(ca.to_str().expect("text"), "CA");
                format!("{}: {text}", trouble.kind.name())
            };
            troubles.map(text).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(look(None, now), []);
        assert_eq!(told(now + DAY * 69), "");
        insta::assert_snapshot!(told(now + DAY * 71), @"certificate-expires-soon: The authority's certificate for etcd, CA, expires in 28 days");
        insta::assert_snapshot!(told(now + DAY * 103), @"certificate-expired: The authority's certificate for etcd, CA, expired 3 days ago");
        insta::assert_snapshot!(told(now - DAY * 3), @"certificate-expired: The authority's certificate for etcd, CA, is not valid yet: its time begins in 2 days");
    }
}
