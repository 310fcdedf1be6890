//! The client, the registry and the certificates against the real `etcd` program, on loopback.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod entrance;
mod gate;
mod lease_watch;
mod leases;
mod server;
mod tls;
mod watching;
mod wiretap;
