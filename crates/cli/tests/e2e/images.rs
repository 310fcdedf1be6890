//! Images on the host: listed, inspected, removed.

use anyhow::Result;
use ignite_testkit::{Host, place};
use serde_json::Value;

use crate::support::{Vm, nothing_left};

#[test]
fn images_are_listed_inspected_and_removed() -> Result<()> {
    let host = Host::new("alpha")?;
    let source = place::image("busy")?;
    let uid = host.ignite(["-q", "image", "import", &source]).ok()?;
    let table = host.ignite(["images"]).ok()?;
    assert!(
        table.starts_with("IMAGE ID") && table.contains(&uid),
        "{table}"
    );
    let object: Value = serde_json::from_str(&host.ignite(["image", "inspect", &uid]).ok()?)?;
    assert_eq!(
        (&object["kind"], &object["metadata"]["uid"]),
        (&"Image".into(), &uid.as_str().into())
    );
    let listed: Value = serde_json::from_str(&host.ignite(["image", "ls", "-o", "json"]).ok()?)?;
    assert!(
        listed.as_array().is_some_and(|list| list.len() >= 2),
        "{listed}"
    );

    Vm::run(&host, &["--name", "holder"])?;
    host.ignite(["rmi", &uid])
        .output()?
        .refused(1, &["holder"])?;
    // Each by itself.
    host.ignite(["image", "rm", "--force", "no-such-image", &uid])
        .output()?
        .refused(1, &["no-such-image"])?;
    assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?, "");
    assert!(!host.ignite(["images", "-q"]).ok()?.contains(&uid));
    assert!(!host.has(&format!("/var/lib/ignite/image/{uid}"))?);
    nothing_left(&host)
}

#[test]
fn one_image_serves_many_vms_and_is_never_written() -> Result<()> {
    let host = Host::new("alpha")?;
    let uid = host
        .ignite(["-q", "image", "import", &place::image("busy")?])
        .ok()?;
    let digest = || {
        host.sh(&format!(
            "cat /var/lib/ignite/image/{uid}/*.ext4 | sha256sum"
        ))
        .ok()
    };
    let before = digest()?;
    let (one, two) = (Vm::run(&host, &[])?, Vm::run(&host, &[])?);
    for vm in [&one, &two] {
        vm.exec(&[
            "sh",
            "-c",
            "hostname > /mine; dd if=/dev/zero of=/big bs=1M count=8 2>/dev/null; sync",
        ])
        .ok()?;
    }
    assert_ne!(
        one.exec(&["cat", "/mine"]).ok()?,
        two.exec(&["cat", "/mine"]).ok()?
    );
    assert_eq!(digest()?, before);
    Ok(())
}
