//! A gate before etcd: connections go through it, are cut, or are left hanging.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections end, new ones end at once.
    Cut,
    /// Nothing ends, and nothing gets through.
    Frozen,
}

/// The gate; gone when dropped.
pub struct Gate {
    pub endpoint: String,
    state: Arc<Sender<State>>,
    task: JoinHandle<()>,
}

impl Gate {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        let address = listener.local_addr().expect("address");
        let state = Arc::new(watch::channel(State::Open).0);
        let states = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let state = states.subscribe();
                if *state.borrow() != State::Cut {
                    tokio::spawn(pass(inner, port, state));
                }
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            state,
            task,
        }
    }

    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }

    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn pass(inner: TcpStream, port: u16, mut state: Receiver<State>) {
    let Ok(outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let (inner_read, inner_write) = inner.into_split();
    let (outer_read, outer_write) = outer.into_split();
    let there = copy(inner_read, outer_write, state.clone());
    let back = copy(outer_read, inner_write, state.clone());
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: Receiver<State>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if state
            .wait_for(|state| *state != State::Frozen)
            .await
            .is_err()
        {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
