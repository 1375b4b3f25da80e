//! Where a user listens, and calling there: obfuscated when both sides can, plain otherwise.
//!
//! Who is called when, and who calls us, is [`crate::connect`]. SOULSEEK.md 2.3.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::conn::{dial, write_all};
use crate::session::Session;
use crate::token::random;
use crate::wire::PeerInit;
use crate::wire::obfuscated::{self, obfuscate};

/// Patience for a dialled connection to be established.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// The same on an obfuscated port. Short, because the plain one is dialled afterwards and the other side
/// waits for both together.
const OBFUSCATED_PATIENCE: Duration = Duration::from_secs(3);

/// A connection between two clients whose first frame is sent or received.
#[derive(Debug)]
pub(crate) struct Introduced {
    pub(crate) stream: TcpStream,
    /// Whether messages on it are obfuscated. Files and the distributed network never are.
    pub(crate) obfuscated: bool,
    /// Whether the other side has use for it. A call we return may come too late: real clients close it
    /// then, and what was written to it meanwhile is lost.
    pub(crate) certain: bool,
}

/// Where a user listens, as messages 3 and 18 tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    ip: Ipv4Addr,
    port: Option<u16>,
    obfuscated_port: Option<u16>,
}

impl Listening {
    /// From the fields of a message; ports that are none are left out.
    pub(crate) fn new(ip: Ipv4Addr, port: u32, kind: u32, obfuscated_port: u32) -> Listening {
        let real = |port| u16::try_from(port).ok().filter(|port| *port != 0);
        let obfuscated_port = real(obfuscated_port).filter(|_| kind == obfuscated::KIND);
        Listening { ip, port: real(port), obfuscated_port }
    }

    /// Whether we have nothing to do with this address.
    pub(crate) fn is_banned(self, session: &Session) -> bool {
        session.manners.banned.has_address(self.ip.into())
    }

    /// All zero: the server knows no address.
    pub(crate) fn is_offline(self) -> bool {
        self.ip.is_unspecified()
    }
}

/// Dials a user and says who calls.
pub(crate) async fn call(
    session: &Session,
    to: Listening,
    introduction: &PeerInit,
) -> io::Result<Introduced> {
    let frame = introduction.encode();
    let certain = matches!(introduction, PeerInit::Hello { .. });
    if let Some(port) = to.obfuscated_port.filter(|_| session.obfuscates) {
        let dialled = async {
            let address = SocketAddr::from((to.ip, port));
            let mut stream = dial(address, session.local, OBFUSCATED_PATIENCE).await?;
            write_all(&mut stream, &hide(&frame)).await?;
            io::Result::Ok(stream)
        };
        match dialled.await {
            Ok(stream) => return Ok(Introduced { stream, obfuscated: true, certain }),
            // Routers are set up for one port more often than for two.
            Err(error) => tracing::debug!(%error, "the obfuscated port does not answer"),
        }
    }
    let port = to.port.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = dial(SocketAddr::from((to.ip, port)), session.local, DIAL_PATIENCE).await?;
    write_all(&mut stream, &frame).await?;
    Ok(Introduced { stream, obfuscated: false, certain })
}

/// Obfuscates a frame with a key of its own.
fn hide(frame: &[u8]) -> Vec<u8> {
    obfuscate(frame, random().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_none_or_of_another_kind_is_not_called() {
        let ip = Ipv4Addr::new(127, 0, 0, 9);
        let ports = |port, kind, obfuscated_port| {
            let told = Listening::new(ip, port, kind, obfuscated_port);
            (told.port, told.obfuscated_port)
        };
        assert_eq!(ports(2234, 1, 2235), (Some(2234), Some(2235)));
        assert_eq!(ports(0, 0, 2235), (None, None));
        assert_eq!(ports(70_000, 2, 2235), (None, None));
        assert_eq!(ports(2234, 1, 0), (Some(2234), None));
        assert!(Listening::new(Ipv4Addr::UNSPECIFIED, 0, 0, 0).is_offline());
    }
}
