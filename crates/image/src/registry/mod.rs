//! Images from registries (OCI distribution specification 1.1), read only.
//!
//! ```text
//!  session      one repository: scheme, login, bounded answers
//!  auth         challenges             credentials  logins from Docker's config.json
//!  download     blobs into the cache: resumed, verified, several at a time
//! ```
//!
//! Written on reqwest rather than on a client for registries: those hold answers of any length in
//! memory and know no refresh tokens. Everything outside is synchronous; an event loop lives as long as
//! a call.

mod auth;
mod credentials;
mod download;
mod error;
mod session;

use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use ignite_api::Reference;

use crate::blobs::Blobs;
use crate::digest::Digest;
use crate::layout::for_here;
use crate::manifest::{Descriptor, Document, LARGEST_MANIFEST, Manifest};
use crate::progress::Progress;
use session::Session;

pub use auth::Challenge;
pub use credentials::{Credentials, CredentialsError, Logins, Malformed};
pub use error::Error;

/// Layers fetched at the same time.
const PARALLEL: usize = 4;
/// Indexes in indexes.
const DEEPEST: usize = 4;
/// How soon a wish to stop is noticed while nothing arrives.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How registries are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Registries (`host` or `host:port`) that need no TLS and no known certificate.
    pub insecure: Vec<String>,
    /// Directory of Docker's `config.json`; none for `$DOCKER_CONFIG` or `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// Directory with authorities by registry, `<registry>/*.crt`.
    pub certificates: PathBuf,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest time without a byte.
    pub silence: Duration,
    /// Attempts without any progress.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            docker_config: None,
            certificates: PathBuf::from("/etc/docker/certs.d"),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// An image found in a registry.
#[derive(Debug)]
pub(crate) struct Remote {
    session: Session,
    /// Of the manifest for this machine.
    pub digest: Digest,
    pub manifest: Manifest,
}

impl Remote {
    /// Finds the image a reference names for this machine. Nothing but manifests is fetched.
    pub fn resolve(
        reference: &Reference,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        run(progress, async {
            let session = Session::open(reference, options).await?;
            let (digest, manifest) = find(&session).await?;
            Ok(Self {
                session,
                digest,
                manifest,
            })
        })
    }

    /// A small blob, checked.
    pub fn small_blob(
        &self,
        descriptor: &Descriptor,
        what: &'static str,
        max: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, Error> {
        let digest = descriptor.digest;
        run(progress, async {
            let fetch = async || {
                let response = self.session.blob(&digest.to_string(), 0).await?;
                self.session.body(response, what, max).await
            };
            let bytes = retrying(&self.session.options, fetch).await?;
            verified(what, bytes, Some(digest)).map(|(bytes, _)| bytes)
        })
    }

    /// Brings all layers into the cache; `ready` gets each, lowest first, as soon as it and those below
    /// it are there.
    pub fn layers(
        &self,
        blobs: &Blobs,
        progress: &dyn Progress,
        ready: impl FnMut(&Descriptor, File),
    ) -> Result<(), Error> {
        run(progress, self.fetch_layers(blobs, progress, ready))
    }

    async fn fetch_layers(
        &self,
        blobs: &Blobs,
        progress: &dyn Progress,
        mut ready: impl FnMut(&Descriptor, File),
    ) -> Result<(), Error> {
        use futures_util::stream::{StreamExt, iter};
        let layers = &self.manifest.layers;
        download::check_space(blobs, layers)?;
        let fetches = layers.iter().map(|layer| async move {
            Ok::<_, Error>((
                layer,
                download::fetch(&self.session, blobs, layer, progress).await?,
            ))
        });
        let mut done = std::pin::pin!(iter(fetches).buffered(PARALLEL));
        while let Some(result) = done.next().await {
            let (layer, file) = result?;
            ready(layer, file);
        }
        Ok(())
    }
}

/// Follows the reference through indexes to one manifest.
async fn find(session: &Session) -> Result<(Digest, Manifest), Error> {
    let reference = &session.reference;
    let document = |source| Error::Document {
        image: reference.familiar(),
        source,
    };
    let mut expected: Option<Digest> = reference.digest().map(str::parse).transpose()?;
    let mut name = reference
        .digest()
        .or(reference.tag())
        .unwrap_or("latest")
        .to_owned();
    for _ in 0..DEEPEST {
        let fetch = async || {
            let response = session.manifest(&name).await?;
            session.body(response, "manifest", LARGEST_MANIFEST).await
        };
        let bytes = retrying(&session.options, fetch).await?;
        let (bytes, digest) = verified("manifest", bytes, expected)?;
        match Document::parse(&bytes).map_err(document)? {
            Document::Manifest(manifest) => return Ok((digest, manifest)),
            Document::Index(manifests) => {
                let chosen = for_here(&manifests).map_err(Error::Platform)?;
                expected = Some(chosen.digest);
                name = chosen.digest.to_string();
            }
        }
    }
    let media_type = "index of indexes of indexes".into();
    Err(document(crate::manifest::DocumentError::NotAnImage {
        media_type,
    }))
}

fn verified(
    what: &'static str,
    bytes: Vec<u8>,
    expected: Option<Digest>,
) -> Result<(Vec<u8>, Digest), Error> {
    let found = Digest::of(&bytes);
    match expected {
        Some(expected) if expected != found => Err(Error::WrongDigest {
            what: what.into(),
            expected,
            found,
        }),
        _ => Ok((bytes, found)),
    }
}

/// Tries until it succeeds, fails for good, or the attempts are used up.
async fn retrying<T>(
    options: &Options,
    attempt: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failures = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && failures + 1 < options.attempts => {
                wait(options, failures, &error).await;
                failures += 1;
            }
            result => return result,
        }
    }
}

async fn wait(options: &Options, failures: u32, error: &Error) {
    let pause = options.backoff * 2u32.pow(failures.min(6));
    tracing::debug!(%error, ?pause, "will try again");
    tokio::time::sleep(pause).await;
}

/// Runs to the end, or until the caller calls it off.
fn run<T>(
    progress: &dyn Progress,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(Error::Runtime)?.block_on(async {
        let called_off = async {
            while !progress.cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            result = work => result,
            () = called_off => Err(Error::Cancelled),
        }
    })
}
