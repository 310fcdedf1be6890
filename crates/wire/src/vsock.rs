//! The handshake by which a host's program reaches a port of a guest over vsock: a few words on the
//! unix socket of the VMM (Firecracker's) or of the device's process, then the stream itself.
//!
//! ```text
//!   program                        VMM                      guest
//!     | connect, "CONNECT 1024\n" ->|------- request -------->|  listens at 1024
//!     |<-- "OK 1073741824\n" -------|<------ response --------|
//!     |<===================== bytes ====================>     |
//!
//!   the end of the stream before the answer: nobody listens
//! ```

use thiserror::Error;

/// The longest answer: `OK`, a blank, the largest port, the end of the line.
const MAX_ANSWER: usize = "OK 4294967295\n".len();

/// What to send for a connection to `port` of the guest.
pub fn request(port: u32) -> String {
    format!("CONNECT {port}\n")
}

/// The other side is no VMM, or has said no.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the answer to a connection by vsock is {answer:?}, not OK and a port")]
pub struct NotConnected {
    /// What was answered, as far as it was read.
    pub answer: String,
}

/// The answer, while it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    line: Vec<u8>,
}

impl Answer {
    /// Takes in the next bytes. Once the line is whole: the port of the host's end, and how many of
    /// these bytes belong to the line; those behind are the stream's.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<(u32, usize)>, NotConnected> {
        let room = MAX_ANSWER - self.line.len();
        let end = bytes.iter().take(room).position(|&byte| byte == b'\n');
        let taken = end.map_or(bytes.len().min(room), |end| end + 1);
        self.line.extend_from_slice(&bytes[..taken]);
        if end.is_none() && self.line.len() < MAX_ANSWER {
            return Ok(None);
        }
        match port(&self.line) {
            Some(port) => Ok(Some((port, taken))),
            None => Err(NotConnected {
                answer: String::from_utf8_lossy(&self.line).trim_end().to_owned(),
            }),
        }
    }
}

fn port(line: &[u8]) -> Option<u32> {
    let digits = line.strip_prefix(b"OK ")?.strip_suffix(b"\n")?;
    // No sign, which a number may have elsewhere.
    let plain = digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_in_any_pieces_and_the_stream_follows() {
        let bytes = b"OK 1073741824\nhello";
        let line = bytes.len() - "hello".len();
        for cut in 0..line {
            let mut answer = Answer::default();
            assert_eq!(answer.push(&bytes[..cut]), Ok(None));
            let rest = &bytes[cut..];
            assert_eq!(answer.push(rest), Ok(Some((1_073_741_824, line - cut))));
        }
        assert_eq!(request(1024), "CONNECT 1024\n");
    }

    #[test]
    fn anything_else_is_no_connection() {
        let said = |bytes: &[u8]| Answer::default().push(bytes).map_err(|error| error.answer);
        assert_eq!(said(b"NO\nOK 1\n"), Err("NO".to_owned()));
        for refused in [
            "OK\n",
            "OK \n",
            "OK +1\n",
            "OK 1 \n",
            "ok 1\n",
            "\n",
            "OK 4294967296\n",
        ] {
            assert!(said(refused.as_bytes()).is_err(), "{refused:?}");
        }
        // Never the end of a line.
        assert_eq!(said(&[b'O'; 1000]), Err("O".repeat(MAX_ANSWER)));
    }
}
