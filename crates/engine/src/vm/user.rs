//! The user a VM's VMM runs as: its own, chosen at its first start and kept for life, but where a VM of
//! another data directory has claimed the same one since the host booted.
//!
//! No account is needed; what two VMMs could do to each other as one user (signals, `ptrace`, shared
//! limits) they cannot as two.

use std::io::ErrorKind;

use ignite_api::{Uid, VmmUsers};
use ignite_host::fs::{Lock, read_bounded, write_atomic};
use ignite_store::{Paths, VmLock, VmRecord};

use crate::{Engine, Error};

/// The file in a VM's runtime directory that says which user it has, for those who do not see its
/// record: data directories are many, and share the runtime directory.
const CLAIM: &str = "user";

/// Bytes of a claim.
const LONGEST: u64 = 16;

impl Engine {
    /// The VM's user, recorded and claimed before anything runs as it. Who settles one keeps others
    /// who do waiting for as long as the records are read.
    pub(super) fn settle_user(&self, lock: &VmLock, record: &mut VmRecord) -> Result<u32, Error> {
        let path = self.config.paths.run.join("users.lock");
        let _choosing = Lock::exclusive(&path).map_err(Error::File)?;
        let mut taken = claims(&self.config.paths, record.uid)?;
        let user = match record.user.filter(|user| !taken.contains(user)) {
            Some(user) => user,
            None => {
                // One whose record cannot be read cannot be started either.
                let others = self.vms.list()?.records;
                taken.extend(others.iter().filter_map(|other| other.user));
                let users = self.config.vmm_users;
                let user = choose(record.uid, users, &taken).ok_or(Error::NoUser { users })?;
                record.user = Some(user);
                lock.write_record(record)?;
                user
            }
        };
        let claim = self.config.paths.vm_run(record.uid).join(CLAIM);
        write_atomic(&claim, format!("{user}\n").as_bytes(), 0o600).map_err(Error::File)?;
        Ok(user)
    }
}

/// The users of other VMs that were started since the host booted, whatever their data directory.
fn claims(paths: &Paths, own: Uid) -> Result<Vec<u32>, Error> {
    let directory = paths.run.join("vm");
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::prepare(&directory))?,
    };
    let mut claims = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::prepare(&directory))?;
        if entry.file_name() == own.as_str() {
            continue;
        }
        match read_bounded(&entry.path().join(CLAIM), LONGEST) {
            Ok(text) => claims.extend(parse(&text)),
            // Never started, or removed in this moment.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(Error::File(error)),
        }
    }
    Ok(claims)
}

fn parse(claim: &[u8]) -> Option<u32> {
    std::str::from_utf8(claim).ok()?.trim().parse().ok()
}

/// The first free one from a place on that follows from the VM's uid, so that a removed VM's is not
/// at once another's.
fn choose(uid: Uid, users: VmmUsers, taken: &[u32]) -> Option<u32> {
    let start = hash(uid.as_str());
    (0..u64::from(users.count()))
        .map(|step| users.at(start.wrapping_add(step)))
        .find(|user| !taken.contains(user))
}

/// FNV-1a: the same on every host and in every version.
fn hash(text: &str) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::tests::{add_image, add_kernel, create_as, engine};

    /// A VM of this data directory and its user, as a start settles it.
    fn settled(engine: &Engine, uid: Uid) -> u32 {
        let lock = engine.vms.lock(uid).expect("its lock");
        std::fs::create_dir_all(engine.config.paths.vm_run(uid)).expect("mkdir");
        let mut record = lock.record().expect("its record");
        let user = engine.settle_user(&lock, &mut record).expect("a user");
        assert_eq!(lock.record().expect("its record").user, Some(user));
        user
    }

    #[test]
    fn vms_of_two_data_directories_have_two_users() {
        let root = tempfile::tempdir().expect("tempdir");
        let one = engine(root.path());
        let mut config = one.config.clone();
        config.paths = config.paths.with_data(root.path().join("other"));
        let two = Engine::reader(config).expect("an engine");
        let [first, second] = [&one, &two].map(|engine| {
            add_image(engine);
            add_kernel(engine);
            create_as(engine, ignite_api::VmSpec::default()).expect("a VM")
        });
        let user = settled(&one, first);
        assert_eq!(
            settled(&one, first),
            user,
            "its own claim is in nobody's way"
        );
        // As one recorded it in an earlier boot of the host.
        let lock = two.vms.lock(second).expect("its lock");
        let mut record = lock.record().expect("its record");
        record.user = Some(user);
        lock.write_record(&record).expect("written");
        drop(lock);
        let other = settled(&two, second);
        assert_ne!(other, user);
        assert_eq!((settled(&one, first), settled(&two, second)), (user, other));
    }

    #[test]
    fn each_gets_one_until_there_is_none() {
        let users = VmmUsers::new(100_000, 8).expect("a range");
        let mut taken = Vec::new();
        for _ in 0..8 {
            let user = choose(Uid::random(), users, &taken).expect("one is free");
            assert!((100_000..100_008).contains(&user) && !taken.contains(&user));
            taken.push(user);
        }
        assert_eq!(choose(Uid::random(), users, &taken), None);
        // One of an earlier range is in nobody's way.
        assert!(choose(Uid::random(), users, &[5]).is_some());
    }

    #[test]
    fn the_uid_says_where_the_search_begins() {
        let uid: Uid = "0123456789abcdef".parse().expect("a uid");
        let users = VmmUsers::default();
        let first = choose(uid, users, &[]).expect("free");
        assert_eq!(choose(uid, users, &[]), Some(first));
        assert_eq!(choose(uid, users, &[first]), Some(first + 1));
    }
}
