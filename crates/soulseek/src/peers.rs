//! Message connections (`P`): which user has which open, sending on them, acting on what comes.
//!
//! A user may have several open at once, because both sides dial. Messages go out on the newest one that
//! the other side is known to use; the older ones are read until the other side closes them or they fall
//! silent, since a message already under way on them must not be lost. SOULSEEK.md 2.3.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::browse::Asked;
use crate::conn::{Frame, read_head, write_all};
use crate::connect::{ConnectError, open_for_messages};
use crate::reach::{Introduced, hide};
use crate::session::{Session, lock};
use crate::shares::Shares;
use crate::wire::peer::{
    DIRECTION_UPLOAD, FOLDER, FolderContents, SEARCH_ANSWER, SHARE_LIST, ShareList, USER_INFO,
    UserInfo, Verdict, reason,
};
use crate::wire::{Channel, PeerMessage};

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
    /// Whether the other side is known to use it, see [`Introduced::certain`].
    certain: Arc<AtomicBool>,
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
        self.send_frame(message.encode()).await
    }

    async fn send_frame(&self, frame: Vec<u8>) -> Result<(), LinkClosed> {
        let (written, done) = oneshot::channel();
        let outgoing = Outgoing { frame, written };
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
        opened = open_for_messages(session, user) => match opened {
            Ok(introduced) => adopt(session, user, introduced).ok_or(ConnectError::Unreachable),
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
pub(crate) fn adopt(session: &Arc<Session>, user: &str, introduced: Introduced) -> Option<Link> {
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let number = session.peers.next_link.fetch_add(1, Ordering::Relaxed);
    let Introduced { stream, obfuscated, certain } = introduced;
    let link = Link { number, outbox, certain: Arc::new(AtomicBool::new(certain)) };
    {
        let mut links = lock(&session.peers.links);
        let open: usize = links.values().map(Vec::len).sum();
        let of_user = links.get(user).map_or(0, Vec::len);
        if open >= LINKS || of_user >= LINKS_PER_USER {
            tracing::debug!(user, open, "too many message connections");
            return None;
        }
        // Only now, so that no name is kept whose connection was turned away.
        links.entry(user.to_owned()).or_default().push(link.clone());
    }
    session.peers.appeared.notify_waiters();
    let (read_half, write_half) = stream.into_split();
    start_writing(session, user.to_owned(), number, (write_half, obfuscated), outgoing);
    start_reading(session, user.to_owned(), link.clone(), (read_half, obfuscated));
    Some(link)
}

fn start_writing(
    session: &Arc<Session>,
    user: String,
    number: u64,
    (mut stream, obfuscated): (OwnedWriteHalf, bool),
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    let writing = Arc::clone(session);
    session.spawn(async move {
        while let Some(Outgoing { frame, written }) = outgoing.recv().await {
            let frame = if obfuscated { hide(&frame) } else { frame };
            if let Err(error) = write_all(&mut stream, &frame).await {
                tracing::debug!(user, %error, "a message was not written");
                break;
            }
            let _ = written.send(());
        }
        writing.peers.remove(&user, number);
    });
}

fn start_reading(
    session: &Arc<Session>,
    user: String,
    link: Link,
    (mut stream, obfuscated): (OwnedReadHalf, bool),
) {
    let reading = Arc::clone(session);
    session.spawn(async move {
        let end = loop {
            let head = match read_head(&mut stream, Channel::Peer, IDLE, obfuscated).await {
                Ok(head) => head,
                Err(end) => break end,
            };
            link.certain.store(true, Ordering::Relaxed);
            if let Some(asker) = reading.browses.who_asked_for_list(&user, head.code) {
                match crate::browse::deliver(head, &mut stream, asker).await {
                    Ok(()) => continue,
                    Err(end) => break end,
                }
            }
            let channel = reading.browses.channel(&user, head.code);
            let frame = match head.read_body(&mut stream, channel).await {
                Ok(frame) => frame,
                Err(end) => break end,
            };
            if let Some(message) = understand(&reading, &user, &frame) {
                act(&reading, &user, &link, message).await;
            }
        };
        tracing::trace!(user, %end, "message connection closed");
        reading.peers.remove(&user, link.number);
    });
}

/// Decodes what somebody wants to know. Decided by the code and a few bytes, because a small frame can
/// unpack to a large message, and anybody may send one.
fn understand(session: &Session, user: &str, frame: &Frame) -> Option<PeerMessage> {
    let wanted = match frame.code {
        // One that somebody waits for was taken as it arrived.
        SHARE_LIST => false,
        USER_INFO => session.browses.want(user, Asked::Info),
        FOLDER if session.browses.expect(user, FOLDER) => FolderContents::peek(&frame.body)
            .is_ok_and(|token| session.browses.want(user, Asked::Folder(token))),
        FOLDER => false,
        SEARCH_ANSWER => session.searches.want(user, &frame.body),
        _ => true,
    };
    if !wanted {
        tracing::debug!(user, code = frame.code, "an answer nobody asked for");
        return None;
    }
    // When it cannot be read, the frame's length was right and the next message still can.
    PeerMessage::decode(frame.code, &frame.body)
        .inspect_err(|error| tracing::debug!(user, code = frame.code, %error, "unreadable"))
        .ok()
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
            session.downloads.denied(user, &path, &reason);
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
            reply_from_shares(session, link, |shares| {
                let folders = shares.listing();
                PeerMessage::ShareList { list: ShareList { folders, private_folders: Vec::new() } }
            })
            .await;
        }
        PeerMessage::GetFolder { token, folder } => {
            reply_from_shares(session, link, move |shares| {
                let folders = shares.folder(&folder);
                PeerMessage::Folder { contents: FolderContents { token, folder, folders } }
            })
            .await;
        }
        PeerMessage::UserInfo { .. } => session.browses.answered(user, Asked::Info, message),
        PeerMessage::Folder { ref contents } => {
            let asked = Asked::Folder(contents.token);
            session.browses.answered(user, asked, message);
        }
        // The first is not even decoded, see `understand`.
        PeerMessage::ShareList { .. }
        | PeerMessage::UploadQueued {}
        | PeerMessage::Unknown { .. } => tracing::debug!(user, "a message nobody here knows"),
    }
}

/// Answers with a list of files, once few enough of those are on their way.
async fn reply_from_shares(
    session: &Session,
    link: &Link,
    list: impl FnOnce(&Shares) -> PeerMessage + Send + 'static,
) {
    let Ok(_turn) = session.browsings.acquire().await else { return };
    let shares = session.shares();
    // A large list takes a while to pack, and other connections should not wait for it.
    let packed = tokio::task::spawn_blocking(move || list(&shares).encode());
    if let Ok(frame) = packed.await
        && link.send_frame(frame).await.is_err()
    {
        tracing::debug!("a connection closed before it took our list");
    }
}

async fn reply(link: &Link, message: &PeerMessage) {
    if link.send(message).await.is_err() {
        tracing::debug!("a connection closed before its question was answered");
    }
}

impl Peers {
    fn newest(&self, user: &str) -> Option<Link> {
        let links = lock(&self.links);
        let open =
            || links.get(user).into_iter().flatten().rev().filter(|it| !it.outbox.is_closed());
        open().find(|link| link.certain.load(Ordering::Relaxed)).or_else(|| open().next()).cloned()
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
    use std::path::PathBuf;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::attributes::Attributes;
    use crate::search::Search;
    use crate::session::offline;
    use crate::shares::SharedFile;
    use crate::wire::metered;
    use crate::wire::peer::{FileEntry, FolderEntry, SearchAnswer};

    fn frame(message: &PeerMessage) -> Frame {
        Frame { code: message.code(), body: message.encode_body() }
    }

    /// A link nobody reads from or writes to, and what would be written.
    fn link(number: u64) -> (Link, mpsc::Receiver<Outgoing>) {
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        (Link { number, outbox, certain: Arc::new(AtomicBool::new(true)) }, outgoing)
    }

    /// As many files as one small frame unpacks to.
    fn files() -> Vec<FileEntry> {
        let name = "x".to_owned();
        let (extension, attributes) = (String::new(), Vec::new());
        vec![FileEntry { mark: 1, name, size: 1, extension, attributes }; 20_000]
    }

    fn answer(user: &str, token: u32) -> PeerMessage {
        let user = user.to_owned();
        let (files, private_files) = (files(), Vec::new());
        let (free_slot, speed, queue_length) = (true, 1, 0);
        PeerMessage::SearchAnswer {
            answer: SearchAnswer {
                user,
                token,
                files,
                free_slot,
                speed,
                queue_length,
                private_files,
            },
        }
    }

    #[test]
    fn answers_nobody_asked_for_are_dropped_without_being_unpacked() {
        let (session, _) = offline(Shares::default());
        let folders = vec![FolderEntry { path: String::new(), files: files() }];
        let (token, folder) = (1, String::new());
        let info = UserInfo {
            description: String::new(),
            picture: Some(vec![0; 60_000]),
            upload_slots: 1,
            queue_length: 0,
            free_slot: true,
            permission: None,
        };
        for message in [
            PeerMessage::ShareList {
                list: ShareList { folders: folders.clone(), private_folders: Vec::new() },
            },
            PeerMessage::UserInfo { info },
            PeerMessage::Folder { contents: FolderContents { token, folder, folders } },
        ] {
            let frame = frame(&message);
            assert!(frame.body.len() < 64 << 10);
            let (understood, unpacked) = metered(|| understand(&session, "mallory", &frame));
            assert_eq!((understood, unpacked), (None, 0), "code {}", frame.code);
        }
    }

    #[test]
    fn a_search_answer_is_unpacked_only_for_whom_and_what_it_says_truly() {
        let (session, _) = offline(Shares::default());
        let search = Search::begin(&session);
        let look = |message: &PeerMessage| {
            let frame = frame(message);
            let (understood, unpacked) = metered(|| understand(&session, "ada", &frame));
            (understood.is_some(), unpacked)
        };
        for (user, token) in [("ada", search.token().wrapping_add(1)), ("bo", search.token())] {
            let (understood, unpacked) = look(&answer(user, token));
            assert!(!understood && unpacked < 1_000, "{unpacked} bytes");
        }
        let wanted = answer("ada", search.token());
        assert!(look(&wanted).0);
        drop(search);
        assert!(!look(&wanted).0, "nobody listens any more");
    }

    #[test]
    fn a_call_returned_too_late_does_not_swallow_messages() {
        let peers = Peers::default();
        let (direct, _kept) = link(1);
        let (returned, _open) = link(2);
        returned.certain.store(false, Ordering::Relaxed);
        let numbers = || peers.newest("ada").map(|link| link.number);
        lock(&peers.links).insert("ada".to_owned(), vec![returned.clone()]);
        assert_eq!(numbers(), Some(2), "better than none");
        lock(&peers.links).insert("ada".to_owned(), vec![direct, returned.clone()]);
        assert_eq!(numbers(), Some(1));
        returned.certain.store(true, Ordering::Relaxed);
        assert_eq!(numbers(), Some(2), "the other side spoke on it");
    }

    #[tokio::test]
    async fn turning_a_connection_away_leaves_no_trace_of_it() {
        let (session, _) = offline(Shares::default());
        for number in 0..LINKS {
            let user = format!("user{}", number / LINKS_PER_USER);
            lock(&session.peers.links).entry(user).or_default().push(link(number as u64).0);
        }
        let known = lock(&session.peers.links).len();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for user in ["mallory1", "mallory2"] {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let introduced = Introduced { stream, obfuscated: false, certain: true };
            assert!(adopt(&session, user, introduced).is_none());
        }
        assert_eq!(lock(&session.peers.links).len(), known);
    }

    #[tokio::test]
    async fn only_a_few_lists_are_on_their_way_at_once() {
        let shares = Shares::new([SharedFile {
            virtual_path: r"Music\Album\1.flac".to_owned(),
            local_path: PathBuf::from("/nowhere"),
            size: 1,
            attributes: Attributes::default(),
        }]);
        let (session, _) = offline(shares);
        // Every one of them is packed, and nobody takes it.
        let links: Vec<_> = (0..20).map(link).collect();
        for (at, (link, _)) in links.iter().enumerate() {
            let (asked, link) = (Arc::clone(&session), link.clone());
            let message = if at % 2 == 0 {
                PeerMessage::GetShareList {}
            } else {
                PeerMessage::GetFolder { token: 1, folder: "Music".to_owned() }
            };
            session.spawn(async move { act(&asked, "mallory", &link, message).await });
        }
        let waiting = || links.iter().filter(|(_, outgoing)| !outgoing.is_empty()).count();
        while waiting() < 4 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(waiting(), 4);
    }
}
