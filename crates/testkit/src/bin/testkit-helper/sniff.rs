//! Watches every interface of its namespace: one line for each frame of interest.

use std::io::{Read as _, Write as _};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use super::Failure;

/// ETH_P_ALL, in network byte order as packet(7) wants it.
const EVERYTHING: u32 = 3u16.to_be() as u32;

/// Prints what `interest` says of each frame.
pub(super) fn until_stdin_ends(interest: impl Fn(&[u8]) -> Option<String>) -> Result<(), Failure> {
    let protocol = std::num::NonZeroU32::new(EVERYTHING).map(Protocol::from_raw);
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    println!("sniffing");
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let mut ignored = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut ignored);
        std::process::exit(0);
    });
    let mut frame = [0; 2048];
    loop {
        let (length, _) = recv(&socket, &mut frame, RecvFlags::empty())?;
        if let Some(line) = interest(&frame[..length]) {
            println!("{line}");
            std::io::stdout().flush()?;
        }
    }
}

/// What is behind `word` in a frame that holds it, as far as it is printable.
pub(super) fn behind(frame: &[u8], word: &str) -> Option<String> {
    let at = frame
        .windows(word.len())
        .position(|window| window == word.as_bytes())?;
    let text = frame[at + word.len()..].iter();
    let text = text.take_while(|byte| byte.is_ascii_graphic());
    Some(format!(
        "seen {}",
        text.map(|byte| char::from(*byte)).collect::<String>()
    ))
}

/// A line for a frame that is DHCP, with UDP port 67 or 68, tagged or not: who sent it, from port,
/// to port.
pub(super) fn dhcp(frame: &[u8]) -> Option<String> {
    let source = frame.get(6..12)?;
    let packet = match frame.get(12..14)? {
        [8, 0] => frame.get(14..)?,
        [0x81, 0] if frame.get(16..18)? == [8, 0] => frame.get(18..)?,
        _ => return None,
    };
    let header = usize::from(packet.first()? & 15) * 4;
    let udp = packet.get(header..header + 4)?;
    let ports = (
        u16::from_be_bytes([udp[0], udp[1]]),
        u16::from_be_bytes([udp[2], udp[3]]),
    );
    let relevant = packet.get(9)? == &17 && matches!(ports, (67 | 68, _) | (_, 67 | 68));
    relevant.then(|| {
        let source: Vec<String> = source.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "dhcp from {} port {} to {}",
            source.join(":"),
            ports.0,
            ports.1
        )
    })
}
