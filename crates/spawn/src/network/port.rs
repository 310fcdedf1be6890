//! What a guest says on its tap that is not for its network.
//!
//! ```text
//!   guest --tap0-- [ filter ] --passes--> eth0
//!                     '-- refused --> Port
//!                          |-- DHCP, DHCPv6 ------------> answered
//!                          |-- where is a router? ------> gateway asked for on eth0, then answered
//!                          |-- is this link-local
//!                          |   address free? -----------> asked on eth0; nobody's: from now on it passes
//!                          '-- anything else -----------> counted
//! ```
//!
//! A link-local address need not be made of the MAC (RFC 7217); what a guest wants to use is learned
//! from its duplicate address detection, which every system does first. One that could be made of
//! another's MAC, or given by hand as routers' are, is nobody's to learn; nor is one that another was
//! heard to ask for a moment ago. What is asked on `eth0` is written here: no byte of it is the guest's.

mod claims;

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use ignite_host::error::SystemError;
use ignite_host::link::Netlink;
use ignite_host::packet::{PacketSocket, neighbour_discovery};
use ignite_host::tc::allow::{Guest, TooMany, eui64};
use ignite_wire::agent::Refusals;
use ignite_wire::neighbour::{Advertisement, Solicitation};
use ignite_wire::ra::{Advertiser, Asked, REPEAT_SECONDS, Router};
use ignite_wire::refused::{Kind, Refused};
use ignite_wire::supervisor::Attachment;
use ignite_wire::{dhcp, dhcp6};

use self::claims::{Attempts, Claims};
use super::inquiry::{Inquiries, Purpose, Silence};
use super::tally::Tally;
use crate::log;

/// Longest frame that is looked at whole.
const FRAME_SIZE: usize = 2048;

/// Frames taken at one look, so that a flood of them keeps nobody waiting.
const MAX_FRAMES: usize = 64;

/// Time without a look after one that took so many.
const REST: Duration = Duration::from_millis(100);

/// Neighbour discovery taken at one look: more than a socket holds, so that none is left.
const MAX_OVERHEARD: usize = 1024;

/// Time between looks at the network's neighbour discovery while nothing is asked there.
const IDLE: Duration = Duration::from_secs(1);

/// Link-local addresses that a guest may make up.
const MAX_LEARNED: usize = 4;

/// One tap, seen from its sandbox.
#[derive(Debug)]
pub struct Port {
    interface: String,
    eth: u32,
    tap: u32,
    guest: Guest,
    socket: PacketSocket,
    dhcp: Option<dhcp::Responder>,
    dhcp6: Option<dhcp6::Responder>,
    advertiser: Option<Advertiser>,
    /// Neighbour discovery on `eth0`: a guest's question is judged by what others asked before it.
    watch: PacketSocket,
    /// The watch is not looked at until then, unless something is asked.
    idle: Option<Instant>,
    inquiries: Inquiries,
    claims: Claims,
    attempts: Attempts,
    tally: Tally,
    /// The socket is not looked at until then.
    rest: Option<Instant>,
    /// When a guest that asked for routers is told again.
    repeat: Option<Instant>,
}

/// The guest of an attachment, as its frames are judged, and who tells it of routers.
pub fn guest(mac: [u8; 6], attachment: &Attachment) -> (Guest, Option<Advertiser>) {
    let lease = attachment.ipv6.clone();
    let advertiser = lease.map(|lease| Advertiser::new(mac, lease));
    let guest = Guest {
        mac,
        addresses: attachment.addresses.clone(),
        allow: attachment.allow.clone(),
        link_local: Vec::new(),
        routers: advertiser
            .as_ref()
            .map(Advertiser::names)
            .unwrap_or_default(),
    };
    (guest, advertiser)
}

impl Port {
    /// Listens on `tap`, which is joined to the attachment's interface `eth` as `guest` says.
    pub fn open(
        attachment: &Attachment,
        (guest, advertiser): (Guest, Option<Advertiser>),
        (eth, tap): (u32, u32),
    ) -> Result<Self, OpenError> {
        let refused = guest.refused().map_err(OpenError::Addresses)?;
        let socket = PacketSocket::open(tap, &refused).map_err(OpenError::System)?;
        let watch = PacketSocket::open(eth, &neighbour_discovery()).map_err(OpenError::System)?;
        let (lease, lease6) = (attachment.dhcp.clone(), attachment.ipv6.clone());
        let mac = guest.mac;
        Ok(Self {
            interface: attachment.interface.clone(),
            eth,
            tap,
            guest,
            socket,
            dhcp: lease.map(|lease| dhcp::Responder::new(mac, lease)),
            dhcp6: lease6.map(|lease| dhcp6::Responder::new(mac, lease)),
            advertiser,
            watch,
            idle: None,
            inquiries: Inquiries::default(),
            claims: Claims::default(),
            attempts: Attempts::default(),
            tally: Tally::default(),
            rest: None,
            repeat: None,
        })
    }

    /// Where the guest's frames arrive; none for the moment after too many.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.rest.is_none().then(|| self.socket.as_fd())
    }

    /// Where the network's questions and answers arrive; none for the moment after a look while no
    /// answer is waited for.
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        let is_looked_at = self.idle.is_none() || !self.inquiries.is_empty();
        is_looked_at.then(|| self.watch.as_fd())
    }

    /// When [`Port::wake`] has something to do.
    pub fn next(&self) -> Option<Instant> {
        let times = [self.rest, self.idle, self.repeat, self.inquiries.next()];
        times.into_iter().flatten().min()
    }

    /// What the guest tried to send and may not.
    pub fn refusals(&self) -> Refusals {
        self.tally.of(&self.interface)
    }

    /// Whether the addresses in [`Port::refusals`] changed since the last time.
    pub fn take_news(&mut self) -> bool {
        self.tally.take_news()
    }

    /// Takes what the guest sent.
    pub fn hear(&mut self, now: Instant) -> Result<(), SystemError> {
        let mut buffer = [0; FRAME_SIZE];
        for _ in 0..MAX_FRAMES {
            let Some(length) = self.socket.recv(&mut buffer)? else {
                return Ok(());
            };
            self.frame(&buffer[..length], now)?;
        }
        self.rest = Some(now + REST);
        Ok(())
    }

    fn frame(&mut self, frame: &[u8], now: Instant) -> Result<(), SystemError> {
        let answer = (self.dhcp.as_ref().and_then(|dhcp| dhcp.answer(frame)))
            .or_else(|| self.dhcp6.as_ref().and_then(|dhcp| dhcp.answer(frame)));
        if let Some(answer) = answer {
            return self.socket.send(&answer);
        }
        let asked = self.advertiser.as_ref().and_then(|it| it.hear(frame));
        if let Some(asked) = asked {
            return self.asked(asked, now);
        }
        let wanted = Solicitation::parse(frame).filter(|wanted| self.may_learn(wanted));
        if let Some(wanted) = wanted {
            return self.detect(wanted.target, now);
        }
        let is_own = |address: &IpAddr| self.guest.may_use(*address);
        if let Some(refused) = Refused::judge(frame, self.guest.mac, is_own) {
            self.tally.add(refused);
        }
        Ok(())
    }

    /// Whether the guest asks for a link-local address that can be its own making.
    fn may_learn(&self, wanted: &Solicitation) -> bool {
        !self.guest.addresses.is_empty()
            && self.guest.link_local.len() < MAX_LEARNED
            && wanted.is_detection()
            && wanted.source_mac == self.guest.mac
            && is_made_up(wanted.target)
    }

    /// Asks in the guest's place whether anybody has the address, unless another asked before it.
    fn detect(&mut self, target: Ipv6Addr, now: Instant) -> Result<(), SystemError> {
        if !self.attempts.take(now) {
            self.refuse(target);
            return Ok(());
        }
        // What the guest can have heard is there already: the watch is before its tap.
        self.listen(now)?;
        if self.claims.cover(target, now) {
            self.refuse(target);
            return Ok(());
        }
        let question = Solicitation::detection(self.guest.mac, target);
        self.ask(question, Purpose::Detection, now)
    }

    fn refuse(&mut self, target: Ipv6Addr) {
        self.tally.add(Refused {
            kind: Kind::Neighbour,
            address: Some(IpAddr::V6(target)),
        });
    }

    /// The guest looks for routers: each that has to be asked for is, the others are told at once.
    fn asked(&mut self, asked: Asked, now: Instant) -> Result<(), SystemError> {
        let Some(advertiser) = &self.advertiser else {
            return Ok(());
        };
        let routers = advertiser.routers().to_vec();
        if asked == Asked::Routers {
            self.repeat = Some(now + Duration::from_secs(REPEAT_SECONDS));
            if routers.is_empty() {
                self.socket.send(&advertiser.advertise(0, None))?;
            }
        }
        for (number, router) in routers.iter().enumerate() {
            let is_asked = match asked {
                Asked::Routers => true,
                Asked::Router { number: of, .. } => of == number,
            };
            if is_asked {
                self.find(number, router, asked, now)?;
            }
        }
        Ok(())
    }

    fn find(
        &mut self,
        number: usize,
        router: &Router,
        asked: Asked,
        now: Instant,
    ) -> Result<(), SystemError> {
        match router.gateway {
            Some(gateway) => {
                let question = self.solicitation(gateway);
                self.ask(question, Purpose::Gateway(number, asked), now)
            }
            None => self.tell(number, asked, None),
        }
    }

    /// Who has `target`? asks the guest, whose address nobody else has.
    fn solicitation(&self, target: Ipv6Addr) -> Solicitation {
        let own = self
            .guest
            .addresses
            .iter()
            .find_map(|net| match net.addr() {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            });
        Solicitation {
            source_mac: self.guest.mac,
            source: own.unwrap_or_else(|| eui64(self.guest.mac)),
            target,
        }
    }

    /// Sends a question to the network, unless it is under way or there are too many.
    fn ask(
        &mut self,
        question: Solicitation,
        purpose: Purpose,
        now: Instant,
    ) -> Result<(), SystemError> {
        match self.inquiries.begin(question.target, purpose, now) {
            true => self.watch.send(&question.encode()),
            false => Ok(()),
        }
    }

    /// Takes what the network asked and answered.
    pub fn overhear(&mut self) -> Result<(), SystemError> {
        let (now, is_idle) = (Instant::now(), self.inquiries.is_empty());
        self.idle = is_idle.then(|| now + IDLE);
        self.listen(now)
    }

    /// Takes all that there is of it; what is lost may have been about any address.
    fn listen(&mut self, now: Instant) -> Result<(), SystemError> {
        let mut buffer = [0; FRAME_SIZE];
        let mut left = MAX_OVERHEARD;
        while let Some(length) = self.watch.recv(&mut buffer)? {
            self.answered(&buffer[..length], now)?;
            left -= 1;
            if left == 0 {
                self.claims.miss(now);
                break;
            }
        }
        if self.watch.missed()? > 0 {
            self.claims.miss(now);
        }
        Ok(())
    }

    fn answered(&mut self, frame: &[u8], now: Instant) -> Result<(), SystemError> {
        let advertised = Advertisement::parse(frame).map(|it| (it.target, it.mac));
        // Another that is about to take the address has it as good as taken.
        let detected = Solicitation::parse(frame)
            .filter(|it| it.is_detection() && it.source_mac != self.guest.mac)
            .map(|it| (it.target, it.source_mac));
        if let Some((target, _)) = detected.filter(|(target, _)| is_made_up(*target)) {
            self.claims.hear(target, now);
        }
        let Some((target, mac)) = advertised.or(detected) else {
            return Ok(());
        };
        for purpose in self.inquiries.answered(target) {
            match purpose {
                Purpose::Detection => self.refuse(target),
                Purpose::Gateway(number, asked) => self.tell(number, asked, Some(mac))?,
            }
        }
        Ok(())
    }

    /// Tells the guest of a router, whose gateway has this MAC.
    fn tell(&self, number: usize, asked: Asked, mac: Option<[u8; 6]>) -> Result<(), SystemError> {
        let Some(advertiser) = &self.advertiser else {
            return Ok(());
        };
        let answer = match (asked, mac) {
            (Asked::Routers, mac) => Some(advertiser.advertise(number, mac)),
            (Asked::Router { guest, .. }, Some(mac)) => advertiser.answer(number, guest, mac),
            // It is as little there as its gateway.
            (Asked::Router { .. }, None) => None,
        };
        answer.map_or(Ok(()), |answer| self.socket.send(&answer))
    }

    /// Does what is due.
    pub fn wake(&mut self, netlink: &Netlink, now: Instant) -> Result<(), SystemError> {
        if self.rest.take_if(|at| *at <= now).is_some() {
            self.tally.unread(self.socket.missed()?);
        }
        if self.repeat.take_if(|at| *at <= now).is_some() {
            self.asked(Asked::Routers, now)?;
        }
        self.idle.take_if(|at| *at <= now);
        if self.inquiries.next().is_some_and(|at| at <= now) {
            // An objection may be there that nobody has looked at yet.
            self.listen(now)?;
        }
        while let Some(silence) = self.inquiries.due(now) {
            match silence {
                Silence::Again(target) => {
                    let question = self.solicitation(target);
                    self.watch.send(&question.encode())?;
                }
                Silence::Final(target, Purpose::Detection) if self.claims.cover(target, now) => {
                    self.refuse(target);
                }
                Silence::Final(target, Purpose::Detection) => self.learn(netlink, target),
                Silence::Final(_, Purpose::Gateway(number, asked)) => {
                    self.tell(number, asked, None)?;
                }
            }
        }
        Ok(())
    }

    /// From now on the address is the guest's. If the kernel refuses, all stays as it was.
    fn learn(&mut self, netlink: &Netlink, address: Ipv6Addr) {
        let mut guest = self.guest.clone();
        guest.link_local.push(address);
        let programs = guest
            .passing()
            .and_then(|passing| Ok((passing, guest.refused()?)));
        let (passing, refused) = match programs {
            Ok(programs) => programs,
            Err(error) => return log::line(&log::chain(&error)),
        };
        // The socket first: a frame is rather not counted than counted although it passed.
        let changed = (self
            .socket
            .choose(&refused)
            .map_err(|error| log::chain(&error)))
        .and_then(|()| {
            let redirected = netlink.redirect(self.tap, &passing, self.eth);
            redirected.map_err(|error| log::chain(&error))
        });
        match changed {
            Ok(()) => {
                self.guest = guest;
                self.tally.forgive(IpAddr::V6(address));
            }
            Err(error) => log::line(&format!("{address} does not pass: {error}")),
        }
    }
}

/// Why a tap cannot be listened on.
#[derive(Debug)]
pub enum OpenError {
    /// Too many addresses.
    Addresses(TooMany),
    /// The kernel refused.
    System(SystemError),
}

/// Whether a link-local address can be made up: it is not made of a MAC (`ff:fe` in its middle), and
/// not short, as those given by hand are.
fn is_made_up(address: Ipv6Addr) -> bool {
    let [prefix, zero, one, two, high, b, c, _] = address.segments();
    let is_of_a_mac = b & 0xff == 0xff && c >> 8 == 0xfe;
    [prefix, zero, one, two] == [0xfe80, 0, 0, 0] && (high, b) != (0, 0) && !is_of_a_mac
}

#[cfg(test)]
mod tests;
