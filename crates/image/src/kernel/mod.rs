//! Kernels made bootable.

pub mod compression;
pub mod config;
pub mod elf;
pub mod modules;
pub mod needs;
pub mod vmlinux;
