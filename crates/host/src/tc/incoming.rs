//! What comes in from the network for a guest: all of it, with one exception.
//!
//! A guest with addresses of its network's giving asks nobody on the network for one: its own requests
//! are answered on the tap. Who asks is a CNI plugin that leases the address for it (`dhcp`), with a
//! packet socket on the same interface, and hears nothing of what is redirected. So the answers of
//! DHCP servers stay in the sandbox, where only such sockets are open.

use super::allow::Guest;
use super::frame::{IPV4, UDP, at};
use crate::bpf::{Assembler, Is, Program, Width};

/// The port of DHCP clients.
const DHCP_CLIENT: u32 = 68;

impl Guest {
    /// Gives `tc` a match for what is the guest's of all that comes in.
    pub fn incoming(&self) -> Program {
        let mut a = Assembler::default();
        let all = a.label();
        if !self.addresses.is_empty() {
            a.load(Width::Half, at::PROTOCOL);
            a.goto_unless(Is::Equal(IPV4), all);
            a.load(Width::Byte, at::IPV4_PROTOCOL);
            a.goto_unless(Is::Equal(UDP), all);
            // Behind the first fragment there are no ports.
            a.load(Width::Half, at::IPV4_FRAGMENT);
            a.goto_if(Is::Any(0x1fff), all);
            a.index_by_header(at::PAYLOAD);
            a.load_indexed(Width::Half, at::PAYLOAD + 2);
            a.goto_unless(Is::Equal(DHCP_CLIENT), all);
            a.answer(0);
        }
        a.place(all);
        a.answer(u32::MAX);
        a.finish()
    }
}
