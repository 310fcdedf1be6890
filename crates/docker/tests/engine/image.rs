//! The holder's image.

use anyhow::Result;
use ignite_docker::Reason;
use ignite_testkit::{Docker as Engine, Host};

use crate::{client, holder, program, run};

#[test]
fn the_image_is_made_once_again_when_gone_and_removed_when_unused() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    let ask = |arguments: &[&str]| engine.docker(arguments)?.ok();
    let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
    let images = || ask(&["images", "-a", "--no-trunc", "--format", format]);

    docker.prune_holder_images()?;
    let image = docker.ensure_holder_image(&program()?)?;
    let first = images()?;
    assert!(first.starts_with(&format!("{image} sha256:")), "{first}");
    assert_eq!(docker.ensure_holder_image(&program()?)?, image);
    assert_eq!(images()?, first);

    ask(&["rmi", &image])?;
    assert_eq!(images()?, "");
    docker.ensure_holder_image(&program()?)?;
    assert_eq!(images()?, first, "the same program is the same image");

    host.write("/run/other", "another program")?;
    let other = host.sh("tar -C /run -c other").ok()?;
    let import = engine.docker(&["import", "-", &image])?.stdin(other);
    import.ok()?;
    assert_ne!(images()?, first);
    docker.ensure_holder_image(&program()?)?;
    assert!(images()?.contains(&first), "the name is ours again");

    docker.create(&image, &holder("holding", &[])?)?;
    docker.prune_holder_images()?;
    assert!(images()?.contains(&first), "a container uses it");
    docker.remove("holding")?;
    ask(&["tag", &image, "somebody/else:1"])?;
    docker.prune_holder_images()?;
    assert!(!images()?.contains(&image));
    assert!(images()?.contains("somebody/else:1"), "not ours to remove");
    Ok(())
}

#[test]
fn ten_at_once_make_one_image() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    std::thread::scope(|scope| {
        let docker = &docker;
        let one = |number: u8| {
            let mut holder = holder(&format!("holder-{number}"), &[])?;
            holder.mac = [2, 0, 0, 0, 0, number].into();
            run(docker, &holder)
        };
        let all: Vec<_> = (0..10)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        for running in all {
            let container = running.join().expect("no panic")?;
            assert!(container.running, "{container:?}");
        }
        anyhow::Ok(())
    })?;
    let images = engine.docker(&["images", "-aq"])?.ok()?;
    assert_eq!(images.lines().count(), 1, "{images}");
    assert_eq!(docker.list("ignite.name")?.len(), 10);
    for listed in docker.list("ignite.name")? {
        docker.remove(&listed.id)?;
    }
    assert!(docker.list("ignite.name")?.is_empty());
    assert!(engine.cgroups()?.is_empty());
    Ok(())
}

/// Whether the image went between two requests, so that it is to be made again.
fn is_pruned(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<ignite_docker::Error>();
    error.and_then(ignite_docker::Error::reason) == Some(Reason::NoSuchImage)
}

#[test]
fn who_removes_the_last_is_in_nobodys_way_who_makes_the_next() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    std::thread::scope(|scope| {
        let docker = &docker;
        let comes_and_goes = |number: u8| {
            for round in 0..10 {
                let holder = holder(&format!("holder-{number}-{round}"), &[])?;
                let container = loop {
                    match run(docker, &holder) {
                        Err(error) if is_pruned(&error) => {}
                        done => break done?,
                    }
                };
                docker.remove(&container.id)?;
                docker.prune_holder_images()?;
            }
            anyhow::Ok(())
        };
        let all: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || comes_and_goes(number)))
            .collect();
        all.into_iter()
            .try_for_each(|one| one.join().expect("no panic"))
    })?;
    assert!(docker.list("ignite.name")?.is_empty());
    assert_eq!(engine.docker(&["images", "-aq"])?.ok()?, "");
    Ok(())
}
