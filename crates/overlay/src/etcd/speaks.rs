//! What is spoken at a port: asked before anything is known of the other side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial::{DialError, dial};

/// For the connection, and again for the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Content types of TLS records (RFC 8446, 5.1): what a server's first one can be.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// TLS.
    Tls,
    /// HTTP without TLS.
    Plain,
    /// Neither: no answer, or one of another kind.
    Other,
    /// Nobody listens.
    Refused,
    /// No answer to the attempt to connect.
    TimedOut,
    /// There is no way to the host.
    Unreachable,
    /// The name of the host has no address.
    Unresolved,
}

/// Looks what `host` (a name or an address) speaks at `port`. Nothing secret is sent, nothing is
/// trusted; it takes 20 seconds at the most.
pub async fn speaks(host: &str, port: u16) -> Speaks {
    match ask(host, port, &greeting()).await {
        Err(found) => return found,
        Ok([ALERT | HANDSHAKE, 3, ..]) => return Speaks::Tls,
        Ok(_) => {}
    }
    let request = b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    match ask(host, port, request).await {
        Err(found) => found,
        Ok(answer) if answer == *b"HTTP/" => Speaks::Plain,
        Ok(_) => Speaks::Other,
    }
}

/// The beginning of the answer to these bytes, in a connection of their own; zeros where there is none.
async fn ask(host: &str, port: u16, bytes: &[u8]) -> Result<[u8; 5], Speaks> {
    let mut stream = dial(host, port, LIMIT).await.map_err(|error| match error {
        DialError::Unresolved(_) => Speaks::Unresolved,
        DialError::Refused => Speaks::Refused,
        DialError::TimedOut => Speaks::TimedOut,
        DialError::Unreachable(_) => Speaks::Unreachable,
    })?;
    let mut answer = [0; 5];
    let talk = async {
        stream.write_all(bytes).await?;
        stream.read_exact(&mut answer).await
    };
    match timeout(LIMIT, talk).await {
        Ok(Ok(_)) => Ok(answer),
        // Who is greeted in a language it does not speak hangs up, or waits for more.
        _ => Ok([0; 5]),
    }
}

/// What a client of TLS says first.
fn greeting() -> Vec<u8> {
    let name = ServerName::try_from("etcd").expect("a name");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of both versions")
        // Nobody is trusted: the handshake is not gone on with.
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), name).expect("a configuration without faults");
    let mut bytes = Vec::new();
    while connection.wants_write() {
        let written: io::Result<usize> = connection.write_tls(&mut bytes);
        written.expect("memory takes it");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::closed_port;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    /// What is said of a server that answers every connection with these bytes.
    async fn found(answer: &'static [u8]) -> Speaks {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        let port = listener.local_addr().expect("address").port();
        let server = async {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accept");
                let mut seen = [0; 2048];
                let _ = stream.read(&mut seen).await;
                let _ = stream.write_all(answer).await;
            }
        };
        tokio::select! {
            found = speaks("127.0.0.1", port) => found,
            () = server => unreachable!("it serves for ever"),
        }
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        assert_eq!(
            found(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
            Speaks::Plain
        );
        assert_eq!(found(&[ALERT, 3, 3, 0, 2, 2, 40]).await, Speaks::Tls);
        assert_eq!(found(b"SSH-2.0-x\r\n").await, Speaks::Other);
        assert_eq!(found(b"").await, Speaks::Other);
        assert_eq!(speaks("127.0.0.1", closed_port()).await, Speaks::Refused);
        assert_eq!(speaks("no name", 1).await, Speaks::Unresolved);
    }
}
