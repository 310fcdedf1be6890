//! What a port of a VM carries with nothing of Ignite's at either end: a guest of busybox and the
//! kernel's drivers, on the machine VMs get without hardware virtualisation, whose `dd` takes what
//! comes and gives zeros.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_host::cpu::tsc_khz;
use ignite_testkit::{place, template, wait_until};
use ignite_vmm::qemu::command::TRANSLATED_CPU;
use ignite_vmm::{Choice, find};
use ignite_wire::cpio;
use ignite_wire::supervisor::Vmm;

/// Bytes of one read or write, at both ends.
pub const PIECE: usize = 64 * 1024;

/// Longer than a guest boots, or a piece is under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with one port, as long as it is looked at.
pub struct Machine {
    qemu: Child,
    port: UnixStream,
    directory: PathBuf,
}

impl Machine {
    /// Boots it; its guest takes `pieces` pieces, gives as many, and so on.
    pub fn boot(pieces: u64) -> Result<Self> {
        let directory = place::build("bench/port");
        // What a run that was killed left.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let kernel = kernel()?;
        let initramfs = directory.join("initramfs");
        fs::write(
            &initramfs,
            initramfs_of(&kernel.join("drivers.cpio"), pieces)?,
        )?;
        let socket = directory.join("port");
        let qemu = Command::new(find(Choice::Exactly(Vmm::QemuTcg))?.program)
            .args(["-machine", "microvm,acpi=on", "-accel", "tcg,thread=multi"])
            .args(["-cpu", TRANSLATED_CPU, "-m", "512M", "-nodefaults"])
            .args(["-no-user-config", "-nographic", "-no-reboot"])
            .arg("-append")
            .arg(arguments())
            .arg("-kernel")
            .arg(kernel.join("vmlinux"))
            .arg("-initrd")
            .arg(&initramfs)
            .arg("-chardev")
            .arg(format!(
                "socket,id=port,path={},server=on,wait=off",
                socket.display()
            ))
            .args([
                "-device",
                "virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.23",
            ])
            .args(["-device", "virtserialport,chardev=port,name=bare"])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start QEMU")?;
        let mut machine = Self {
            qemu,
            port: wait_until("the port's socket", PATIENCE, || {
                UnixStream::connect(&socket)
            })?,
            directory,
        };
        machine.port.set_read_timeout(Some(PATIENCE))?;
        machine.port.set_write_timeout(Some(PATIENCE))?;
        machine.hear("ready")?;
        Ok(machine)
    }

    /// Milliseconds until the guest has taken its pieces.
    pub fn give(&mut self, pieces: u64) -> Result<f64> {
        let piece = [b'x'; PIECE];
        let began = Instant::now();
        for _ in 0..pieces {
            self.port.write_all(&piece)?;
        }
        self.hear("taken")?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// Milliseconds until the guest's pieces are here, once it was told to give them.
    pub fn take(&mut self, pieces: u64) -> Result<f64> {
        let mut piece = [0; PIECE];
        let began = Instant::now();
        self.port.write_all(b"\n")?;
        for _ in 0..pieces {
            self.port.read_exact(&mut piece)?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    fn hear(&mut self, word: &str) -> Result<()> {
        let mut heard = vec![0; word.len() + 1];
        self.port.read_exact(&mut heard)?;
        let heard = String::from_utf8_lossy(&heard);
        ensure!(
            heard.trim_end() == word,
            "the guest says {heard:?}, not {word}"
        );
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the kernel is that tests' hosts begin with.
fn kernel() -> Result<PathBuf> {
    let kernels = template::directory()?.join("kernel");
    let first = fs::read_dir(&kernels)?.next();
    Ok(first.context("the hosts begin without a kernel")??.path())
}

/// As VMs are started; a kernel that has to measure its clock may take for ever to.
fn arguments() -> String {
    let tsc = tsc_khz().map_or_else(String::new, |khz| format!("tsc_early_khz={khz}"));
    format!("quiet panic=-1 mitigations=off random.trust_cpu=on {tsc}")
}

fn initramfs_of(drivers: &Path, pieces: u64) -> Result<Vec<u8>> {
    let script = format!(
        "#!/bin/busybox sh\n\
         export PATH=/bin\n\
         busybox mount -t proc proc /proc\n\
         busybox --install -s /bin\n\
         mount -t devtmpfs dev /dev\n\
         for module in /lib/ignite/modules/*.ko; do insmod $module; done\n\
         port=/dev/vport0p1\n\
         until [ -c $port ] && (: <>$port); do sleep 0.1; done\n\
         exec 3<>$port\n\
         echo ready >&3\n\
         while true; do\n\
         dd bs={PIECE} count={pieces} iflag=fullblock of=/dev/null <&3 2>/dev/null\n\
         echo taken >&3\n\
         read go <&3\n\
         dd bs={PIECE} count={pieces} if=/dev/zero >&3 2>/dev/null\n\
         done\n"
    );
    let busybox = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let mut own = cpio::Writer::new();
    own.directory("bin", 0o755)?;
    own.file("bin/busybox", 0o755, &busybox)?;
    own.symlink("bin/sh", "busybox")?;
    own.file("init", 0o755, script.as_bytes())?;
    let mut initramfs = fs::read(drivers)?;
    // An archive that does not begin on four bytes is silently lost.
    initramfs.resize(initramfs.len().next_multiple_of(4), 0);
    initramfs.extend(own.finish());
    Ok(initramfs)
}
