//! Other published ports for an attachment that stays, with the distribution's portmap: what is
//! published changes, its network does not, and nothing is left whenever it is cut off.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{bridge, double, files, on_own_host, rules, runtime, sandbox};
use ignite_cni::capability::{Capabilities, PortMapping, Protocol};
use ignite_cni::runtime::Change;
use ignite_cni::{Attachment, Error, NetworkConfig, Runtime};
use ignite_host::link::{Link, Netlink, Route};
use ignite_host::netns::Namespace;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

const PORTS: &str = "portMappings";
const CONTAINER: &str = "ignite-abc";

/// A bridge with portmap and firewall behind it.
fn network(more: &str) -> NetworkConfig {
    let plugins = format!(
        r#",{{"type":"portmap","capabilities":{{"portMappings":true}}}},{{"type":"firewall"}}{more}"#
    );
    bridge("0.4.0", &plugins)
}

/// The attachment with these ports of the host, each leading to port 80.
fn with_ports(netns: &Path, ports: &[u16]) -> Attachment {
    let mapping = |host_port: &u16| PortMapping {
        host_port: *host_port,
        container_port: 80,
        protocol: Protocol::Tcp,
        host_ip: None,
    };
    let mappings: Vec<PortMapping> = ports.iter().map(mapping).collect();
    let mut attachment = Attachment::new(CONTAINER, netns, "eth0");
    attachment.capabilities = Capabilities::new()
        .mac(&"02:11:22:33:44:55")
        .port_mappings(&mappings)
        .build();
    attachment
}

fn change(
    runtime: &Runtime,
    network: &NetworkConfig,
    (before, after): (&Attachment, &Attachment),
    result: &Value,
) -> Result<Vec<&'static str>, Error> {
    let runs = runtime.change(
        network,
        Change {
            capability: PORTS,
            before,
            after,
            result,
        },
    )?;
    let command = |name: String| if name == "DEL" { "DEL" } else { "ADD" };
    Ok(runs
        .iter()
        .map(|run| command(run.command.to_string()))
        .collect())
}

fn eth0(namespace: &Namespace) -> Link {
    let inside = Netlink::open_in(namespace).expect("netlink");
    inside.link("eth0").expect("asked").expect("it is there")
}

fn publishes(port: u16) -> bool {
    rules().contains(&format!("--dport {port} "))
}

/// What stays when the last container is gone, made by a first one.
fn settled(network: &NetworkConfig, runtime: &Runtime) -> String {
    let (_first, path) = sandbox("first");
    let mut first = with_ports(&path, &[1]);
    first.container_id = "first".into();
    runtime.add(network, &first).expect("attached");
    runtime.del(network, &first).expect("detached");
    rules()
}

#[test]
fn ports_change_and_the_interface_stays() {
    on_own_host("ports_change_and_the_interface_stays", || {
        let (network, runtime) = (network(""), Runtime::default());
        let before = settled(&network, &runtime);
        let (namespace, path) = sandbox("one");
        let none = with_ports(&path, &[]);
        let added = runtime.add(&network, &none).expect("attached");
        let (link, quiet) = (eth0(&namespace), rules());

        let old = with_ports(&path, &[8080]);
        let both = with_ports(&path, &[8080, 9090]);
        let new = with_ports(&path, &[9090]);
        let steps = change(&runtime, &network, (&old, &old), &added.raw);
        assert_eq!(steps.expect("published"), ["DEL", "ADD"]);
        assert!(publishes(8080) && !publishes(9090), "{}", rules());
        change(&runtime, &network, (&both, &new), &added.raw).expect("changed");
        assert!(!publishes(8080) && publishes(9090), "{}", rules());
        assert_eq!(eth0(&namespace), link);

        // What is remembered is what there is, for who else reads the cache.
        let cached = runtime
            .cached("test", &new.id())
            .expect("read")
            .expect("there");
        assert_eq!(
            (&cached.attachment, cached.result.map(Value::Object)),
            (&new, Some(added.raw.clone()))
        );
        let bare = Attachment::new(CONTAINER, &path, "eth0");

        change(&runtime, &network, (&new, &none), &added.raw).expect("taken back");
        assert_eq!((rules(), eth0(&namespace)), (quiet, link));
        change(&runtime, &network, (&new, &new), &added.raw).expect("published again");
        assert!(publishes(9090));
        runtime.del(&network, &bare).expect("detached");
        assert_eq!((rules(), files("/var/lib/cni")), (before, vec![]));
    });
}

/// A network outside the host, joined to it.
fn outside() -> Namespace {
    let outside = Namespace::anonymous().expect("root makes namespaces");
    let host = Netlink::open().expect("netlink");
    host.create_veth("wire", "wire", Some(&outside))
        .expect("veth");
    let there = Netlink::open_in(&outside).expect("netlink");
    for (netlink, address) in [(&host, "192.0.2.1/24"), (&there, "192.0.2.2/24")] {
        let link = netlink.link("wire").expect("asked").expect("just made");
        let address = address.parse().expect("an address");
        netlink
            .add_address(link.index, address)
            .expect("its address");
        netlink.set_up(link.index).expect("up");
    }
    default_route(&outside, "wire", "192.0.2.1");
    outside
}

fn default_route(namespace: &Namespace, link: &str, gateway: &str) {
    let netlink = Netlink::open_in(namespace).expect("netlink");
    let link = netlink.link(link).expect("asked").expect("there");
    let gateway = Some(gateway.parse().expect("an address"));
    let route = Route::new("0.0.0.0/0".parse().expect("all"), gateway, link.index);
    netlink.add_route(&route).expect("a route");
}

fn echo(stream: &mut TcpStream, peer: &mut TcpStream, word: &[u8; 4]) {
    for stream in [&mut *stream, &mut *peer] {
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a time limit");
    }
    let mut heard = [0; 4];
    stream.write_all(word).expect("sent");
    peer.read_exact(&mut heard).expect("it arrives");
    peer.write_all(&heard).expect("answered");
    stream.read_exact(&mut heard).expect("the answer arrives");
    assert_eq!(&heard, word);
}

#[test]
fn connections_to_a_port_that_stays_go_on() {
    on_own_host("connections_to_a_port_that_stays_go_on", || {
        let (network, runtime) = (network(""), Runtime::default());
        let (namespace, path) = sandbox("one");
        let old = with_ports(&path, &[8080, 8081]);
        let added = runtime.add(&network, &old).expect("attached");
        default_route(&namespace, "eth0", "10.9.0.1");
        let outside = outside();
        let listen = || TcpListener::bind("0.0.0.0:80").expect("nobody has it");
        let server = namespace.run(listen).expect("a thread");
        let connect = |port| {
            let to = format!("192.0.2.1:{port}");
            outside
                .run(move || TcpStream::connect(to))
                .expect("a thread")
        };
        let mut client = connect(8080).expect("published");
        let mut accepted = server.accept().expect("a connection").0;
        echo(&mut client, &mut accepted, b"one.");

        let new = with_ports(&path, &[8080, 9090]);
        let all = with_ports(&path, &[8080, 8081, 9090]);
        change(&runtime, &network, (&all, &new), &added.raw).expect("changed");
        echo(&mut client, &mut accepted, b"two.");
        connect(9090).expect("published now");
        connect(8080).expect("published still");
        let refused = connect(8081).expect_err("not published any more");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        runtime.del(&network, &new).expect("detached");
    });
}

/// Where the process that is killed finds what it changes.
const KILLED: &str = "/run/killed";

/// What the process of the next test does, on its host.
#[test]
#[ignore = "part of another test"]
fn is_killed_while_it_changes() {
    let text = fs::read_to_string(KILLED).expect("written by the other test");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    let path = Path::new("/run/netns/one");
    let (both, new) = (with_ports(path, &[8080, 9090]), with_ports(path, &[9090]));
    change(&Runtime::default(), &network(""), (&both, &new), &result).expect("not killed");
}

/// Starts the change in a process of its own and kills that at a step.
fn kill_at(step: &str) {
    let program = std::env::current_exe().expect("a test program has a path");
    let mut child = Command::new(program)
        .args(["--exact", "is_killed_while_it_changes", "--ignored"])
        .env("IGNITE_HALT_AT", step)
        .spawn()
        .expect("started");
    let pid = Pid::from_child(&child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
        .expect("waited")
        .expect("it changed");
    assert!(status.stopped(), "{step}: {status:?}");
    kill_process(pid, Signal::KILL).expect("ours");
    child.wait().expect("waited");
}

#[test]
fn whenever_it_is_killed_it_is_released_or_finished() {
    on_own_host("whenever_it_is_killed_it_is_released_or_finished", || {
        let (network, runtime) = (network(""), Runtime::default());
        let before = settled(&network, &runtime);
        for step in ["del.answered", "add.answered", "add.cached"] {
            for finished in [false, true] {
                // Without ports first: then the cache must tell DEL of those that came since.
                let (namespace, path) = sandbox("one");
                let none = with_ports(&path, &[]);
                let added = runtime.add(&network, &none).expect("attached");
                fs::write(KILLED, added.raw.to_string()).expect("written");
                kill_at(step);
                assert!(!publishes(8080), "{step}");
                let both = with_ports(&path, &[8080, 9090]);
                let new = with_ports(&path, &[9090]);
                if finished {
                    change(&runtime, &network, (&both, &new), &added.raw).expect("finished");
                    assert!(publishes(9090), "{step}");
                }
                let bare = Attachment::new(CONTAINER, &path, "eth0");
                runtime.del(&network, &bare).expect("detached");
                let left = (rules(), files("/var/lib/cni"));
                assert_eq!(left, (before.clone(), vec![]), "{step}, {finished}");
                drop(namespace);
                ignite_host::netns::delete(&path).expect("deleted");
            }
        }
    });
}

#[test]
fn what_cannot_be_added_is_taken_back() {
    on_own_host("what_cannot_be_added_is_taken_back", || {
        let directory = PathBuf::from("/run/doubles");
        fs::create_dir_all(&directory).expect("created");
        // Refuses one port, and hands on the result with every other.
        let script = r#"
            input=$(cat)
            case "$COMMAND $input" in
                ADD*'"hostPort":9090'*) echo '{"code":111,"msg":"not that one"}'; exit 1;;
                ADD*) echo "$input" | sed 's/.*"prevResult":\(.*\),"runtimeConfig".*/\1/';;
            esac"#;
        double(&directory, "picky", script);
        let runtime = runtime(&directory);
        let network = network(r#",{"type":"picky","capabilities":{"portMappings":true}}"#);
        let (namespace, path) = sandbox("one");
        let old = with_ports(&path, &[8080]);
        let added = runtime.add(&network, &old).expect("attached");
        let (link, published) = (eth0(&namespace), rules());
        let both = with_ports(&path, &[8080, 9090]);
        let new = with_ports(&path, &[9090]);
        let error = change(&runtime, &network, (&both, &new), &added.raw).expect_err("refused");
        assert!(!error.must_retry_del(), "{error}");
        assert_eq!(error.code(), Some(111));
        assert!(!publishes(8080) && !publishes(9090), "{}", rules());
        change(&runtime, &network, (&both, &old), &added.raw).expect("as before");
        assert_eq!((rules(), eth0(&namespace)), (published, link));
        runtime.del(&network, &old).expect("detached");
    });
}

#[test]
fn who_makes_the_interface_is_never_asked() {
    let declaring = r#"{"type":"a","capabilities":{"portMappings":true}}"#;
    let plain = r#"{"type":"b","capabilities":{"portMappings":false}}"#;
    let can = |plugins: &[&str]| {
        let plugins = plugins.join(",");
        let text = format!(r#"{{"cniVersion":"1.0.0","name":"n","plugins":[{plugins}]}}"#);
        let network = NetworkConfig::parse(text.as_bytes()).expect("well formed");
        Runtime::can_change(&network, PORTS)
    };
    assert!(can(&[plain, declaring]) && can(&[plain, plain, declaring]));
    assert!(!can(&[declaring]) && !can(&[declaring, declaring]) && !can(&[plain, plain]));
}
