//! Which VMM runs a VM, and which disk it has for that.
//!
//! ```text
//!            made for           read by
//!  overlay   QEMU               QEMU
//!  raw       Firecracker        both
//! ```
//! The disk is settled when the VM is made, the VMM at every start, among those that read the disk.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ignite_api::{DiskFormat, DiskOrigin, Uid, VmmChoice};
use ignite_image::kernel;
use ignite_store::{KernelChoice, VmRecord};
use ignite_vmm::disk::{self, How, qcow2, raw};
use ignite_vmm::{Choice, Found, find};
use ignite_wire::supervisor::Vmm;

use crate::{Cancel, Cancelled, Engine, Error, Report, Silent, StartOptions};

/// A VMM for one start.
pub struct Chosen {
    /// The VMM.
    pub found: Found,
    /// Firecracker's jailer, where that was asked for.
    pub jailer: Option<PathBuf>,
}

/// The file of a VM's disk in its directory.
pub fn disk_file(disk: DiskOrigin) -> &'static str {
    match disk.format() {
        DiskFormat::Qcow2 => "disk.qcow2",
        DiskFormat::Raw => "disk.raw",
    }
}

/// Whether a VMM of this choice reads such a disk.
pub fn reads(vmm: VmmChoice, disk: DiskOrigin) -> bool {
    disk.format() == DiskFormat::Raw || vmm != VmmChoice::Firecracker
}

/// The choice in the words of those who look for it.
pub fn choice(vmm: VmmChoice) -> Choice {
    match vmm {
        VmmChoice::Auto => Choice::Auto,
        VmmChoice::Firecracker => Choice::Exactly(Vmm::Firecracker),
        VmmChoice::Qemu => Choice::Qemu,
        VmmChoice::QemuKvm => Choice::Exactly(Vmm::QemuKvm),
        VmmChoice::QemuTcg => Choice::Exactly(Vmm::QemuTcg),
    }
}

impl Engine {
    /// The VMM that runs the VM this time.
    pub(super) fn vmm_of(&self, record: &VmRecord, report: &dyn Report) -> Result<Chosen, Error> {
        let wanted = record.spec.vmm.unwrap_or_default();
        if !reads(wanted, record.disk) {
            let name = record.name.to_string();
            return Err(Error::DiskFormat { name });
        }
        let choice = match (wanted, record.disk.format()) {
            (VmmChoice::Auto, DiskFormat::Qcow2) => {
                tracing::info!(vm = %record.name, "its disk is qcow2: it stays with QEMU");
                Choice::Qemu
            }
            _ => choice(wanted),
        };
        let programs = &self.config.vmm_programs;
        let (kernel, balloon) = (&record.kernel, record.spec.balloon);
        let found = self.find_vmm(choice, kernel, report)?;
        if balloon.is_some() {
            self.ensure_kernel_balloon(kernel.uid, &kernel.version)?;
        }
        tracing::debug!(vm = %record.name, vmm = ?found.vmm, program = %found.program.display());
        if let Some(warning) = found.warning {
            report.warn(warning);
        }
        let jailer = match (record.spec.jailer, found.vmm) {
            (false, _) => None,
            (true, Vmm::Firecracker) => Some(find::jailer(programs)?),
            (true, Vmm::QemuKvm | Vmm::QemuTcg) => {
                report.warn(
                    "the jailer is Firecracker's, and this VM runs in QEMU: it is confined without",
                );
                None
            }
        };
        Ok(Chosen { found, jailer })
    }

    /// Takes over another VMM or the jailer, if the VM can be started so; whether there is anything new.
    pub(super) fn take_vmm(
        &self,
        record: &mut VmRecord,
        options: &StartOptions,
    ) -> Result<bool, Error> {
        let mut changed = record.clone();
        changed.spec.vmm = options.vmm.or(changed.spec.vmm);
        changed.spec.jailer = options.jailer.unwrap_or(changed.spec.jailer);
        if changed == *record {
            return Ok(false);
        }
        self.vmm_of(&changed, &Silent)?;
        *record = changed;
        Ok(true)
    }

    /// The VMM of this choice that the kernel gets on with.
    fn find_vmm(
        &self,
        choice: Choice,
        kernel: &KernelChoice,
        report: &dyn Report,
    ) -> Result<Found, Error> {
        let found = ignite_vmm::find_among(choice, &self.config.vmm_programs)?;
        self.fit_kernel(choice, found, kernel, report)
    }

    /// Firecracker's guests reach the host by vsock alone; nobody who did not ask for Firecracker is
    /// to do without a kernel that has none.
    fn fit_kernel(
        &self,
        choice: Choice,
        found: Found,
        kernel: &KernelChoice,
        report: &dyn Report,
    ) -> Result<Found, Error> {
        if found.vmm != Vmm::Firecracker {
            return Ok(found);
        }
        match self.ensure_vsock(kernel.uid, &kernel.version) {
            Ok(()) => Ok(found),
            Err(Error::Kernel(error @ kernel::Error::NoVsock { .. })) if choice == Choice::Auto => {
                report.warn(&format!("QEMU is taken instead of Firecracker: {error}"));
                let programs = &self.config.vmm_programs;
                Ok(ignite_vmm::find_among(Choice::Qemu, programs)?)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a VM of this choice gets a raw disk.
    fn is_raw(&self, vmm: VmmChoice, kernel: &KernelChoice) -> bool {
        match vmm {
            VmmChoice::Firecracker => true,
            VmmChoice::Qemu | VmmChoice::QemuKvm | VmmChoice::QemuTcg => false,
            // A host without any VMM may get QEMU, as most do.
            VmmChoice::Auto => self
                .find_vmm(Choice::Auto, kernel, &Silent)
                .is_ok_and(|found| found.vmm == Vmm::Firecracker),
        }
    }

    /// Finds out what would be in the way of starting the VM with another VMM or kernel than it runs
    /// with, as far as that can be known while it runs.
    pub fn can_start(&self, uid: Uid) -> Result<(), Error> {
        self.vmm_of(&self.vms.get(uid)?, &Silent).map(drop)
    }

    /// Whether a VM of this record, which has no disk yet, could be made and started if `instead_of`
    /// were gone.
    pub(super) fn ensure_vmm_instead(
        &self,
        mut record: VmRecord,
        image: &Path,
        instead_of: Uid,
    ) -> Result<(), Error> {
        let vmm = record.spec.vmm.unwrap_or_default();
        if !self.is_raw(vmm, &record.kernel) {
            return self.vmm_of(&record, &Silent).map(drop);
        }
        record.disk = DiskOrigin::Copy;
        self.vmm_of(&record, &Silent)?;
        let disk = self.vms.dir(instead_of).join(disk_file(record.disk));
        Ok(raw::ensure_room(&disk, image, self.freed_with(instead_of))?)
    }

    /// Bytes that are free when a VM's disk is gone; what it shares with its image stays in use.
    fn freed_with(&self, uid: Uid) -> u64 {
        const BLOCK: u64 = 512;
        let disk = match self.vms.get(uid) {
            Ok(record) if record.disk != DiskOrigin::Reflink => disk_file(record.disk),
            _ => return 0,
        };
        let file = std::fs::metadata(self.vms.dir(uid).join(disk));
        file.map_or(0, |file| file.blocks().saturating_mul(BLOCK))
    }

    /// Makes a VM's disk in its directory, for the VMM that would run it now.
    pub(super) fn make_disk(
        &self,
        record: &VmRecord,
        (directory, image): (&Path, &Path),
        cancel: &Cancel,
    ) -> Result<DiskOrigin, Error> {
        let path = |disk| directory.join(disk_file(disk));
        let size = record.spec.disk_size.bytes();
        if !self.is_raw(record.spec.vmm.unwrap_or_default(), &record.kernel) {
            qcow2::create(&path(DiskOrigin::Overlay), image, size)?;
            return Ok(DiskOrigin::Overlay);
        }
        let made = raw::create(&path(DiskOrigin::Copy), image, size, &|| {
            cancel.is_cancelled()
        });
        match made {
            Ok(How::Reflink) => Ok(DiskOrigin::Reflink),
            Ok(How::Copy) => Ok(DiskOrigin::Copy),
            Err(disk::Error::Stopped) => Err(Cancelled.into()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::diff::tests::{manifest, recorded};
    use crate::vm::plan::{Parts, plan};
    use crate::vm::tests::{add_image, add_kernel, create_as, engine};
    use crate::vm::volumes::Joined;
    use ignite_api::VmSpec;
    use ignite_wire::guest::{Dns, PowerOff, Transport};
    use ignite_wire::supervisor::{DiskFormat as Format, Plan};
    use std::time::{Duration, SystemTime};

    fn wanting(vmm: VmmChoice) -> VmSpec {
        VmSpec {
            vmm: Some(vmm),
            ..VmSpec::default()
        }
    }

    /// An engine with one VM.
    fn made(vmm: VmmChoice) -> (tempfile::TempDir, Engine, VmRecord) {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        add_image(&engine);
        add_kernel(&engine);
        let uid = create_as(&engine, wanting(vmm)).expect("a VM");
        let record = engine.vms.get(uid).expect("its record");
        (root, engine, record)
    }

    fn planned(engine: &Engine, record: &VmRecord, vmm: Vmm) -> Plan {
        plan(Parts {
            paths: &engine.config.paths,
            record,
            vmm: (vmm, "/vmm".into()),
            user: 1,
            jailer: None,
            kernel: "/kernel".into(),
            initramfs: "/initramfs".into(),
            modules: Some("/modules".into()),
            volumes: Joined::default(),
            copy_files: None,
            image: "/image".into(),
            attached: &[],
            holder: None,
            dns: Dns::default(),
            hosts: Vec::new(),
            boot_timeout: Duration::ZERO,
            terminal: None,
            ssh_keys: Vec::new(),
            release: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn firecracker_gets_a_disk_of_its_own_and_qemu_an_overlay() {
        let (_root, engine, record) = made(VmmChoice::Firecracker);
        assert_eq!(record.disk.format(), DiskFormat::Raw);
        let disk = engine.vms.dir(record.uid).join("disk.raw");
        let mut begin = [0; 7];
        let mut disk = std::fs::File::open(disk).expect("there");
        std::io::Read::read_exact(&mut disk, &mut begin).expect("read");
        assert_eq!(&begin, b"content", "the image's");
        let vm = engine.inspect(record.uid.as_str()).expect("inspected");
        assert_eq!(vm.status.disk, Some(record.disk.into()));
        assert_eq!(vm.spec.vmm, Some(VmmChoice::Firecracker));

        let (_root, engine, record) = made(VmmChoice::QemuTcg);
        assert_eq!(record.disk, DiskOrigin::Overlay);
        let disk = engine.vms.dir(record.uid).join("disk.qcow2");
        assert!(std::fs::read(disk).expect("there").starts_with(b"QFI"));
    }

    #[test]
    fn the_plan_has_what_the_vmm_can_do() {
        let (_root, engine, mut record) = made(VmmChoice::Qemu);
        let planned = |record: &VmRecord, vmm| {
            let plan = planned(&engine, record, vmm);
            let disk = plan.machine.disks.into_iter().next().expect("the root");
            (disk.format, plan.guest.agent, plan.guest.power_off)
        };
        let backing = PathBuf::from("/image");
        let serial = (Transport::Serial, PowerOff::Acpi);
        assert_eq!(
            planned(&record, Vmm::QemuTcg),
            (Format::Qcow2 { backing }, serial.0, serial.1)
        );
        record.disk = DiskOrigin::Reflink;
        assert_eq!(
            planned(&record, Vmm::QemuKvm),
            (Format::Raw, serial.0, serial.1)
        );
        assert_eq!(
            planned(&record, Vmm::Firecracker),
            (Format::Raw, Transport::Vsock, PowerOff::Reset)
        );
    }

    #[test]
    fn a_qcow2_disk_is_not_for_firecracker() {
        let (_root, engine, mut record) = made(VmmChoice::Qemu);
        record.spec.vmm = Some(VmmChoice::Firecracker);
        let error = engine.vmm_of(&record, &Silent).err().expect("refused");
        assert!(matches!(error, Error::DiskFormat { .. }), "{error}");
        assert!(error.hint().expect("a hint").contains("--vmm qemu"));
    }

    #[test]
    fn a_start_takes_over_a_vmm_that_reads_the_disk() {
        let (_root, engine, mut record) = made(VmmChoice::Firecracker);
        let options = |vmm, jailer| StartOptions {
            vmm: Some(vmm),
            jailer,
            ..StartOptions::default()
        };
        let same = options(VmmChoice::Firecracker, None);
        assert!(!engine.take_vmm(&mut record, &same).expect("nothing new"));
        let other = options(VmmChoice::QemuTcg, Some(true));
        match engine.take_vmm(&mut record, &other) {
            Ok(changed) => assert!(changed && record.spec.jailer),
            Err(error) => assert!(matches!(error, Error::Vmm(_)), "no QEMU here: {error}"),
        }
        record.disk = DiskOrigin::Overlay;
        record.spec.vmm = None;
        let before = record.clone();
        let refused = engine.take_vmm(&mut record, &same).expect_err("qcow2");
        assert!(matches!(refused, Error::DiskFormat { .. }), "{refused}");
        assert_eq!(record, before);
    }

    #[test]
    fn a_kernel_without_vsock_goes_to_qemu_unless_firecracker_is_asked_for() {
        let (_root, engine, record) = made(VmmChoice::Firecracker);
        let features = engine.kernels.dir(record.kernel.uid).join(kernel::FEATURES);
        let found = || Found {
            vmm: Vmm::Firecracker,
            program: "/firecracker".into(),
            version: None,
            warning: None,
        };
        let has = |presence: &str| {
            let text =
                format!(r#"[{{"option":"CONFIG_VIRTIO_VSOCKETS","presence":"{presence}"}}]"#);
            std::fs::write(&features, text).expect("written");
        };
        let fit = |choice| engine.fit_kernel(choice, found(), &record.kernel, &Silent);
        let (auto, exactly) = (Choice::Auto, Choice::Exactly(Vmm::Firecracker));
        has("built-in");
        assert_eq!(fit(auto).expect("it has vsock"), found());
        has("absent");
        let refused = fit(exactly).expect_err("no vsock");
        assert!(matches!(refused, Error::Kernel(_)), "{refused}");
        match fit(auto) {
            Ok(found) => assert_ne!(found.vmm, Vmm::Firecracker),
            Err(error) => assert!(matches!(error, Error::Vmm(_)), "no QEMU here: {error}"),
        }
    }

    #[test]
    fn a_copy_that_is_called_off_leaves_no_vm() {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        let (image, directory) = (root.path().join("image"), root.path().join("vm"));
        std::fs::create_dir(&directory).expect("mkdir");
        std::fs::write(&image, "content").expect("write");
        let cancel = Cancel::new().expect("an eventfd");
        cancel.cancel();
        let paths = (directory.as_path(), image.as_path());
        let mut vm = manifest();
        vm.spec = wanting(VmmChoice::Firecracker);
        let made = engine.make_disk(&recorded(&vm), paths, &cancel);
        // Where blocks are shared it is made before anybody can call it off.
        match made {
            Ok(made) => assert_eq!(made, DiskOrigin::Reflink),
            Err(error) => {
                assert!(matches!(error, Error::Cancelled(_)), "{error}");
                assert_eq!(std::fs::read_dir(&directory).expect("list").count(), 0);
            }
        }
    }
}
