//! One network over several hosts: `ignite overlay`, as the guide in `docs/networking.md` walks.

mod guide;
mod life;
mod refusals;
mod several;
mod stage;
mod systemd;
mod troubles;
mod walks;
