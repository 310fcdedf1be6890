//! What can go wrong with the engine, and what to do about it.

use std::io;
use std::path::PathBuf;

use ignite_host::http;

use crate::answer::Malformed;
use crate::version::{ApiVersion, VersionError};

/// Errors of the engine and of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DOCKER_HOST` names no socket of this host.
    #[error("DOCKER_HOST is {value:?}, which is not a unix socket")]
    Host {
        /// The variable's value.
        value: String,
    },
    /// There was no answer.
    #[error("cannot {action}")]
    Http {
        /// What was attempted, to be read after "cannot".
        action: String,
        /// Why.
        source: http::Error,
    },
    /// The engine's version is of no use.
    #[error("the server at {} gives no version of the Docker API", socket.display())]
    Version {
        /// Where it listens.
        socket: PathBuf,
        /// What it gave.
        source: VersionError,
    },
    /// It speaks only what is too old.
    #[error(
        "the Docker Engine speaks version {theirs} of its API, Ignite {} and newer",
        ApiVersion::LEAST
    )]
    TooOld {
        /// The engine's newest.
        theirs: ApiVersion,
    },
    /// The engine refused; the words are its own.
    #[error("cannot {action}: Docker says {message:?} (status {status})")]
    Refused {
        /// What was attempted, to be read after "cannot".
        action: String,
        /// Of HTTP.
        status: u16,
        /// The engine's words, or their beginning.
        message: String,
        /// What they mean.
        reason: Reason,
    },
    /// The engine's answer cannot be believed.
    #[error("cannot {action}: the answer of Docker cannot be read")]
    Malformed {
        /// What was attempted, to be read after "cannot".
        action: String,
        /// What is wrong with it.
        source: Malformed,
    },
    /// Not the name or the id of a container or image.
    #[error("{text:?} is not the name of a container or an image")]
    Name {
        /// The text.
        text: String,
    },
    /// The program for the container's image.
    #[error("cannot read {}", path.display())]
    Program {
        /// Where it should be.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The engine took the image, but shows another one by its name.
    #[error("Docker took the image {reference}, but has another one by that name")]
    OtherImage {
        /// The name.
        reference: String,
    },
    /// It was there a moment ago.
    #[error("the image {reference} is gone again")]
    ImageGone {
        /// Its name.
        reference: String,
    },
    /// The engine goes on removing it.
    #[error("the container {container} is still being removed")]
    Removing {
        /// Its id or name.
        container: String,
    },
}

/// What a refusal of the engine means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A published port belongs to somebody else.
    PortTaken,
    /// A published address is not one of this host's.
    AddressAbsent,
    /// The container's name is in use.
    NameTaken,
    /// The image was removed.
    NoSuchImage,
    /// There is no such container.
    NoSuchContainer,
    /// Somebody removes the container at this moment.
    Removing,
    /// A container uses the image that should be removed.
    InUse,
    /// The engine wants a newer version of its API.
    ApiTooOld,
    /// Something else.
    Other,
}

impl Reason {
    /// What the engine means with its words. It has no codes; the words are those of the versions 17 to 28.
    pub(crate) fn of(status: u16, message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        match status {
            400 if says(&["is too old", "Minimum supported API version"]) => Self::ApiTooOld,
            404 if says(&["No such image", "no such image"]) => Self::NoSuchImage,
            404 if says(&["No such container", "no such container"]) => Self::NoSuchContainer,
            409 if says(&["is already in use by container"]) => Self::NameTaken,
            409 if says(&["already in progress", "marked for removal"]) => Self::Removing,
            409 if says(&["unable to remove repository", "unable to delete"]) => Self::InUse,
            _ if says(&["port is already allocated", "address already in use"]) => Self::PortTaken,
            _ if says(&["cannot assign requested address"]) => Self::AddressAbsent,
            _ => Self::Other,
        }
    }
}

impl Error {
    /// What a refusal of the engine means, where it is one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::ImageGone { .. } => Some(Reason::NoSuchImage),
            _ => None,
        }
    }

    /// Whether there is no engine to speak with: no socket, or nobody behind it.
    pub fn is_absent(&self) -> bool {
        use http::Error::{Absent, NobodyListens};
        matches!(
            self,
            Self::Http {
                source: Absent { .. } | NobodyListens { .. },
                ..
            }
        )
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Host { .. } => {
                "only an engine of this host can be used: unset DOCKER_HOST, or set it to unix:///path/of/the/socket; or use --network-plugin cni".into()
            }
            Self::Http { source, .. } => return hint_of_http(source),
            Self::Version { .. } => {
                "is it the Docker Engine that listens there, 1.13 or newer? See DOCKER_HOST; or use --network-plugin cni".into()
            }
            Self::TooOld { .. } => {
                "update the Docker Engine to 1.13 or newer; or use --network-plugin cni".into()
            }
            Self::ImageGone { .. } => return hint_of_refusal(Reason::NoSuchImage),
            Self::Refused { reason, .. } => return hint_of_refusal(*reason),
            Self::Malformed { .. } | Self::OtherImage { .. } => {
                "see the log of the Docker Engine: journalctl -u docker; or use --network-plugin cni".into()
            }
            Self::Program { .. } => {
                "it is installed beside the other programs of Ignite: install Ignite again".into()
            }
            Self::Removing { .. } => "wait a moment and try again; see `docker ps -a`".into(),
            Self::Name { .. } => return None,
        })
    }
}

fn hint_of_http(error: &http::Error) -> Option<String> {
    use http::Error as E;
    Some(match error {
        E::Absent { .. } | E::NobodyListens { .. } => {
            "start Docker: systemctl start docker; or use --network-plugin cni".into()
        }
        E::Forbidden { .. } => {
            "run this as root, or as a member of the group that owns the socket; or use --network-plugin cni".into()
        }
        E::TimedOut { .. } => {
            "the Docker Engine hangs or is busy: see journalctl -u docker; or use --network-plugin cni".into()
        }
        E::TooLong { .. } | E::NotHttp { .. } => {
            "is it the Docker Engine that listens there, and does it still run? See DOCKER_HOST and journalctl -u docker".into()
        }
        E::Connect { .. } | E::CalledOff { .. } | E::Path { .. } | E::Runtime { .. } => return error.hint(),
    })
}

fn hint_of_refusal(reason: Reason) -> Option<String> {
    let text = match reason {
        Reason::PortTaken => {
            "publish on another port, or stop what has it: `docker ps` and `ss -ltnup` show who"
        }
        Reason::AddressAbsent => {
            "publish on an address of this host (`ip address`), or on all by leaving it out"
        }
        Reason::NameTaken => {
            "remove that container if nobody needs it (`docker rm -f NAME`), or choose another --id-prefix"
        }
        Reason::NoSuchImage => "somebody removed the image in between: try again, it is made anew",
        Reason::NoSuchContainer => "somebody removed the container in between: start the VM again",
        Reason::Removing => "wait a moment and try again",
        Reason::InUse => "`docker ps -a` shows what uses it",
        Reason::ApiTooOld => {
            "this Docker Engine is too new for this Ignite: update Ignite, or use --network-plugin cni"
        }
        Reason::Other => {
            "see the log of the Docker Engine: journalctl -u docker; or use --network-plugin cni"
        }
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_understood() {
        let taken = "driver failed programming external connectivity on endpoint x (f0): Bind for 0.0.0.0:80 failed: port is already allocated";
        let foreign = "driver failed programming external connectivity on endpoint x (f0): Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use";
        let name = "Conflict. The container name \"/x\" is already in use by container \"f0\". You have to remove (or rename) that container to be able to reuse that name.";
        for (status, message, reason) in [
            (500, taken, Reason::PortTaken),
            (500, foreign, Reason::PortTaken),
            (409, name, Reason::NameTaken),
            (404, "No such image: ignite-holder:0", Reason::NoSuchImage),
            (404, "No such container: x", Reason::NoSuchContainer),
            (
                409,
                "removal of container x is already in progress",
                Reason::Removing,
            ),
            (
                409,
                "container is marked for removal and cannot be started",
                Reason::Removing,
            ),
            (
                409,
                "conflict: unable to remove repository reference \"x\" (must force)",
                Reason::InUse,
            ),
            (
                409,
                "conflict: unable to delete f0f0 (cannot be forced)",
                Reason::InUse,
            ),
            (409, "cannot do that to a paused container", Reason::Other),
            (
                400,
                "client version 1.44 is too old. Minimum supported API version is 1.52",
                Reason::ApiTooOld,
            ),
            (
                400,
                "client version 1.44 is too new. Maximum supported API version is 1.41",
                Reason::Other,
            ),
            (500, "anything", Reason::Other),
        ] {
            assert_eq!(Reason::of(status, message), reason, "{message}");
        }
    }

    #[test]
    fn an_absent_engine_is_one_to_start() {
        let error = Error::Http {
            action: "speak with Docker".into(),
            source: http::Error::Absent {
                socket: "/run/docker.sock".into(),
            },
        };
        assert!(error.is_absent());
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("systemctl start docker"))
        );
    }
}
