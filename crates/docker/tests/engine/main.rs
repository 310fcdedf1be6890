//! With a real Docker Engine, the distribution's, each on a host of its own.

mod absent;
mod container;
mod image;
mod ports;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ignite_docker::{Container, Docker, Holder};
use ignite_testkit::{Docker as Engine, place};

const MAC: &str = "02:42:0a:3d:00:02";
/// Longer than anything takes here that works.
const GRACE: Duration = Duration::from_secs(30);

fn client(engine: &Engine<'_>) -> Result<Docker> {
    Ok(Docker::at(&engine.socket())?)
}

/// The program of the holder's image.
fn program() -> Result<PathBuf> {
    place::built("libexec/ignite/ignite-holder")
}

/// A holder of this name that publishes these ports.
fn holder(name: &str, ports: &[&str]) -> Result<Holder> {
    let ports: Vec<_> = ports
        .iter()
        .map(|text| ignite_api::PortMapping::parse(text))
        .collect::<Result<_, _>>()?;
    Ok(Holder {
        name: name.to_owned(),
        mac: MAC.parse()?,
        ports: ports.concat(),
        labels: BTreeMap::from([("ignite.name".to_owned(), name.to_owned())]),
    })
}

/// Makes and starts a holder, and looks at it.
fn run(docker: &Docker, holder: &Holder) -> Result<Container> {
    let image = docker.ensure_holder_image(&program()?)?;
    let id = docker.create(&image, holder)?;
    docker.start(&id)?;
    docker.inspect(&id)?.context("it was made")
}
