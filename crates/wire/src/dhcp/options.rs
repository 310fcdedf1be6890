//! The options behind the fixed part of a packet.

use super::packet::ParseError;

/// Option codes (RFC 2132 where nothing else is said).
pub mod code {
    /// Padding, one byte.
    pub const PAD: u8 = 0;
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// Name servers.
    pub const DNS: u8 = 6;
    /// Host name.
    pub const HOST_NAME: u8 = 12;
    /// Domain name.
    pub const DOMAIN: u8 = 15;
    /// MTU of the interface.
    pub const MTU: u8 = 26;
    /// The address the client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Type of the message.
    pub const MESSAGE_TYPE: u8 = 53;
    /// The server's address.
    pub const SERVER: u8 = 54;
    /// Codes of the options the client wants.
    pub const PARAMETERS: u8 = 55;
    /// A text for a human.
    pub const MESSAGE: u8 = 56;
    /// Largest message the client takes.
    pub const MAXIMUM_SIZE: u8 = 57;
    /// Identifier of the client; echoed (RFC 6842).
    pub const CLIENT_ID: u8 = 61;
    /// Classless static routes (RFC 3442).
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// End of the options.
    pub const END: u8 = 255;
}

/// Value of option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// Client: is there a server?
    Discover,
    /// Server: here is an address.
    Offer,
    /// Client: I take this one.
    Request,
    /// Client: the address is in use.
    Decline,
    /// Server: it is yours.
    Ack,
    /// Server: it is not yours.
    Nak,
    /// Client: I do not need it any more.
    Release,
    /// Client: I have an address, tell me the rest.
    Inform,
}

impl MessageType {
    const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];

    /// The number on the wire.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The type of a number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// Options in order, each code once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    /// Reads options up to the end mark or the end of the bytes; pieces of one option are joined
    /// (RFC 3396).
    pub fn parse(mut bytes: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        while let Some((&code, rest)) = bytes.split_first() {
            bytes = rest;
            if code == code::END {
                break;
            }
            if code == code::PAD {
                continue;
            }
            let (value, rest) = bytes
                .split_first()
                .and_then(|(&length, rest)| rest.split_at_checked(length.into()))
                .ok_or(ParseError::OptionCut { code })?;
            bytes = rest;
            options.append(code, value);
        }
        Ok(options)
    }

    /// Value of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, value)| value.as_slice())
    }

    /// Value of an option of fixed length; none if it has another.
    pub fn fixed<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        self.get(code)?.try_into().ok()
    }

    /// The message's type.
    pub fn message_type(&self) -> Option<MessageType> {
        let [number] = self.fixed(code::MESSAGE_TYPE)?;
        MessageType::from_number(number)
    }

    /// Adds bytes to an option, new or there already.
    pub fn append(&mut self, code: u8, value: &[u8]) {
        match self.0.iter_mut().find(|(known, _)| *known == code) {
            Some((_, present)) => present.extend_from_slice(value),
            None => self.0.push((code, value.to_vec())),
        }
    }

    /// Bytes that [`encode`](Self::encode) writes, end mark included.
    pub fn encoded_len(&self) -> usize {
        self.0
            .iter()
            .map(|(_, value)| encoded_len(value.len()))
            .sum::<usize>()
            + 1
    }

    /// Appends the options and the end mark; long values in pieces of 255 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (code, value) in &self.0 {
            if value.is_empty() {
                out.extend_from_slice(&[*code, 0]);
            }
            for piece in value.chunks(255) {
                out.extend_from_slice(&[*code, piece.len() as u8]);
                out.extend_from_slice(piece);
            }
        }
        out.push(code::END);
    }
}

/// Bytes of an option whose value has `length` bytes.
pub(super) fn encoded_len(length: usize) -> usize {
    length + 2 * length.div_ceil(255).max(1)
}
