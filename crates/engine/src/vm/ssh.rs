//! Access by ssh, for images with a server of their own: a VM's keys, and the way to it.
//!
//! ```text
//!   create --ssh        id_<uid>, id_<uid>.pub in the VM's directory: made by ssh-keygen
//!   create --ssh=KEY    id_<uid>.pub alone: a copy of what KEY holds
//!   start               the public key goes to the guest, which adds it to root's
//!   ssh                 known_hosts in the VM's directory: the guest's own key, from the first time on
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_api::{Ssh, Uid};
use ignite_host::process::{Limits, Spec, Status, run};
use ignite_store::Liveness;

use super::inspect;
use crate::{Engine, Error};

/// No public key is longer, in bytes.
const MAX_KEY: u64 = 64 * 1024;

/// A server that is about to listen does so within that time of the first refusal.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// How often to try.
const PAUSE: Duration = Duration::from_millis(200);

const PORT: u16 = 22;

/// What is wrong with keys, or with the way to a VM.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// No pair could be made.
    #[error("ssh-keygen made no key pair: {said}")]
    NotMade {
        /// What it said.
        said: String,
    },
    /// A public key cannot be read.
    #[error("cannot read the public key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ignite_host::fs::Error,
    },
    /// It is none.
    #[error("{} holds no public key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The VM has no key of its own.
    #[error("VM {name} has no key of its own")]
    NoIdentity {
        /// The VM's name.
        name: String,
    },
    /// The VM has no address.
    #[error("VM {name} has no address")]
    NoAddress {
        /// The VM's name.
        name: String,
    },
    /// Nobody listens there.
    #[error("no ssh server answers in VM {name}, at {address} port {PORT}")]
    NoServer {
        /// The VM's name.
        name: String,
        /// Its address.
        address: IpAddr,
        /// The last answer.
        source: io::Error,
    },
}

impl SshError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotMade { .. } => {
                "install OpenSSH's client; on Debian: apt-get install openssh-client".to_owned()
            }
            Self::Read { .. } | Self::NoKey { .. } => {
                "name a file as ssh-keygen writes it: --ssh=/root/.ssh/id_ed25519.pub".to_owned()
            }
            Self::NoIdentity { name } => format!(
                "name one with -i FILE, create VMs with --ssh, or use what needs no key: \
                 ignite exec -it {name} -- sh"
            ),
            Self::NoServer { name, .. } => format!(
                "wait longer with --timeout; a VM without an ssh server is entered by: ignite exec -it {name} -- sh"
            ),
            Self::NoAddress { name } => {
                format!("what needs no network is: ignite exec -it {name} -- sh")
            }
        }
    }
}

/// The public key that is asked for by name, or nothing where a pair is to be made.
pub(super) fn named_key(ssh: Option<&Ssh>) -> Result<Option<String>, SshError> {
    match ssh {
        Some(Ssh::Key(path)) => read_key(&with_suffix(path)).map(Some),
        Some(Ssh::Generate | Ssh::Off) | None => Ok(None),
    }
}

/// Puts a new VM's keys into its directory.
pub(super) fn make_keys(
    ssh: Option<&Ssh>,
    named: Option<&str>,
    directory: &Path,
    uid: Uid,
) -> Result<(), Error> {
    let private = directory.join(key_name(uid));
    match (ssh, named) {
        (Some(Ssh::Generate), _) => Ok(generate(&private, uid)?),
        (_, Some(key)) => {
            let path = public(&private);
            ignite_host::fs::write_atomic(&path, format!("{key}\n").as_bytes(), 0o644)
                .map_err(Error::File)
        }
        _ => Ok(()),
    }
}

/// The keys a guest is given: what is in the directory of its VM.
pub(super) fn keys_of(
    ssh: Option<&Ssh>,
    directory: &Path,
    uid: Uid,
) -> Result<Vec<String>, SshError> {
    match ssh {
        Some(Ssh::Generate | Ssh::Key(_)) => {
            read_key(&public(&directory.join(key_name(uid)))).map(|key| vec![key])
        }
        Some(Ssh::Off) | None => Ok(Vec::new()),
    }
}

impl Engine {
    /// The arguments of `ssh`, up to the command, that lead into the VM that `text` means, once somebody
    /// answers there: with its own key, or the one of the file `identity`.
    pub fn ssh(
        &self,
        text: &str,
        identity: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Vec<String>, Error> {
        let uid = self.vms.resolve(text)?;
        let record = self.vms.get(uid)?;
        let name = record.name.to_string();
        if !Liveness::is_held(&self.config.paths, uid)? {
            return Err(Error::NotRunning { name });
        }
        let directory = self.vms.dir(uid);
        let own = directory.join(key_name(uid));
        let identity = match identity.or_else(|| own.is_file().then_some(own)) {
            Some(identity) => identity,
            None => return Err(SshError::NoIdentity { name }.into()),
        };
        let network = self.vms.network(uid)?;
        let interfaces = inspect::interfaces(&record.interfaces, &network, &[], true);
        let first = interfaces.iter().flat_map(|one| &one.addresses).next();
        let Some(address) = first.map(ipnet::IpNet::addr) else {
            return Err(SshError::NoAddress { name }.into());
        };
        wait_for_server(SocketAddr::new(address, PORT), timeout).map_err(|source| {
            SshError::NoServer {
                name,
                address,
                source,
            }
        })?;
        Ok(arguments(
            &identity,
            &directory.join("known_hosts"),
            uid,
            address,
        ))
    }
}

/// What `ssh` is told. The guest's own key is believed the first time and held to from then on, for this
/// VM alone: another one may have had its address.
fn arguments(identity: &Path, known: &Path, uid: Uid, address: IpAddr) -> Vec<String> {
    let options = [
        "IdentitiesOnly=yes".to_owned(),
        "StrictHostKeyChecking=accept-new".to_owned(),
        format!("UserKnownHostsFile=\"{}\"", known.display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        format!("HostKeyAlias={uid}"),
        "CheckHostIP=no".to_owned(),
        "LogLevel=ERROR".to_owned(),
    ];
    let mut arguments = vec!["-i".to_owned(), identity.display().to_string()];
    for option in options {
        arguments.extend(["-o".to_owned(), option]);
    }
    arguments.extend(["-l".to_owned(), "root".to_owned(), address.to_string()]);
    arguments
}

/// Waits until somebody listens. A machine that answers that nobody does is not waited for long.
fn wait_for_server(address: SocketAddr, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut refused = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let least = Duration::from_millis(1);
        let error = match TcpStream::connect_timeout(&address, left.max(least)) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let now = Instant::now();
        if error.kind() == io::ErrorKind::ConnectionRefused {
            refused.get_or_insert(now);
        }
        let given_up = refused.is_some_and(|since| now - since > REFUSED_FOR);
        if given_up || now >= deadline {
            return Err(error);
        }
        std::thread::sleep(PAUSE.min(deadline - now));
    }
}

fn generate(private: &Path, uid: Uid) -> Result<(), SshError> {
    let spec = Spec::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C"])
        .arg(format!("ignite-{uid}"))
        .arg("-f")
        .arg(private);
    let said = match run(spec, b"", Limits::default()) {
        Ok(output) if output.status == Status::Code(0) => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => ignite_host::error::chain(&error),
    };
    Err(SshError::NotMade { said })
}

/// The one line of a public key.
fn read_key(path: &Path) -> Result<String, SshError> {
    let bytes = ignite_host::fs::read_bounded(path, MAX_KEY).map_err(|source| SshError::Read {
        path: path.to_owned(),
        source,
    })?;
    key_in(&String::from_utf8_lossy(&bytes)).ok_or_else(|| SshError::NoKey {
        path: path.to_owned(),
    })
}

/// The first line that is a public key: a type, and base64.
fn key_in(text: &str) -> Option<String> {
    let is_key = |line: &&str| {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let known = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|start| kind.starts_with(start));
        let data = words.next().unwrap_or_default();
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        known && data.len() > 40 && data.bytes().all(base64)
    };
    let printable = |line: &&str| !line.chars().any(char::is_control);
    text.lines()
        .map(str::trim)
        .filter(printable)
        .find(is_key)
        .map(str::to_owned)
}

/// People leave out the end of the name.
fn with_suffix(path: &str) -> PathBuf {
    match path.strip_suffix(".pub") {
        Some(_) => path.into(),
        None => format!("{path}.pub").into(),
    }
}

fn key_name(uid: Uid) -> String {
    format!("id_{uid}")
}

fn public(private: &Path) -> PathBuf {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8V0pZ7lQ0aXo0p4uU2q3rJYgH7G6uVt1w9 me@home";

    #[test]
    fn a_key_is_found_and_what_is_none_is_not() {
        assert_eq!(key_in(&format!("# mine\n{KEY}\n")).as_deref(), Some(KEY));
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n";
        for text in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 short",
            private,
            "ssh-rsa A\tB",
        ] {
            assert_eq!(key_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_is_waited_for_as_long_as_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        wait_for_server(address, Duration::ZERO).expect("it listens");
        drop(listener);
        let timeout = Duration::from_millis(500);
        let begun = Instant::now();
        let error = wait_for_server(address, timeout).expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(begun.elapsed() >= timeout, "it may come up meanwhile");
        assert!(begun.elapsed() < REFUSED_FOR, "no longer than asked");
    }

    #[test]
    fn who_says_that_nobody_listens_is_not_waited_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let begun = Instant::now();
        let timeout = REFUSED_FOR * 10;
        wait_for_server(address, timeout).expect_err("nobody listens");
        assert!(begun.elapsed() > REFUSED_FOR && begun.elapsed() < timeout);
    }

    #[test]
    fn the_end_of_a_name_may_be_left_out() {
        assert_eq!(with_suffix("/k"), Path::new("/k.pub"));
        assert_eq!(with_suffix("/k.pub"), Path::new("/k.pub"));
    }

    #[test]
    fn a_named_key_is_copied_and_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mine.pub");
        std::fs::write(&path, format!("{KEY}\n")).expect("written");
        let ssh = Ssh::Key(directory.path().join("mine").display().to_string());
        let named = named_key(Some(&ssh)).expect("it is there");
        let uid = Uid::random();
        make_keys(Some(&ssh), named.as_deref(), directory.path(), uid).expect("copied");
        let keys = keys_of(Some(&ssh), directory.path(), uid).expect("read");
        assert_eq!(keys, [KEY]);
        assert!(
            keys_of(None, directory.path(), uid)
                .expect("none")
                .is_empty()
        );
        let missing = named_key(Some(&Ssh::Key("/nowhere/key".into())));
        assert!(missing.is_err_and(|error| error.to_string().contains("/nowhere/key.pub")));
    }
}
