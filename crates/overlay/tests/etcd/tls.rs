//! etcd with TLS and certificates of our own, good ones and bad ones.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_overlay::etcd::{
    Client, ClientIdentity, ClientTls, Error, Settings, TlsProblem, WatchMessage,
};
use ignite_overlay::pki::{
    Authority, NewRequest, Profile, Request, Usage, Validity, write_private,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tempfile::TempDir;

use crate::server::{Etcd, ServerTls, soon};

const DAY: Duration = Duration::from_secs(86_400);

/// Certificates in a directory.
struct Files {
    directory: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let now = SystemTime::now();
        // Old enough to have made certificates that are over.
        let validity = Validity {
            from: now - 30 * DAY,
            to: now + 30 * DAY,
        };
        let directory = tempfile::tempdir().expect("tempdir");
        let [certificate, key] = ["ca.crt", "ca.key"].map(|name| directory.path().join(name));
        let made = Authority::create("test authority", validity).expect("authority");
        made.save(&certificate, &key).expect("save");
        Self {
            // One that was loaded signs as one that was made.
            authority: Authority::load(&certificate, &key).expect("load"),
            directory,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn profile(usage: Usage) -> Profile {
        Profile {
            common_name: "test".into(),
            names: vec!["localhost".into()],
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usage,
            validity: Validity::days(SystemTime::now(), 7),
        }
    }

    /// Makes certificate and key by this name.
    fn make(&self, name: &str, profile: &Profile) -> ClientIdentity {
        let issued = self.authority.issue(profile).expect("issue");
        self.write(name, &issued.certificate, &issued.key)
    }

    /// The same as a joiner does it, who keeps the key.
    fn join(&self, name: &str, profile: &Profile) -> ClientIdentity {
        let new = NewRequest::new(profile).expect("request");
        let request = Request::parse(&new.request).expect("parse");
        let certificate = self.authority.sign(&request, profile).expect("sign");
        self.write(name, &certificate, &new.key)
    }

    fn write(&self, name: &str, certificate: &str, key: &str) -> ClientIdentity {
        let identity = ClientIdentity {
            certificate: self.path(&format!("{name}.crt")),
            key: self.path(&format!("{name}.key")),
        };
        write_private(&identity.certificate, certificate).expect("certificate");
        write_private(&identity.key, key).expect("key");
        identity
    }

    fn server(&self, profile: &Profile) -> Etcd {
        let ClientIdentity { certificate, key } = self.make("server", profile);
        Etcd::start_tls(ServerTls {
            certificate,
            key,
            ca: self.path("ca.crt"),
        })
    }
}

/// As certificates have it.
fn whole_seconds(validity: Validity) -> Validity {
    let whole = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
        UNIX_EPOCH + Duration::from_secs(since.as_secs())
    };
    Validity {
        from: whole(validity.from),
        to: whole(validity.to),
    }
}

/// Valid until a day ago.
fn over() -> Validity {
    let now = SystemTime::now();
    Validity {
        from: now - 3 * DAY,
        to: now - DAY,
    }
}

fn client(etcd: &Etcd, ca: PathBuf, identity: Option<ClientIdentity>) -> Client {
    let mut settings = Settings::new([etcd.endpoint()]);
    settings.tls = Some(ClientTls {
        ca: Some(ca),
        identity,
    });
    Client::new(settings).expect("client")
}

async fn problem(client: &Client) -> TlsProblem {
    let error = client.get("/k").await.expect_err("no trust");
    assert!(error.hint().is_some(), "{error}");
    match error {
        Error::Tls { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn certificates_of_our_own_work_and_others_are_told_apart() {
    let files = Files::new();
    let etcd = files.server(&Files::profile(Usage::Server));
    let good = files.join("client", &Files::profile(Usage::Client));
    let friend = client(&etcd, files.path("ca.crt"), Some(good.clone()));
    let ready = async {
        while friend.put("/k", b"v", None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("an answer", ready).await;
    friend.reload().expect("reload");
    let mut watch = friend.watch("/k", 1);
    let message = soon("an event", watch.next()).await;
    assert!(
        matches!(message, Some(WatchMessage::Events { .. })),
        "{message:?}"
    );
    assert!(matches!(friend.health().await[0].healthy, Ok(true)));

    let others = Files::new();
    let stranger = client(&etcd, others.path("ca.crt"), Some(good));
    assert_eq!(problem(&stranger).await, TlsProblem::UnknownAuthority);
    let nobody = client(&etcd, files.path("ca.crt"), None);
    assert!(matches!(
        problem(&nobody).await,
        TlsProblem::ClientRefused(_)
    ));
    let foreign = others.make("client", &Files::profile(Usage::Client));
    let foreign = client(&etcd, files.path("ca.crt"), Some(foreign));
    assert!(matches!(
        problem(&foreign).await,
        TlsProblem::ClientRefused(_)
    ));
    let mut late = Files::profile(Usage::Client);
    late.validity = over();
    let expired = files.make("expired", &late);
    let expired = client(&etcd, files.path("ca.crt"), Some(expired));
    assert_eq!(
        problem(&expired).await,
        TlsProblem::OwnExpired(whole_seconds(late.validity))
    );

    // Plain text against TLS.
    let plain = etcd.endpoint().replace("https", "http");
    let plain = Client::new(Settings::new([plain])).expect("client");
    let error = plain.get("/k").await.expect_err("TLS is wanted");
    assert!(
        error.hint().expect("hint").contains("https://"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_expired_server_and_one_of_another_name_are_told_apart() {
    let files = Files::new();
    let identity = files.make("client", &Files::profile(Usage::Client));
    let mut elsewhere = Files::profile(Usage::Server);
    elsewhere.names = vec!["elsewhere.example".into()];
    elsewhere.addresses = vec![IpAddr::from(Ipv4Addr::new(10, 0, 0, 1))];
    let etcd = files.server(&elsewhere);
    let found = problem(&client(&etcd, files.path("ca.crt"), Some(identity.clone()))).await;
    assert_eq!(found, TlsProblem::WrongName);
    drop(etcd);

    let mut late = Files::profile(Usage::Server);
    late.validity = over();
    let etcd = files.server(&late);
    let found = problem(&client(&etcd, files.path("ca.crt"), Some(identity))).await;
    assert_eq!(found, TlsProblem::Expired);
}

#[tokio::test]
async fn a_server_that_may_not_be_a_client_is_explained() {
    let files = Files::new();
    // As other tools make them by default; ours do not.
    let read = |name| std::fs::read_to_string(files.path(name)).expect("read");
    let issuer = KeyPair::from_pem(&read("ca.key")).expect("key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), issuer).expect("issuer");
    let key = KeyPair::generate().expect("key");
    let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.signed_by(&key, &issuer).expect("certificate");
    let server = files.write("server", &certificate.pem(), &key.serialize_pem());
    let etcd = Etcd::start_tls(ServerTls {
        certificate: server.certificate,
        key: server.key,
        ca: files.path("ca.crt"),
    });
    let identity = files.make("client", &Files::profile(Usage::Client));
    let client = client(&etcd, files.path("ca.crt"), Some(identity));
    let explained = async {
        loop {
            let error = client.get("/k").await.expect_err("no way in");
            if error.hint().is_some_and(|hint| hint.contains("clientAuth")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("the explanation", explained).await;
}

#[tokio::test]
async fn one_without_tls_is_told_apart() {
    let etcd = Etcd::start().await;
    let endpoint = etcd.endpoint().replace("http", "https");
    let secure = Client::new(Settings::new([endpoint])).expect("client");
    assert_eq!(problem(&secure).await, TlsProblem::NotTls);
}
