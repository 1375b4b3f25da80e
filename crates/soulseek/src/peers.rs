//! Message connections (`P`): which user has which open, sending on them, acting on what comes.
//!
//! A user may have several open at once, because both sides dial. Messages go out on the newest one that
//! the other side is known to use; the older ones are read until the other side closes them or they fall
//! silent, since a message already under way on them must not be lost. SOULSEEK.md 2.3.

mod links;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::browse::Asked;
use crate::conn::{Frame, Head, ReadError, read_head, write_all};
use crate::connect::{ConnectError, open_for_messages};
use crate::reach::Introduced;
use crate::session::{Session, lock};
use crate::shares::{Shares, StoredList};
use crate::token::random;
use crate::wire::obfuscated::Keystream;
use crate::wire::peer::{
    DIRECTION_UPLOAD, FOLDER, FolderContents, SEARCH_ANSWER, SHARE_LIST, USER_INFO, UserInfo,
    Verdict, reason,
};
use crate::wire::{Channel, PeerMessage};
use links::LINKS_PER_USER;
pub(crate) use links::Peers;

/// A message connection that says nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// Messages that may wait to be written to one connection.
const OUTBOX: usize = 64;
/// A message of so many bytes may be read at any time: all requests and most answers.
const SHORT: usize = 32 << 10;

/// The writing end of one message connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    number: u64,
    address: IpAddr,
    outbox: mpsc::Sender<Outgoing>,
    /// Whether the other side is known to use it, see [`Introduced::certain`].
    certain: Arc<AtomicBool>,
    /// Closed when another connection needs the room.
    put_out: Arc<Semaphore>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    /// What follows the frame's beginning and is read from disk while it is written.
    stored: Option<StoredList>,
    written: oneshot::Sender<()>,
}

/// The connection closed before the message was written.
#[derive(Debug)]
pub(crate) struct LinkClosed;

impl Link {
    /// Writes a message, returning once the socket has taken it.
    pub(crate) async fn send(&self, message: &PeerMessage) -> Result<(), LinkClosed> {
        self.send_frame(message.encode(), None).await
    }

    async fn send_frame(
        &self,
        frame: Vec<u8>,
        stored: Option<StoredList>,
    ) -> Result<(), LinkClosed> {
        let (written, done) = oneshot::channel();
        let outgoing = Outgoing { frame, stored, written };
        self.outbox.send(outgoing).await.map_err(|_| LinkClosed)?;
        done.await.map_err(|_| LinkClosed)
    }

    /// Writes a message when there is room, without waiting for it.
    pub(crate) fn mention(&self, message: &PeerMessage) {
        let (written, _) = oneshot::channel();
        let _ = self.outbox.try_send(Outgoing { frame: message.encode(), stored: None, written });
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
    let address = stream.peer_addr().ok()?.ip();
    let (put_out, certain) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(certain)));
    let link = Link { number, address, outbox, certain, put_out };
    session.peers.admit(user, &link);
    session.peers.appeared.notify_waiters();
    let (read_half, write_half) = stream.into_split();
    start_writing(session, user.to_owned(), &link, (write_half, obfuscated), outgoing);
    start_reading(session, user.to_owned(), link.clone(), (read_half, obfuscated));
    Some(link)
}

fn start_writing(
    session: &Arc<Session>,
    user: String,
    link: &Link,
    (mut stream, obfuscated): (OwnedWriteHalf, bool),
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    let (writing, number) = (Arc::clone(session), link.number);
    let put_out = Arc::clone(&link.put_out);
    session.spawn(async move {
        let write = async {
            while let Some(Outgoing { mut frame, stored, written }) = outgoing.recv().await {
                let mut keys = obfuscated.then(|| conceal(&mut frame));
                let mut wrote = write_all(&mut stream, &frame).await;
                if let (Ok(()), Some(list)) = (&wrote, stored) {
                    wrote = write_list(&mut stream, list, &mut keys).await;
                }
                if let Err(error) = wrote {
                    tracing::debug!(user, %error, "a message was not written");
                    break;
                }
                let _ = written.send(());
            }
        };
        tokio::select! {
            () = write => {}
            _ = put_out.acquire() => {}
        }
        // Whoever is not written to is not listened to, either.
        put_out.close();
        writing.peers.remove(&user, number);
    });
}

/// Hides a frame, or its beginning, behind a key; what follows of it is hidden by what is returned.
fn conceal(frame: &mut Vec<u8>) -> Keystream {
    let key = random().to_le_bytes();
    let mut keys = Keystream::new(key);
    keys.apply(frame);
    frame.splice(0..0, key);
    keys
}

async fn write_list(
    stream: &mut OwnedWriteHalf,
    mut list: StoredList,
    keys: &mut Option<Keystream>,
) -> io::Result<()> {
    while list.length() > 0 {
        let reading = tokio::task::spawn_blocking(move || list.take().map(|part| (list, part)));
        let (rest, mut part) = reading.await.map_err(io::Error::other)??;
        if let Some(keys) = keys {
            keys.apply(&mut part);
        }
        write_all(stream, &part).await?;
        list = rest;
    }
    Ok(())
}

fn start_reading(
    session: &Arc<Session>,
    user: String,
    link: Link,
    (mut stream, obfuscated): (OwnedReadHalf, bool),
) {
    let reading = Arc::clone(session);
    session.spawn(async move {
        let read = async {
            loop {
                let head = read_head(&mut stream, Channel::Peer, IDLE, obfuscated).await?;
                link.certain.store(true, Ordering::Relaxed);
                if let Some(asker) = reading.browses.who_asked_for_list(&user, head.code) {
                    crate::browse::deliver(head, &mut stream, asker).await?;
                    continue;
                }
                let frame = read_body(&reading, &user, &link, head, &mut stream).await?;
                if let Some(message) = understand(&reading, &user, link.address, &frame) {
                    act(&reading, &user, &link, message).await;
                }
            }
        };
        tokio::select! {
            end = read => log_end(&user, end),
            _ = link.put_out.acquire() => tracing::debug!(user, "others need the room"),
        }
        reading.peers.remove(&user, link.number);
    });
}

fn log_end(user: &str, end: Result<Infallible, ReadError>) {
    let Err(end) = end;
    tracing::trace!(user, %end, "message connection closed");
}

/// Reads what follows a head. Long messages only so many at a time, so that hundreds of strangers who
/// never come to the end of theirs fill no memory.
async fn read_body(
    session: &Session,
    user: &str,
    link: &Link,
    head: Head,
    stream: &mut OwnedReadHalf,
) -> Result<Frame, ReadError> {
    let channel = session.browses.channel(user, head.code);
    if head.body_bytes(channel)? <= SHORT {
        return head.read_body(stream, channel).await;
    }
    let mut place = session.peers.long_messages.enter(link.address);
    place.within(head.read_body(stream, channel)).await.unwrap_or(Err(ReadError::TimedOut))
}

/// Decodes what somebody wants to know. Decided by the code and a few bytes, because a small frame can
/// unpack to a large message, and anybody may send one.
fn understand(
    session: &Session,
    user: &str,
    address: IpAddr,
    frame: &Frame,
) -> Option<PeerMessage> {
    let ignored = &session.manners.ignored;
    let wanted = match frame.code {
        // One that somebody waits for was taken as it arrived.
        SHARE_LIST => false,
        USER_INFO => session.browses.want(user, Asked::Info),
        FOLDER if session.browses.expect(user, FOLDER) => FolderContents::peek(&frame.body)
            .is_ok_and(|token| session.browses.want(user, Asked::Folder(token))),
        FOLDER => false,
        SEARCH_ANSWER if ignored.has_user(user) || ignored.has_address(address) => false,
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
            let list = shown_to(session, user).list_for(user);
            match stored_frame(SHARE_LIST, list.length()) {
                Some(frame) => show(session, link, link.send_frame(frame, Some(list))).await,
                None => tracing::warn!("our list is longer than any message"),
            }
        }
        PeerMessage::GetFolder { token, folder } => {
            let (shares, asking) = (shown_to(session, user), user.to_owned());
            let packed_and_sent = async {
                let turn = session.packings.acquire().await.map_err(|_| LinkClosed)?;
                // A large folder takes a while to pack, and other connections should not wait for it.
                let packing = tokio::task::spawn_blocking(move || {
                    let folders = shares.folder_for(&asking, &folder);
                    let contents = FolderContents { token, folder, folders };
                    PeerMessage::Folder { contents }.encode()
                });
                let frame = packing.await.map_err(|_| LinkClosed)?;
                drop(turn);
                link.send_frame(frame, None).await
            };
            show(session, link, packed_and_sent).await;
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

/// Sends a list or a folder, which may be large, and whoever asked for it need not take it: at the limit
/// the oldest of whoever has the most under way is broken off.
async fn show(
    session: &Session,
    link: &Link,
    sending: impl Future<Output = Result<(), LinkClosed>>,
) {
    let mut place = session.browsings.enter(link.address);
    match place.within(sending).await {
        Some(Ok(())) => {}
        Some(Err(LinkClosed)) => tracing::debug!("a connection closed before it took our list"),
        None => link.put_out.close(),
    }
}

/// What somebody may see of our shares.
fn shown_to(session: &Session, user: &str) -> Shares {
    if session.manners.banned.has_user(user) { Shares::default() } else { session.shares() }
}

/// Length and code of a message whose body is stored.
fn stored_frame(code: u32, body: u64) -> Option<Vec<u8>> {
    let length = u32::try_from(body.checked_add(4)?).ok()?;
    Some([length.to_le_bytes(), code.to_le_bytes()].concat())
}

async fn reply(link: &Link, message: &PeerMessage) {
    if link.send(message).await.is_err() {
        tracing::debug!("a connection closed before its question was answered");
    }
}

/// A connection to a user that is as good as open, and the frames that go out on it.
#[cfg(test)]
pub(crate) fn test_link(session: &Arc<Session>, user: &str) -> mpsc::Receiver<Vec<u8>> {
    let (outbox, mut outgoing) = mpsc::channel::<Outgoing>(OUTBOX);
    let (address, put_out) = (IpAddr::from([127, 0, 0, 1]), Arc::new(Semaphore::new(0)));
    let certain = Arc::new(AtomicBool::new(true));
    session.peers.admit(user, &Link { number: 0, address, outbox, certain, put_out });
    let (sender, frames) = mpsc::channel(OUTBOX);
    session.spawn(async move {
        while let Some(Outgoing { frame, written, .. }) = outgoing.recv().await {
            let _ = (sender.send(frame).await, written.send(()));
        }
    });
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocklist::Blocklist;
    use crate::manners::Manners;
    use crate::search::Search;
    use crate::session::{BROWSINGS, offline, offline_with};
    use crate::wire::metered;
    use crate::wire::peer::{FileEntry, FolderEntry, SearchAnswer, ShareList};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn frame(message: &PeerMessage) -> Frame {
        Frame { code: message.code(), body: message.encode_body() }
    }

    /// A link nobody reads from or writes to, and what would be written.
    pub(super) fn link(number: u64) -> (Link, mpsc::Receiver<Outgoing>) {
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let (address, put_out) = (IpAddr::from([127, 0, 0, 1]), Arc::new(Semaphore::new(0)));
        let certain = Arc::new(AtomicBool::new(true));
        (Link { number, address, outbox, certain, put_out }, outgoing)
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
            let (understood, unpacked) = metered(|| understand(&session, "mallory", HERE, &frame));
            assert_eq!((understood, unpacked), (None, 0), "code {}", frame.code);
        }
    }

    #[test]
    fn a_search_answer_is_unpacked_only_for_whom_and_what_it_says_truly() {
        let (session, _) = offline(Shares::default());
        let search = Search::begin(&session);
        let look = |message: &PeerMessage| {
            let frame = frame(message);
            let (understood, unpacked) = metered(|| understand(&session, "ada", HERE, &frame));
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
    fn answers_of_those_who_are_ignored_are_dropped() {
        for (entry, expected) in [("ada", false), ("127.0.0.0/8", false), ("bo", true)] {
            let ignored = Blocklist::parse([entry]).unwrap();
            let manners = Manners { ignored, ..Manners::default() };
            let (session, _) = offline_with(Shares::default(), manners);
            let search = Search::begin(&session);
            let frame = frame(&answer("ada", search.token()));
            let (understood, unpacked) = metered(|| understand(&session, "ada", HERE, &frame));
            assert_eq!((understood.is_some(), unpacked > 0), (expected, expected), "{entry}");
        }
    }

    #[tokio::test]
    async fn who_takes_many_lists_slowly_makes_room_for_others() {
        let (session, _) = offline(Shares::default());
        let slow = |number, address| {
            let (mut link, outgoing) = link(number);
            link.address = address;
            let (asked, asking) = (Arc::clone(&session), link.clone());
            let message = match number % 2 {
                0 => PeerMessage::GetShareList {},
                _ => PeerMessage::GetFolder { token: 1, folder: "Music".to_owned() },
            };
            session.spawn(async move { act(&asked, "mallory", &asking, message).await });
            (link, outgoing)
        };
        // Nobody takes anything.
        let (honest, _kept) = slow(0, IpAddr::from([10, 0, 0, 1]));
        let many: Vec<_> = (1..=40).map(|number| slow(number, HERE)).collect();
        let open = || many.iter().filter(|(link, _)| !link.put_out.is_closed()).count();
        let settled = async {
            while open() > BROWSINGS - 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("some make room");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(open(), BROWSINGS - 1);
        assert!(!honest.put_out.is_closed());
    }
}
