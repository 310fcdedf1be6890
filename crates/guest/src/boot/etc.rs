//! Files of the root file system that say what only this VM knows.
//!
//! An image may hold anything in their places. Each file is tried by itself, and what cannot be
//! written is warned about: the VM runs all the same.

use std::fmt::Write;

use ignite_wire::guest::{Config, Dns};

use crate::launch::find_user;
use crate::root::{self, Root};
use crate::{console, user};

/// Writes them all.
pub fn write(config: &Config, root: &Root) {
    if let Err(errno) = rustix::system::sethostname(config.hostname.as_bytes()) {
        console::say(&format!(
            "warning: cannot set the host name {}: {errno}",
            config.hostname
        ));
    }
    if let Err(error) = root.create_directory("/etc", 0o755) {
        console::warn(&error);
        return;
    }
    let results = [
        root.write_text("/etc/hostname", 0o644, &format!("{}\n", config.hostname)),
        root.write_text("/etc/hosts", 0o644, &hosts(config)),
        write_resolv_conf(&config.dns, root),
        write_keys(&config.ssh_keys, root),
    ];
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        console::warn(error);
    }
}

/// Text of `/etc/hosts`: the loopback, this VM by its addresses, and what else the configuration
/// lists. A VM without addresses still knows its own name (127.0.1.1, as Debian has it).
fn hosts(config: &Config) -> String {
    let hostname = &config.hostname;
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    let mut line = |address: &str, names: &str| {
        let _ = writeln!(text, "{address}\t{names}");
    };
    let mut addresses = config
        .interfaces
        .iter()
        .flat_map(|interface| &interface.addresses)
        .peekable();
    if addresses.peek().is_none() {
        line("127.0.1.1", hostname);
    }
    for address in addresses {
        line(&address.addr().to_string(), hostname);
    }
    for host in &config.hosts {
        line(&host.address.to_string(), &host.names.join(" "));
    }
    text
}

/// Without servers, the image's own file stays.
fn write_resolv_conf(dns: &Dns, root: &Root) -> Result<(), root::Error> {
    match resolv_conf(dns) {
        Some(text) => root.write_text("/etc/resolv.conf", 0o644, &text),
        None => Ok(()),
    }
}

/// Text of `/etc/resolv.conf`; none without servers.
fn resolv_conf(dns: &Dns) -> Option<String> {
    if dns.servers.is_empty() {
        return None;
    }
    let mut text = String::new();
    if !dns.search.is_empty() {
        let _ = writeln!(text, "search {}", dns.search.join(" "));
    }
    for server in &dns.servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !dns.options.is_empty() {
        let _ = writeln!(text, "options {}", dns.options.join(" "));
    }
    Some(text)
}

fn write_keys(keys: &[String], root: &Root) -> Result<(), root::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let home = find_user("", root).map_or_else(|_| user::ROOT_HOME.to_owned(), |user| user.home);
    let directory = format!("{}/.ssh", home.trim_end_matches('/'));
    let path = format!("{directory}/authorized_keys");
    let present = root.read_text(&path).unwrap_or_default();
    root.create_directory(&directory, 0o700)?;
    root.write_text(&path, 0o600, &merged_keys(&present, keys))
}

/// The keys that are there, and those of `keys` that are not.
fn merged_keys(present: &str, keys: &[String]) -> String {
    let mut text: String = present.lines().map(|line| format!("{line}\n")).collect();
    for key in keys.iter().map(|key| key.trim()) {
        if !present.lines().any(|line| line.trim() == key) {
            let _ = writeln!(text, "{key}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use ignite_wire::guest::{Host, Interface, Process};

    use super::*;

    fn config(addresses: &[&str], hosts: Vec<Host>) -> Config {
        let interface = Interface {
            name: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1500,
            addresses: addresses
                .iter()
                .map(|text| text.parse().expect("a network"))
                .collect(),
            routes: Vec::new(),
            accept_ra: false,
        };
        let path = "/sbin/init".into();
        Config {
            interfaces: vec![interface],
            hosts,
            ..Config::new("otter", Process::Init { path })
        }
    }

    #[test]
    fn hosts_name_the_vm_by_its_addresses() {
        let other = Host {
            address: "10.61.0.1".parse().expect("an address"),
            names: vec!["gateway".into(), "gw".into()],
        };
        let text = hosts(&config(&["10.61.0.7/16", "fd00::7/64"], vec![other]));
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"));
        assert!(text.ends_with("10.61.0.7\totter\nfd00::7\totter\n10.61.0.1\tgateway gw\n"));
        assert!(hosts(&config(&[], Vec::new())).ends_with("127.0.1.1\totter\n"));
    }

    #[test]
    fn resolv_conf_only_with_servers() {
        assert_eq!(
            resolv_conf(&Dns {
                search: vec!["a".into()],
                ..Dns::default()
            }),
            None
        );
        let dns = Dns {
            servers: vec![
                "9.9.9.9".parse().expect("v4"),
                "2620:fe::9".parse().expect("v6"),
            ],
            search: vec!["example.test".into(), "test".into()],
            options: vec!["ndots:2".into()],
        };
        let expected = "search example.test test\nnameserver 9.9.9.9\nnameserver 2620:fe::9\n\
                        options ndots:2\n";
        assert_eq!(resolv_conf(&dns).as_deref(), Some(expected));
    }

    #[test]
    fn keys_are_added_once() {
        let keys = ["ssh-ed25519 AAA me\n".to_owned(), "ssh-rsa BBB".to_owned()];
        let first = merged_keys("# mine\nssh-rsa BBB", &keys);
        assert_eq!(first, "# mine\nssh-rsa BBB\nssh-ed25519 AAA me\n");
        assert_eq!(merged_keys(&first, &keys), first);
    }
}
