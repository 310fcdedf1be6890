//! etcd: started, stopped, asked in the words of its JSON gateway, as any program could.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ignite_overlay::etcd::{Client, KeyValue, Settings};
use serde_json::{Value, json};

use super::{ENDPOINT, Lab, PREFIX, Place, soon};
use crate::common::etcd_program;

/// Operations of one transaction that etcd takes, by default.
const OPERATIONS: usize = 100;

impl Lab {
    /// Starts it, on the data it had.
    pub fn start_etcd(&self) {
        let child = self
            .command(Place::Switch)
            .arg(etcd_program())
            .args(["--name", "lab", "--data-dir"])
            .arg(self.directory.path().join("etcd"))
            .args(["--listen-client-urls", ENDPOINT])
            .args(["--advertise-client-urls", ENDPOINT])
            .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
            .args(["--initial-advertise-peer-urls", "http://127.0.0.1:2380"])
            .args(["--initial-cluster", "lab=http://127.0.0.1:2380"])
            // A member alone elects itself; the shortest lease follows from this too.
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .args(["--logger", "zap", "--log-outputs"])
            .arg(self.directory.path().join("etcd.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need etcd: run tools/unpack.sh etcd-server");
        self.etcd.replace(Some(child));
    }

    /// Ends it, as a power cut does.
    pub fn stop_etcd(&self) {
        if let Some(mut child) = self.etcd.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a request to the gateway, until it is answered.
    pub fn call(&self, path: &str, body: &Value) -> Value {
        // Nobody minds which, there is no TLS; the first call decides.
        let _ = rustls::crypto::ring::default_provider().install_default();
        soon(&format!("etcd answers {path}"), || {
            self.within(Place::Switch, || {
                blocking(async {
                    let request = reqwest::Client::new()
                        .post(format!("{ENDPOINT}{path}"))
                        .timeout(Duration::from_secs(10))
                        .body(body.to_string());
                    let answer = request.send().await?.error_for_status()?;
                    answer.bytes().await
                })
            })
            .map_err(|error| format!("{error:?}"))
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
        })
    }

    /// Writes a key below the prefix, for good.
    pub fn put(&self, key: &str, value: &str) {
        self.call("/v3/kv/put", &pair(key, value));
    }

    /// The same, with a lease.
    pub fn put_leased(&self, key: &str, value: &str, lease: &str) {
        let mut body = pair(key, value);
        body["lease"] = lease.into();
        self.call("/v3/kv/put", &body);
    }

    /// Writes a key with a lease if it is absent, as every node of Flannel does.
    pub fn create(&self, key: &str, value: &str, lease: &str) {
        let mut put = pair(key, value);
        put["lease"] = lease.into();
        let absent =
            json!({"target": "VERSION", "result": "EQUAL", "key": encoded(key), "version": "0"});
        let body = json!({"compare": [absent], "success": [{"requestPut": put}]});
        let answer = self.call("/v3/kv/txn", &body);
        assert_eq!(answer["succeeded"], true, "{key} is taken: {answer}");
    }

    /// Writes many keys, a hundred at once.
    pub fn put_all(&self, pairs: &[(String, String)]) {
        for some in pairs.chunks(OPERATIONS) {
            let puts = some
                .iter()
                .map(|(key, value)| json!({"requestPut": pair(key, value)}));
            self.call("/v3/kv/txn", &json!({"success": puts.collect::<Vec<_>>()}));
        }
    }

    /// A lease of so many seconds; its name.
    pub fn grant(&self, seconds: u32) -> String {
        let answer = self.call("/v3/lease/grant", &json!({"TTL": seconds.to_string()}));
        answer["ID"].as_str().expect("an ID").to_owned()
    }

    /// The length a lease was granted for, in seconds.
    pub fn granted(&self, lease: i64) -> u64 {
        let body = json!({"ID": lease.to_string()});
        let answer = self.call("/v3/lease/timetolive", &body);
        let text = answer["grantedTTL"].as_str().expect("a length");
        text.parse().expect("a number")
    }

    /// Removes a key below the prefix, which is there.
    pub fn delete(&self, key: &str) {
        let answer = self.call("/v3/kv/deleterange", &json!({"key": encoded(key)}));
        assert_eq!(answer["deleted"], "1", "there is no {key}");
    }

    /// Removes all leases of nodes.
    pub fn delete_leases(&self) {
        let body = json!({"key": encoded("subnets/"), "range_end": encoded("subnets0")});
        self.call("/v3/kv/deleterange", &body);
    }

    /// Forgets all revisions before now.
    pub fn compact(&self) {
        let now = self.call("/v3/kv/range", &json!({"key": encoded("config")}));
        let body = json!({"revision": now["header"]["revision"], "physical": true});
        self.call("/v3/kv/compaction", &body);
    }

    /// Keys below `subnets/` with their values and whether they end.
    pub fn leases(&self) -> Vec<(String, String, bool)> {
        let records = self.records().into_iter();
        records
            .map(|(key, pair)| {
                let value = String::from_utf8_lossy(&pair.value).into_owned();
                (key, value, pair.lease.is_some())
            })
            .collect()
    }

    /// A node's value, whose key it is.
    pub fn value(&self, key: &str) -> String {
        let found = self.leases().into_iter().find(|(name, ..)| name == key);
        found.expect("the node's key").1
    }

    /// Keys below `subnets/` with all that etcd has of them.
    pub fn records(&self) -> Vec<(String, KeyValue)> {
        let prefix = format!("{PREFIX}/subnets/");
        let listing = self.within(Place::Switch, || {
            let client = Client::new(Settings::new([ENDPOINT])).expect("a client");
            blocking(client.list(&prefix))
        });
        let pairs = listing.expect("etcd answers").pairs.into_iter();
        pairs
            .map(|pair| {
                let key = String::from_utf8_lossy(&pair.key).into_owned();
                (key.trim_start_matches(&prefix).to_owned(), pair)
            })
            .collect()
    }
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn encoded(key: &str) -> String {
    STANDARD.encode(format!("{PREFIX}/{key}"))
}

fn pair(key: &str, value: &str) -> Value {
    json!({"key": encoded(key), "value": STANDARD.encode(value)})
}
