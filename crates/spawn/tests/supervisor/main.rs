//! The supervisor, from its plan to the record of the end. Stand-ins take the VMMs' places (`make
//! helper`); network, confinement and everything else are real.

mod kills;
mod life;
mod refusals;
mod stage;
