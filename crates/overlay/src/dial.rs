//! A connection to a host people named, and why there is none, told apart.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// The resolver gets no more of the time than this part.
const RESOLVER_PART: u32 = 2;
/// More addresses of a name are not tried.
const MAX_ADDRESSES: usize = 8;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The name has no address.
    Unresolved(io::Error),
    /// The host is there, and nobody listens.
    Refused,
    /// No answer.
    TimedOut,
    /// There is no way to it, or the kernel gives no connection.
    Unreachable(io::Error),
}

/// Connects to `host`, a name or an address (IPv6 with or without brackets), in `limit` altogether. Each
/// address of a name gets its part of the time; the last one's failure is told.
pub(crate) async fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
    let addresses = resolve(host, port, limit / RESOLVER_PART).await?;
    let part = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut failure = DialError::Unresolved(io::ErrorKind::NotFound.into());
    for address in addresses {
        match timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = DialError::of(error),
            Err(_) => failure = DialError::TimedOut,
        }
    }
    Err(failure)
}

async fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, DialError> {
    let host = host.trim();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let found = timeout(limit, lookup_host((bare.unwrap_or(host), port)))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DialError::Unresolved)?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

/// Host and port as they are written in messages and URLs.
pub(crate) fn place(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => SocketAddr::from((address, port)).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

impl DialError {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Unreachable(error),
        }
    }
}

/// An address of loopback at which nobody answers an attempt to connect, as long as the socket lives.
#[cfg(test)]
pub(crate) async fn silent() -> (tokio::net::TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().expect("socket");
    socket
        .bind((std::net::Ipv4Addr::LOCALHOST, 0).into())
        .expect("bind");
    let listener = socket.listen(0).expect("listen");
    let address = listener.local_addr().expect("address");
    let mut waiting = Vec::new();
    // What is accepted by nobody fills the queue; more is dropped.
    while let Ok(Ok(stream)) =
        timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

/// A port of loopback at which nobody listens.
#[cfg(test)]
pub(crate) fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("bind");
    listener.local_addr().expect("address").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_are_told_apart() {
        let limit = Duration::from_millis(300);
        let refused = dial("127.0.0.1", closed_port(), limit).await;
        assert!(matches!(refused, Err(DialError::Refused)), "{refused:?}");
        let nobody = dial("a name with spaces", 1, Duration::from_secs(10)).await;
        assert!(
            matches!(nobody, Err(DialError::Unresolved(_))),
            "{nobody:?}"
        );
        let (_listener, _waiting, address) = silent().await;
        let silent = dial("127.0.0.1", address.port(), limit).await;
        assert!(matches!(silent, Err(DialError::TimedOut)), "{silent:?}");
        // Of the kernel's own: there is no way from an address of loopback to elsewhere.
        let away = dial("255.255.255.255", 1, limit).await;
        assert!(matches!(away, Err(DialError::Unreachable(_))), "{away:?}");
    }

    #[tokio::test]
    async fn addresses_with_brackets_are_understood() {
        let found = resolve("[::1]", 7, Duration::from_secs(10))
            .await
            .expect("address");
        assert_eq!(found, [(Ipv6Addr::LOCALHOST, 7).into()]);
        assert_eq!(place("::1", 7), "[::1]:7");
        assert_eq!(place("[::1]", 7), "[::1]:7");
        assert_eq!(place("host", 7), "host:7");
    }
}
