//! Agents as programs, each in a network namespace of its own, with a real etcd.

mod lab;
mod lives;

use lab::{Lab, Node, soon};

/// A ping from one node's gateway address to the other's, `size` bytes of IP, not to be fragmented.
fn ping(lab: &Lab, from: (usize, &Node<'_>), to: &Node<'_>, size: u32) {
    let (source, target) = (from.1.gateway(), to.gateway());
    let data = size - 28;
    soon(
        &format!("{source} reaches {target} with {size} bytes"),
        || {
            let script = format!("ping -M do -c1 -W1 -s {data} -I {source} {target}");
            let output = lab.try_sh(from.0, &script);
            match output.status.success() {
                true => Ok(()),
                false => Err(format!("{output:?}\n{}\n{}", from.1.log(), to.log())),
            }
        },
    );
}
