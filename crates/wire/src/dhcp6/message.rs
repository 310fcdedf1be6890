//! Messages: a kind, a number, options.

/// Options of one message at most; one with more is refused.
const MAX_OPTIONS: usize = 64;

/// Numbers of options (RFC 8415, section 21; RFC 3646).
pub mod code {
    /// The client's DUID.
    pub const CLIENT_ID: u16 = 1;
    /// The server's DUID.
    pub const SERVER_ID: u16 = 2;
    /// Addresses that last.
    pub const IA_NA: u16 = 3;
    /// Temporary addresses.
    pub const IA_TA: u16 = 4;
    /// One address, within the two above.
    pub const ADDRESS: u16 = 5;
    /// Options the client wants.
    pub const REQUESTED: u16 = 6;
    /// How much this server is to be preferred.
    pub const PREFERENCE: u16 = 7;
    /// How something went.
    pub const STATUS: u16 = 13;
    /// Two messages instead of four.
    pub const RAPID_COMMIT: u16 = 14;
    /// DNS servers.
    pub const DNS: u16 = 23;
    /// Search list.
    pub const DOMAINS: u16 = 24;
    /// Prefixes to give on.
    pub const IA_PD: u16 = 25;
}

/// Kinds of messages between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: is there a server?
    Solicit = 1,
    /// Server: here, with this.
    Advertise = 2,
    /// Client: this, please.
    Request = 3,
    /// Client: is my address right on this link?
    Confirm = 4,
    /// Client: longer, of the server that gave it.
    Renew = 5,
    /// Client: longer, of any server.
    Rebind = 6,
    /// Server: the answer.
    Reply = 7,
    /// Client: no longer needed.
    Release = 8,
    /// Client: somebody else has it.
    Decline = 9,
    /// Client: all but addresses.
    InformationRequest = 11,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        const ALL: [Kind; 10] = [
            Kind::Solicit,
            Kind::Advertise,
            Kind::Request,
            Kind::Confirm,
            Kind::Renew,
            Kind::Rebind,
            Kind::Reply,
            Kind::Release,
            Kind::Decline,
            Kind::InformationRequest,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// An option's number and value.
pub type OptionValue = (u16, Vec<u8>);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: Kind,
    /// The client's number, the same in the answer.
    pub transaction: [u8; 3],
    /// Its options, in order.
    pub options: Vec<OptionValue>,
}

impl Message {
    /// Reads one; none if it is cut short, of another kind, or has too many options.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[kind, a, b, c], options) = bytes.split_first_chunk()?;
        Some(Self {
            kind: Kind::from_number(kind)?,
            transaction: [a, b, c],
            options: parse_options(options)?,
        })
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let [a, b, c] = self.transaction;
        let mut bytes = vec![self.kind as u8, a, b, c];
        for (code, value) in &self.options {
            push_option(&mut bytes, *code, value);
        }
        bytes
    }

    /// The value of the first option of this number.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        let mut options = self.options.iter();
        options
            .find(|(number, _)| *number == code)
            .map(|(_, value)| value.as_slice())
    }
}

/// Options one after the other; none if one is cut short or there are too many.
pub(super) fn parse_options(mut bytes: &[u8]) -> Option<Vec<OptionValue>> {
    let mut options = Vec::new();
    while !bytes.is_empty() {
        let (&[c0, c1, l0, l1], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (value, rest) = rest.split_at_checked(length)?;
        if options.len() == MAX_OPTIONS {
            return None;
        }
        options.push((u16::from_be_bytes([c0, c1]), value.to_vec()));
        bytes = rest;
    }
    Some(options)
}

/// Appends an option; of a value too long for one, nothing.
pub(super) fn push_option(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len()) {
        bytes.extend(code.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written() {
        let message = Message {
            kind: Kind::Solicit,
            transaction: [1, 2, 3],
            options: vec![
                (code::CLIENT_ID, vec![0, 3, 0, 1]),
                (code::RAPID_COMMIT, vec![]),
            ],
        };
        let bytes = message.encode();
        assert_eq!(Message::parse(&bytes), Some(message.clone()));
        assert_eq!(message.option(code::RAPID_COMMIT), Some(&[][..]));
        assert_eq!(Message::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Message::parse(&bytes[..3]), None);
        // Relayed.
        assert_eq!(Message::parse(&[12, 0, 0, 0]), None);
    }

    #[test]
    fn options_are_bounded() {
        let many = |count| {
            [1, 0, 0, 0]
                .into_iter()
                .chain(std::iter::repeat_n(0, 4 * count))
        };
        let read = |count| Message::parse(&many(count).collect::<Vec<u8>>());
        assert!(read(MAX_OPTIONS).is_some());
        assert_eq!(read(MAX_OPTIONS + 1), None);
    }
}
