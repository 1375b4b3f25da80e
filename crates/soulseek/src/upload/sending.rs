//! Sends one file whose turn it is: offers it, opens the connection, and watches it to its end. Whose
//! turn it is says [`super::turns`].

use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::turns::Wanted;
use crate::conn::write_all;
use crate::connect::{ConnectError, open};
use crate::event::{Event, UploadOutcome};
use crate::pace::{Pace, STEP};
use crate::session::{Session, lock};
use crate::shares::SharedFile;
use crate::wire::file::{OFFSET_BYTES, decode_offset, encode_token};
use crate::wire::peer::{DIRECTION_UPLOAD, Verdict, reason};
use crate::wire::{ConnectionKind, PeerMessage, ServerRequest};

/// Patience for the answer to our transfer request.
const VERDICT_PATIENCE: Duration = Duration::from_secs(30);
/// Patience for a message to be written, dialling and what waits before it included: whoever reads our
/// share list by drips must not hold a slot meanwhile.
const TELLING_PATIENCE: Duration = Duration::from_secs(60);
/// Patience for the offset.
const OFFSET_PATIENCE: Duration = Duration::from_secs(30);
/// Patience for the downloader to close after the last byte.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);

/// Starts sending to whoever is next while slots are free.
pub(super) fn start_next(session: &Arc<Session>) {
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
    if let Some(news) = bad_news(session, wanted, &outcome) {
        let _ = timeout(TELLING_PATIENCE, crate::peers::send(session, &wanted.user, &news)).await;
    }
    let Wanted { user, path } = wanted.clone();
    session.events.tell(Event::UploadEnded { user, path, sent_bytes, outcome }).await;
}

/// What a downloader is told of an upload that ended badly.
fn bad_news(session: &Session, wanted: &Wanted, outcome: &UploadOutcome) -> Option<PeerMessage> {
    let path = wanted.path.clone();
    match outcome {
        // It may ask again at once.
        UploadOutcome::Cut => Some(PeerMessage::UploadFailed { path }),
        // It would break again, so asking at once would only go round in circles.
        UploadOutcome::ReadError => {
            let is_shared = session.shares().get_for(&wanted.user, &path).is_some();
            let reason = if is_shared { reason::READ_ERROR } else { reason::NOT_SHARED };
            Some(PeerMessage::UploadDenied { path, reason: reason.to_owned() })
        }
        UploadOutcome::Completed | UploadOutcome::Declined { .. } | UploadOutcome::Unreachable => {
            None
        }
    }
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
    // Soulseek NS sends -1 for what it holds of a file above 2 GiB: no beginning is the right one.
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
    let telling = crate::peers::send(session, &wanted.user, &request);
    let verdict = match timeout(TELLING_PATIENCE, telling).await {
        Ok(Ok(())) => timeout(VERDICT_PATIENCE, judged).await.ok().and_then(Result::ok),
        Ok(Err(_)) | Err(_) => None,
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
            pace.turn().await;
            pace.spent(count);
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
