use std::path::PathBuf;

use super::*;

fn machine() -> Machine {
    Machine {
        vmm: Vmm::QemuTcg,
        program: PathBuf::from("/usr/bin/qemu-system-x86_64"),
        cpus: 2,
        memory: 512 << 20,
        balloon: None,
        kernel: PathBuf::from("/k/vmlinux"),
        initramfs: PathBuf::from("/k/initramfs"),
        cmdline: "console=ttyS0 quiet".to_owned(),
        disks: vec![
            Disk {
                path: PathBuf::from("/vm/a,b/disk"),
                format: DiskFormat::Qcow2 {
                    backing: PathBuf::from("/image/image.ext4"),
                },
                read_only: false,
                rate: None,
                volume: None,
            },
            Disk {
                path: PathBuf::from("/k/modules.ext4"),
                format: DiskFormat::Raw,
                read_only: true,
                rate: None,
                volume: None,
            },
        ],
        shares: Vec::new(),
    }
}

const INTERFACE: Interface<'_> = Interface {
    mac: "02:00:00:00:00:01",
    mtu: 1450,
};

const TRANSLATION: Translation = Translation {
    is_parallel: true,
    tsc_khz: Some(2_100_000),
};

const TURNS: Translation = Translation {
    is_parallel: false,
    tsc_khz: None,
};

/// One option with its value a line.
fn text(arguments: &[OsString]) -> String {
    let mut text = String::new();
    for argument in arguments {
        let argument = argument.to_str().expect("the machine's paths are text");
        let separator = if argument.starts_with('-') { "\n" } else { " " };
        text.push_str(separator);
        text.push_str(argument);
    }
    text.trim_start().to_owned()
}

#[test]
fn a_translated_machine() {
    let line = command_line(&machine(), &[INTERFACE], TRANSLATION).expect("a good machine");
    insta::assert_snapshot!(text(&line), @r"
    -machine microvm,acpi=on
    -accel tcg,thread=multi,tb-size=64
    -cpu max,erms=off,fsrm=off
    -smp 2
    -m 512M
    -nodefaults
    -no-user-config
    -nographic
    -no-reboot
    -S
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    -kernel /proc/self/fd/8
    -initrd /proc/self/fd/6
    -append console=ttyS0 quiet panic=-1 8250.nr_uarts=1 cryptomgr.notests mitigations=off random.trust_cpu=on tsc_early_khz=2100000
    -chardev socket,id=console,fd=3
    -serial chardev:console
    -chardev socket,id=control,fd=5
    -mon chardev=control,mode=control
    -chardev socket,id=agent,fd=4
    -device virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.23
    -device virtserialport,id=agent,chardev=agent,name=org.ignite.agent
    -add-fd set=10,fd=10
    -blockdev driver=file,node-name=disk0-file,read-only=off,auto-read-only=off,discard=unmap,filename=/dev/fdset/10
    -add-fd set=11,fd=11
    -blockdev driver=file,node-name=disk0-base-file,read-only=on,auto-read-only=off,discard=unmap,filename=/dev/fdset/11
    -blockdev driver=raw,node-name=disk0-base,file=disk0-base-file,read-only=on
    -blockdev driver=qcow2,node-name=disk0,file=disk0-file,backing=disk0-base,read-only=off,discard=unmap
    -device virtio-blk-device,id=drive0,drive=disk0,bus=virtio-mmio-bus.22
    -add-fd set=12,fd=12
    -blockdev driver=file,node-name=disk1-file,read-only=on,auto-read-only=off,discard=unmap,filename=/dev/fdset/12
    -blockdev driver=raw,node-name=disk1,file=disk1-file,read-only=on,discard=unmap
    -device virtio-blk-device,id=drive1,drive=disk1,bus=virtio-mmio-bus.21
    -netdev tap,id=net0,fd=9,vhost=off
    -device virtio-net-device,netdev=net0,mac=02:00:00:00:00:01,host_mtu=1450,bus=virtio-mmio-bus.20
    -device virtio-rng-device,bus=virtio-mmio-bus.19
    ");
}

#[test]
fn processors_of_a_translated_machine_may_take_turns() {
    let line = command_line(&machine(), &[], TURNS).expect("a good machine");
    assert!(text(&line).contains("\n-accel tcg,thread=single,tb-size=64\n"));
}

#[test]
fn a_machine_on_kvm_without_network() {
    let machine = Machine {
        vmm: Vmm::QemuKvm,
        disks: Vec::new(),
        ..machine()
    };
    let line = command_line(&machine, &[], TURNS).expect("a good machine");
    insta::assert_snapshot!(text(&line), @r"
    -machine microvm,acpi=on
    -accel kvm
    -cpu host
    -smp 2
    -m 512M
    -nodefaults
    -no-user-config
    -nographic
    -no-reboot
    -S
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    -kernel /proc/self/fd/8
    -initrd /proc/self/fd/6
    -append console=ttyS0 quiet panic=-1 8250.nr_uarts=1 cryptomgr.notests
    -chardev socket,id=console,fd=3
    -serial chardev:console
    -chardev socket,id=control,fd=5
    -mon chardev=control,mode=control
    -chardev socket,id=agent,fd=4
    -device virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.23
    -device virtserialport,id=agent,chardev=agent,name=org.ignite.agent
    -device virtio-rng-device,bus=virtio-mmio-bus.22
    ");
}

#[test]
fn a_balloon_is_the_last_device() {
    let machine = Machine {
        balloon: Some(0),
        ..machine()
    };
    let line = command_line(&machine, &[INTERFACE], TURNS).expect("a good machine");
    let line = text(&line);
    let (_, last) = line.rsplit_once('\n').expect("lines");
    insta::assert_snapshot!(last, @"-device virtio-balloon-device,deflate-on-oom=on,free-page-reporting=on,bus=virtio-mmio-bus.18");
    let error = command_line(&machine, &[INTERFACE; 19], TURNS).expect_err("one too many");
    assert!(error.to_string().contains("24 virtio devices"), "{error}");
}

#[test]
fn given_kernel_arguments_come_first_and_win() {
    let machine = Machine {
        cmdline: "panic=5  mitigations=auto debug console=ttyS0 console=hvc0".to_owned(),
        ..machine()
    };
    assert_eq!(
        arguments(&machine, Some(1)),
        "panic=5 mitigations=auto debug console=ttyS0 console=hvc0 8250.nr_uarts=1 \
         cryptomgr.notests random.trust_cpu=on tsc_early_khz=1"
    );
}

#[test]
fn quiet_unless_the_log_level_is_spoken_of() {
    let arguments = |cmdline: &str| {
        let machine = Machine {
            cmdline: cmdline.to_owned(),
            ..machine()
        };
        arguments(&machine, None)
    };
    assert!(arguments("").contains("quiet"));
    for loud in ["debug", "loglevel=7", "ignore_loglevel"] {
        assert!(!arguments(loud).contains("quiet"), "{loud}");
    }
}

#[test]
fn more_devices_than_transports_are_refused() {
    let interfaces = vec![INTERFACE; 19];
    assert!(command_line(&machine(), &interfaces, TURNS).is_ok());
    let interfaces = vec![INTERFACE; 20];
    let error = command_line(&machine(), &interfaces, TURNS).expect_err("one too many");
    assert_eq!(
        error.to_string(),
        "the machine has 24 virtio devices (2 disks, 20 network interfaces), and room for 23"
    );
}

#[test]
fn senseless_machines_are_refused() {
    let no_processor = Machine {
        cpus: 0,
        ..machine()
    };
    let odd_memory = Machine {
        memory: (64 << 20) + 1,
        ..machine()
    };
    for machine in [no_processor, odd_memory] {
        let error = command_line(&machine, &[], TURNS).expect_err("senseless");
        assert!(matches!(error, Error::BadMachine { .. }));
    }
}

#[test]
fn volumes_follow_the_vms_own_disks() {
    let mut machine = machine();
    machine.disks.push(Disk {
        path: PathBuf::from("/dev/sdb1"),
        format: DiskFormat::Raw,
        read_only: false,
        rate: None,
        volume: Some(VolumeKind::BlockDevice),
    });
    machine.shares.push(Share {
        path: PathBuf::from("/srv/data"),
        tag: "ignite1".to_owned(),
        read_only: false,
        server: PathBuf::from("/usr/lib/qemu/virtiofsd"),
    });
    let line = text(&command_line(&machine, &[INTERFACE], TURNS).expect("a good machine"));
    for wanted in [
        "-machine microvm,acpi=on,memory-backend=memory",
        "-global virtio-mmio.force-legacy=false",
        "-object memory-backend-memfd,id=memory,size=512M,share=on",
        "driver=host_device,node-name=disk2-file,read-only=off,auto-read-only=off,discard=unmap,filename=/dev/fdset/13",
        "-chardev socket,id=share0,fd=14",
        "vhost-user-fs-device,chardev=share0,tag=ignite1",
    ] {
        assert!(line.contains(wanted), "{wanted} is not in\n{line}");
    }
    assert!(!line.contains("/dev/sdb1") && !line.contains("/srv/data"));
    assert_eq!(first_share(1, 4), 14);
}
