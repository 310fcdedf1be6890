//! The distribution's `docker-registry`, as it is, in a host.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{Host, Running, place, wait_until};

/// Where the registries of a host keep their blobs.
const STORAGE: &str = "/var/lib/registry";
const PUSH: &str = include_str!("push.sh");

/// The user a registry with a password knows.
pub const USER: &str = "ignite";
/// And the password.
pub const PASSWORD: &str = "secret";
/// The same as bcrypt, the only form `docker-registry` reads.
const HTPASSWD: &str = "ignite:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry.
pub struct Registry {
    _service: Running,
    /// `127.0.0.1:<port>`.
    pub address: String,
    /// The certificate's authority in PEM, if it speaks TLS.
    pub authority: Option<String>,
}

/// How a registry is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Plain HTTP, for anyone.
    Http,
    /// Plain HTTP, with a password.
    HttpWithPassword,
    /// TLS with a certificate of an authority nobody knows, and a password.
    TlsWithPassword,
}

impl Registry {
    /// Starts one in `host`; all of a host share their storage.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(host: &Host, port: u16, access: Access) -> Result<Self> {
        let program = place::built("tools/docker-registry/usr/bin/docker-registry")?;
        let address = format!("127.0.0.1:{port}");
        let configuration = format!("/run/registry-{port}");
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {STORAGE}}}}}\n\
             http:\n  addr: {address}\n"
        );
        if access != Access::Http {
            host.write(&format!("{configuration}/htpasswd"), HTPASSWD)?;
        }
        let password =
            format!("auth: {{htpasswd: {{realm: test, path: {configuration}/htpasswd}}}}\n");
        let authority = match access {
            Access::Http => None,
            Access::HttpWithPassword => {
                text += &password;
                None
            }
            Access::TlsWithPassword => {
                let (certificate, key) = certificate()?;
                host.write(
                    &format!("{configuration}/certificate.pem"),
                    certificate.clone(),
                )?;
                host.write(&format!("{configuration}/key.pem"), key)?;
                text += &format!(
                    "  tls: {{certificate: {configuration}/certificate.pem, key: {configuration}/key.pem}}\n{password}"
                );
                Some(certificate)
            }
        };
        host.write(&format!("{configuration}/config.yml"), text)?;
        let service = host
            .command([
                program.as_os_str(),
                "serve".as_ref(),
                format!("{configuration}/config.yml").as_ref(),
            ])
            .start()?;
        wait_until("the registry to listen", Duration::from_secs(20), || {
            host.sh(&format!(
                "curl -skS -o /dev/null {}://{address}/v2/",
                scheme(access)
            ))
            .ok()
        })?;
        Ok(Self {
            _service: service,
            address,
            authority,
        })
    }

    /// Writes Docker's `config.json` into a directory, with this password for this registry.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log_in(&self, host: &Host, directory: &str, password: &str) -> Result<()> {
        let auth = format!("printf %s '{USER}:{password}' | base64");
        let auth = host.sh(&auth).ok()?;
        let address = &self.address;
        let text = format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#);
        host.write(&format!("{directory}/config.json"), text)
    }

    /// Pushes an OCI layout of one image over plain HTTP.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub fn push(&self, host: &Host, layout: &Path, name: &str, tag: &str) -> Result<()> {
        let registry = format!("http://{}", self.address);
        let layout = layout.display().to_string();
        host.command(["sh", "-c", PUSH, "push", &layout, &registry, name, tag])
            .ok()
            .context("cannot push")
            .map(drop)
    }
}

fn scheme(access: Access) -> &'static str {
    match access {
        Access::Http | Access::HttpWithPassword => "http",
        Access::TlsWithPassword => "https",
    }
}

/// A certificate for the loopback address that is its own authority, and its
/// key, in PEM.
fn certificate() -> Result<(String, String)> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::fixture;

    #[test]
    fn what_is_pushed_can_be_fetched_over_http_and_over_tls() -> Result<()> {
        let host = Host::bare("alpha")?;
        let scratch = tempfile::tempdir_in(place::build("."))?;
        fixture::image()?.write_layout(scratch.path(), "latest")?;
        let plain = Registry::start(&host, 5000, Access::Http)?;
        plain.push(&host, scratch.path(), "test/fixture", "one")?;
        let tags = host
            .sh("curl -sSf http://127.0.0.1:5000/v2/test/fixture/tags/list")
            .ok()?;
        assert_eq!(tags, r#"{"name":"test/fixture","tags":["one"]}"#);

        let closed = Registry::start(&host, 5001, Access::TlsWithPassword)?;
        host.write(
            "/run/ca.pem",
            closed.authority.clone().context("it has an authority")?,
        )?;
        let fetch = |user: &str| {
            let url = "https://127.0.0.1:5001/v2/test/fixture/tags/list";
            host.sh(&format!(
                "curl -sS --cacert /run/ca.pem -o /dev/null -w '%{{http_code}}' -u {user} {url}"
            ))
            .ok()
        };
        assert_eq!(fetch(&format!("{USER}:{PASSWORD}"))?, "200");
        assert_eq!(fetch(&format!("{USER}:wrong"))?, "401");
        Ok(())
    }
}
