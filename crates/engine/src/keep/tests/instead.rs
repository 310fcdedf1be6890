//! A VM that is to be made in place of another: what stands in the way is known before that one goes.

use ignite_api::{InterfaceSpec, Size, VmmChoice};
use ignite_store::{ImageConfig, ImageRecord, KernelRecord};

use super::*;
use crate::{Cancel, CreateRequest};

/// The image `box` of 1 MiB with a command, and a kernel.
fn import(scene: &Scene) {
    let staged = |name: &str| {
        let path = scene.root.path().join("lib").join(name);
        fs::create_dir_all(&path).expect("made");
        path
    };
    let image = ImageRecord {
        uid: Uid::random(),
        names: vec!["box:latest".into()],
        created: Timestamp::UNIX_EPOCH,
        digest: "sha256:00".into(),
        source: "box".into(),
        size: Size::MIB,
        disk_size: Size::from_mib(64),
        config: ImageConfig {
            cmd: vec!["serve".into()],
            ..ImageConfig::default()
        },
    };
    let kernel = KernelRecord {
        uid: Uid::random(),
        names: vec!["kernel:6.1".into()],
        created: Timestamp::UNIX_EPOCH,
        digest: "sha256:01".into(),
        source: "kernel".into(),
        version: "6.1".into(),
        size: Size::MIB,
        guest: None,
    };
    let images = &scene.engine.images;
    images.create(&image, &staged("image")).expect("an image");
    let kernels = &scene.engine.kernels;
    kernels
        .create(&kernel, &staged("kernel"))
        .expect("a kernel");
}

#[test]
fn what_is_in_the_way_of_a_new_vm_is_known_before_the_old_one_goes() {
    let scene = Scene::new();
    import(&scene);
    let mac = |last: u8| InterfaceSpec {
        mac: format!("02:00:00:00:00:{last:02x}").parse().ok(),
        ..InterfaceSpec::default()
    };
    let mut vm = manifest();
    vm.spec.image.oci = "box".parse().ok();
    vm.spec.network.interfaces = vec![mac(1)];
    let uid = scene.create(&vm);
    let mut other = manifest();
    other.metadata.name = "other".into();
    other.spec.network.interfaces = vec![mac(2)];
    scene.create(&other);
    let cancel = Cancel::new().expect("an eventfd");
    let prepare = |vm: &Vm| {
        let request = CreateRequest::of_manifest(vm.clone(), None).expect("valid");
        let engine = &scene.engine;
        engine.prepare_instead(request, uid, &Silent, &cancel)
    };
    vm.spec.cpus += 1;
    prepare(&vm).expect("its own name and MAC are free");
    let refused = |edit: fn(&mut Vm), reason: &str| {
        let mut edited = vm.clone();
        edit(&mut edited);
        let error = prepare(&edited).expect_err("refused");
        assert!(format!("{error:?}").contains(reason), "{error:?}");
    };
    refused(|vm| vm.metadata.name = "other".into(), "NameTaken");
    refused(|vm| vm.spec.disk_size = Size::from_mib(32), "DiskTooSmall");
    refused(
        |vm| vm.spec.network.interfaces[0].mac = "02:00:00:00:00:02".parse().ok(),
        "MacTaken",
    );
    refused(|vm| vm.spec.vmm = Some(VmmChoice::Firecracker), "Vmm(");
    refused(
        |vm| vm.spec.image.oci = "127.0.0.1:9/nowhere".parse().ok(),
        "Image(",
    );
    cancel.cancel();
    refused(|_| (), "Cancelled");
    let removed = scene
        .engine
        .remove_unless(uid.as_str(), true, Some(&cancel));
    assert!(matches!(removed, Err(Error::Cancelled(_))));
    assert!(scene.engine.vms.get(uid).is_ok(), "it is there still");
}
