//! A node: its agent, what that says and writes, and pings from it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ignite_overlay::subnet_env::SubnetEnv;
use serde_json::Value;

use super::{ENDPOINT, Lab, Place, run, soon};

/// A node with its agent.
pub struct Node<'l> {
    lab: &'l Lab,
    number: usize,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl<'l> Node<'l> {
    pub(super) fn new(lab: &'l Lab, number: usize) -> Self {
        Self {
            lab,
            number,
            arguments: Vec::new(),
            child: None,
        }
    }

    pub fn place(&self) -> Place {
        Place::Node(self.number)
    }

    /// A file of this node.
    pub fn path(&self, name: &str) -> PathBuf {
        let directory = self.lab.directory.path();
        directory.join(format!("n{}-{name}", self.number))
    }

    /// Starts the agent.
    pub fn start(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&argument| argument.into()).collect();
        self.start_again();
    }

    /// Starts the agent with the arguments it had.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log");
        let child = self
            .lab
            .command(self.place())
            .arg(env!("CARGO_BIN_EXE_ignite-overlay"))
            .arg(format!("--etcd-endpoints={ENDPOINT}"))
            .arg("--subnet-file")
            .arg(self.path("subnet.env"))
            .arg("--status-file")
            .arg(self.path("status.json"))
            .args(["--iface=eth0", "--v=5"])
            .args(&self.arguments)
            .env("WIREGUARD_KEY_FILE", self.path("wgkey"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("ip runs");
        self.child = Some(child);
    }

    /// The process of the agent: what starts it becomes it.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends the agent a signal, by its name.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        run(Command::new("kill").args(["-s", signal, &pid]));
    }

    /// Ends the agent by a signal.
    pub fn kill(&mut self, signal: &str) {
        self.signal(signal);
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Waits until the agent ends by itself; its exit status.
    pub fn ends(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        soon("the agent ends", || {
            match child.try_wait().expect("it is ours") {
                Some(status) => Ok(status.code()),
                None => Err(self.log()),
            }
        })
    }

    /// Whether the agent ended by itself.
    pub fn is_over(&mut self) -> bool {
        let child = self.child.as_mut().expect("it was started");
        child.try_wait().expect("it is ours").is_some()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How often its log has these words.
    pub fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Waits until its log has so many of these words.
    pub fn says(&self, words: &str, times: usize) {
        soon(&format!("node {} says {words:?}", self.number), || {
            match self.said(words) >= times {
                true => Ok(()),
                false => Err(self.log()),
            }
        });
    }

    /// Waits until this very process knows so many peers.
    pub fn knows(&self, peers: usize) {
        soon(&format!("node {} knows {peers} peers", self.number), || {
            let status = self.status();
            let known = status["peers"].as_array().map(Vec::len);
            match status["pid"] == self.pid() && known == Some(peers) {
                true => Ok(()),
                false => Err(format!("{status}\n{}", self.log())),
            }
        });
    }

    /// What its file says, once it is there.
    pub fn subnet_env(&self) -> SubnetEnv {
        soon("subnet.env", || {
            SubnetEnv::read(&self.path("subnet.env"))
                .map_err(|error| format!("{error}: {}", self.log()))
        })
    }

    /// What a reboot does to `/run`.
    pub fn forget_subnet(&self) {
        std::fs::remove_file(self.path("subnet.env")).expect("it is there");
    }

    pub fn text_of_subnet_env(&self) -> String {
        std::fs::read_to_string(self.path("subnet.env")).expect("it is there")
    }

    pub fn status(&self) -> Value {
        let text = std::fs::read_to_string(self.path("status.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Its subnet, such as `10.5.9.0/24`.
    pub fn subnet(&self) -> String {
        let subnet = self.subnet_env().subnet().expect("a subnet");
        subnet.v4.to_string()
    }

    /// The key of its lease below `subnets/`.
    pub fn key(&self) -> String {
        let subnet = self.subnet_env().subnet().expect("a subnet");
        ignite_overlay::lease::key::format(&subnet)
    }

    /// The first address of its subnet, which the bridge of its pods has.
    pub fn gateway(&self) -> String {
        let subnet = self.subnet_env().subnet().expect("a subnet").v4;
        subnet.hosts().next().expect("an address").to_string()
    }

    /// The same for IPv6, in a dual-stack network.
    pub fn gateway_v6(&self) -> String {
        let subnet = self.subnet_env().subnet().and_then(|subnet| subnet.v6);
        let mut hosts = subnet.expect("a subnet").hosts().skip(1);
        hosts.next().expect("an address").to_string()
    }

    /// What a bridge plugin would make: the gateway's address on a bridge.
    pub fn bridge(&self) {
        let env = self.subnet_env();
        let subnet = env.subnet().expect("a subnet");
        let (mtu, gateway, length) = (env.mtu, self.gateway(), subnet.v4.prefix_len());
        let mut script = format!(
            "ip link add cni0 type bridge; ip link set cni0 mtu {mtu} up
             ip addr add {gateway}/{length} dev cni0\n"
        );
        if let Some(v6) = subnet.v6 {
            let gateway = self.gateway_v6();
            script += &format!("ip addr add {gateway}/{} dev cni0 nodad\n", v6.prefix_len());
        }
        self.lab.sh(self.place(), &script);
    }

    /// Takes the node through what a reboot does to it, without the agent coming back.
    pub fn reboot(&mut self) {
        self.kill("KILL");
        self.forget_subnet();
        self.lab.sh(
            self.place(),
            "for device in flannel.1 flannel-v6.1 cni0; do ip link del $device 2>/dev/null || :; done
             nft flush ruleset
             ip link set eth0 down; ip neigh flush all; ip link set eth0 up
             ip -6 addr show dev eth0 | grep -q fd99 || ip addr add fd99::1$1/64 dev eth0 nodad"
                .replace("$1", &self.number.to_string())
                .as_str(),
        );
        self.lab.default_routes(self.number);
    }

    /// Whether one ping from this address arrives, with so many bytes of IP, not to be fragmented; what
    /// was printed.
    pub fn ping(&self, source: &str, target: &str, size: u32) -> Result<String, String> {
        ping(self.lab, self.place(), &["-I", source], target, size)
    }

    /// Waits until pings from its gateway's address reach another's.
    pub fn reaches(&self, other: &Node<'_>, size: u32) {
        self.reaches_address(&self.gateway(), &other.gateway(), size, other);
    }

    /// The same by IPv6.
    pub fn reaches_v6(&self, other: &Node<'_>, size: u32) {
        self.reaches_address(&self.gateway_v6(), &other.gateway_v6(), size, other);
    }

    fn reaches_address(&self, source: &str, target: &str, size: u32, other: &Node<'_>) {
        soon(
            &format!("{source} reaches {target} with {size} bytes"),
            || {
                self.ping(source, target, size)
                    .map_err(|problem| format!("{problem}\n{}\n{}", self.log(), other.log()))
            },
        );
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until two nodes reach each other with packets of so many bytes.
pub fn reach(one: &Node<'_>, two: &Node<'_>, size: u32) {
    one.reaches(two, size);
    two.reaches(one, size);
}

/// One ping of so many bytes of IP.
pub(super) fn ping(
    lab: &Lab,
    place: Place,
    options: &[&str],
    target: &str,
    size: u32,
) -> Result<String, String> {
    // What comes before the data: IPv4's header or IPv6's, and ICMP's.
    let headers = if target.contains(':') { 48 } else { 28 };
    let (options, data) = (options.join(" "), size - headers);
    let script = format!("ping -M do -c1 -W1 -s {data} {options} {target} 2>&1");
    let output = lab.try_sh(place, &script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(text),
    }
}
