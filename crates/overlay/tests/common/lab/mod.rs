//! Nodes as network namespaces on one bridge, with an etcd beside them.
//!
//! ```text
//!   switch: br0 10.99.0.1, etcd     node 1: eth0 10.99.0.11    node 2: eth0 10.99.0.12
//!              '------- veth ---------------'--------------------------'
//!                                      pod 1: behind the bridge cni0 of node 1, as a CNI plugin does it
//! ```

mod etcd;
mod leftovers;
mod node;
mod pod;
mod stream;

use std::cell::RefCell;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ignite_host::netns::Namespace;
use serde_json::Value;
use tempfile::TempDir;

pub use node::{Node, reach};
pub use pod::Pod;
pub use stream::Stream;

/// Generous: it is reached on failure only.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where etcd is.
pub const ENDPOINT: &str = "http://10.99.0.1:2379";
/// What its keys begin with.
pub const PREFIX: &str = "/coreos.com/network";

/// A network namespace of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The bridge's and etcd's: the world outside of the overlay.
    Switch,
    /// A node's, from 1 on.
    Node(usize),
    /// That of the pod on a node.
    Pod(usize),
}

/// The namespaces of one test.
pub struct Lab {
    prefix: String,
    directory: TempDir,
    nodes: usize,
    etcd: RefCell<Option<Child>>,
}

impl Lab {
    /// A bridge with so many nodes, and etcd with this configuration.
    pub fn new(nodes: usize, config: &str) -> Self {
        let lab = Self::without_configuration(nodes);
        lab.put("config", config);
        lab
    }

    /// The same, the configuration yet to come.
    pub fn without_configuration(nodes: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static CLEAN: Once = Once::new();
        CLEAN.call_once(leftovers::remove);
        let prefix = leftovers::prefix(std::process::id());
        let lab = Self {
            directory: tempfile::Builder::new()
                .prefix(&prefix)
                .tempdir()
                .expect("a temporary directory"),
            prefix: format!("{prefix}{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            nodes,
            etcd: RefCell::default(),
        };
        lab.wire();
        lab.start_etcd();
        lab
    }

    fn wire(&self) {
        let sw = self.namespace(Place::Switch);
        let mut script = format!(
            "ip netns add {sw}; ip -n {sw} link set lo up
             ip -n {sw} link add br0 type bridge; ip -n {sw} link set br0 up
             ip -n {sw} addr add 10.99.0.1/24 dev br0; ip -n {sw} addr add fd99::1/64 dev br0 nodad\n"
        );
        for node in 1..=self.nodes {
            let n = self.namespace(Place::Node(node));
            script += &format!(
                "ip netns add {n}; ip -n {n} link set lo up
                 ip -n {sw} link add p{node} type veth peer name eth0 netns {n}
                 ip -n {sw} link set p{node} master br0 up; ip -n {n} link set eth0 up
                 ip -n {n} addr add 10.99.0.1{node}/24 dev eth0
                 ip -n {n} addr add fd99::1{node}/64 dev eth0 nodad
                 ip netns exec {n} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
                   echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'\n"
            );
        }
        run(Command::new("sh").args(["-euc", &script]));
        for node in 1..=self.nodes {
            self.default_routes(node);
        }
    }

    /// What of a node's interface goes when it goes down.
    pub fn default_routes(&self, node: usize) {
        self.sh(
            Place::Node(node),
            "ip route add default via 10.99.0.1; ip route add default via fd99::1",
        );
    }

    /// The name of a place's namespace.
    pub fn namespace(&self, place: Place) -> String {
        match place {
            Place::Switch => format!("{}-0", self.prefix),
            Place::Node(node) => format!("{}-{node}", self.prefix),
            Place::Pod(node) => format!("{}-{node}p", self.prefix),
        }
    }

    /// Does something on a thread in a place.
    pub fn within<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(self.namespace(place));
        let namespace = Namespace::open(&path).expect("the namespace");
        namespace.run(work).expect("a thread in the namespace")
    }

    /// A socket of a place, with this address and a port.
    pub fn socket(&self, place: Place, address: &str) -> UdpSocket {
        let bound = self.within(place, || UdpSocket::bind(address));
        bound.expect("a free port")
    }

    /// A node whose agent is yet to be started.
    pub fn node(&self, node: usize) -> Node<'_> {
        Node::new(self, node)
    }

    /// A node's agent, not waited for.
    pub fn agent(&self, node: usize, arguments: &[&str]) -> Node<'_> {
        let mut started = self.node(node);
        started.start(arguments);
        started
    }

    /// Runs a shell script in a place; its output.
    pub fn sh(&self, place: Place, script: &str) -> String {
        let output = self.try_sh(place, script);
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The same, whatever comes of it.
    pub fn try_sh(&self, place: Place, script: &str) -> Output {
        self.command(place)
            .args(["sh", "-euc", script])
            .output()
            .expect("ip runs")
    }

    /// The objects that a command such as `ip -j route` lists in a place.
    pub fn list(&self, place: Place, command: &str) -> Vec<Value> {
        let text = self.sh(place, command);
        if text.is_empty() {
            return Vec::new();
        }
        let mut objects: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        // iproute2 leaves empty ones in place of what it filters out.
        objects.retain(|object| {
            object
                .as_object()
                .is_some_and(|members| !members.is_empty())
        });
        objects
    }

    /// Waits until a script's output in a place is this.
    pub fn becomes(&self, place: Place, script: &str, expected: &str) {
        soon(&format!("{script}: {expected:?}"), || {
            match self.sh(place, script) {
                found if found == expected => Ok(()),
                found => Err(found),
            }
        });
    }

    /// What runs a program in a place, which ends with the thread that starts it: even if that is
    /// killed, nothing stays behind.
    fn command(&self, place: Place) -> Command {
        let mut command = bound(&["ip", "netns", "exec"]);
        command.arg(self.namespace(place));
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop_etcd();
        leftovers::delete_namespaces(|name| name.starts_with(&format!("{}-", self.prefix)));
    }
}

/// A program whose life ends with that of the thread that starts it.
fn bound(program: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(program);
    command
}

/// Waits for what must come; the last problem is told if it does not.
pub fn soon<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(DEADLINE, what, look)
}

/// Waits for what must come within this time.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(problem) if begun.elapsed() > limit => panic!("waited for: {what}\n{problem}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn a_program_ends_with_the_thread_that_started_it() {
    let started = std::thread::spawn(|| {
        let program = bound(&["sleep", "1000"]).spawn().expect("it starts");
        let name = format!("/proc/{}/comm", program.id());
        soon(
            "what starts it becomes it",
            || match std::fs::read_to_string(&name).unwrap_or_default().trim() {
                "sleep" => Ok(()),
                other => Err(other.to_owned()),
            },
        );
        program
    });
    let mut program = started.join().expect("no panic");
    soon("its end", || {
        match program.try_wait().expect("it is ours") {
            Some(_) => Ok(()),
            None => Err("it runs".to_owned()),
        }
    });
}
