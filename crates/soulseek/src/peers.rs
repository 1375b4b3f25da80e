//! Message connections (`P`): which user has which open, sending on them, acting on what comes.
//!
//! A user may have several open at once, because both sides dial. Messages go out on the newest;
//! the older ones are read until the other side closes them or they fall silent, since a message
//! already under way on them must not be lost. SOULSEEK.md 2.3.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::conn::{Frame, read_frame, write_all};
use crate::connect::{ConnectError, open};
use crate::session::{Session, lock};
use crate::wire::peer::{DIRECTION_UPLOAD, FolderContents, ShareList, UserInfo, Verdict, reason};
use crate::wire::{Channel, ConnectionKind, DecodeError, PeerMessage};

/// A message connection that says nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// Messages that may wait to be written to one connection.
const OUTBOX: usize = 64;
/// Message connections in all; more than this are turned away.
const LINKS: usize = 600;
/// Message connections of one user; two honest clients never need more than a few.
const LINKS_PER_USER: usize = 8;

/// Every open message connection.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    links: Mutex<HashMap<String, Vec<Link>>>,
    /// One dialler at a time per user.
    gates: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    appeared: Notify,
    next_link: AtomicU64,
}

/// The writing end of one message connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    number: u64,
    outbox: mpsc::Sender<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    written: oneshot::Sender<()>,
}

/// The connection closed before the message was written.
#[derive(Debug)]
pub(crate) struct LinkClosed;

impl Link {
    /// Writes a message, returning once the socket has taken it.
    pub(crate) async fn send(&self, message: &PeerMessage) -> Result<(), LinkClosed> {
        let (written, done) = oneshot::channel();
        let outgoing = Outgoing { frame: message.encode(), written };
        self.outbox.send(outgoing).await.map_err(|_| LinkClosed)?;
        done.await.map_err(|_| LinkClosed)
    }

    /// Writes a message when there is room, without waiting for it.
    pub(crate) fn mention(&self, message: &PeerMessage) {
        let (written, _) = oneshot::channel();
        let _ = self.outbox.try_send(Outgoing { frame: message.encode(), written });
    }
}

/// Sends a message to a user over the newest connection, opening one if there is none.
pub(crate) async fn send(
    session: &Arc<Session>,
    user: &str,
    message: &PeerMessage,
) -> Result<(), ConnectError> {
    // A connection found open may be closing; every failure removes one, and one is then dialled.
    for _ in 0..=LINKS_PER_USER {
        let link = link_to(session, user).await?;
        if link.send(message).await.is_ok() {
            return Ok(());
        }
        session.peers.remove(user, link.number);
    }
    Err(ConnectError::Unreachable)
}

async fn link_to(session: &Arc<Session>, user: &str) -> Result<Link, ConnectError> {
    let peers = &session.peers;
    if let Some(link) = peers.newest(user) {
        return Ok(link);
    }
    let gate = Arc::clone(lock(&peers.gates).entry(user.to_owned()).or_default());
    let passed = gate.lock().await;
    let linked = tokio::select! {
        biased;
        link = peers.appears(user) => Ok(link),
        opened = open(session, user, ConnectionKind::Peer) => match opened {
            Ok(stream) => adopt(session, user, stream).ok_or(ConnectError::Unreachable),
            Err(error) => Err(error),
        },
    };
    drop(passed);
    drop(gate);
    // A gate only the map knows is one nobody waits at.
    lock(&peers.gates).retain(|_, gate| Arc::strong_count(gate) > 1);
    linked
}

/// Takes an introduced connection into use: from now on it is read, and messages may go out on it.
pub(crate) fn adopt(session: &Arc<Session>, user: &str, stream: TcpStream) -> Option<Link> {
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let number = session.peers.next_link.fetch_add(1, Ordering::Relaxed);
    let link = Link { number, outbox };
    {
        let mut links = lock(&session.peers.links);
        let open: usize = links.values().map(Vec::len).sum();
        let of_user = links.entry(user.to_owned()).or_default();
        if open >= LINKS || of_user.len() >= LINKS_PER_USER {
            tracing::debug!(user, open, "too many message connections");
            return None;
        }
        of_user.push(link.clone());
    }
    session.peers.appeared.notify_waiters();
    let (read_half, write_half) = stream.into_split();
    start_writing(session, user.to_owned(), number, write_half, outgoing);
    start_reading(session, user.to_owned(), link.clone(), read_half);
    Some(link)
}

fn start_writing(
    session: &Arc<Session>,
    user: String,
    number: u64,
    mut stream: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    let writing = Arc::clone(session);
    session.spawn(async move {
        while let Some(Outgoing { frame, written }) = outgoing.recv().await {
            if let Err(error) = write_all(&mut stream, &frame).await {
                tracing::debug!(user, %error, "a message was not written");
                break;
            }
            let _ = written.send(());
        }
        writing.peers.remove(&user, number);
    });
}

fn start_reading(session: &Arc<Session>, user: String, link: Link, mut stream: OwnedReadHalf) {
    let reading = Arc::clone(session);
    session.spawn(async move {
        let end = loop {
            let frame = match read_frame(&mut stream, Channel::Peer, IDLE).await {
                Ok(frame) => frame,
                Err(end) => break end,
            };
            match decode(&frame) {
                Ok(message) => act(&reading, &user, &link, message).await,
                // The frame's length was right, so the next message is still readable.
                Err(error) => tracing::debug!(user, code = frame.code, %error, "unreadable"),
            }
        };
        tracing::trace!(user, %end, "message connection closed");
        reading.peers.remove(&user, link.number);
    });
}

/// Reads a message, unless it answers what we never ask: 64 KiB of a share list may unpack to millions
/// of folders, which would fill the memory only to be thrown away.
fn decode(frame: &Frame) -> Result<PeerMessage, DecodeError> {
    match frame.code {
        code @ (5 | 16 | 37) => Ok(PeerMessage::Unknown { code, body: Vec::new() }),
        code => PeerMessage::decode(code, &frame.body),
    }
}

async fn act(session: &Arc<Session>, user: &str, link: &Link, message: PeerMessage) {
    match message {
        PeerMessage::SearchAnswer { answer } => session.searches.answered(user, answer),
        PeerMessage::TransferRequest {
            direction: DIRECTION_UPLOAD,
            token,
            path,
            size: Some(size),
        } => session.downloads.offered(user, &path, token, size, link),
        PeerMessage::TransferRequest { direction: DIRECTION_UPLOAD, token, .. } => {
            let verdict = Verdict::Declined { reason: reason::CANCELLED.to_owned() };
            reply(link, &PeerMessage::TransferResponse { token, verdict }).await;
        }
        // Asked the old way: the answer is to wait for our own request. SOULSEEK.md 2.5.
        PeerMessage::TransferRequest { token, path, .. } => {
            let why = match crate::upload::queue(session, user, &path) {
                Ok(()) => reason::QUEUED,
                Err(why) => why,
            };
            let verdict = Verdict::Declined { reason: why.to_owned() };
            reply(link, &PeerMessage::TransferResponse { token, verdict }).await;
        }
        PeerMessage::TransferResponse { token, verdict } => {
            session.uploads.judged(user, token, verdict);
        }
        PeerMessage::QueueUpload { path } => {
            if let Err(why) = crate::upload::queue(session, user, &path) {
                let reason = why.to_owned();
                reply(link, &PeerMessage::UploadDenied { path, reason }).await;
            }
        }
        PeerMessage::GetPlaceInQueue { path } => {
            if let Some(place) = session.uploads.place(user, &path) {
                reply(link, &PeerMessage::PlaceInQueue { path, place }).await;
            }
        }
        PeerMessage::PlaceInQueue { path, place } => session.downloads.placed(user, &path, place),
        PeerMessage::UploadFailed { path } => session.downloads.failed(user, &path),
        PeerMessage::UploadDenied { path, reason } => {
            session.downloads.denied(user, &path, reason);
        }
        PeerMessage::GetUserInfo {} => {
            let load = session.uploads.load();
            let info = UserInfo {
                description: session.description.clone(),
                picture: None,
                upload_slots: load.slots,
                queue_length: load.waiting,
                free_slot: load.free_slot,
                permission: None,
            };
            reply(link, &PeerMessage::UserInfo { info }).await;
        }
        PeerMessage::GetShareList {} => {
            let shares = session.shares();
            // A large list takes a while to pack, and other connections should not wait for it.
            let packed = tokio::task::spawn_blocking(move || {
                let folders = shares.listing();
                PeerMessage::ShareList { list: ShareList { folders, private_folders: Vec::new() } }
            });
            if let Ok(message) = packed.await {
                reply(link, &message).await;
            }
        }
        PeerMessage::GetFolder { token, folder } => {
            let folders = session.shares().folder(&folder);
            let contents = FolderContents { token, folder, folders };
            reply(link, &PeerMessage::Folder { contents }).await;
        }
        PeerMessage::ShareList { .. }
        | PeerMessage::UserInfo { .. }
        | PeerMessage::Folder { .. }
        | PeerMessage::Unknown { .. } => tracing::debug!(user, "an answer nobody asked for"),
    }
}

async fn reply(link: &Link, message: &PeerMessage) {
    if link.send(message).await.is_err() {
        tracing::debug!("a connection closed before its question was answered");
    }
}

impl Peers {
    fn newest(&self, user: &str) -> Option<Link> {
        lock(&self.links).get(user)?.iter().rev().find(|link| !link.outbox.is_closed()).cloned()
    }

    async fn appears(&self, user: &str) -> Link {
        loop {
            let appeared = self.appeared.notified();
            tokio::pin!(appeared);
            // Registered before looking, so that nothing appears in between.
            appeared.as_mut().enable();
            if let Some(link) = self.newest(user) {
                return link;
            }
            appeared.await;
        }
    }

    fn remove(&self, user: &str, number: u64) {
        let mut links = lock(&self.links);
        if let Some(of_user) = links.get_mut(user) {
            of_user.retain(|link| link.number != number);
            if of_user.is_empty() {
                links.remove(user);
            }
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.links).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_nobody_asked_for_is_not_unpacked() {
        let list = ShareList { folders: Vec::new(), private_folders: Vec::new() };
        let info = UserInfo {
            description: String::new(),
            picture: None,
            upload_slots: 1,
            queue_length: 0,
            free_slot: true,
            permission: None,
        };
        let contents = FolderContents { token: 1, folder: String::new(), folders: Vec::new() };
        for message in [
            PeerMessage::ShareList { list },
            PeerMessage::UserInfo { info },
            PeerMessage::Folder { contents },
        ] {
            let (code, body) = (message.code(), message.encode_body());
            let kept = PeerMessage::Unknown { code, body: Vec::new() };
            assert_eq!(decode(&Frame { code, body }), Ok(kept));
        }
        let (code, body) = (15, Vec::new());
        assert_eq!(decode(&Frame { code, body }), Ok(PeerMessage::GetUserInfo {}));
    }
}
