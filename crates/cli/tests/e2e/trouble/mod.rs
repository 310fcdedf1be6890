//! Bad input and trouble: each gets one clear error with a hint, exit code 1 or
//! 2, and leaves nothing behind.

mod crashes;
mod disk;
mod gate;
mod images;
mod input;
mod interrupt;
mod plugins;
mod programs;
mod races;
mod starts;
mod vmm;
