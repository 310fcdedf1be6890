//! Plugins that fail, hang, lie or shout, behind a real bridge: the error is
//! clear, time and memory are bounded, and nothing is left. The bad plugins are
//! shell scripts.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    attachment, bridge, calls, double, files, links, on_own_host, rules, runtime, sandbox,
};
use ignite_cni::error::chain;
use ignite_cni::exec::ExecError;
use ignite_cni::{Error, NetworkConfig, Runtime, lock};

const PASS: &str = r#"echo '{"cniVersion":"1.0.0"}'"#;

fn doubles() -> PathBuf {
    let directory = PathBuf::from("/run/doubles");
    fs::create_dir_all(&directory).expect("created");
    directory
}

/// ADD behind a bridge and a firewall fails; returns the error after showing that
/// nothing is left.
fn failing(directory: &Path, runtime: &Runtime, name: &str) -> Error {
    // The chains and the bridge that stay are made by a first ADD.
    let good = bridge("1.0.0", r#",{"type":"firewall"}"#);
    let (namespace, path) = sandbox(&format!("s-{name}"));
    let asked = attachment("c1", &path);
    runtime.add(&good, &asked).expect("attached");
    runtime.del(&good, &asked).expect("detached");
    let before = (rules(), links());
    let bad = bridge(
        "1.0.0",
        &format!(r#",{{"type":"firewall"}},{{"type":"{name}"}},{{"type":"last"}}"#),
    );
    double(directory, "last", PASS);
    let error = runtime.add(&bad, &asked).expect_err(name);
    println!("{name}: {}", chain(&error));
    assert_eq!((rules(), links()), before, "{name}");
    // What could not be undone can be: DEL finds the last good result.
    let kept = if error.must_retry_del() { 1 } else { 0 };
    let left = files("/var/lib/cni");
    assert_eq!(left.len(), kept, "{name}: {left:?}");
    drop(namespace);
    error
}

fn plugin_error(error: &Error) -> &ExecError {
    match error {
        Error::Attach { source, .. } => plugin_error(source),
        Error::Plugin { source, .. } => source,
        other => panic!("not a plugin's error: {}", chain(other)),
    }
}

#[test]
fn a_plugin_that_fails_is_told_and_undone() {
    on_own_host("a_plugin_that_fails_is_told_and_undone", || {
        let directory = doubles();
        let fail = r#"[ $COMMAND = DEL ] || { echo '{"code":111,"msg":"full","details":"of it"}'; exit 1; }"#;
        double(&directory, "bad", fail);
        let error = failing(&directory, &runtime(&directory), "bad");
        assert_eq!(error.code(), Some(111));
        assert!(!error.must_retry_del());
        assert!(
            chain(&error).contains("full; of it (code 111)"),
            "{}",
            chain(&error)
        );
        // The one behind it was not asked to ADD, but is asked to DEL.
        assert_eq!(calls(&directory), ["ADD", "DEL", "DEL"]);
    });
}

#[test]
fn what_passes_is_undone_and_tried_again() {
    on_own_host("what_passes_is_undone_and_tried_again", || {
        let directory = doubles();
        // The second attempt finds no address of the first: it is given the same one.
        let busy = r#"[ $COMMAND = DEL ] && exit 0
[ -e /run/again ] || { touch /run/again; echo '{"code":11,"msg":"busy"}'; exit 1; }
cat > /run/stdin; sed 's/.*"prevResult"://; s/}$//' /run/stdin"#;
        double(&directory, "busy", busy);
        let network = bridge("1.0.0", r#",{"type":"firewall"},{"type":"busy"}"#);
        let (_namespace, path) = sandbox("s-busy");
        let runtime = runtime(&directory);
        let asked = attachment("c1", &path);
        let added = runtime.add(&network, &asked).expect("the second time");
        assert_eq!(calls(&directory), ["ADD", "DEL", "ADD"]);
        assert_eq!(added.result.ips.len(), 1);
        runtime.del(&network, &asked).expect("detached");
    });
}

#[test]
fn a_roll_back_goes_on_and_says_what_remains() {
    on_own_host("a_roll_back_goes_on_and_says_what_remains", || {
        let directory = doubles();
        double(&directory, "bad", "echo $COMMAND went wrong >&2; exit 7");
        let error = failing(&directory, &runtime(&directory), "bad");
        assert!(error.must_retry_del());
        let text = chain(&error);
        assert!(
            text.contains("ADD went wrong") && text.contains("DEL went wrong"),
            "{text}"
        );
    });
}

#[test]
fn a_plugin_that_hangs_is_ended_with_its_children() {
    on_own_host("a_plugin_that_hangs_is_ended_with_its_children", || {
        let directory = doubles();
        let hang = r#"[ $COMMAND = DEL ] && exit 0
sleep 987654 & echo $! > /run/child; echo waiting >&2; sleep 987654"#;
        double(&directory, "bad", hang);
        let mut runtime = runtime(&directory);
        runtime.bounds.add = Duration::from_secs(2);
        let began = Instant::now();
        let error = failing(&directory, &runtime, "bad");
        assert!(began.elapsed() < Duration::from_secs(10));
        let found = plugin_error(&error);
        assert!(matches!(found, ExecError::TimedOut { .. }), "{found}");
        assert!(found.to_string().contains("within 2 s") && found.to_string().contains("waiting"));
        let child = fs::read_to_string("/run/child").expect("written");
        let command = fs::read(Path::new("/proc").join(child.trim()).join("cmdline"));
        assert!(command.unwrap_or_default().is_empty(), "its child lives");
    });
}

#[test]
fn garbage_is_quoted_in_a_few_words() {
    on_own_host("garbage_is_quoted_in_a_few_words", || {
        let directory = doubles();
        let del = "[ $COMMAND = DEL ] && exit 0";
        for (name, script) in [
            ("garbage", "head -c 5000 /dev/urandom"),
            (
                "failing-garbage",
                "head -c 5000 /dev/zero | tr '\\0' x; exit 3",
            ),
            ("array", "echo '[1,2]'"),
            ("silent", "exit 4"),
            ("nothing", "true"),
        ] {
            double(&directory, name, &format!("{del}\n{script}"));
            let text = chain(&failing(&directory, &runtime(&directory), name));
            assert!(
                text.len() < 1500 && !text.contains(char::is_control),
                "{name}: {text}"
            );
        }
    });
}

#[test]
fn a_flood_is_bounded() {
    on_own_host("a_flood_is_bounded", || {
        let directory = doubles();
        let flood = "[ $COMMAND = DEL ] && exit 0\nhead -c 1000000000 /dev/zero";
        double(&directory, "bad", flood);
        let error = failing(&directory, &runtime(&directory), "bad");
        assert!(matches!(plugin_error(&error), ExecError::TooMuch { .. }));
        let status = fs::read_to_string("/proc/self/status").expect("there");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a peak");
        let kib: u64 = peak
            .trim()
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .expect("a number");
        assert!(kib < 64 << 10, "{peak}");
    });
}

#[test]
fn lies_are_not_believed() {
    on_own_host("lies_are_not_believed", || {
        let directory = doubles();
        for (name, result) in [
            (
                "index",
                r#""ips":[{"address":"10.9.0.9/24","interface":5}]"#,
            ),
            ("multicast", r#""ips":[{"address":"224.0.0.9/24"}]"#),
            (
                "gateway",
                r#""ips":[{"address":"10.9.0.9/24","gateway":"10.10.0.1"}]"#,
            ),
            ("types", r#""ips":"none""#),
            ("resolver", r#""dns":{"search":["a\nnameserver 6.6.6.6"]}"#),
        ] {
            let answer = format!(r#"{{"cniVersion":"1.0.0",{result}}}"#);
            double(
                &directory,
                name,
                &format!("[ $COMMAND = DEL ] && exit 0\ncat <<'X'\n{answer}\nX"),
            );
            let error = failing(&directory, &runtime(&directory), name);
            let Error::Attach { source, .. } = error else {
                panic!("not attached")
            };
            assert!(matches!(*source, Error::Result { .. }), "{name}");
        }
        let routes = r#"[ $COMMAND = DEL ] && exit 0
echo '{"cniVersion":"1.0.0","routes":[{"dst":"10.0.0.0/8"}'
for i in $(seq 9999); do echo ',{"dst":"10.0.0.0/8"}'; done; echo ']}'"#;
        double(&directory, "routes", routes);
        let text = chain(&failing(&directory, &runtime(&directory), "routes"));
        assert!(text.contains("10000 routes"), "{text}");
    });
}

#[test]
fn a_missing_plugin_is_known_before_anything_runs() {
    on_own_host("a_missing_plugin_is_known_before_anything_runs", || {
        let directory = doubles();
        let runtime = runtime(&directory);
        let network = bridge("1.0.0", r#",{"type":"nowhere"}"#);
        let (_namespace, path) = sandbox("one");
        let error = runtime
            .add(&network, &attachment("c1", &path))
            .expect_err("missing");
        let text = chain(&error);
        assert!(
            text.contains("\"nowhere\" in /run/doubles, /usr/lib/cni"),
            "{text}"
        );
        assert!(
            error
                .hint()
                .expect("a hint")
                .contains("containernetworking-plugins")
        );
        assert!(links().is_empty() && files("/var/lib/cni").is_empty());
    });
}

#[test]
fn odd_but_harmless_plugins_work() {
    on_own_host("odd_but_harmless_plugins_work", || {
        let directory = doubles();
        let odd = r#"exec 0<&-
case $COMMAND in ADD) sleep 5 >/dev/null 2>&1 & sleep 5 & ;; esac
echo noise >&2
[ "$CNI_ARGS" = "IgnoreUnknown=1" ] || exit 9
echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.9.0.77/24"},"vendor":1}'"#;
        double(&directory, "odd", odd);
        let network = bridge("1.0.0", r#",{"type":"odd"}"#);
        let (_namespace, path) = sandbox("one");
        let mut asked = attachment("c1", &path);
        asked.args = ignite_cni::args::request(None, None);
        let began = Instant::now();
        let added = runtime(&directory).add(&network, &asked).expect("attached");
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "what it left behind is not waited for"
        );
        assert_eq!(added.runs[1].stderr, "noise\n");
        // Another version than the network's is converted.
        assert_eq!(added.raw["cniVersion"], "1.0.0");
        assert_eq!(added.raw["ips"][0]["address"], "10.9.0.77/24");
        runtime(&directory).del(&network, &asked).expect("detached");
    });
}

#[test]
fn del_goes_on_after_an_error_and_keeps_the_cache() {
    on_own_host("del_goes_on_after_an_error_and_keeps_the_cache", || {
        let directory = doubles();
        double(
            &directory,
            "late",
            &format!("[ $COMMAND = DEL ] && exit 1\n{PASS}"),
        );
        double(
            &directory,
            "later",
            &format!("[ $COMMAND = DEL ] && exit 1\n{PASS}"),
        );
        let runtime = runtime(&directory);
        let network = bridge("1.0.0", r#",{"type":"late"},{"type":"later"}"#);
        let (_namespace, path) = sandbox("one");
        let asked = attachment("c1", &path);
        runtime.add(&network, &asked).expect("attached");
        let error = runtime.del(&network, &asked).expect_err("two fail");
        assert!(
            matches!(&error, Error::Several(errors) if errors.len() == 2),
            "{error}"
        );
        // The bridge was undone all the same; only the memory of it stays.
        assert_eq!(links(), ["br0"]);
        assert_eq!(files("/var/lib/cni"), ["test-c1-eth0"]);
        double(&directory, "late", PASS);
        double(&directory, "later", PASS);
        runtime.del(&network, &asked).expect("detached");
        assert!(files("/var/lib/cni").is_empty());
    });
}

#[test]
fn a_lock_outlives_a_killed_caller_until_its_plugins_end() {
    on_own_host(
        "a_lock_outlives_a_killed_caller_until_its_plugins_end",
        || {
            let directory = doubles();
            // The plugin ends with its caller; what it started does its work to the end.
            double(
                &directory,
                "slow",
                "(sleep 1; touch /run/child.done)\ntouch /run/plugin.done",
            );
            let lock = lock::container(Path::new("/run"), "c1").expect("locked");
            let caller = std::process::Command::new("/proc/self/exe")
                .args(["--exact", "helper_that_attaches_slowly"])
                .env("IGNITE_CNI_HELPER", "1")
                .spawn();
            drop(lock);
            let mut caller = caller.expect("started");
            while calls(&directory).is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            caller.kill().expect("killed");
            caller.wait().expect("ended");
            let _lock = lock::container(Path::new("/run"), "c1").expect("locked");
            assert!(
                Path::new("/run/child.done").exists(),
                "the lock was free while its child ran"
            );
            assert!(
                !Path::new("/run/plugin.done").exists(),
                "the plugin ended with its caller"
            );
        },
    );
}

/// Not a test: the process that is killed above.
#[test]
fn helper_that_attaches_slowly() {
    if std::env::var_os("IGNITE_CNI_HELPER").is_none() {
        return;
    }
    let lock = lock::container(Path::new("/run"), "c1").expect("locked");
    let mut runtime = runtime(&doubles());
    runtime.inherited = vec![Arc::new(lock.try_clone_fd().expect("copied"))];
    let network = NetworkConfig::parse(br#"{"name":"n","type":"slow"}"#).expect("well formed");
    let _ = runtime.add(&network, &attachment("c1", Path::new("/run/netns/x")));
}
