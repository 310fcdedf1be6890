//! What a certificate is to say.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use super::Error;

/// Clocks of hosts differ, by whole hours where a time zone was mistaken: certificates begin so much
/// earlier.
pub(super) const SKEW: Duration = Duration::from_secs(3600);
/// The longest common name (RFC 5280, upper bound `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// What a certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whom it is for; etcd takes it for the name of a user.
    pub common_name: String,
    /// Host names it is good for.
    pub names: Vec<String>,
    /// Addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// What it is good for.
    pub usage: Usage,
    /// How long.
    pub validity: Validity,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// An etcd server or peer: a client too, since a peer calls others, and etcd's JSON gateway calls
    /// its own server with the server's certificate.
    Server,
    /// A client only.
    Client,
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: SystemTime,
    /// The last.
    pub to: SystemTime,
}

impl Validity {
    /// So many days from now, beginning a little earlier for clocks that are behind.
    pub fn days(now: SystemTime, days: u32) -> Self {
        Self {
            from: now.checked_sub(SKEW).unwrap_or(now),
            to: now + Duration::from_secs(u64::from(days) * 86_400),
        }
    }
}

impl Profile {
    /// The certificate library's form, valid no longer than `until`.
    pub(super) fn parameters(&self, until: SystemTime) -> Result<CertificateParams, Error> {
        let mut parameters = self.subject()?;
        let Validity { from, to } = self.validity;
        let to = to.min(until);
        limit(&mut parameters, Validity { from, to });
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = match self.usage {
            Usage::Server => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        parameters.use_authority_key_identifier_extension = true;
        if self.usage == Usage::Server && parameters.subject_alt_names.is_empty() {
            return Err(Error::ForNobody);
        }
        Ok(parameters)
    }

    /// Its subject and other names alone: what a request holds.
    pub(super) fn subject(&self) -> Result<CertificateParams, Error> {
        let mut parameters = named(&self.common_name)?;
        for name in &self.names {
            parameters
                .subject_alt_names
                .push(SanType::DnsName(host_name(name)?));
        }
        let addresses = self.addresses.iter().copied().map(SanType::IpAddress);
        parameters.subject_alt_names.extend(addresses);
        Ok(parameters)
    }
}

/// Parameters with this subject and nothing else.
pub(super) fn named(common_name: &str) -> Result<CertificateParams, Error> {
    let printable = common_name.chars().all(|c| !c.is_control());
    if common_name.is_empty() || common_name.len() > MAX_COMMON_NAME || !printable {
        return Err(Error::Name(common_name.to_owned()));
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(parameters)
}

/// Sets the validity, in whole seconds, not before 1970.
pub(super) fn limit(parameters: &mut CertificateParams, validity: Validity) {
    let since = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    };
    let epoch = date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(since(validity.from));
    parameters.not_after = epoch + Duration::from_secs(since(validity.to));
}

/// Letters, digits and hyphens in labels of 1 to 63, 253 in all; the first label may be `*`.
fn host_name(name: &str) -> Result<Ia5String, Error> {
    let refuse = || Error::Name(name.to_owned());
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let good = name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
        && name.len() <= 253
        // An address is not a name: TLS would look for it among the addresses.
        && name.parse::<IpAddr>().is_err();
    match good {
        true => Ia5String::try_from(name).map_err(|_| refuse()),
        false => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked() {
        for good in ["localhost", "etcd-1.example.com", "*.example.com", "a"] {
            host_name(good).expect(good);
        }
        for bad in [
            "", "-a", "a-", "a..b", "10.0.0.1", "a b", "a/b", "ä", "*", "a.*.b",
        ] {
            host_name(bad).expect_err(bad);
        }
        host_name(&"a.".repeat(127)).expect_err("ends in a dot");
        host_name(&format!("{}.a", "a".repeat(64))).expect_err("long label");
    }

    #[test]
    fn subjects_are_bounded() {
        named("ignite").expect("good");
        named("").expect_err("empty");
        named(&"n".repeat(65)).expect_err("long");
        named("a\nb").expect_err("control");
    }
}
