//! Takes in connections from others and learns from their first frame what they are for.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::conn::read_head;
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
                Ok((stream, _)) => greet(&listening, stream, obfuscated),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    });
}

fn greet(session: &Arc<Session>, mut stream: TcpStream, obfuscated: bool) {
    let Ok(permit) = Arc::clone(&session.greetings).try_acquire_owned() else {
        tracing::debug!("too many connections are introducing themselves");
        return;
    };
    let greeting = Arc::clone(session);
    session.spawn(async move {
        let _ = stream.set_nodelay(true);
        let head = read_head(&mut stream, Channel::Init, GREETING_PATIENCE, obfuscated).await;
        let frame = match head {
            Ok(head) => head.read_body(&mut stream, Channel::Init).await,
            Err(error) => Err(error),
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return tracing::debug!(%error, "a connection did not introduce itself"),
        };
        drop(permit);
        let caller = Introduced { stream, obfuscated, certain: true };
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
