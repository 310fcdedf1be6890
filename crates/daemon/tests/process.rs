//! The daemon as a process: readiness, health, reload, faults, and its end. No VM is made here.

mod support;

use std::os::unix::fs::symlink;
use std::time::Duration;

use support::{Daemon, Place};

#[test]
fn it_is_ready_then_healthy_and_ends_in_order() {
    let place = Place::new();
    let mut daemon = Daemon::start(&place, &[]);
    daemon.hears("READY=1");
    daemon.hears("WATCHDOG=1");
    assert_eq!(daemon.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(daemon.get("/nothing").0, 404);
    assert_eq!(
        daemon
            .request("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .0,
        405
    );
    let (status, page) = daemon.get("/metrics");
    assert_eq!(status, 200);
    for name in [
        "ignited_vms{state=\"running\"} 0",
        "ignited_manifests{result=\"ok\"} 0",
        "ignited_source_last_success_timestamp_seconds ",
        "ignited_build_info{version=",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "# TYPE ignite_vm_network_receive_bytes counter",
    ] {
        assert!(page.contains(name), "{name} in {page}");
    }
    assert!(page.ends_with("# EOF\n"));
    daemon.signal(15);
    daemon.hears("STOPPING=1");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!place.socket().exists(), "it takes its socket along");
}

#[test]
fn a_reload_looks_at_everything() {
    let place = Place::new();
    let mut daemon = Daemon::start(&place, &["--rescan-interval", "1h"]);
    daemon.hears("READY=1");
    daemon.signal(1);
    daemon.hears("RELOADING=1");
    daemon.hears("READY=1");
    daemon.signal(2);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn there_is_one_for_a_data_directory() {
    let place = Place::new();
    let mut first = Daemon::start(&place, &[]);
    first.hears("READY=1");
    let mut second = Daemon::start(&place, &[]);
    assert_eq!(second.wait(), Some(1));
    let said = second.said();
    assert!(said.contains("error: another ignited keeps VMs"), "{said}");
    assert!(said.contains(&format!("process {}", first.id())), "{said}");
    assert!(said.contains("hint: "), "{said}");
    first.signal(9);
    first.wait();
    // Killed, it left lock and socket behind, and neither is in the way.
    let mut third = Daemon::start(&place, &[]);
    third.hears("READY=1");
    assert_eq!(third.get("/healthz").0, 200);
}

#[test]
fn faults_are_told_with_their_file_once_until_they_change() {
    let place = Place::new();
    place.write(
        "broken.yaml",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nspec: {cpu: 1}\n",
    );
    place.write(
        "image.yaml",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Image\nspec: {oci: box}\n",
    );
    symlink("/etc/passwd", place.manifest("out.yaml")).expect("linked");
    let mut daemon = Daemon::start(&place, &["--rescan-interval", "100ms"]);
    daemon.hears("READY=1");
    place.until_status(|status| {
        status["manifests"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    });
    let status = place.status();
    assert_eq!(status["manifests"][0]["file"], "broken.yaml");
    let message = status["manifests"][0]["fault"]["message"]
        .as_str()
        .expect("text");
    assert!(message.contains("line 3"), "{message}");
    assert_eq!(status["ignored"][0]["kind"], "Image");
    assert_eq!(daemon.get("/status").1, place.status_text());
    let (_, page) = daemon.get("/metrics");
    assert!(
        page.contains("ignited_manifests{result=\"fault\"} 2"),
        "{page}"
    );
    assert!(
        page.contains("ignited_manifests{result=\"ignored\"} 1"),
        "{page}"
    );
    place.write("broken.yaml", "kind: VM\n");
    let changed = |status: &serde_json::Value| {
        let message = status["manifests"][0]["fault"]["message"].as_str();
        message.is_some_and(|message| message.contains("apiVersion"))
    };
    place.until_status(changed);
    place.remove("broken.yaml");
    place.remove("out.yaml");
    place.until_status(|status| status["manifests"].as_array().is_some_and(Vec::is_empty));
    daemon.signal(15);
    assert_eq!(daemon.wait(), Some(0));
    let said = daemon.said();
    assert_eq!(said.matches("WARN broken.yaml: ").count(), 2, "{said}");
    assert_eq!(said.matches("WARN out.yaml: ").count(), 1, "{said}");
    assert_eq!(said.matches("WARN image.yaml: ").count(), 1, "{said}");
}

#[test]
fn a_directory_that_is_gone_makes_it_unhealthy_until_it_is_back() {
    let place = Place::new();
    let mut daemon = Daemon::start(&place, &["--rescan-interval", "100ms"]);
    daemon.hears("READY=1");
    let away = place.manifests().with_extension("away");
    std::fs::rename(place.manifests(), &away).expect("moved");
    daemon.until_health(503);
    assert!(daemon.get("/healthz").1.contains("cannot be read"));
    std::fs::rename(&away, place.manifests()).expect("moved");
    daemon.until_health(200);
}

/// A VM of which nothing can be read could be one of this directory's.
#[test]
fn a_directory_that_is_away_is_not_made_where_there_are_vms() {
    let place = Place::new();
    std::fs::remove_dir(place.manifests()).expect("removed");
    let record = place.data().join("vm/0123456789abcdef/vm.json");
    std::fs::create_dir_all(record.parent().expect("a parent")).expect("a directory");
    std::fs::write(&record, "{").expect("written");
    let mut daemon = Daemon::start(&place, &["--rescan-interval", "100ms"]);
    daemon.hears("READY=1");
    daemon.until_health(503);
    let (_, said) = daemon.get("/healthz");
    assert!(
        said.contains("is not there (bring it back, or make it"),
        "{said}"
    );
    assert!(!place.manifests().exists());
    std::fs::create_dir(place.manifests()).expect("made");
    daemon.until_health(200);
}

#[test]
fn a_directory_of_nobody_s_vms_is_made() {
    let place = Place::new();
    std::fs::remove_dir(place.manifests()).expect("removed");
    let mut daemon = Daemon::start(&place, &[]);
    daemon.hears("READY=1");
    assert_eq!(daemon.get("/healthz").0, 200);
    assert!(place.manifests().is_dir());
}

#[test]
fn a_thousand_files_that_do_not_change_cost_nothing() {
    let place = Place::new();
    for number in 0..1000 {
        place.write(&format!("{number}.yaml"), "kind: VM\n");
    }
    let mut daemon = Daemon::start(&place, &["--rescan-interval", "1h"]);
    daemon.hears("READY=1");
    place.until_status(|status| {
        status["manifests"]
            .as_array()
            .is_some_and(|all| all.len() == 1000)
    });
    let before = daemon.processor_ticks();
    std::thread::sleep(Duration::from_secs(2));
    // Nobody asks and nothing happens but the watchdog: less than a hundredth of a processor.
    let used = daemon.processor_ticks() - before;
    assert!(used <= 2, "{used} ticks in two seconds");
}

#[test]
fn help_and_version_touch_nothing() {
    let place = Place::new();
    for arguments in [
        &["--help"] as &[&str],
        &["version", "-o", "json"],
        &["completion", "bash"],
    ] {
        let output = place.run(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    let refused = place.run(&["daemon", "--rescan-interval", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!place.data().exists());
}

#[test]
fn what_ended_is_released_with_a_broken_configuration_too() {
    let place = Place::new();
    place.write("config.yaml", "spec: [\n");
    let file = place.manifest("config.yaml");
    let configuration = ["--ignite-config", file.to_str().expect("text")];
    let release = ["internal", "release", "0123456789abcdef"];
    let released = place.run(&[&configuration[..], &release].concat());
    assert!(released.status.success(), "{released:?}");
    let refused = place.run(&[&configuration[..], &["daemon"]].concat());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn strangers_at_the_address_are_in_nobodys_way_at_the_socket() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    let place = Place::new();
    let address = format!("127.0.0.1:{port}");
    let mut daemon = Daemon::start(&place, &["--metrics-address", &address]);
    daemon.hears("READY=1");
    // They say nothing, each for as long as it may.
    let strangers: Vec<_> = (0..64)
        .map(|_| std::net::TcpStream::connect(&address).expect("it listens"))
        .collect();
    let begin = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(daemon.get("/healthz").0, 200);
        assert_eq!(daemon.get("/metrics").0, 200);
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(strangers);
}

/// A registry that takes connections and never says a word.
#[test]
fn work_that_hangs_is_called_off_at_the_end() {
    let registry = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = registry.local_addr().expect("an address").port();
    let place = Place::new();
    place.write(
        "a.yaml",
        &support::manifest("a", &format!("127.0.0.1:{port}/box")),
    );
    let mut daemon = Daemon::start(&place, &[]);
    daemon.hears("READY=1");
    place.until_status(|status| status["manifests"][0]["action"] == "create");
    assert_eq!(daemon.get("/healthz").0, 200);
    // One that is gone is not waited for.
    place.write(
        "b.yaml",
        &support::manifest("b", &format!("127.0.0.1:{port}/box")),
    );
    place.until_status(|status| status["manifests"][1]["action"] == "create");
    place.remove("b.yaml");
    place.until_status(|status| {
        status["manifests"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    });
    daemon.signal(15);
    daemon.hears("STOPPING=1");
    assert_eq!(daemon.wait(), Some(0));
    let said = daemon.said();
    assert!(
        said.contains("called off: its manifest has changed"),
        "{said}"
    );
    assert!(said.contains("work is called off"), "{said}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let registry = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = registry.local_addr().expect("an address").port();
    let place = Place::new();
    place.write(
        "a.yaml",
        &support::manifest("a", &format!("127.0.0.1:{port}/box")),
    );
    let mut daemon = Daemon::start(&place, &[]);
    place.until_status(|status| status["manifests"][0]["action"] == "create");
    daemon.signal(15);
    daemon.hears("STOPPING=1");
    daemon.signal(15);
    assert_eq!(daemon.wait(), Some(130));
}
