//! Every parser of bytes that others make, each a fuzz target. One program holds them all, so that
//! one link does; `IGNITE_FUZZ_TARGET` says which one runs (`list` prints their names).
//!
//! A target takes any bytes. It fails by a panic: the parser's own, or one of the properties the
//! target asserts (what is read, written and read again is the same; nothing comes from nowhere).
#![no_main]

mod agent_relay;
mod agent_talk;
mod api_filter;
mod api_interface;
mod api_manifest;
mod api_merge;
mod api_template;
mod api_words;
mod cni_cache;
mod cni_config;
mod cni_flannel;
mod cni_leaks;
mod cni_result;
mod cni_words;
mod daemon_desired;
mod daemon_listing;
mod dashboard_request;
mod docker_answers;
mod files_unpack;
mod image_archive;
mod image_decompress;
mod image_layout;
mod image_registry;
mod image_superblock;
mod image_tar;
mod image_unpack;
mod kernel_config;
mod kernel_deb;
mod kernel_elf;
mod kernel_unpack;
mod overlay_config;
mod overlay_entrance;
mod overlay_lease;
mod overlay_packet;
mod overlay_subnet_env;
mod pieces;
mod sample;
mod scratch;
mod store_index;
mod store_journal;
mod store_records;
mod vmm_firecracker_answers;
mod vmm_firecracker_log;
mod vmm_firecracker_metrics;
mod vmm_qmp;
mod wire_agent;
mod wire_console;
mod wire_dhcp;
mod wire_ipv6;
mod wire_processes;
mod wire_vsock_handshake;

use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// One parser under attack.
type Target = fn(&[u8]);

/// Names the target to run.
const VARIABLE: &str = "IGNITE_FUZZ_TARGET";

const TARGETS: [(&str, Target); 48] = [
    ("agent_relay", agent_relay::run),
    ("agent_talk", agent_talk::run),
    ("api_filter", api_filter::run),
    ("api_interface", api_interface::run),
    ("api_manifest", api_manifest::run),
    ("api_merge", api_merge::run),
    ("api_template", api_template::run),
    ("api_words", api_words::run),
    ("cni_cache", cni_cache::run),
    ("cni_config", cni_config::run),
    ("cni_flannel", cni_flannel::run),
    ("cni_leaks", cni_leaks::run),
    ("cni_result", cni_result::run),
    ("cni_words", cni_words::run),
    ("daemon_desired", daemon_desired::run),
    ("daemon_listing", daemon_listing::run),
    ("dashboard_request", dashboard_request::run),
    ("docker_answers", docker_answers::run),
    ("files_unpack", files_unpack::run),
    ("image_archive", image_archive::run),
    ("image_decompress", image_decompress::run),
    ("image_layout", image_layout::run),
    ("image_registry", image_registry::run),
    ("image_superblock", image_superblock::run),
    ("image_tar", image_tar::run),
    ("image_unpack", image_unpack::run),
    ("kernel_config", kernel_config::run),
    ("kernel_deb", kernel_deb::run),
    ("kernel_elf", kernel_elf::run),
    ("kernel_unpack", kernel_unpack::run),
    ("overlay_config", overlay_config::run),
    ("overlay_entrance", overlay_entrance::run),
    ("overlay_lease", overlay_lease::run),
    ("overlay_packet", overlay_packet::run),
    ("overlay_subnet_env", overlay_subnet_env::run),
    ("store_index", store_index::run),
    ("store_journal", store_journal::run),
    ("store_records", store_records::run),
    ("vmm_firecracker_answers", vmm_firecracker_answers::run),
    ("vmm_firecracker_log", vmm_firecracker_log::run),
    ("vmm_firecracker_metrics", vmm_firecracker_metrics::run),
    ("vmm_qmp", vmm_qmp::run),
    ("wire_agent", wire_agent::run),
    ("wire_console", wire_console::run),
    ("wire_dhcp", wire_dhcp::run),
    ("wire_ipv6", wire_ipv6::run),
    ("wire_processes", wire_processes::run),
    ("wire_vsock_handshake", wire_vsock_handshake::run),
];

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let _ = CHOSEN.set(choose());
    },
    |bytes: &[u8]| CHOSEN.get().expect("set before the first input")(bytes)
);

fn choose() -> Target {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    if let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == wanted) {
        return *target;
    }
    for (name, _) in TARGETS {
        println!("{name}");
    }
    if wanted == "list" {
        exit(0);
    }
    eprintln!("error: {VARIABLE} is {wanted:?}, none of these targets");
    exit(2)
}
