//! Takes in connections from others and learns from their first frame what they are for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::conn::{Frame, ReadError, read_head};
use crate::connect::arrived;
use crate::reach::Introduced;
use crate::session::Session;
use crate::wire::{Channel, PeerInit};

/// Patience for the first frame.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, usually for want of file descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// Accepts until the session ends.
pub(crate) fn start(session: &Arc<Session>, listener: TcpListener, obfuscated: bool) {
    let listening = Arc::clone(session);
    session.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => greet(&listening, stream, from.ip(), obfuscated),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    });
}

fn greet(session: &Arc<Session>, stream: TcpStream, from: IpAddr, obfuscated: bool) {
    if session.manners.banned.has_address(from) {
        return tracing::debug!(%from, "a banned address");
    }
    let mut place = session.greetings.enter(from);
    let greeting = Arc::clone(session);
    session.spawn(async move {
        let _ = stream.set_nodelay(true);
        let mut caller = Introduced { stream, obfuscated, certain: true };
        let frame = match place.within(introduction(&mut caller)).await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return tracing::debug!(%error, "a connection did not introduce itself");
            }
            None => return tracing::debug!(%from, "others want to introduce themselves, too"),
        };
        drop(place);
        match PeerInit::decode(frame.code, &frame.body) {
            Ok(PeerInit::Hello { user, kind, .. }) => arrived(&greeting, &user, kind, caller),
            Ok(PeerInit::PierceFirewall { token }) => {
                greeting.invitations.accepted(&greeting, token, caller);
            }
            Ok(PeerInit::Unknown { code, .. }) => {
                tracing::debug!(code, "a connection introduced itself strangely");
            }
            Err(error) => tracing::debug!(%error, "a connection introduced itself strangely"),
        }
    });
}

/// The first frame.
async fn introduction(caller: &mut Introduced) -> Result<Frame, ReadError> {
    let Introduced { stream, obfuscated, .. } = caller;
    let head = read_head(stream, Channel::Init, GREETING_PATIENCE, *obfuscated).await?;
    head.read_body(stream, Channel::Init).await
}
