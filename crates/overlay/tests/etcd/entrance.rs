//! A first host with an authority of its own, an etcd with its certificates, and hosts that join.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ignite_overlay::entrance::{self, JoinError, Joined, Server, join};
use ignite_overlay::etcd::{
    Client, ClientIdentity, ClientTls, Error, Settings, Speaks, TlsProblem, speaks,
};
use ignite_overlay::pki::{
    AuthorityFiles, NodeFiles, PEER_NAME, Pair, Profile, Token, Usage, Validity,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::server::{Etcd, ServerTls, free_port, soon};
use crate::wiretap::Wiretap;

const HOST: &str = "127.0.0.1";
const HOUR: Duration = Duration::from_secs(3600);

/// The first host of an overlay: authority, etcd and entrance.
struct FirstHost {
    directory: TempDir,
    files: AuthorityFiles,
    etcd: Etcd,
    port: u16,
    entrance: JoinHandle<()>,
}

impl Drop for FirstHost {
    fn drop(&mut self) {
        self.entrance.abort();
    }
}

impl FirstHost {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let files = AuthorityFiles::new(directory.path().join("authority"));
        files.create(&[], &[], SystemTime::now()).expect("create");
        let tls = |pair: Pair| ServerTls {
            certificate: pair.certificate,
            key: pair.key,
            ca: files.ca(),
        };
        let etcd = Etcd::start_tls_everywhere(tls(files.etcd()), tls(files.peer()));
        let server = Server::bind(entrance::Settings {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            authority: files.directory().to_owned(),
            endpoints: vec![etcd.endpoint()],
        });
        let server = server.await.expect("bind");
        let host = Self {
            port: server.local_addr().expect("address").port(),
            entrance: tokio::spawn(server.serve()),
            directory,
            files,
            etcd,
        };
        let own = host.client(host.node().tls());
        let ready = async {
            while own.put("/ready", b"", None).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        soon("an answer for the first host's node", ready).await;
        host
    }

    /// The node of the first host itself.
    fn node(&self) -> NodeFiles {
        let directory = self.directory.path().join("node");
        self.files
            .node(directory, "first", SystemTime::now())
            .expect("node")
    }

    fn token(&self) -> Token {
        let authority = self.files.authority().expect("authority");
        let tokens = self.files.tokens();
        let fingerprint = &authority.facts().fingerprint;
        tokens
            .issue(fingerprint, HOUR, SystemTime::now())
            .expect("token")
    }

    /// A host that joins, and keeps its files by this name.
    async fn join(&self, name: &str) -> (Joined, NodeFiles) {
        let joined = join(HOST, self.port, &self.token(), name)
            .await
            .expect("join");
        let files = NodeFiles::new(self.directory.path().join(name));
        files
            .save(&joined.authority, &joined.certificate, &joined.key)
            .expect("save");
        (joined, files)
    }

    fn client(&self, tls: ClientTls) -> Client {
        client(&self.etcd.endpoint(), Some(tls))
    }
}

fn client(endpoint: &str, tls: Option<ClientTls>) -> Client {
    let mut settings = Settings::new([endpoint]);
    settings.tls = tls;
    Client::new(settings).expect("client")
}

async fn problem(client: &Client) -> TlsProblem {
    match client.get("/k").await.expect_err("no way in") {
        Error::Tls { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_that_joined_reads_and_writes_etcd() {
    let first = FirstHost::start().await;
    let (joined, files) = first.join("second").await;
    assert!(joined.is_reached_by(HOST) && joined.is_reached_by("localhost"));
    let facts = files.check(SystemTime::now()).expect("good");
    assert_eq!(facts.common_name.as_deref(), Some("second"));
    let mut settings = Settings::new(joined.endpoints);
    settings.tls = Some(files.tls());
    let second = Client::new(settings).expect("client");
    second
        .put("/k", b"of the second", None)
        .await
        .expect("write");
    let own = first.client(first.node().tls());
    let read = own.get("/k").await.expect("read");
    let value = read.pair.map(|pair| pair.value);
    assert_eq!(value.as_deref(), Some(&b"of the second"[..]));
}

#[tokio::test]
async fn addresses_are_added_while_etcd_runs() {
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
    let first = FirstHost::start().await;
    let tap = Wiretap::at(OTHER, first.etcd.port()).await;
    let endpoint = format!("https://{OTHER}:{}", tap.port);
    let before = client(&endpoint, Some(first.node().tls()));
    assert_eq!(problem(&before).await, TlsProblem::WrongName);
    let made = first.files.create(&[], &[OTHER.into()], SystemTime::now());
    let made = made.expect("create");
    assert!(made.etcd && made.peer && !made.authority);
    before
        .put("/k", b"", None)
        .await
        .expect("etcd shows the new certificate");
    let joined = join(HOST, first.port, &first.token(), "third").await;
    assert!(joined.expect("join").is_reached_by("127.0.0.9"));
}

#[tokio::test]
async fn who_has_no_certificate_that_is_good_is_refused() {
    let first = FirstHost::start().await;
    let (_, files) = first.join("second").await;
    let ca = files.tls().ca;
    let nobody = first.client(ClientTls {
        ca: ca.clone(),
        identity: None,
    });
    let found = problem(&nobody).await;
    assert!(matches!(found, TlsProblem::ClientRefused(_)), "{found:?}");

    let other = FirstHost::start().await;
    let foreign = ClientTls {
        ca: ca.clone(),
        ..other.node().tls()
    };
    let found = problem(&first.client(foreign)).await;
    assert!(matches!(found, TlsProblem::ClientRefused(_)), "{found:?}");

    let authority = first.files.authority().expect("authority");
    let now = SystemTime::now();
    let over = authority.issue(&Profile {
        common_name: "third".into(),
        names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Validity {
            from: now - HOUR,
            to: now - HOUR / 60,
        },
    });
    let over = over.expect("issue");
    let third = NodeFiles::new(first.directory.path().join("third"));
    let saved = third.save(authority.certificate(), &over.certificate, &over.key);
    saved.expect("save");
    let found = problem(&first.client(third.tls())).await;
    assert!(matches!(found, TlsProblem::OwnExpired(_)), "{found:?}");
    let told = third.check(now).expect_err("over");
    assert!(told.hint().expect("hint").contains("join again"), "{told}");
}

#[tokio::test]
async fn only_members_speak_to_the_members_port() {
    let first = FirstHost::start().await;
    let (_, files) = first.join(PEER_NAME).await;
    let page = |tls| async {
        let client = client(&first.etcd.peer_endpoint(), Some(tls));
        client.version().await
    };
    let Pair { certificate, key } = first.files.peer();
    let member = ClientTls {
        ca: Some(first.files.ca()),
        identity: Some(ClientIdentity { certificate, key }),
    };
    page(member).await.expect("a member");
    page(files.tls())
        .await
        .expect_err("a host that only joined");
    let nobody = ClientTls {
        identity: None,
        ..files.tls()
    };
    page(nobody).await.expect_err("nobody");
}

#[tokio::test]
async fn what_passes_is_read_by_nobody_with_tls_and_by_everybody_without() {
    const KEY: &str = "/coreos.com/network/subnets/10.5.1.0-24";
    const VALUE: &str = r#"{"PublicIP":"192.0.2.77"}"#;
    let secrets = [
        KEY.to_owned(),
        VALUE.to_owned(),
        STANDARD.encode(KEY),
        STANDARD.encode(VALUE),
    ];
    let exchange = async |client: Client| {
        client
            .put(KEY, VALUE.as_bytes(), None)
            .await
            .expect("write");
        client
            .get(KEY)
            .await
            .expect("read")
            .pair
            .expect("it is there");
    };

    let first = FirstHost::start().await;
    let tap = Wiretap::before(first.etcd.port()).await;
    let endpoint = format!("https://{HOST}:{}", tap.port);
    exchange(client(&endpoint, Some(first.node().tls()))).await;
    for secret in &secrets {
        assert!(!tap.heard(secret), "{secret}");
    }

    let plain = Etcd::start().await;
    let tap = Wiretap::before(plain.port()).await;
    exchange(client(&format!("http://{HOST}:{}", tap.port), None)).await;
    // The gateway's JSON has them in base64.
    assert!(tap.heard(&secrets[2]) && tap.heard(&secrets[3]));
}

#[tokio::test]
async fn a_joiners_token_and_name_are_read_by_nobody() {
    let first = FirstHost::start().await;
    let tap = Wiretap::before(first.port).await;
    let token = first.token();
    join(HOST, tap.port, &token, "a-host-by-name")
        .await
        .expect("join");
    let text = token.reveal();
    for secret in [
        &text[..12],
        &text[13..45],
        "a-host-by-name",
        "BEGIN CERTIFICATE",
    ] {
        assert!(!tap.heard(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_a_port_of_etcd_speaks_is_seen() {
    let first = FirstHost::start().await;
    assert_eq!(speaks(HOST, first.etcd.port()).await, Speaks::Tls);
    assert_eq!(speaks(HOST, first.port).await, Speaks::Tls);
    let plain = Etcd::start().await;
    assert_eq!(speaks(HOST, plain.port()).await, Speaks::Plain);
    // It was not harmed by that.
    plain.client().put("/k", b"", None).await.expect("write");
}

/// An agent of the first host, as a program: it has no configuration to follow, so it changes nothing.
struct Agent {
    child: Child,
}

impl Agent {
    fn start(first: &FirstHost, port: u16, log: &str) -> Self {
        let node = first.node().tls();
        let identity = node.identity.expect("a node has one");
        let log = File::create(first.directory.path().join(log)).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_ignite-overlay"))
            .arg(format!("--etcd-endpoints={}", first.etcd.endpoint()))
            .arg("--etcd-cafile")
            .arg(node.ca.expect("a node has one"))
            .arg("--etcd-certfile")
            .arg(identity.certificate)
            .arg("--etcd-keyfile")
            .arg(identity.key)
            .arg(format!("--entrance={HOST}:{port}"))
            .arg("--entrance-authority")
            .arg(first.files.directory())
            .arg("--entrance-endpoints=https://first:2379")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        Self { child }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_agent_lets_hosts_join_while_it_waits_for_a_configuration() {
    let first = FirstHost::start().await;
    let (port, token) = (free_port(), first.token());
    let _agent = Agent::start(&first, port, "agent");
    let joined = soon("an entrance", async {
        loop {
            match join(HOST, port, &token, "second").await {
                Err(JoinError::ConnectionRefused { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other.expect("join"),
            }
        }
    });
    assert_eq!(joined.await.endpoints, ["https://first:2379"]);
    let log = |name: &str| {
        let text = std::fs::read_to_string(first.directory.path().join(name));
        text.expect("a log")
    };
    let line = format!("joined as second with the token {}", token.id());
    let secret = &token.reveal()[13..45];
    assert!(log("agent").contains(&line) && !log("agent").contains(secret));

    let _second = Agent::start(&first, port, "second");
    let told = async {
        while !log("second").contains("cannot listen") || !log("second").contains("there is none") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("word of the port, and life in spite of it", told).await;
}
