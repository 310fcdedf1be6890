use ignite_wire::supervisor::{Disk, Rate, Vmm};

use super::*;

fn disk(path: &str, read_only: bool) -> Disk {
    Disk {
        path: PathBuf::from(path),
        format: DiskFormat::Raw,
        read_only,
        rate: None,
        volume: None,
    }
}

fn machine() -> Machine {
    Machine {
        vmm: Vmm::Firecracker,
        program: PathBuf::from("/usr/bin/firecracker"),
        cpus: 2,
        memory: 512 << 20,
        balloon: None,
        kernel: PathBuf::from("/k/vmlinux"),
        initramfs: PathBuf::from("/k/initramfs"),
        cmdline: "debug".to_owned(),
        disks: vec![disk("/vm/disk", false), disk("/k/modules.ext4", true)],
        shares: Vec::new(),
    }
}

const INTERFACE: Interface<'_> = Interface {
    tap: "tap0",
    mac: "02:00:00:00:00:01",
    mtu: 1450,
};

const NEWEST: Version = Version::new(1, 17, 0);

/// Method, path and body, one request a line.
fn text_of(requests: &[Request]) -> String {
    let line = |request: &Request| {
        format!(
            "{} {} {}\n",
            request.method().as_str(),
            request.path(),
            request.body().unwrap_or_default()
        )
    };
    requests.iter().map(line).collect()
}

#[test]
fn a_machine_in_a_room() {
    let mut machine = machine();
    machine.disks[0].rate = Some(Rate {
        bytes_per_second: 1_000_000,
        burst: 500_000,
    });
    let paths = Paths::of_room(&machine);
    let requests = requests(&machine, &paths, &[INTERFACE], NEWEST).expect("it fits");
    insta::assert_snapshot!(text_of(&requests), @r#"
    PUT /metrics {"metrics_path":"/run/metrics"}
    PUT /machine-config {"vcpu_count":2,"mem_size_mib":512}
    PUT /boot-source {"kernel_image_path":"/kernel","initrd_path":"/run/initramfs","boot_args":"debug console=ttyS0 panic=-1 8250.nr_uarts=1 cryptomgr.notests reboot=k i8042.noaux i8042.nomux i8042.dumbkbd pci=off"}
    PUT /drives/disk0 {"drive_id":"disk0","is_root_device":false,"is_read_only":false,"path_on_host":"/disk0","cache_type":"Writeback","rate_limiter":{"bandwidth":{"size":1000000,"refill_time":1000}}}
    PUT /drives/disk1 {"drive_id":"disk1","is_root_device":false,"is_read_only":true,"path_on_host":"/disk1"}
    PUT /network-interfaces/net0 {"iface_id":"net0","host_dev_name":"tap0","guest_mac":"02:00:00:00:00:01","mtu":1450}
    PUT /vsock {"guest_cid":3,"uds_path":"/run/vsock.sock"}
    PUT /entropy {}
    "#);
}

#[test]
fn only_what_the_oldest_knows_is_sent_to_it() {
    let machine = Machine {
        balloon: Some(64 << 20),
        ..machine()
    };
    let paths = Paths::of_room(&machine);
    let text = |version| {
        let requests = requests(&machine, &paths, &[INTERFACE], version);
        text_of(&requests.expect("it fits"))
    };
    let oldest = text(Version::OLDEST);
    assert!(!oldest.contains("mtu") && !oldest.contains("free_page"));
    let balloon =
        r#"PUT /balloon {"amount_mib":64,"deflate_on_oom":true,"stats_polling_interval_s":3600}"#;
    assert!(oldest.contains(balloon), "{oldest}");
    assert!(text(NEWEST).contains(r#""free_page_reporting":true"#));
}

#[test]
fn the_command_line_names_the_machine_and_its_socket() {
    let paths = Paths::of_host(&machine(), Path::new("/run/ignite/vm/1"));
    let line = command_line("0a-1", &paths).expect("a good name");
    let line: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
    assert_eq!(
        line.join(" "),
        "--id 0a-1 --api-sock /run/ignite/vm/1/api.sock --log-path /run/ignite/vm/1/log --level Info \
         --show-level"
    );
    for id in ["", "a_b", &"x".repeat(65)] {
        assert!(command_line(id, &paths).is_err(), "{id}");
    }
    let deep = Paths::of_host(&machine(), Path::new(&format!("/{}", "d".repeat(100))));
    let error = command_line("a", &deep).expect_err("too deep").to_string();
    assert!(error.contains("too long for a socket"), "{error}");
}

#[test]
fn what_firecracker_cannot_run_is_refused_before_it_starts() {
    let refusal = |change: fn(&mut Machine), nics| {
        let mut machine = machine();
        change(&mut machine);
        check(&machine, nics).expect_err("refused").to_string()
    };
    let overlay: fn(&mut Machine) = |machine| {
        machine.disks[0].format = DiskFormat::Qcow2 {
            backing: PathBuf::from("/image"),
        };
    };
    assert!(refusal(overlay, 0).contains("raw disks only"));
    assert!(refusal(|machine| machine.cpus = 33, 0).contains("1 to 32"));
    assert!(refusal(|machine| machine.memory += 1, 0).contains("MiB"));
    assert!(refusal(|_| {}, 14).contains("18 virtio devices"));
    assert!(refusal(|machine| machine.balloon = Some(0), 13).contains("18 virtio devices"));
    assert!(check(&machine(), 13).is_ok());
    let long: fn(&mut Machine) = |machine| machine.cmdline = "x=".to_owned() + &"y".repeat(1800);
    assert!(refusal(long, 0).contains("room for 1872"));
}

#[test]
fn the_guest_can_reset_and_finds_its_devices() {
    let arguments = arguments(&machine(), None);
    for word in ["console=ttyS0", "reboot=k", "panic=-1", "pci=off"] {
        assert!(arguments.split(' ').any(|given| given == word), "{word}");
    }
    assert!(!arguments.contains("acpi") && !arguments.contains("virtio_mmio"));
}
