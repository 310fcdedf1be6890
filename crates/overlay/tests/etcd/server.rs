//! An etcd of a test's own: free ports on loopback, a temporary directory, ended with the test.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ignite_overlay::etcd::{Client, Settings};
use ignite_overlay::pki::PEER_NAME;
use tempfile::TempDir;

use crate::common::etcd_program;

/// Generous: it is reached on failure only.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running (or stopped) etcd.
pub struct Etcd {
    child: Option<Child>,
    directory: TempDir,
    port: u16,
    peer_port: u16,
    tls: Option<ServerTls>,
    peer_tls: Option<ServerTls>,
}

/// Files for a server that speaks TLS and wants client certificates.
#[derive(Clone)]
pub struct ServerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

impl Etcd {
    /// One without TLS, ready to be asked.
    pub async fn start() -> Self {
        let etcd = Self::launch(None, None);
        etcd.ready(&etcd.client()).await;
        etcd
    }

    /// One with TLS, listening. Whether it can be asked is the test's matter.
    pub fn start_tls(tls: ServerTls) -> Self {
        Self::launch(Some(tls), None)
    }

    /// The same with TLS between members too.
    pub fn start_tls_everywhere(tls: ServerTls, peer_tls: ServerTls) -> Self {
        Self::launch(Some(tls), Some(peer_tls))
    }

    fn launch(tls: Option<ServerTls>, peer_tls: Option<ServerTls>) -> Self {
        // Another program may take a port between our look and etcd's use of it.
        for _ in 0..3 {
            let mut etcd = Self {
                child: None,
                directory: tempfile::tempdir().expect("tempdir"),
                port: free_port(),
                peer_port: free_port(),
                tls: tls.clone(),
                peer_tls: peer_tls.clone(),
            };
            if etcd.spawn() {
                return etcd;
            }
        }
        panic!("etcd does not start");
    }

    /// Starts the program; whether it listens.
    fn spawn(&mut self) -> bool {
        let peer = self.peer_endpoint();
        let log = self.directory.path().join("log");
        let mut command = Command::new(etcd_program());
        command
            .args(["--name", "test", "--data-dir"])
            .arg(self.data())
            .args(["--listen-client-urls", &self.endpoint()])
            .args(["--advertise-client-urls", &self.endpoint()])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            // A member alone elects itself; the shortest lease follows from this too.
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .args(["--logger", "zap", "--log-outputs"])
            .arg(&log)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(tls) = &self.tls {
            command
                .arg("--client-cert-auth")
                .arg("--cert-file")
                .arg(&tls.certificate)
                .arg("--key-file")
                .arg(&tls.key)
                .arg("--trusted-ca-file")
                .arg(&tls.ca);
        }
        if let Some(tls) = &self.peer_tls {
            command
                .args([
                    "--peer-client-cert-auth",
                    "--peer-cert-allowed-cn",
                    PEER_NAME,
                ])
                .arg("--peer-cert-file")
                .arg(&tls.certificate)
                .arg("--peer-key-file")
                .arg(&tls.key)
                .arg("--peer-trusted-ca-file")
                .arg(&tls.ca);
        }
        let child = command
            .spawn()
            .expect("these tests need etcd: run tools/unpack.sh etcd-server");
        self.child = Some(child);
        self.listens()
    }

    fn listens(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            let child = self.child.as_mut().expect("running");
            if child.try_wait().expect("wait").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    async fn ready(&self, client: &Client) {
        let begun = Instant::now();
        while client.put("/ready", b"", None).await.is_err() {
            assert!(begun.elapsed() < DEADLINE, "etcd does not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Where other members would reach it.
    pub fn peer_endpoint(&self) -> String {
        let scheme = if self.peer_tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}", self.peer_port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn client(&self) -> Client {
        Client::new(Settings::new([self.endpoint()])).expect("client")
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    /// Starts it again, on the data it had.
    pub async fn restart(&mut self) {
        let client = self.client();
        self.restart_as(&client).await;
    }

    /// The same where it wants a login.
    pub async fn restart_as(&mut self, client: &Client) {
        self.stop();
        assert!(self.spawn(), "etcd does not start again");
        self.ready(client).await;
    }

    /// Throws its data away. It must be stopped.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "it runs");
        std::fs::remove_dir_all(self.data()).expect("remove the data");
    }

    /// Asks the gateway for what the client has no use for.
    pub async fn raw(&self, path: &str, body: &str) -> String {
        let request = reqwest::Client::new().post(format!("{}{path}", self.endpoint()));
        let response = request.body(body.to_owned()).send().await.expect("answer");
        response.text().await.expect("text")
    }

    fn data(&self) -> PathBuf {
        Path::new(self.directory.path()).join("data")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    listener.local_addr().expect("address").port()
}

/// Waits for what must come.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what} does not come"))
}
