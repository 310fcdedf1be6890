//! Published ports.

use anyhow::{Context as _, Result};
use ignite_docker::{Docker, Reason};
use ignite_testkit::{Docker as Engine, Host, place};

use crate::{GRACE, client, holder, run};

/// Why a holder with this port does not start; it is removed.
fn refused(docker: &Docker, port: &str) -> Result<Reason> {
    let error = run(docker, &holder("refused", &[port])?).expect_err("the port is taken");
    docker.remove("refused")?;
    let error = error.downcast::<ignite_docker::Error>()?;
    error.reason().with_context(|| error.to_string())
}

#[test]
fn ports_lead_into_the_namespace_and_are_taken_once() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    let ports = ["8080:80", "127.0.0.1:8081:80", "5353:53/udp"];
    let container = run(&docker, &holder("ignite-1", &ports)?)?;

    let net = format!("--net=/proc/{}/ns/net", container.pid.context("it runs")?);
    let serve = [
        "nsenter".into(),
        net,
        place::helper()?.display().to_string(),
    ];
    let words = ["serve", "80", "53"].map(str::to_owned);
    let mut service = host.command(serve.into_iter().chain(words)).start()?;
    service.wait_for("serving", GRACE)?;
    for server in ["127.0.0.1:8080", "127.0.0.1:8081"] {
        assert!(host.get(server)?.contains("engine"));
    }
    assert!(host.ask("127.0.0.1:5353")?.contains("engine"));

    assert_eq!(refused(&docker, "8080:80")?, Reason::PortTaken);
    let _other = host.serve(&[9090])?;
    assert_eq!(refused(&docker, "9090:80")?, Reason::PortTaken);
    assert_eq!(
        refused(&docker, "10.99.99.99:7070:80")?,
        Reason::AddressAbsent
    );
    Ok(())
}
