//! The initramfs of a kernel.
