//! Sockets that are listened on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ignite_program::Failure;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::{MAX_CONNECTIONS, connection};
use crate::app::Shared;
use crate::config::Config;

/// How long to wait when the kernel can give no connection: for lack of descriptors, as a rule.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes its socket along when the daemon ends.
#[derive(Debug)]
pub struct Server {
    socket: Option<PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = &self.socket {
            // One that is left over is in nobody's way.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Serves on a thread of its own. Without its socket the daemon goes on; an address that was asked for
/// must be had.
pub fn serve(config: &Config, shared: Arc<Shared>) -> Result<Server, Failure> {
    let tcp = config.address.map(bind).transpose()?;
    let unix = match bind_unix(&config.socket) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let path = config.socket.display();
            tracing::warn!("no metrics, health and status at {path}: {error}");
            None
        }
    };
    let socket = unix.is_some().then(|| config.socket.clone());
    crate::app::thread("http", move || {
        if let Err(error) = run(unix, tcp, shared) {
            tracing::error!("metrics, health and status are not served: {error}");
        }
    })?;
    Ok(Server { socket })
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => "another program has it: choose another --metrics-address",
            _ => "give --metrics-address an address of this host",
        };
        let action = format!("listen on {address} for metrics");
        let error = ignite_host::error::SystemError::new(action, source);
        Failure::new(error, Some(hint.into()))
    })
}

/// The socket, for its owner alone. One that nobody listens on is left over.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::other("another program listens there"));
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => return Err(io::Error::other("there is something else than a socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn run(
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let unix = unix.map(from_unix).transpose()?;
        let tcp = tcp.map(from_tcp).transpose()?;
        // Who reaches the address is a stranger, and must not keep the host's own from asking.
        let [by_unix, by_tcp] = [Arc::clone(&shared), shared].map(Served::new);
        let on_unix = by_unix.each(unix, async |listener: &tokio::net::UnixListener| {
            Ok(listener.accept().await?.0)
        });
        let on_tcp = by_tcp.each(tcp, async |listener: &tokio::net::TcpListener| {
            Ok(listener.accept().await?.0)
        });
        tokio::join!(on_unix, on_tcp);
        Ok(())
    })
}

fn from_unix(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn from_tcp(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// What connections of one socket share.
struct Served {
    shared: Arc<Shared>,
    /// Places for connections.
    room: Arc<Semaphore>,
    /// The one place for who reads counters.
    scrapes: Arc<Semaphore>,
}

impl Served {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            scrapes: Arc::new(Semaphore::new(1)),
        }
    }

    /// Serves every connection of a listener, for ever; nothing where there is none.
    async fn each<L, S>(&self, listener: Option<L>, accept: impl AsyncFn(&L) -> io::Result<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(listener) = listener else { return };
        loop {
            let place = Arc::clone(&self.room).acquire_owned().await;
            let Ok(stream) = accept(&listener).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let talk = connection(stream, Arc::clone(&self.shared), Arc::clone(&self.scrapes));
            tokio::spawn(async move {
                talk.await;
                drop(place);
            });
        }
    }
}
