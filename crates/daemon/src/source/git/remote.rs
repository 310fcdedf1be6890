//! Where a repository is, in the forms git takes, without credentials.
//!
//! ```text
//!   ssh://[user@]host[:port]/path    [user@]host:path
//!   https://host[:port]/path
//!   file:///path                     /path
//! ```

use super::Error;
use super::secret::Login;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Through `ssh`.
    Ssh,
    /// By HTTP over TLS.
    Https,
    /// A directory of this host.
    File,
}

impl Scheme {
    /// As git's configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Https => "https",
            Self::File => "file",
        }
    }
}

/// A repository's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    url: String,
    scheme: Scheme,
    host: String,
}

impl Remote {
    /// Reads an address; what stood in it of a user and password of HTTPS is given apart.
    ///
    /// # Errors
    /// If git would not fetch it, or would run a program of the address's choice.
    pub fn parse(text: &str) -> Result<(Self, Option<Login>), Error> {
        let (text, login) = without_login(&lower_scheme(text));
        let refuse = |reason, hint| Error::Url {
            url: without_secrets(&text),
            reason,
            hint,
        };
        if text.is_empty() || text.starts_with('-') {
            return Err(refuse("it is no address", ADDRESSES));
        }
        if text.chars().any(char::is_control) {
            return Err(refuse("it holds a control character", ADDRESSES));
        }
        let (url, scheme, host) = match text.split_once("://") {
            Some(("https", rest)) => (text.clone(), Scheme::Https, authority(rest)),
            Some(("ssh", rest)) => (text.clone(), Scheme::Ssh, authority(rest)),
            Some(("file", path)) if path.starts_with('/') => (text.clone(), Scheme::File, ""),
            Some(("file", _)) => return Err(refuse("it names no absolute path", ADDRESSES)),
            Some(("http" | "git", _)) => {
                return Err(refuse(
                    "nothing tells whether what comes that way was changed",
                    "use https:// or ssh://",
                ));
            }
            Some(_) => return Err(refuse("its scheme is none that is fetched", ADDRESSES)),
            None if text.contains("::") => {
                return Err(refuse("it names a helper program of git", ADDRESSES));
            }
            None if text.starts_with('/') => (format!("file://{text}"), Scheme::File, ""),
            None => match text.split_once(':') {
                Some((host, path)) if !host.contains('/') && !path.is_empty() => {
                    (text.clone(), Scheme::Ssh, host)
                }
                _ => return Err(refuse("it names no host and no absolute path", ADDRESSES)),
            },
        };
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        // Whatever stands there, it would be in git's command line and in our log.
        if user.contains(':') || is_scp_like(&text) && has_password(&text) {
            return Err(refuse("it holds a password", PASSWORDS));
        }
        if !has_port_of_digits(host) {
            return Err(refuse("its port is no number", PASSWORDS));
        }
        if scheme != Scheme::File && (host.is_empty() || host.starts_with('-')) {
            return Err(refuse("it names no host", ADDRESSES));
        }
        let host = host.to_owned();
        Ok((Self { url, scheme, host }, login))
    }

    /// As git takes it, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host with its port; empty for a directory.
    pub fn host(&self) -> &str {
        &self.host
    }
}

const ADDRESSES: &str =
    "there are ssh://host/path, user@host:path, https://host/path, file:///path";

const PASSWORDS: &str =
    "ssh takes a key: --identity-file; an HTTPS server a password: --https-password-file";

/// The address with its scheme, if it has one, in the form that git knows.
fn lower_scheme(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => text.to_owned(),
    }
}

/// `user@host:path`, which has no scheme.
fn is_scp_like(text: &str) -> bool {
    !text.contains("://") && !text.starts_with('/')
}

/// Whether it was meant as `user:password@host:path`, which git takes for the path of host `user`.
fn has_password(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    first
        .rsplit_once('@')
        .is_some_and(|(user, host)| user.contains(':') && host.contains(':'))
}

/// An address as it is shown where it is refused: without what may be a user and a password, as long
/// as nobody can tell what was meant.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    match rest.rsplit_once('@') {
        Some((user, host)) if !scheme.is_empty() || user.contains(':') => {
            format!("{scheme}…@{host}")
        }
        _ => text.to_owned(),
    }
}

/// Whether what follows the host, if anything does, is a port.
fn has_port_of_digits(host: &str) -> bool {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    let port = after.split_once(':').map_or("", |(_, port)| port);
    port.chars().all(|digit| digit.is_ascii_digit())
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Takes the user and password out of an address of HTTP.
pub fn without_login(text: &str) -> (String, Option<Login>) {
    let Some((scheme, rest)) = text.split_once("://") else {
        return (text.to_owned(), None);
    };
    let authority = authority(rest);
    match authority.rsplit_once('@') {
        Some((user, host)) if is_http(scheme) => {
            let path = &rest[authority.len()..];
            (format!("{scheme}://{host}{path}"), Some(Login::parse(user)))
        }
        _ => (text.to_owned(), None),
    }
}

/// RFC 3986 3.1: in whatever case.
fn is_http(scheme: &str) -> bool {
    ["http", "https"]
        .iter()
        .any(|http| scheme.eq_ignore_ascii_case(http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_and_its_host() {
        let cases = [
            (
                "ssh://git@example.org:2222/a b.git",
                Scheme::Ssh,
                "example.org:2222",
            ),
            ("git@example.org:vms.git", Scheme::Ssh, "example.org"),
            (
                "https://example.org:8443/vms",
                Scheme::Https,
                "example.org:8443",
            ),
            ("file:///srv/vms.git", Scheme::File, ""),
        ];
        for (text, scheme, host) in cases {
            let (remote, login) = Remote::parse(text).expect(text);
            assert_eq!(
                (remote.url(), remote.scheme(), remote.host()),
                (text, scheme, host)
            );
            assert_eq!(login, None);
        }
        let (remote, _) = Remote::parse("/srv/vms.git").expect("a path");
        assert_eq!(remote.url(), "file:///srv/vms.git");
    }

    #[test]
    fn credentials_leave_the_address() {
        let (remote, login) =
            Remote::parse("https://me:p%40ss%3a@example.org/vms").expect("an address");
        assert_eq!(remote.url(), "https://example.org/vms");
        let login = login.expect("credentials");
        assert_eq!(
            (login.user.as_str(), login.password.expose()),
            ("me", "p@ss:")
        );
    }

    #[test]
    fn what_would_run_a_program_or_reach_nobody_is_refused() {
        for text in [
            "",
            "-x",
            "--upload-pack=x",
            "ext::sh -c x",
            "http://example.org/vms",
            "git://example.org/vms",
            "ftp://example.org/x",
            "vms.git",
            "./vms:git",
            "file://host/path",
            "ssh:///path",
            "ssh://-oProxyCommand=x/p",
            "-oProxyCommand=x:p",
            "user@-x:p",
            "https://example.org/\nx",
            "https:///x",
        ] {
            let error = Remote::parse(text).expect_err(text);
            assert!(error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn a_scheme_may_be_written_in_any_case() {
        let (remote, login) =
            Remote::parse("HTTPS://me:secret@example.org/Vms").expect("an address");
        assert_eq!(remote.url(), "https://example.org/Vms");
        assert_eq!(login.expect("credentials").password.expose(), "secret");
    }

    #[test]
    fn an_error_tells_no_password() {
        for text in [
            "http://me:secret@example.org/vms",
            "HTTP://me:secret@example.org/vms",
            "htps://me:secret@example.org/vms",
            "ftp://me:secret@example.org/vms",
            "git://me:secret@example.org/vms",
            "file://me:secret@example.org/vms",
            "ssh://me:secret@example.org/vms",
            "SSH://me:secret@example.org/vms",
            "me:secret@example.org:vms",
            // A slash that should have been %2F.
            "https://me:se/secret@example.org/vms",
            "ssh://me:se/secret@example.org/vms",
        ] {
            let error = Remote::parse(text).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(error.to_string().contains("example.org"), "{error}");
        }
    }

    #[test]
    fn what_only_looks_like_a_password_is_none() {
        for text in ["host:dir@2/x", "ssh://git@[::1]:2222/a@b:c"] {
            let (remote, _) = Remote::parse(text).expect(text);
            assert_eq!(remote.url(), text);
        }
    }
}
