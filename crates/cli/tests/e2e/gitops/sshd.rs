//! The distribution's sshd on a host's loopback, with keys of its own.

use std::time::Duration;

use anyhow::Result;
use ignite_testkit::{Host, Running, place, wait_until};

/// Its port.
pub const PORT: u16 = 2222;
/// The private key that it lets in, as root.
pub const KEY: &str = "/run/home/the key";
/// Its own public key, as ssh's known hosts have it.
pub const HOSTS: &str = "/run/home/known hosts";

/// `sshd` drops its rights as a user that its package makes, into a directory that it makes.
const SET_UP: &str = r"
mkdir -p /run/sshd
grep -q ^sshd: /etc/passwd || echo 'sshd:x:990:65534::/run/sshd:/usr/sbin/nologin' >> /etc/passwd
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
cd /run/home
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f 'the key'
echo [127.0.0.1]:2222 $(cut -d' ' -f1,2 host.pub) > 'known hosts'
cat > sshd_config <<END
Port 2222
ListenAddress 127.0.0.1
HostKey /run/home/host
AuthorizedKeysFile '/run/home/the key.pub'
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
PidFile none
END
";

/// Makes keys and configuration.
pub fn set_up(host: &Host) -> Result<()> {
    host.sh(&SET_UP.replace("'/run/home/the key.pub'", "\"/run/home/the key.pub\""))
        .ok()
        .map(drop)
}

/// Starts it; it ends with what is returned.
pub fn start(host: &Host) -> Result<Running> {
    let program = place::built("tools/openssh-server/usr/sbin/sshd")?;
    let libraries = place::built("tools/libwrap0/usr/lib")?;
    let script = format!(
        "export LD_LIBRARY_PATH=$(echo {}/*-linux-gnu); exec {} -D -e -f /run/home/sshd_config",
        libraries.display(),
        program.display()
    );
    let running = host.sh(&script).start()?;
    wait_until("sshd", Duration::from_secs(20), || {
        host.sh(&format!(
            "ssh-keyscan -p {PORT} 127.0.0.1 2>/dev/null | grep -q ."
        ))
        .ok()
    })?;
    Ok(running)
}
