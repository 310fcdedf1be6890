//! Why a VM is not on Docker's bridge, or not off it.

use ignite_docker::Error as DockerError;
use ignite_host::netns;
use ipnet::Ipv4Net;

/// What one does without this plugin.
const CNI: &str = "use --network-plugin cni";

/// Errors of the network plugin `docker-bridge`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine: absent, or it refuses.
    #[error(transparent)]
    Docker(DockerError),
    /// Our program for the container.
    #[error("the program ignite-holder is not found")]
    NoProgram,
    /// By what our containers are known.
    #[error("cannot tell the containers of this data directory from others")]
    Identity(#[source] ignite_host::fs::Error),
    /// Something Docker's default bridge has no means for.
    #[error("the network plugin docker-bridge cannot give a VM {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// Somebody's container has the VM's name.
    #[error("there is a Docker container {container} that is not of this VM")]
    NameTaken {
        /// The name.
        container: String,
        /// Docker's id of it.
        id: String,
    },
    /// The container does not run.
    #[error("the Docker container {container} does not run: {reason}")]
    Ended {
        /// Its name.
        container: String,
        /// Why, as far as Docker says.
        reason: String,
    },
    /// Its namespace cannot be opened.
    #[error("cannot enter the network namespace of the Docker container {container}")]
    Namespace {
        /// Its name.
        container: String,
        /// Why.
        source: netns::Error,
    },
    /// Docker gave it no address.
    #[error("Docker gave the container {container} no IPv4 address on its default bridge")]
    NoAddress {
        /// Its name.
        container: String,
    },
    /// What Docker tells of is not on this host.
    #[error(
        "the process Docker names for the container {container} does not have its address {address}"
    )]
    NotThere {
        /// Its name.
        container: String,
        /// The address Docker gave it.
        address: Ipv4Net,
    },
    /// The container could not be removed.
    #[error("the Docker container {container} of the VM is not removed")]
    Remains {
        /// Its name.
        container: String,
        /// Why.
        source: Box<DockerError>,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Docker(error) => error.hint(),
            Self::NoProgram => Some(
                "install Ignite as a whole, or name the program in the variable IGNITE_HOLDER"
                    .into(),
            ),
            Self::Identity(error) => error.hint(),
            Self::Unsupported { .. } => Some(format!(
                "{CNI}, where networks, addresses and several interfaces can be chosen"
            )),
            Self::NameTaken { id, .. } => Some(format!(
                "if nobody needs it, remove it with: docker rm -f {}; or {CNI}",
                id.get(..12).unwrap_or(id)
            )),
            Self::Ended { .. } => Some("see Docker's log, and start the VM again".into()),
            Self::Namespace { .. } => None,
            Self::NoAddress { .. } => Some(format!(
                "see whether Docker has its bridge: docker network inspect bridge; or {CNI}"
            )),
            Self::NotThere { .. } => Some(format!(
                "Docker must run on this host itself, not in another container or machine; or {CNI}"
            )),
            Self::Remains { source, .. } => Some(hint_of_rest(source)),
        }
    }

    /// Whether it is the container alone that stays, for whatever reason its engine has, or has not:
    /// who insists gives it up, since `network gc` finds it by its labels.
    pub fn is_rest(&self) -> bool {
        matches!(self, Self::Remains { .. })
    }
}

fn hint_of_rest(error: &DockerError) -> String {
    let finish =
        "finish with: ignite network gc; to remove the VM before that: ignite rm -f".to_owned();
    match (error, error.hint()) {
        (DockerError::Http { .. }, _) => format!("when Docker is back, {finish}"),
        (_, Some(hint)) => format!("{hint}; then {finish}"),
        (_, None) => finish,
    }
}

#[cfg(test)]
mod tests {
    use ignite_docker::Reason;

    use super::*;

    #[test]
    fn a_container_is_given_up_whatever_its_engine_says() {
        let refused = |status, reason| DockerError::Refused {
            action: "inspect it".into(),
            status,
            message: "no".into(),
            reason,
        };
        let version = DockerError::Version {
            socket: "/run/docker.sock".into(),
            source: ignite_docker::VersionError { text: "x".into() },
        };
        for source in [
            refused(400, Reason::ApiTooOld),
            refused(500, Reason::Other),
            version,
        ] {
            let error = Error::Remains {
                container: "ignite-x".into(),
                source: Box::new(source),
            };
            assert!(error.is_rest(), "{error}");
            let hint = error.hint().expect("a hint");
            assert!(
                hint.contains("network gc") && hint.contains("rm -f"),
                "{hint}"
            );
            assert!(crate::Error::from(crate::network::Error::from(error)).is_only_a_container());
        }
        assert!(!Error::NoProgram.is_rest());
    }
}
