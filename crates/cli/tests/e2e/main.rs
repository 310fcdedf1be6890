//! End-to-end tests: real VMs, real CNI plugins, real registries, each test on
//! hosts of its own (`ignite-testkit`). `make e2e` runs them; none is skipped.
//!
//! That a VM answers is proved through its agent or the service in it, whose
//! answers name their machine.

mod addresses;
mod balloon;
mod cni_tool;
mod commands;
mod completing;
mod configuration;
mod confinement;
mod copy;
mod crashes;
mod daemon;
mod dashboard;
mod default_network;
mod disks;
mod docker;
mod doctor;
mod endings;
mod firecracker;
mod gitops;
mod hostile;
mod hosts;
mod images;
mod interfaces;
mod kernels;
mod libcni;
mod manifests;
mod names;
mod networks;
mod overlay;
mod pause;
mod podman;
mod ports;
mod processors;
mod rates;
mod selecting;
mod sessions;
mod sources;
mod spoofing;
mod support;
mod systemd;
mod third_party;
mod together;
mod traffic;
mod trouble;
mod verbs;
mod volumes;
