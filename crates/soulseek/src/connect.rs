//! Opens a connection to a user: directly and by invitation at once, the first to succeed wins.
//!
//! ```text
//! we ── 3 GetPeerAddress ──▶ server ──▶ dial them ─────────────┐
//! we ── 18 ConnectToPeer ──▶ server ──▶ they dial us, token ───┴─▶ first one is used
//! ```
//! What a connection is used for is decided by [`crate::peers`], [`crate::download`],
//! [`crate::upload`] and [`crate::distributed`]. SOULSEEK.md 2.3.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::distributed::News;
use crate::reach::{Introduced, Listening, call};
use crate::session::{Session, SessionEnded, lock};
use crate::wire::{ConnectionKind, PeerInit, ServerRequest};

/// Patience for the server to tell an address.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);
/// Patience for the other side to connect to us.
const INVITATION_PATIENCE: Duration = Duration::from_secs(20);
/// How long a token keeps its meaning: slow callers arrive long after the race is decided.
const INVITATION_MEMORY: Duration = Duration::from_secs(180);
/// How many tokens are remembered: others make us connect by searching what we share.
const INVITATIONS: usize = 4_096;

/// Why no connection to a user came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The server knows no address: the user is not logged in.
    Offline,
    /// Neither side could reach the other.
    Unreachable,
    /// The session ended meanwhile.
    SessionEnded,
}

impl From<SessionEnded> for ConnectError {
    fn from(_: SessionEnded) -> ConnectError {
        ConnectError::SessionEnded
    }
}

/// Opens a connection of this kind that is plain from here on; the introduction is already sent or
/// received.
pub(crate) async fn open(
    session: &Arc<Session>,
    user: &str,
    kind: ConnectionKind,
) -> Result<TcpStream, ConnectError> {
    race(session, user, kind).await.map(|introduced| introduced.stream)
}

/// Opens a message connection, obfuscated or not.
pub(crate) async fn open_for_messages(
    session: &Arc<Session>,
    user: &str,
) -> Result<Introduced, ConnectError> {
    race(session, user, ConnectionKind::Peer).await
}

async fn race(
    session: &Arc<Session>,
    user: &str,
    kind: ConnectionKind,
) -> Result<Introduced, ConnectError> {
    let token = session.tokens.next();
    let waiting = session.invitations.send(token, user, kind);
    let mut invited = Invited { session, user, kind, waiting };
    let request = ServerRequest::ConnectToPeer { token, user: user.to_owned(), kind };
    session.tell_server(request).await?;

    let mut direct = pin!(direct(session, user, kind));
    let mut patience = pin!(tokio::time::sleep(INVITATION_PATIENCE));
    let (mut direct_failed, mut indirect_failed) = (false, false);
    while !(direct_failed && indirect_failed) {
        tokio::select! {
            dialled = &mut direct, if !direct_failed => match dialled {
                Ok(stream) => return Ok(stream),
                Err(ConnectError::Unreachable) => direct_failed = true,
                Err(error) => return Err(error),
            },
            called = &mut invited.waiting, if !indirect_failed => match called {
                Ok(Some(stream)) => return Ok(stream),
                Ok(None) => indirect_failed = true,
                Err(_) => return Err(ConnectError::SessionEnded),
            },
            () = &mut patience, if !indirect_failed => indirect_failed = true,
        }
    }
    Err(ConnectError::Unreachable)
}

/// The receiving end of an invitation.
struct Invited<'a> {
    session: &'a Arc<Session>,
    user: &'a str,
    kind: ConnectionKind,
    waiting: oneshot::Receiver<Option<Introduced>>,
}

impl Drop for Invited<'_> {
    fn drop(&mut self) {
        // Their call may have come in the very moment another way won; it is put to use as well.
        self.waiting.close();
        if let Ok(Some(stream)) = self.waiting.try_recv() {
            called_late(self.session, self.user, self.kind, stream);
        }
    }
}

async fn direct(
    session: &Session,
    user: &str,
    kind: ConnectionKind,
) -> Result<Introduced, ConnectError> {
    let listening = timeout(ADDRESS_PATIENCE, session.addresses.ask(session, user))
        .await
        .map_err(|_| ConnectError::Unreachable)??;
    if listening.is_offline() {
        return Err(ConnectError::Offline);
    }
    if listening.is_banned(session) {
        return Err(ConnectError::Unreachable);
    }
    let hello = PeerInit::Hello { user: session.user.clone(), kind, number: 0 };
    call(session, listening, &hello).await.map_err(|_| ConnectError::Unreachable)
}

/// Message 18: dials a user who asked for it; tells the server (1001) when that fails.
pub(crate) fn return_call(
    session: &Arc<Session>,
    user: String,
    kind: ConnectionKind,
    listening: Listening,
    token: u32,
) {
    let refusal = ServerRequest::CantConnectToPeer { token, user: user.clone() };
    if listening.is_banned(session) {
        return session.mention_to_server(refusal);
    }
    let mut place = session.return_calls.enter(user.clone());
    let calling = Arc::clone(session);
    session.spawn(async move {
        let introduction = PeerInit::PierceFirewall { token };
        match place.within(call(&calling, listening, &introduction)).await {
            Some(Ok(introduced)) => arrived(&calling, &user, kind, introduced),
            Some(Err(_)) | None => calling.mention_to_server(refusal),
        }
    });
}

/// Puts an introduced connection that nobody waits for to its use.
pub(crate) fn arrived(
    session: &Arc<Session>,
    user: &str,
    kind: ConnectionKind,
    introduced: Introduced,
) {
    match kind {
        ConnectionKind::Peer => {
            crate::peers::adopt(session, user, introduced);
        }
        ConnectionKind::File => crate::download::file_arrived(session, user, introduced.stream),
        // Message connections are kept, so that they hear that nothing is shared with them.
        ConnectionKind::Distributed if session.manners.banned.has_user(user) => {}
        ConnectionKind::Distributed => {
            let user = user.to_owned();
            let stream = introduced.stream;
            crate::distributed::arrived(session, News::ChildArrived { user, stream });
        }
    }
}

/// Puts a connection to use that we asked for and that another way has beaten. The other side may
/// already have spoken on it.
fn called_late(session: &Arc<Session>, user: &str, kind: ConnectionKind, late: Introduced) {
    match kind {
        ConnectionKind::Peer => arrived(session, user, kind, late),
        // The faster one carries the file and this one never spoke.
        ConnectionKind::File => {}
        ConnectionKind::Distributed => {
            let user = user.to_owned();
            let stream = late.stream;
            crate::distributed::arrived(session, News::CandidateArrived { user, stream });
        }
    }
}

/// Who was asked, with which token, to connect to us.
#[derive(Debug, Default)]
pub(crate) struct Invitations {
    sent: Mutex<HashMap<u32, Invitation>>,
}

#[derive(Debug)]
struct Invitation {
    user: String,
    kind: ConnectionKind,
    at: Instant,
    /// `None` is told when the other side says it cannot.
    waiter: Option<oneshot::Sender<Option<Introduced>>>,
}

impl Invitation {
    fn is_decided(&self) -> bool {
        self.waiter.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Invitations {
    fn send(
        &self,
        token: u32,
        user: &str,
        kind: ConnectionKind,
    ) -> oneshot::Receiver<Option<Introduced>> {
        let (waiter, called) = oneshot::channel();
        let mut sent = lock(&self.sent);
        sent.retain(|_, invitation| invitation.at.elapsed() < INVITATION_MEMORY);
        // Those somebody waits at are as few as we have connections under way.
        if sent.len() >= INVITATIONS
            && let Some(oldest) = sent
                .iter()
                .filter(|(_, invitation)| invitation.is_decided())
                .min_by_key(|(_, invitation)| invitation.at)
                .map(|(&token, _)| token)
        {
            sent.remove(&oldest);
        }
        let invitation =
            Invitation { user: user.to_owned(), kind, at: Instant::now(), waiter: Some(waiter) };
        sent.insert(token, invitation);
        called
    }

    /// `PierceFirewall` came in with this token.
    pub(crate) fn accepted(&self, session: &Arc<Session>, token: u32, caller: Introduced) {
        let (user, kind, waiter) = {
            let mut sent = lock(&self.sent);
            let Some(invitation) = sent.get_mut(&token) else {
                tracing::debug!(token, "a call returned that nobody asked for");
                return;
            };
            (invitation.user.clone(), invitation.kind, invitation.waiter.take())
        };
        let late = match waiter {
            Some(waiter) => waiter.send(Some(caller)).err().flatten(),
            None => Some(caller),
        };
        if let Some(stream) = late {
            called_late(session, &user, kind, stream);
        }
    }

    /// Message 1001: the other side cannot reach us.
    pub(crate) fn declined(&self, token: u32) {
        let waiter =
            lock(&self.sent).get_mut(&token).and_then(|invitation| invitation.waiter.take());
        if let Some(waiter) = waiter {
            let _ = waiter.send(None);
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.sent).clear();
    }
}

/// Who waits for the server to tell which address.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<Listening>>>>,
}

impl Addresses {
    async fn ask(&self, session: &Session, user: &str) -> Result<Listening, ConnectError> {
        let (waiter, told) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            // A server that never tells leaves them behind when they lose their patience.
            waiting.retain(|_, waiters| {
                waiters.retain(|waiter| !waiter.is_closed());
                !waiters.is_empty()
            });
            waiting.entry(user.to_owned()).or_default().push(waiter);
        }
        session.tell_server(ServerRequest::GetPeerAddress { user: user.to_owned() }).await?;
        told.await.map_err(|_| ConnectError::SessionEnded)
    }

    /// Message 3.
    pub(crate) fn told(&self, user: &str, listening: Listening) {
        let waiters = lock(&self.waiting).remove(user).unwrap_or_default();
        for waiter in waiters {
            let _ = waiter.send(listening);
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.waiting).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::offline;
    use crate::shares::Shares;

    #[test]
    fn invitations_are_forgotten_before_they_fill_the_memory() {
        let invitations = Invitations::default();
        let kind = ConnectionKind::Peer;
        let waiting = invitations.send(0, "ada", kind);
        for token in 1..10_000 {
            drop(invitations.send(token, "mallory", kind));
        }
        let sent = lock(&invitations.sent);
        assert_eq!(sent.len(), INVITATIONS);
        assert!(sent.contains_key(&9_999), "the newest are remembered");
        assert!(sent.contains_key(&0), "somebody waits at the oldest");
        drop(waiting);
    }

    #[tokio::test]
    async fn a_server_that_tells_no_address_leaves_nobody_waiting() {
        let (session, mut requests) = offline(Shares::default());
        for number in 0..100 {
            let asked = session.clone();
            let user = format!("user{number}");
            let asking = tokio::spawn(async move { asked.addresses.ask(&asked, &user).await });
            requests.recv().await.unwrap();
            asking.abort();
            assert!(asking.await.unwrap_err().is_cancelled());
        }
        assert_eq!(lock(&session.addresses.waiting).len(), 1, "the last one");
    }
}
