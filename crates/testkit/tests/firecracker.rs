//! The Firecracker driver against the stand-in for it: a whole life, and a failure at every step, after
//! each of which nothing is left. And the stand-in itself, whose dialect is the real program's.

mod firecracker {
    mod dialect;
    mod faults;
    mod jail;
    mod life;
    pub mod place;
}
