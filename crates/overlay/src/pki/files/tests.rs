use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::pki::{Authority, Facts, Usage, Validity, check_signed, der, read_text};

const DAY: Duration = Duration::from_secs(86_400);
const ALL: Made = Made {
    authority: true,
    etcd: true,
    peer: true,
};
const NOTHING: Made = Made {
    authority: false,
    etcd: false,
    peer: false,
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn files() -> (TempDir, AuthorityFiles) {
    let directory = tempfile::tempdir().expect("tempdir");
    let files = AuthorityFiles::new(directory.path().join("state/authority"));
    (directory, files)
}

fn create(files: &AuthorityFiles, names: &[&str], addresses: &[&str]) -> Result<Made, Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let addresses = addresses.iter().map(|text| text.parse().expect("address"));
    let addresses: Vec<IpAddr> = addresses.collect();
    files.create(&names, &addresses, now())
}

fn facts(path: &Path) -> Facts {
    Facts::of_pem(&read_text(path).expect("read")).expect("facts")
}

/// All files by name with their content.
fn content(files: &AuthorityFiles) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(files.directory()).expect("list");
    let mut all: Vec<_> = entries
        .map(|entry| entry.expect("entry"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, read_text(&entry.path()).expect("read"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_made_is_complete_private_and_stays() {
    let (_directory, files) = files();
    assert_eq!(
        create(&files, &["first"], &["10.0.0.1"]).expect("create"),
        ALL
    );
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("stat");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(files.directory()), 0o700);
    for key in [
        files.directory().join("ca.key"),
        files.etcd().key,
        files.peer().key,
    ] {
        assert_eq!(mode(&key), 0o600, "{key:?}");
    }
    let authority = der(&read_text(&files.ca()).expect("read")).expect("der");
    let end = facts(&files.ca()).not_after;
    assert!(end >= now() + 3649 * DAY);
    for pair in [files.etcd(), files.peer()] {
        let certificate = read_text(&pair.certificate).expect("read");
        check_signed(&authority, &der(&certificate).expect("der"), Usage::Server).expect("signed");
        let facts = facts(&pair.certificate);
        assert_eq!(facts.names, ["first", "localhost"]);
        let expected: [IpAddr; 3] =
            ["10.0.0.1", "127.0.0.1", "::1"].map(|a| a.parse().expect("ip"));
        assert_eq!(facts.addresses, expected);
        assert_eq!(facts.not_before, now() - Duration::from_secs(3600));
        assert_eq!(facts.not_after, end);
    }
    assert_eq!(
        facts(&files.peer().certificate).common_name.as_deref(),
        Some(PEER_NAME)
    );

    let before = content(&files);
    assert_eq!(
        create(&files, &["first"], &["10.0.0.1"]).expect("again"),
        NOTHING
    );
    assert_eq!(create(&files, &[], &[]).expect("less"), NOTHING);
    assert_eq!(content(&files), before);
}

#[test]
fn more_names_make_new_certificates_for_the_same_keys() {
    let (_directory, files) = files();
    create(&files, &["first"], &["10.0.0.1"]).expect("create");
    let keys = [files.etcd().key, files.peer().key];
    let before = keys.clone().map(|key| read_text(&key).expect("read"));
    let made = create(&files, &["second"], &["fd00::1"]).expect("more");
    assert_eq!(
        made,
        Made {
            authority: false,
            ..ALL
        }
    );
    assert_eq!(keys.map(|key| read_text(&key).expect("read")), before);
    let facts = facts(&files.etcd().certificate);
    let both = ["first".to_owned(), "second".to_owned()];
    let addresses = ["10.0.0.1", "fd00::1"].map(|a| a.parse().expect("ip"));
    assert!(facts.covers(&both, &addresses), "{facts:?}");
    create(&files, &["not a name"], &[]).expect_err("a bad name");
}

#[test]
fn whatever_file_is_missing_or_damaged_is_mended_and_never_the_authority_replaced() {
    let names = ["etcd.crt", "etcd.key", "peer.crt", "peer.key", "ca.crt"];
    for name in names {
        for damage in [None, Some(""), Some("junk")] {
            let (_directory, files) = files();
            create(&files, &["first"], &[]).expect("create");
            let key = facts(&files.ca()).public_key;
            let path = files.directory().join(name);
            match damage {
                None => std::fs::remove_file(&path).expect("remove"),
                Some(text) => std::fs::write(&path, text).expect("write"),
            }
            let mended = create(&files, &["first"], &[]);
            if name == "ca.crt" && damage.is_some() {
                assert!(matches!(mended, Err(Error::Authority { .. })), "{mended:?}");
                continue;
            }
            assert_ne!(mended.expect(name), NOTHING, "{name}");
            assert_eq!(facts(&files.ca()).public_key, key);
            assert_eq!(create(&files, &["first"], &[]).expect("now good"), NOTHING);
        }
    }
}

#[test]
fn an_authority_that_lost_its_key_is_told_and_left_as_it_is() {
    for gone in [&["ca.key"][..], &["ca.key", "ca.crt"]] {
        let (_directory, files) = files();
        create(&files, &[], &[]).expect("create");
        for name in gone {
            std::fs::remove_file(files.directory().join(name)).expect("remove");
        }
        let before = content(&files);
        let error = create(&files, &[], &[]).expect_err("lost");
        assert!(error.hint().expect("hint").contains("backup"), "{error}");
        assert_eq!(content(&files), before);
    }
    let (_directory, files) = files();
    create(&files, &[], &[]).expect("create");
    let other = Authority::create("other", Validity::days(now(), 9)).expect("authority");
    let unused = files.directory().join("unused");
    other
        .save(&unused, &files.directory().join("ca.key"))
        .expect("save");
    create(&files, &[], &[]).expect_err("the key of another");
}

#[test]
fn one_who_dies_between_two_files_is_made_good() {
    // In the order they are written: any beginning of it may be all there is.
    let order = [
        "ca.key", "ca.crt", "etcd.key", "etcd.crt", "peer.key", "peer.crt",
    ];
    for there in 0..order.len() {
        let (_directory, files) = files();
        create(&files, &["first"], &[]).expect("create");
        for name in &order[there..] {
            std::fs::remove_file(files.directory().join(name)).expect("remove");
        }
        assert!(
            create(&files, &["first"], &[]).expect("mend").peer,
            "{there}"
        );
        assert_eq!(create(&files, &["first"], &[]).expect("good"), NOTHING);
    }
}

#[test]
fn the_first_hosts_node_is_a_client_and_stays() {
    let (directory, files) = files();
    create(&files, &[], &[]).expect("create");
    let path = directory.path().join("node");
    let node = files.node(&path, "first", now()).expect("node");
    let found = node.check(now()).expect("good");
    assert_eq!(found.common_name.as_deref(), Some("first"));
    assert_eq!(found.not_after, facts(&files.ca()).not_after);
    let identity = node.tls().identity.expect("identity");
    let certificate = der(&read_text(&identity.certificate).expect("read")).expect("der");
    let authority = der(&read_text(&files.ca()).expect("read")).expect("der");
    check_signed(&authority, &certificate, Usage::Server).expect_err("no server");

    let again = files.node(&path, "first", now()).expect("again");
    assert_eq!(again.check(now()).expect("good"), found);
    for name in ["node.key", "ca.crt", "node.crt"] {
        std::fs::write(path.join(name), "junk").expect("write");
        node.check(now()).expect_err(name);
        files
            .node(&path, "first", now())
            .expect(name)
            .check(now())
            .expect(name);
    }
}

#[test]
fn a_node_tells_what_is_wrong_with_its_files() {
    let (directory, files) = files();
    create(&files, &[], &[]).expect("create");
    let node = files
        .node(directory.path().join("node"), "n", now())
        .expect("node");
    for (moment, advice) in [(now() + 3651 * DAY, "join again"), (now() - DAY, "clock")] {
        let error = node.check(moment).expect_err("not then");
        assert!(matches!(error, Error::NotNow { .. }), "{error}");
        assert!(error.hint().expect("hint").contains(advice));
        assert!(
            error.to_string().contains("2027-01-15 07:00:00 UTC"),
            "{error}"
        );
    }
    let other = Authority::create("other", Validity::days(now(), 9)).expect("authority");
    std::fs::write(directory.path().join("node/ca.crt"), other.certificate()).expect("write");
    assert!(matches!(node.check(now()), Err(Error::NotSigned { .. })));
    let absent = NodeFiles::new(directory.path().join("absent")).check(now());
    assert!(matches!(absent, Err(Error::File(_))));
}

#[test]
fn a_clock_that_was_never_set_dates_nothing() {
    let (_directory, files) = files();
    let error = files
        .create(&[], &[], SystemTime::UNIX_EPOCH + DAY)
        .expect_err("1970");
    assert!(error.to_string().contains("1970-01-02"), "{error}");
    assert!(!files.directory().exists());
}
