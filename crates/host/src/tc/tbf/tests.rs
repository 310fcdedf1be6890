//! Real bytes through real buckets: a TCP stream from one namespace to another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::netns::Namespace;

const MEGABYTE: u64 = 1_000_000;

/// 8 Mbit a second.
const SLOW: Shape = Shape {
    rate: MEGABYTE,
    burst: 128 << 10,
};

/// Two namespaces and a cable; the interface and its number are in the one the test runs in.
struct Cable {
    netlink: Netlink,
    index: u32,
    receiver: Namespace,
}

fn with_cable(test: impl FnOnce(&Cable) + Send) {
    let sender = Namespace::anonymous().expect("namespace");
    let receiver = Namespace::anonymous().expect("namespace");
    let work = || {
        let netlink = Netlink::open().expect("netlink");
        let index = netlink
            .create_veth("eth0", "eth0", Some(&receiver))
            .expect("veth");
        let far = Netlink::open_in(&receiver).expect("netlink");
        let there = far.link("eth0").expect("look").expect("there").index;
        for (netlink, index, address) in [
            (&netlink, index, "10.9.0.1/24"),
            (&far, there, "10.9.0.2/24"),
        ] {
            let address = address.parse().expect("an address");
            netlink.add_address(index, address).expect("address");
            netlink.set_up(index).expect("up");
        }
        test(&Cable {
            netlink,
            index,
            receiver,
        });
    };
    sender.run(work).expect("enter");
}

impl Cable {
    /// How long `bytes` take from one end to the other.
    fn carry(&self, bytes: u64) -> Duration {
        self.carry_and(bytes, || {})
    }

    /// The same, and what is done in the midst of it.
    fn carry_and(&self, bytes: u64, midst: impl FnOnce()) -> Duration {
        let address: SocketAddr = "10.9.0.2:5001".parse().expect("an address");
        let listener = self.receiver.run(|| TcpListener::bind(address));
        let listener = listener.expect("enter").expect("listen");
        let begun = Instant::now();
        let sender = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("connect");
            let whole = vec![1; usize::try_from(bytes).expect("it fits")];
            stream.write_all(&whole).expect("send");
        });
        let (stream, _) = listener.accept().expect("accept");
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit");
        let first = MEGABYTE / 5;
        receive(&stream, first);
        midst();
        receive(&stream, bytes - first);
        let took = begun.elapsed();
        sender.join().expect("no failure");
        took
    }

    fn shape(&self, shape: Shape) {
        self.netlink
            .shape(self.index, 1500, shape)
            .expect("a bucket");
    }

    fn unshape(&self) {
        self.netlink.unshape(self.index).expect("no bucket");
    }
}

fn receive(stream: &TcpStream, bytes: u64) {
    let received = std::io::copy(&mut stream.take(bytes), &mut std::io::sink());
    assert_eq!(received.expect("bytes"), bytes, "the sender ended early");
}

#[test]
fn a_stream_is_as_fast_as_the_bucket_fills() {
    with_cable(|cable| {
        cable.shape(SLOW);
        let took = cable.carry(2 * MEGABYTE);
        // Two seconds, but for what is in the bucket at first.
        assert!(took > Duration::from_millis(1600), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}

/// At the first rate the stream would take more than a minute.
#[test]
fn the_rate_is_changed_while_bytes_flow() {
    let crawling = Shape {
        rate: MEGABYTE / 20,
        ..SLOW
    };
    let quick = Shape {
        rate: 100 * MEGABYTE,
        ..SLOW
    };
    with_cable(|cable| {
        let changes: [&dyn Fn(); 2] = [&|| cable.shape(quick), &|| cable.unshape()];
        for change in changes {
            cable.shape(crawling);
            let took = cable.carry_and(4 * MEGABYTE, change);
            assert!(took < Duration::from_secs(40), "{took:?}");
        }
    });
}

#[test]
fn a_queue_of_another_is_left_alone() {
    with_cable(|cable| {
        cable.unshape();
        tc("qdisc add dev eth0 root tbf rate 1gbit burst 64kb latency 25ms");
        let before = tc("qdisc show dev eth0");
        let error = (cable.netlink)
            .shape(cable.index, 1500, SLOW)
            .expect_err("another's");
        assert!(error.is_exists(), "{error}");
        cable.unshape();
        assert_eq!(tc("qdisc show dev eth0"), before);
    });
}

/// The kernel's own words, where the unit is seen.
#[test]
fn the_kernel_has_the_figures_that_were_meant() {
    with_cable(|cable| {
        cable.shape(SLOW);
        let shown = tc("qdisc show dev eth0");
        assert!(shown.contains("tbf 1917: root"), "{shown}");
        assert!(shown.contains("rate 8Mbit burst 128Kb lat"), "{shown}");
        // Past 32 bits.
        let fast = Shape {
            rate: 12_500 * MEGABYTE,
            burst: 16 << 20,
        };
        cable.shape(fast);
        let shown = tc("qdisc show dev eth0");
        assert!(shown.contains("rate 100Gbit burst 1677"), "{shown}");
    });
}

#[test]
fn a_frame_always_fits_and_memory_is_bounded() {
    let least = Shape { rate: 1, burst: 1 };
    assert_eq!(least.bucket(9000), 9018);
    assert_eq!(u64::from(least.limit(9000)), LEAST_WAITING + 9018);
    let most = Shape {
        rate: u64::MAX,
        burst: u32::MAX,
    };
    assert_eq!(most.limit(1500), u32::MAX);
    assert_eq!(u64::from(SLOW.limit(1500)), LEAST_WAITING + (128 << 10));
}

/// What the program answers in this namespace.
fn tc(arguments: &str) -> String {
    let output = Command::new("tc")
        .args(arguments.split(' '))
        .output()
        .expect("tc is installed");
    assert!(output.status.success(), "tc {arguments}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
