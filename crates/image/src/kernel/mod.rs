//! Kernels made bootable.
