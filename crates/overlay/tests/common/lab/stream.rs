//! Traffic that goes on while other things happen, and is counted.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Lab, Place, soon};

/// Between two datagrams.
const PACE: Duration = Duration::from_millis(2);
/// After so long nothing that was sent is on its way any more.
const SILENCE: Duration = Duration::from_millis(500);

/// Datagrams from one place to another, one every two milliseconds.
pub struct Stream {
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<()>>,
}

impl Stream {
    /// Begins to send, and waits until something arrives. The first packets of all have to find their
    /// way (ARP): a ping should have gone before, where all are counted.
    pub fn start(lab: &Lab, from: (Place, &str), to: (Place, &str)) -> Self {
        let source = lab.socket(from.0, &format!("{}:0", from.1));
        // Any address: the one it is sent to may come and go.
        let target = lab.socket(to.0, "0.0.0.0:0");
        let port = target.local_addr().expect("an address").port();
        let address = SocketAddr::new(to.1.parse().expect("an address"), port);
        let (sent, received) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let (stop, stopped) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let sender = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            std::thread::spawn(move || send(&source, address, &sent, &stop))
        };
        let receiver = {
            let (received, stopped) = (Arc::clone(&received), Arc::clone(&stopped));
            std::thread::spawn(move || receive(&target, &received, &stopped))
        };
        let stream = Self {
            sent,
            received,
            stop,
            stopped,
            sender: Some(sender),
            receiver: Some(receiver),
        };
        stream.goes_on();
        stream
    }

    /// Waits until a hundred more have arrived.
    pub fn goes_on(&self) {
        let before = self.received.load(Ordering::Relaxed);
        soon("the stream goes on", || {
            match self.received.load(Ordering::Relaxed) - before {
                100.. => Ok(()),
                more => Err(format!("{more} datagrams more than {before}")),
            }
        });
    }

    /// Ends it; how many were sent, and how many of them were lost.
    pub fn end(mut self) -> (u64, u64) {
        self.join();
        let (sent, received) = (&self.sent, &self.received);
        let (sent, received) = (
            sent.load(Ordering::Relaxed),
            received.load(Ordering::Relaxed),
        );
        (sent, sent - received)
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().map(JoinHandle::join);
        self.stopped.store(true, Ordering::Relaxed);
        self.receiver.take().map(JoinHandle::join);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.join();
    }
}

fn send(socket: &UdpSocket, to: SocketAddr, sent: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // What the kernel refuses for want of a route is lost too.
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let _ = socket.send_to(&number.to_be_bytes(), to);
        std::thread::sleep(PACE);
    }
}

/// Counts, and goes on until nothing comes after the last was sent.
fn receive(socket: &UdpSocket, received: &AtomicU64, stopped: &AtomicBool) {
    socket
        .set_read_timeout(Some(SILENCE))
        .expect("a timeout that is not zero");
    loop {
        match socket.recv(&mut [0; 16]) {
            Ok(_) => drop(received.fetch_add(1, Ordering::Relaxed)),
            Err(_) if stopped.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}
