//! Fetches the rest of one file from one Soulseek user into staging: waits for its turn, proves the
//! overlap, writes cell by cell, and reports each cell once it is on disk.

use std::time::Duration;

use domain::chunk::{CHUNK_BYTES, Digest, cell_end};
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{AssignmentId, ByteRange, PeerId, TrackKey};
use soulseek::{Download, DownloadEnd, DownloadEvent, FileStream, TransferError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Tools, blocking};
use crate::staging::{ContinueError, Staged};

/// Bytes of a slow peer are reported at least this often, except for those of a file's first cell:
/// refused content is known by the digest of that cell, so it is reported in one piece.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// The end of a session is known everywhere within this time.
const SESSION_NEWS: Duration = Duration::from_secs(5);
/// Bytes read from the socket at once.
const READ: usize = 64 * 1024;

/// The fields of `Effect::FetchRange`.
pub(super) struct Request {
    pub(super) track: TrackKey,
    pub(super) attempt: u16,
    pub(super) assignment: AssignmentId,
    pub(super) peer: PeerId,
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) range: ByteRange,
    pub(super) overlap: u64,
}

/// Why a transfer stopped before its end.
enum Stop {
    /// It failed.
    Fault(TransferFault),
    /// Nobody wants it any more; nothing is reported.
    Cancelled,
    /// The overlap differs; that was reported.
    OtherVariant,
}

impl From<TransferFault> for Stop {
    fn from(fault: TransferFault) -> Self {
        Self::Fault(fault)
    }
}

pub(super) async fn run(tools: &Tools, request: &Request, mut cancelled: watch::Receiver<bool>) {
    let granted = tokio::select! {
        biased;
        () = ended_by(&mut cancelled) => return,
        granted = grant(tools, request) => granted,
    };
    let done = match granted {
        Ok(mut download) => receive(tools, request, &mut download, &mut cancelled).await,
        Err(fault) => Err(Stop::Fault(fault)),
    };
    let end = match done {
        Ok(()) => TransferEnd::Complete,
        Err(Stop::Fault(fault)) => TransferEnd::Failed(fault),
        Err(Stop::Cancelled | Stop::OtherVariant) => return,
    };
    if end == TransferEnd::Failed(TransferFault::SessionClosed) {
        // Told before the session's end is, the engine would ask for the file again at once.
        let mut session = tools.session.clone();
        drop(timeout(SESSION_NEWS, session.wait_for(Option::is_none)).await);
    }
    let (track, assignment) = (request.track, request.assignment);
    tools.inbox.report(Observation::TransferEnded { track, assignment, end }).await;
}

/// Returns when nobody wants the transfer any more.
async fn ended_by(cancelled: &mut watch::Receiver<bool>) {
    // An error means that the performer is gone, and with it everybody who could want it.
    drop(cancelled.wait_for(|cancelled| *cancelled).await);
}

/// Asks for the file and waits for our turn.
async fn grant(tools: &Tools, request: &Request) -> Result<Download, TransferFault> {
    let client = tools.session.borrow().clone().ok_or(TransferFault::SessionClosed)?;
    let PeerId::Soulseek(user) = &request.peer else { return Err(TransferFault::CannotConnect) };
    let mut download = client.download(user, &request.path).await.map_err(|error| match error {
        soulseek::ClientError::SessionEnded => TransferFault::SessionClosed,
        soulseek::ClientError::AlreadyAsked => {
            TransferFault::TimedOut("another request for the same file".into())
        }
        soulseek::ClientError::UnsuitableQuery => TransferFault::CannotConnect,
    })?;
    let (track, assignment) = (request.track, request.assignment);
    let mut told = None;
    let size = loop {
        match download.next().await {
            DownloadEvent::Queued => {}
            // Asked again and again, a peer says the same again and again.
            DownloadEvent::Place(place) if told == Some(place) => {}
            DownloadEvent::Place(place) => {
                told = Some(place);
                tools.inbox.report(Observation::PlaceTold { track, assignment, place }).await;
            }
            DownloadEvent::Granted { size } => break size,
            DownloadEvent::Ended(end) => return Err(ended(end)),
        }
    };
    if size != request.size {
        // The next assignment asks for the size that it has; refusing tells the peer not to wait.
        let _ = download.refuse("Cancelled").await;
        return Err(TransferFault::SizeChanged(size));
    }
    Ok(download)
}

/// Opens the staged file. Not to be cancelled: a thread that goes on behind a cancelled task would cut
/// the file under whoever writes it next.
async fn open(tools: &Tools, request: &Request) -> Result<(Staged, Vec<u8>), TransferFault> {
    let (staging, track, attempt) = (tools.staging.clone(), request.track, request.attempt);
    let (range, overlap) = (request.range, request.overlap);
    let opened = blocking(move || staging.continue_at(track, attempt, range, overlap)).await;
    opened.map_err(|error| match error {
        ContinueError::Short(have) => TransferFault::StagingShort(have),
        ContinueError::Disk(fault) => TransferFault::Disk(fault),
    })
}

async fn receive(
    tools: &Tools,
    request: &Request,
    download: &mut Download,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<(), Stop> {
    let (staged, before) = match open(tools, request).await {
        Ok(opened) => opened,
        Err(fault) => {
            let _ = download.refuse("Cancelled").await;
            return Err(fault.into());
        }
    };
    let offset = request.range.start - before.len() as u64;
    let (track, assignment) = (request.track, request.assignment);
    let mut stream = tokio::select! {
        biased;
        () = ended_by(cancelled) => return Err(Stop::Cancelled),
        accepted = download.accept(offset, request.size) => {
            accepted.map_err(|error| failed(&error))?
        }
    };
    tools.inbox.report(Observation::TransferStarted { track, assignment }).await;
    let mut writing = Writing {
        tools,
        request,
        staged: Some(staged),
        next: request.range.start,
        pending: Vec::new(),
        reported: Instant::now(),
    };
    if !before.is_empty() {
        let equal = proves(&mut stream, &before, cancelled).await?;
        let range = ByteRange { start: offset, end: request.range.start };
        let compared = Observation::OverlapCompared { track, assignment, range, equal };
        tools.inbox.report(compared).await;
        if !equal {
            return Err(Stop::OtherVariant);
        }
    }
    let mut buffer = vec![0; READ];
    loop {
        let report_at = writing.reported + REPORT_EVERY;
        let read = tokio::select! {
            biased;
            () = ended_by(cancelled) => return Err(Stop::Cancelled),
            read = stream.read(&mut buffer) => read,
            () = tokio::time::sleep_until(report_at), if writing.may_report() => {
                writing.flush().await?;
                continue;
            }
        };
        match read {
            Ok(0) => return writing.flush().await,
            Ok(count) => writing.take(&buffer[..count]).await?,
            Err(error) => {
                writing.flush().await?;
                return Err(failed(&error).into());
            }
        }
    }
}

/// Reads the overlap from the new source and compares it with what is held.
async fn proves(
    stream: &mut FileStream,
    before: &[u8],
    cancelled: &mut watch::Receiver<bool>,
) -> Result<bool, Stop> {
    let mut again = vec![0; before.len()];
    let mut filled = 0;
    while filled < again.len() {
        let read = tokio::select! {
            biased;
            () = ended_by(cancelled) => return Err(Stop::Cancelled),
            read = stream.read(&mut again[filled..]) => read,
        };
        match read {
            Ok(0) => return Err(TransferFault::ConnectionCut.into()),
            Ok(count) => filled += count,
            Err(error) => return Err(failed(&error).into()),
        }
    }
    Ok(again == before)
}

/// Collects bytes into cells, writes and reports them.
struct Writing<'a> {
    tools: &'a Tools,
    request: &'a Request,
    /// Taken out while a thread writes.
    staged: Option<Staged>,
    next: u64,
    pending: Vec<u8>,
    reported: Instant,
}

impl Writing<'_> {
    /// Whether part of a cell may be reported before the rest of it is here.
    fn may_report(&self) -> bool {
        !self.pending.is_empty() && self.next >= CHUNK_BYTES
    }

    async fn take(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let written = self.next + self.pending.len() as u64;
            let room = cell_end(written, self.request.size).saturating_sub(written);
            if room == 0 {
                return Err(TransferFault::Surplus.into());
            }
            let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, rest) = bytes.split_at(count);
            self.pending.extend_from_slice(now);
            bytes = rest;
            if count as u64 == room {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.pending);
        let mut staged = self.staged.take().expect("put back after every write");
        let (staged, bytes, written) = blocking(move || {
            let written = staged.write(&bytes);
            (staged, bytes, written)
        })
        .await;
        self.staged = Some(staged);
        written.map_err(TransferFault::Disk)?;
        let range = ByteRange { start: self.next, end: self.next + bytes.len() as u64 };
        let seen = Observation::ChunkArrived {
            track: self.request.track,
            assignment: self.request.assignment,
            range,
            digest: Digest(*blake3::hash(&bytes).as_bytes()),
            elapsed_ms: u64::try_from(self.reported.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.next = range.end;
        self.reported = Instant::now();
        self.tools.inbox.report(seen).await;
        Ok(())
    }
}

fn ended(end: DownloadEnd) -> TransferFault {
    match end {
        DownloadEnd::Denied(words) => TransferFault::Denied(words),
        DownloadEnd::UploadFailed => TransferFault::UploadFailed,
        // Nothing is wrong with the file: it is there when its owner is back.
        DownloadEnd::PeerOffline | DownloadEnd::PeerLeaving => TransferFault::PeerOffline,
        DownloadEnd::CannotConnect => TransferFault::CannotConnect,
        DownloadEnd::SessionEnded => TransferFault::SessionClosed,
    }
}

fn failed(error: &TransferError) -> TransferFault {
    match error {
        TransferError::Ended(end) => ended(end.clone()),
        TransferError::TimedOut { what, .. } => TransferFault::TimedOut((*what).into()),
        TransferError::ConnectionCut { .. } => TransferFault::ConnectionCut,
        TransferError::Surplus => TransferFault::Surplus,
        TransferError::SizeChanged { size } | TransferError::NothingLeft { size, .. } => {
            TransferFault::SizeChanged(*size)
        }
        TransferError::NotGranted => TransferFault::TimedOut("a grant".into()),
    }
}
