//! `ignited gitops`: VMs as a repository says, over every way to reach one. The VMM is the stand-in;
//! git, sshd and what serves HTTPS are real.

mod https;
mod kept;
mod repository;
mod sshd;
mod ways;
