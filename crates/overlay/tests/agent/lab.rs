//! Nodes as network namespaces on one bridge, with an etcd beside them.
//!
//! ```text
//!   sw: br0 10.99.0.1, etcd        n1: eth0 10.99.0.11     n2: eth0 10.99.0.12
//!        '------ veth ------------------'-----------------------'
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ignite_host::netns::Namespace;
use ignite_overlay::etcd::{Client, Settings};
use ignite_overlay::subnet_env::SubnetEnv;
use tempfile::TempDir;

/// Generous: it is reached on failure only.
const DEADLINE: Duration = Duration::from_secs(60);

pub const ENDPOINT: &str = "http://10.99.0.1:2379";
pub const PREFIX: &str = "/coreos.com/network";

/// The namespaces of one test.
pub struct Lab {
    prefix: String,
    pub directory: TempDir,
    nodes: usize,
    etcd: Option<Child>,
}

impl Lab {
    /// A bridge with so many nodes, and etcd with this configuration.
    pub fn new(nodes: usize, config: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut lab = Self {
            prefix: format!("ov{}-{count}", std::process::id()),
            directory: tempfile::tempdir().expect("a temporary directory"),
            nodes,
            etcd: None,
        };
        lab.wire();
        lab.start_etcd();
        lab.put("config", config);
        lab
    }

    fn wire(&self) {
        let sw = self.namespace(0);
        let mut script = format!(
            "ip netns add {sw}; ip -n {sw} link set lo up; ip -n {sw} link add br0 type bridge
             ip -n {sw} link set br0 up; ip -n {sw} addr add 10.99.0.1/24 dev br0\n"
        );
        for node in 1..=self.nodes {
            let n = self.namespace(node);
            script += &format!(
                "ip netns add {n}; ip -n {n} link set lo up
                 ip -n {sw} link add p{node} type veth peer name eth0 netns {n}
                 ip -n {sw} link set p{node} master br0 up; ip -n {n} link set eth0 up
                 ip -n {n} addr add 10.99.0.1{node}/24 dev eth0; ip -n {n} route add default via 10.99.0.1
                 ip netns exec {n} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'\n"
            );
        }
        run(Command::new("sh").args(["-euc", &script]));
    }

    /// Of a node; 0 is the bridge's and etcd's.
    pub fn namespace(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }

    pub fn start_etcd(&mut self) {
        let log = self.directory.path().join("etcd.log");
        let data = self.directory.path().join("etcd");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace(0)])
            .arg(etcd())
            .args(["--name", "lab", "--data-dir"])
            .arg(data)
            .args([
                "--listen-client-urls",
                ENDPOINT,
                "--advertise-client-urls",
                ENDPOINT,
            ])
            .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
            .args(["--initial-advertise-peer-urls", "http://127.0.0.1:2380"])
            .args(["--initial-cluster", "lab=http://127.0.0.1:2380"])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .args(["--logger", "zap", "--log-outputs"])
            .arg(log)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need etcd: run tools/unpack.sh etcd-server");
        self.etcd = Some(child);
    }

    pub fn stop_etcd(&mut self) {
        if let Some(mut child) = self.etcd.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Does something with a client of etcd that lives where etcd does.
    pub fn etcd<T: Send>(&self, work: impl AsyncFnOnce(Client) -> T + Send) -> T {
        let path = Path::new("/run/netns").join(self.namespace(0));
        let namespace = Namespace::open(&path).expect("the namespace");
        let done = namespace.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let client = Client::new(Settings::new([ENDPOINT])).expect("a client");
            runtime.block_on(work(client))
        });
        done.expect("a thread in the namespace")
    }

    /// Writes below the prefix, once etcd answers.
    pub fn put(&self, key: &str, value: &str) {
        let key = format!("{PREFIX}/{key}");
        soon("etcd takes a key", || {
            let written = self.etcd(async |client| client.put(&key, value.as_bytes(), None).await);
            written.map_err(|error| error.to_string())
        });
    }

    pub fn delete(&self, key: &str) {
        let key = format!("{PREFIX}/{key}");
        let deleted = self.etcd(async |client| client.delete(&key).await);
        assert!(deleted.expect("etcd answers"), "there is no {key}");
    }

    /// Keys below `subnets/` with their values and whether they end.
    pub fn leases(&self) -> Vec<(String, String, bool)> {
        let prefix = format!("{PREFIX}/subnets/");
        let listing = self.etcd(async |client| client.list(&prefix).await);
        let pairs = listing.expect("etcd answers").pairs;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs
            .iter()
            .map(|pair| {
                let key = text(&pair.key).trim_start_matches(&prefix).to_owned();
                (key, text(&pair.value), pair.lease.is_some())
            })
            .collect()
    }

    /// A node's agent, not waited for.
    pub fn agent(&self, node: usize, arguments: &[&str]) -> Node<'_> {
        let mut started = Node {
            lab: self,
            number: node,
            child: None,
        };
        started.start(arguments);
        started
    }

    /// Runs a shell script in a node's namespace; its output.
    pub fn sh(&self, node: usize, script: &str) -> String {
        let output = self.try_sh(node, script);
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn try_sh(&self, node: usize, script: &str) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.namespace(node), "sh", "-euc", script])
            .output()
            .expect("ip runs")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop_etcd();
        for node in 0..=self.nodes {
            let name = self.namespace(node);
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

/// A node with its agent.
pub struct Node<'l> {
    lab: &'l Lab,
    number: usize,
    child: Option<Child>,
}

impl Node<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.lab
            .directory
            .path()
            .join(format!("n{}-{name}", self.number))
    }

    pub fn start(&mut self, arguments: &[&str]) {
        let _ = std::fs::remove_file(self.path("ready"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.lab.namespace(self.number)])
            .arg(env!("CARGO_BIN_EXE_ignite-overlay"))
            .arg(format!("--etcd-endpoints={ENDPOINT}"))
            .arg("--subnet-file")
            .arg(self.path("subnet.env"))
            .arg("--status-file")
            .arg(self.path("status.json"))
            .args(["--iface=eth0", "--v=5"])
            .args(arguments)
            .env("WIREGUARD_KEY_FILE", self.path("wgkey"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("ip runs");
        self.child = Some(child);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until its log has so many of these words.
    pub fn says(&self, words: &str, times: usize) {
        soon(&format!("node {} says {words:?}", self.number), || {
            let log = self.log();
            match log.matches(words).count() >= times {
                true => Ok(()),
                false => Err(log),
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

    pub fn forget_subnet(&self) {
        std::fs::remove_file(self.path("subnet.env")).expect("it is there");
    }

    pub fn text_of_subnet_env(&self) -> String {
        std::fs::read_to_string(self.path("subnet.env")).expect("it is there")
    }

    pub fn status(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path("status.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn gateway(&self) -> String {
        let subnet = self.subnet_env().subnet().expect("a subnet").v4;
        subnet.hosts().next().expect("an address").to_string()
    }

    /// What a bridge plugin would make: the gateway's address on a bridge.
    pub fn bridge(&self) {
        let (gateway, env) = (self.gateway(), self.subnet_env());
        let script = format!(
            "ip link add cni0 type bridge; ip link set cni0 mtu {} up; ip addr add {gateway}/24 dev cni0",
            env.mtu
        );
        self.lab.sh(self.number, &script);
    }

    /// Ends the program; the signal's number.
    pub fn kill(&mut self, signal: &str) {
        let mut child = self.child.take().expect("it runs");
        run(Command::new("kill").args([signal, &child.id().to_string()]));
        child.wait().expect("it ends");
    }

    pub fn is_over(&mut self) -> Option<i32> {
        let child = self.child.as_mut()?;
        child
            .try_wait()
            .expect("it is ours")
            .and_then(|status| status.code())
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

/// Waits for what must come; the last problem is told if it does not.
pub fn soon<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(problem) if begun.elapsed() > DEADLINE => panic!("waited for: {what}\n{problem}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// The one unpacked beside the build, else the machine's.
fn etcd() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let unpacked = top.join("build/tools/etcd-server/usr/bin/etcd");
    match unpacked.exists() {
        true => unpacked,
        false => "etcd".into(),
    }
}
