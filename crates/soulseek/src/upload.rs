//! Serves our files: who waits, whose turn it is, and the sending itself.
//!
//! ```text
//! 43 from them → waiting → turn → 40 to them → 41 ok → F connection → offset → bytes → they close
//! ```
//! One transfer per user at a time, `slots` in all, users in turn. SOULSEEK.md 2.5 and 2.8.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::SeekFrom;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::conn::write_all;
use crate::connect::{ConnectError, open};
use crate::event::{Event, UploadOutcome};
use crate::session::{Session, lock};
use crate::shares::SharedFile;
use crate::wire::file::{OFFSET_BYTES, decode_offset, encode_token};
use crate::wire::peer::{DIRECTION_UPLOAD, Verdict, reason};
use crate::wire::{ConnectionKind, PeerMessage, ServerRequest};

/// Patience for the answer to our transfer request.
const VERDICT_PATIENCE: Duration = Duration::from_secs(30);
/// Patience for the offset.
const OFFSET_PATIENCE: Duration = Duration::from_secs(30);
/// Patience for the downloader to close after the last byte.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);
/// Files one user may have waiting; more are denied with `Too many files`.
const WAITING_PER_USER: usize = 1_000;
/// Files that may wait in all.
const WAITING: usize = 20_000;
/// Users whose last turn is remembered beside those who want something now.
const TURNS_REMEMBERED: usize = 1_000;
/// Bytes read and sent at a time.
const STEP: usize = 128 << 10;

/// The upload queue and what is being sent.
#[derive(Debug)]
pub(crate) struct Uploads {
    slots: usize,
    pace: Option<Pace>,
    turns: Mutex<Turns>,
    verdicts: Mutex<HashMap<(String, u32), oneshot::Sender<Verdict>>>,
    /// Average of past uploads in bytes per second.
    speed: AtomicU32,
}

#[derive(Debug, Default)]
struct Turns {
    waiting: VecDeque<Wanted>,
    /// Users who are being sent a file; never more than one each.
    sending: HashSet<String>,
    /// When each user last had a turn, as a running number.
    last_turn: HashMap<String, u64>,
    turn: u64,
    privileged: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    user: String,
    path: String,
}

/// How busy the uploads are, as told to others.
pub(crate) struct Load {
    pub(crate) slots: u32,
    pub(crate) waiting: u32,
    pub(crate) free_slot: bool,
    pub(crate) speed: u32,
}

impl Uploads {
    pub(crate) fn new(slots: usize, bytes_per_s: Option<u64>, known_speed: u32) -> Uploads {
        Uploads {
            slots,
            pace: bytes_per_s.map(Pace::new),
            turns: Mutex::default(),
            verdicts: Mutex::default(),
            speed: AtomicU32::new(known_speed),
        }
    }

    pub(crate) fn load(&self) -> Load {
        let turns = lock(&self.turns);
        Load {
            slots: u32::try_from(self.slots).unwrap_or(u32::MAX),
            waiting: u32::try_from(turns.waiting.len()).unwrap_or(u32::MAX),
            free_slot: turns.sending.len() < self.slots && turns.waiting.is_empty(),
            speed: self.speed.load(Ordering::Relaxed),
        }
    }

    /// The place of a file in the queue, first is 1. With users served in turn it is an estimate,
    /// which is all any client promises.
    pub(crate) fn place(&self, user: &str, path: &str) -> Option<u32> {
        let turns = lock(&self.turns);
        let at = turns.waiting.iter().position(|wanted| wanted.is(user, path))?;
        u32::try_from(at + 1).ok()
    }

    /// Message 41.
    pub(crate) fn judged(&self, user: &str, token: u32, verdict: Verdict) {
        if let Some(waiter) = lock(&self.verdicts).remove(&(user.to_owned(), token)) {
            let _ = waiter.send(verdict);
        }
    }

    /// Message 69.
    pub(crate) fn privileged_are(&self, users: Vec<String>) {
        lock(&self.turns).privileged = users.into_iter().collect();
    }

    /// Message 7.
    pub(crate) fn privilege(&self, user: &str, privileged: bool) {
        let mut turns = lock(&self.turns);
        if privileged {
            turns.privileged.insert(user.to_owned());
        } else {
            turns.privileged.remove(user);
        }
    }
}

impl Wanted {
    fn is(&self, user: &str, path: &str) -> bool {
        self.user == user && self.path == path
    }
}

impl Turns {
    /// Whose turn it is: privileged users first, then whoever waited longest since their last.
    fn next(&mut self, slots: usize) -> Option<Wanted> {
        if self.sending.len() >= slots {
            return None;
        }
        let (at, _) = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, wanted)| !self.sending.contains(&wanted.user))
            .min_by_key(|(at, wanted)| {
                let last = self.last_turn.get(&wanted.user).copied().unwrap_or(0);
                (!self.privileged.contains(&wanted.user), last, *at)
            })?;
        let wanted = self.waiting.remove(at)?;
        self.turn += 1;
        self.last_turn.insert(wanted.user.clone(), self.turn);
        self.sending.insert(wanted.user.clone());
        Some(wanted)
    }

    fn done(&mut self, user: &str) {
        self.sending.remove(user);
        // Forgotten once they want nothing more, so that strangers do not fill the memory: some of
        // them always keep the queue from being empty.
        let Turns { waiting, sending, last_turn, .. } = self;
        if waiting.is_empty() || last_turn.len() > TURNS_REMEMBERED {
            let wanting: HashSet<&str> =
                waiting.iter().map(|wanted| wanted.user.as_str()).collect();
            last_turn.retain(|user, _| sending.contains(user) || wanting.contains(user.as_str()));
        }
    }
}

/// Message 43: queues a file for a user, or says why not.
pub(crate) fn queue(session: &Arc<Session>, user: &str, path: &str) -> Result<(), &'static str> {
    if session.shares().get_for(user, path).is_none() {
        return Err(reason::NOT_SHARED);
    }
    {
        let mut turns = lock(&session.uploads.turns);
        // Asked again, for instance after a lost connection: it keeps its place. A file being
        // sent is queued anew, because the downloader may know before us that this one broke.
        if turns.waiting.iter().any(|wanted| wanted.is(user, path)) {
            return Ok(());
        }
        let of_user = turns.waiting.iter().filter(|wanted| wanted.user == user).count();
        if of_user >= WAITING_PER_USER || turns.waiting.len() >= WAITING {
            return Err(reason::TOO_MANY_FILES);
        }
        turns.waiting.push_back(Wanted { user: user.to_owned(), path: path.to_owned() });
    }
    start_next(session);
    Ok(())
}

fn start_next(session: &Arc<Session>) {
    loop {
        if session.has_ended() {
            return;
        }
        let next = lock(&session.uploads.turns).next(session.uploads.slots);
        let Some(wanted) = next else { return };
        let slot = Slot { session: Arc::clone(session), wanted };
        session.spawn(async move { upload(&slot.session, &slot.wanted).await });
    }
}

/// Frees the slot however the upload ends.
struct Slot {
    session: Arc<Session>,
    wanted: Wanted,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.session.uploads.turns).done(&self.wanted.user);
        start_next(&self.session);
    }
}

async fn upload(session: &Arc<Session>, wanted: &Wanted) {
    let mut sent_bytes = 0;
    let outcome = match attempt(session, wanted, &mut sent_bytes).await {
        Ok(()) => UploadOutcome::Completed,
        Err(outcome) => outcome,
    };
    // A file that broke off is told, so that the downloader may ask again at once.
    if matches!(outcome, UploadOutcome::ReadError | UploadOutcome::Cut) {
        let failed = PeerMessage::UploadFailed { path: wanted.path.clone() };
        let _ = crate::peers::send(session, &wanted.user, &failed).await;
    }
    let Wanted { user, path } = wanted.clone();
    session.events.tell(Event::UploadEnded { user, path, sent_bytes, outcome }).await;
}

async fn attempt(
    session: &Arc<Session>,
    wanted: &Wanted,
    sent_bytes: &mut u64,
) -> Result<(), UploadOutcome> {
    // The shares may have changed since it was queued.
    let shares = session.shares();
    let file = shares.get_for(&wanted.user, &wanted.path).ok_or(UploadOutcome::ReadError)?;
    let mut source = File::open(&file.local_path).await.map_err(read_error)?;
    let size = source.metadata().await.map_err(read_error)?.len();

    let token = offer(session, wanted, size).await?;
    let mut stream = open(session, &wanted.user, ConnectionKind::File).await?;
    write_all(&mut stream, &encode_token(token)).await.map_err(|_| UploadOutcome::Cut)?;
    let offset = read_offset(&mut stream, size).await?;
    if offset > size {
        tracing::debug!(user = wanted.user, offset, size, "asked for what lies behind the end");
        return Err(UploadOutcome::Cut);
    }
    source.seek(SeekFrom::Start(offset)).await.map_err(read_error)?;

    let Wanted { user, path } = wanted.clone();
    session.events.tell(Event::UploadStarted { user, path, size, offset }).await;
    let begun = Instant::now();
    send(session, wanted, &mut source, &mut stream, size - offset, sent_bytes).await?;
    // Where nothing was to be sent, a real client waits for our end before it closes.
    if offset == size {
        let _ = stream.shutdown().await;
    }
    // Nothing of an empty file can be missing, however its connection ended.
    wait_for_close(&mut stream).await.or(if size == 0 {
        Ok(())
    } else {
        Err(UploadOutcome::Cut)
    })?;
    report_speed(session, *sent_bytes, begun.elapsed());
    tracing::debug!(user = wanted.user, path = file_name(&file), "uploaded");
    Ok(())
}

async fn read_offset(stream: &mut TcpStream, size: u64) -> Result<u64, UploadOutcome> {
    let mut offset = [0; OFFSET_BYTES];
    match timeout(OFFSET_PATIENCE, stream.read_exact(&mut offset)).await {
        Ok(Ok(_)) => Ok(decode_offset(offset)),
        // Some real clients close at once on an empty file: there is nothing to ask for.
        Ok(Err(_)) if size == 0 => Ok(0),
        Ok(Err(_)) => Err(UploadOutcome::Cut),
        Err(_) => Err(UploadOutcome::Unreachable),
    }
}

/// Sends message 40 and waits for 41.
async fn offer(session: &Arc<Session>, wanted: &Wanted, size: u64) -> Result<u32, UploadOutcome> {
    let token = session.tokens.next();
    let key = (wanted.user.clone(), token);
    let (waiter, judged) = oneshot::channel();
    lock(&session.uploads.verdicts).insert(key.clone(), waiter);
    let request = PeerMessage::TransferRequest {
        direction: DIRECTION_UPLOAD,
        token,
        path: wanted.path.clone(),
        size: Some(size),
    };
    let verdict = match crate::peers::send(session, &wanted.user, &request).await {
        Ok(()) => timeout(VERDICT_PATIENCE, judged).await.ok().and_then(Result::ok),
        Err(_) => None,
    };
    lock(&session.uploads.verdicts).remove(&key);
    match verdict {
        Some(Verdict::Accepted { .. }) => Ok(token),
        Some(Verdict::Declined { reason }) => Err(UploadOutcome::Declined { reason }),
        None => Err(UploadOutcome::Unreachable),
    }
}

async fn send(
    session: &Session,
    wanted: &Wanted,
    source: &mut File,
    stream: &mut TcpStream,
    size: u64,
    sent_bytes: &mut u64,
) -> Result<(), UploadOutcome> {
    let step = session.uploads.pace.as_ref().map_or(STEP, Pace::step);
    let mut buffer = vec![0; step];
    while *sent_bytes < size {
        let left = usize::try_from(size - *sent_bytes).unwrap_or(step).min(step);
        let count = source.read(&mut buffer[..left]).await.map_err(read_error)?;
        // The file became shorter while it was being sent.
        if count == 0 {
            return Err(UploadOutcome::ReadError);
        }
        if let Some(pace) = &session.uploads.pace {
            pace.wait_for(count).await;
        }
        write_all(stream, &buffer[..count]).await.map_err(|_| UploadOutcome::Cut)?;
        *sent_bytes += count as u64;
        let Wanted { user, path } = wanted.clone();
        let sent_bytes = *sent_bytes;
        session.events.mention_progress(Event::UploadProgress { user, path, sent_bytes });
    }
    Ok(())
}

/// The downloader closes, never we: whoever sent the last byte cannot know that it arrived.
async fn wait_for_close(stream: &mut TcpStream) -> Result<(), UploadOutcome> {
    let mut stray = [0; 64];
    let closing = async {
        loop {
            match stream.read(&mut stray).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(UploadOutcome::Cut),
            }
        }
    };
    // Everything was sent; a downloader that stays on the line has it all the same.
    timeout(CLOSE_PATIENCE, closing).await.unwrap_or(Ok(()))
}

/// Message 121. A file that fits one packet says nothing about speed.
fn report_speed(session: &Session, sent_bytes: u64, took: Duration) {
    let millis = took.as_millis().max(1);
    if sent_bytes < STEP as u64 {
        return;
    }
    let speed = u32::try_from(u128::from(sent_bytes) * 1_000 / millis).unwrap_or(u32::MAX);
    let known = session.uploads.speed.load(Ordering::Relaxed);
    let average = if known == 0 { speed } else { known / 2 + speed / 2 };
    session.uploads.speed.store(average, Ordering::Relaxed);
    session.mention_to_server(ServerRequest::SendUploadSpeed { speed });
    crate::distributed::ask_own_speed(session);
}

fn read_error(error: std::io::Error) -> UploadOutcome {
    tracing::warn!(%error, "a shared file cannot be read");
    UploadOutcome::ReadError
}

fn file_name(file: &SharedFile) -> &str {
    file.virtual_path.rsplit('\\').next().unwrap_or_default()
}

impl From<ConnectError> for UploadOutcome {
    fn from(_: ConnectError) -> UploadOutcome {
        UploadOutcome::Unreachable
    }
}

/// Spreads the bytes of all uploads over time.
#[derive(Debug)]
struct Pace {
    bytes_per_s: u64,
    free_at: Mutex<Instant>,
}

impl Pace {
    fn new(bytes_per_s: u64) -> Pace {
        Pace { bytes_per_s: bytes_per_s.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Small enough that even a slow upload moves several times per second: downloaders give up
    /// on one that stands still for half a minute.
    fn step(&self) -> usize {
        usize::try_from(self.bytes_per_s / 4).unwrap_or(STEP).clamp(1 << 10, STEP)
    }

    async fn wait_for(&self, bytes: usize) {
        let begin = {
            let mut free_at = lock(&self.free_at);
            let begin = (*free_at).max(Instant::now());
            let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_s;
            *free_at = begin + Duration::from_micros(micros);
            begin
        };
        sleep_until(begin).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(user: &str, path: &str) -> Wanted {
        Wanted { user: user.to_owned(), path: path.to_owned() }
    }

    fn order(mut turns: Turns) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(next) = turns.next(1) {
            order.push(next.path);
            turns.done(&next.user);
        }
        order
    }

    #[test]
    fn users_take_turns_and_each_has_one_at_a_time() {
        let waiting = [("ada", "a1"), ("ada", "a2"), ("ada", "a3"), ("bo", "b1"), ("cy", "c1")];
        let mut turns = Turns {
            waiting: waiting.map(|(user, path)| wanted(user, path)).into(),
            ..Turns::default()
        };
        let first: Vec<_> = std::iter::from_fn(|| turns.next(4)).map(|next| next.path).collect();
        assert_eq!(first, ["a1", "b1", "c1"]);
        turns.done("ada");
        assert_eq!(turns.next(4), Some(wanted("ada", "a2")));
    }

    #[test]
    fn one_slot_goes_round() {
        let waiting = [("ada", "a1"), ("ada", "a2"), ("bo", "b1"), ("bo", "b2")];
        let waiting: VecDeque<_> = waiting.map(|(user, path)| wanted(user, path)).into();
        assert_eq!(order(Turns { waiting, ..Turns::default() }), ["a1", "b1", "a2", "b2"]);
    }

    #[test]
    fn users_who_want_nothing_more_are_forgotten_though_the_queue_is_never_empty() {
        let mut turns = Turns::default();
        turns.sending.insert("ada".to_owned());
        turns.last_turn.insert("ada".to_owned(), 0);
        turns.waiting.push_back(wanted("ada", "a1"));
        for number in 0..5_000 {
            turns.waiting.push_back(wanted(&format!("user{number}"), "x"));
            let next = turns.next(2).unwrap();
            assert_ne!(next.user, "ada");
            turns.done(&next.user);
        }
        assert!(turns.last_turn.len() <= TURNS_REMEMBERED + 1, "{}", turns.last_turn.len());
        assert!(turns.last_turn.contains_key("ada"));
    }

    #[test]
    fn privileged_users_go_first() {
        let waiting = [("ada", "a1"), ("bo", "b1"), ("bo", "b2")];
        let waiting: VecDeque<_> = waiting.map(|(user, path)| wanted(user, path)).into();
        let privileged = HashSet::from(["bo".to_owned()]);
        assert_eq!(order(Turns { waiting, privileged, ..Turns::default() }), ["b1", "b2", "a1"]);
    }
}
