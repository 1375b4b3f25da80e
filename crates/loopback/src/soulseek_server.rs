//! A Soulseek server for one machine: lets clients find each other on loopback addresses.
//!
//! It keeps accounts and who is online, relays what servers relay, offers parents to those without
//! one, and hands every search to the roots. It keeps private messages until they are acknowledged.
//! There are no rooms.
//! Messages are `soulseek::wire::server`; facts are in `SOULSEEK.md`.

mod chat;
mod online;
mod requests;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use soulseek::conn::{read_frame, write_all};
use soulseek::wire::server::LoginAnswer;
use soulseek::wire::{Channel, ServerMessage, ServerRequest};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;

pub use tree::Branch;

use online::World;

/// Time to log in.
const LOGIN_PATIENCE: Duration = Duration::from_secs(60);
/// Clients ping at least every five minutes.
const SILENCE: Duration = Duration::from_secs(900);
/// Time for a client that was thrown out to read why and leave.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often those without a parent are offered one.
const OFFERS_EVERY: Duration = Duration::from_secs(1);
/// Messages that may wait to be written to one client.
const OUTBOX: usize = 1_024;

/// A running server. Dropping it closes every connection.
#[derive(Debug)]
pub struct SoulseekServer {
    address: SocketAddr,
    world: Arc<World>,
    accepting: JoinHandle<()>,
}

impl SoulseekServer {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> io::Result<SoulseekServer> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::default());
        let accepting = tokio::spawn(accept(Arc::clone(&world), listener));
        Ok(SoulseekServer { address, world, accepting })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where everybody who is online stands in the distributed network, by user.
    pub fn branches(&self) -> Vec<Branch> {
        let state = self.world.state();
        let mut branches: Vec<_> =
            state.online.values().map(|online| online.branch.clone()).collect();
        branches.sort_by(|one, other| one.user.cmp(&other.user));
        branches
    }

    /// Sends message 130 to everybody: the distributed network starts over.
    pub fn reset_distributed(&self) {
        for online in self.world.state().online.values() {
            online.send(ServerMessage::ResetDistributed {});
        }
    }

    /// Who broke which rule of the distributed network, in words.
    pub fn violations(&self) -> Vec<String> {
        self.world.state().violations.clone()
    }
}

impl Drop for SoulseekServer {
    fn drop(&mut self) {
        // The set of connections lives in this task and goes with it.
        self.accepting.abort();
    }
}

async fn accept(world: Arc<World>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut offers = interval(OFFERS_EVERY);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = offers.tick() => {
                tree::offer_parents(&world.state());
                continue;
            }
        };
        match accepted {
            Ok((stream, from)) => {
                connections.spawn(serve(Arc::clone(&world), stream, from));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(world: Arc<World>, mut stream: TcpStream, from: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let Some((user, password, digest)) = read_login(&mut stream).await else { return };
    let (outbox, mut outgoing) = mpsc::channel::<ServerMessage>(OUTBOX);
    let visit = match world.log_in(&user, &password, &digest, from.ip(), outbox) {
        Ok(visit) => visit,
        Err(refusal) => {
            let _ = write_all(&mut stream, &refuse(refusal).encode()).await;
            return;
        }
    };
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        while let Some(message) = outgoing.recv().await {
            let kicked = matches!(message, ServerMessage::Relogged {});
            if write_all(&mut writing, &message.encode()).await.is_err() {
                return;
            }
            if kicked {
                // Closing on top of unread requests would destroy the message just written.
                let _ = writing.shutdown().await;
                return tokio::time::sleep(FAREWELL).await;
            }
        }
    };
    let read = async {
        loop {
            let frame = match read_frame(&mut reading, Channel::ToServer, SILENCE).await {
                Ok(frame) => frame,
                Err(error) => return tracing::debug!(user, %error, "client left"),
            };
            match ServerRequest::decode(frame.code, &frame.body) {
                Ok(request) => requests::act(&world, &visit, request),
                Err(error) => tracing::debug!(user, code = frame.code, %error, "unreadable"),
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    world.log_out(&visit);
}

async fn read_login(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let frame = read_frame(stream, Channel::ToServer, LOGIN_PATIENCE).await.ok()?;
    match ServerRequest::decode(frame.code, &frame.body) {
        Ok(ServerRequest::Login { user, password, digest, .. }) => Some((user, password, digest)),
        _ => None,
    }
}

fn refuse(refusal: online::Refusal) -> ServerMessage {
    let (reason, detail) = match refusal {
        online::Refusal::InvalidName(detail) => ("INVALIDUSERNAME", Some(detail.to_owned())),
        online::Refusal::EmptyPassword => ("EMPTYPASSWORD", None),
        online::Refusal::WrongPassword => ("INVALIDPASS", None),
    };
    ServerMessage::Login { answer: LoginAnswer::Refused { reason: reason.to_owned(), detail } }
}
