//! What `ps` shows of every VM, without opening every record.
//!
//! All records of a VM are replaced by renames inside its directory, so the directory's time of
//! change covers them all: a VM whose directory is as the index remembers it is taken from the
//! index, every other one is read anew. A change within [`RACY`] of being looked at could be
//! followed by another one with the same time stamp; such a VM is not remembered.

use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use jiff::Timestamp;

use ignite_api::{PortMapping, Size, Uid};
use ignite_wire::supervisor::End;

use crate::record::network::NetworkRecord;
use crate::record::status::{State, StatusRecord};
use crate::record::vm::VmRecord;
use crate::{Error, Liveness, Paths, Vms, index};

/// Coarser than the time stamps of any file system's directories (a tick of the kernel).
const RACY: Duration = Duration::from_millis(100);

/// So many VMs read anew make it worth writing the index again.
const WORTH: usize = 8;

/// What `ps` shows of one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSummary {
    /// Uid.
    pub uid: Uid,
    /// Name.
    pub name: String,
    /// Name of the image.
    pub image: String,
    /// Name of the kernel, or its release where it has none.
    pub kernel: String,
    /// Size of the root file system.
    pub disk_size: Size,
    /// Number of virtual processors.
    pub cpus: u64,
    /// Memory.
    pub memory: Size,
    /// Moment of creation.
    pub created: Timestamp,
    /// State; a VM whose supervisor vanished is stopped, whatever its record says.
    pub state: State,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub ended: Option<Timestamp>,
    /// How it last ended.
    pub end: Option<End>,
    /// Exit code of its command, where that ended.
    pub exit_code: Option<i32>,
    /// Whether its guest used addresses that are not its own.
    pub refused: bool,
    /// Addresses of its attachments.
    pub addresses: Vec<IpNet>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
}

/// All VMs, in the order of their uids.
#[derive(Debug, Default)]
pub struct Summary {
    /// Those whose records could be read.
    pub vms: Vec<VmSummary>,
    /// Those whose records could not.
    pub damaged: Vec<Uid>,
    /// Why not, in the same order.
    pub faults: Vec<Error>,
}

/// A directory's identity and last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub inode: u64,
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl Stamp {
    fn of(entry: &DirEntry) -> std::io::Result<Self> {
        let metadata = entry.metadata()?;
        Ok(Self {
            inode: metadata.ino(),
            seconds: metadata.ctime(),
            nanoseconds: metadata.ctime_nsec(),
        })
    }

    /// Whether a further change would be sure to show.
    fn is_settled(self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) =
            (u64::try_from(self.seconds), u32::try_from(self.nanoseconds))
        else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(changed).is_ok_and(|age| age > RACY)
    }
}

/// One remembered VM.
pub(crate) struct Remembered {
    pub stamp: Stamp,
    pub vm: VmSummary,
}

/// Reads the summary, and writes the index again where that helps the next reader.
pub(crate) fn read(vms: &Vms, paths: &Paths) -> Result<Summary, Error> {
    let path = vms.root().join(index::FILE);
    // The kernel looks for the directories while the index is taken apart.
    let (mut known, directories) = thread::scope(|scope| {
        let known = scope.spawn(|| index::read(&path));
        let directories = directories(vms.root());
        let known = known.join().unwrap_or_default();
        (known.into_iter().peekable(), directories)
    });
    let directories = directories?;
    let (mut rows, mut summary) = (Vec::with_capacity(directories.len()), Summary::default());
    let (mut fresh, mut forgotten) = (0, 0);
    let now = SystemTime::now();
    for (uid, stamp) in directories {
        // Both are in the order of the uids.
        while known.next_if(|row| row.vm.uid < uid).is_some() {
            forgotten += 1;
        }
        let row = known.next_if(|row| row.vm.uid == uid);
        if let Some(row) = row.filter(|row| row.stamp == stamp) {
            rows.push(row);
            continue;
        }
        match read_one(vms, uid) {
            Ok(Some(vm)) => {
                fresh += usize::from(stamp.is_settled(now));
                rows.push(Remembered { stamp, vm });
            }
            Ok(None) => {}
            Err(error) if error.is_permission_denied() => return Err(error),
            Err(error) => {
                summary.damaged.push(uid);
                summary.faults.push(error);
            }
        }
    }
    forgotten += known.count();
    if fresh > WORTH || forgotten > WORTH {
        index::write(&path, rows.iter().filter(|row| row.stamp.is_settled(now)));
    }
    summary.vms = rows.into_iter().map(|row| row.vm).collect();
    for vm in &mut summary.vms {
        correct(vm, paths)?;
    }
    Ok(summary)
}

/// The VMs' directories with their stamps, in the order of the uids.
fn directories(root: &Path) -> Result<Vec<(Uid, Stamp)>, Error> {
    let failed = || Error::directory("list", root);
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed())?;
        let Some(uid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        match Stamp::of(&entry) {
            Ok(stamp) => found.push((uid, stamp)),
            // Removed since it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed()(error)),
        }
    }
    found.sort_unstable_by_key(|(uid, _)| *uid);
    Ok(found)
}

fn read_one(vms: &Vms, uid: Uid) -> Result<Option<VmSummary>, Error> {
    let record = match vms.get(uid) {
        Ok(record) => record,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(summarise(record, vms.status(uid)?, vms.network(uid)?)))
}

fn summarise(record: VmRecord, status: StatusRecord, network: NetworkRecord) -> VmSummary {
    let kernel = match record.kernel.name.as_str() {
        "" => record.kernel.version,
        _ => record.kernel.name,
    };
    VmSummary {
        uid: record.uid,
        name: record.name.to_string(),
        image: record.image.name,
        kernel,
        disk_size: record.spec.disk_size,
        cpus: record.spec.cpus,
        memory: record.spec.memory,
        created: record.created,
        state: status.state,
        started: status.started,
        ended: status.ended,
        end: status.end,
        exit_code: status.exit_code,
        refused: !status.refused.is_empty(),
        addresses: network
            .attachments
            .into_iter()
            .flat_map(|attachment| attachment.addresses)
            .collect(),
        ports: record.spec.network.ports,
    }
}

/// A VM that should have a supervisor and has none is stopped.
fn correct(vm: &mut VmSummary, paths: &Paths) -> Result<(), Error> {
    if vm.state.is_live() && !Liveness::is_held(paths, vm.uid)? {
        vm.state = State::Stopped;
        vm.end = Some(End::Lost);
    }
    Ok(())
}
