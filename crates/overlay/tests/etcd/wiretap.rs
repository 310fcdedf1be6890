//! What passes between a client and etcd, as somebody in between sees it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on to a port and keeps all bytes of both directions.
pub struct Wiretap {
    pub port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Wiretap {
    /// On loopback, before this port of it.
    pub async fn before(port: u16) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, port).await
    }

    /// On another address of this machine.
    pub async fn at(address: Ipv4Addr, port: u16) -> Self {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind((address, 0)).await.expect("bind");
        let heard = Arc::new(Mutex::new(Vec::new()));
        Self {
            port: listener.local_addr().expect("address").port(),
            task: tokio::spawn(pass(listener, target, Arc::clone(&heard))),
            heard,
        }
    }

    /// Whether these words went by.
    pub fn heard(&self, words: &str) -> bool {
        let heard = self.heard.lock().expect("nobody panicked");
        assert!(!heard.is_empty(), "nothing went by at all");
        let words = words.as_bytes();
        heard.windows(words.len()).any(|window| window == words)
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(listener: TcpListener, target: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(target).await.expect("etcd listens");
        let (client, server) = (client.into_split(), server.into_split());
        tokio::spawn(copy(client.0, server.1, Arc::clone(&heard)));
        tokio::spawn(copy(server.0, client.1, Arc::clone(&heard)));
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Arc<Mutex<Vec<u8>>>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        heard
            .lock()
            .expect("nobody panicked")
            .extend(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
