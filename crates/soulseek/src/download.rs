//! Fetches one file of one user: asks for it, waits for its turn, receives its bytes.
//!
//! ```text
//! 43 out ─▶ Queued ─▶ Place(n)… ─▶ 40 in: Granted ─▶ accept: 41 out, F in, offset out ─▶ bytes
//!              └─▶ 46 or 50 in, user gone: Ended
//! ```
//! What to do about an end is the caller's: ask again, or ask someone else. SOULSEEK.md 2.5.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::conn::write_all;
use crate::connect::ConnectError;
use crate::peers::Link;
use crate::session::{Session, lock};
use crate::wire::file::{TOKEN_BYTES, decode_token, encode_offset};
use crate::wire::peer::{Verdict, reason};
use crate::wire::{PeerMessage, ServerRequest};

/// The first question for our place; files that are granted before it are never asked about.
const FIRST_ASK_AFTER: Duration = Duration::from_secs(3);
/// Between two questions for our place.
const ASK_EVERY: Duration = Duration::from_secs(180);
/// Patience for the uploader's file connection after we accepted.
const FILE_PATIENCE: Duration = Duration::from_secs(60);
/// Patience for the token that opens a file connection.
const TOKEN_PATIENCE: Duration = Duration::from_secs(10);
/// Patience for more bytes of a file.
const BYTES_PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a file is watched for bytes too many.
const SURPLUS_PATIENCE: Duration = Duration::from_millis(500);
/// News that may wait for the caller.
const NEWS: usize = 32;
/// Letters of a denial that are passed on; everybody writes a few words.
const LONGEST_REASON: usize = 200;

/// One file asked of one user. Dropping it withdraws the request: a later offer is answered with
/// `Cancelled`.
#[derive(Debug)]
pub struct Download {
    session: Arc<Session>,
    user: String,
    path: String,
    news: mpsc::Receiver<News>,
    offer: Option<Offer>,
    next_ask: Instant,
    /// Questions for our place since the last sign that the other side knows of the request.
    unanswered: u32,
    /// Whether message 46 may still be answered by asking once more.
    may_repeat: bool,
    ended: Option<DownloadEnd>,
}

/// What became of a request so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadEvent {
    /// The request reached the other side.
    Queued,
    /// The place in the other side's queue; 1 is next.
    Place(u32),
    /// It is our turn: call [`Download::accept`] within seconds, or [`Download::refuse`].
    Granted {
        /// Bytes. This is what will be sent, whatever the search answer said.
        size: u64,
    },
    /// Nothing more will come of this request.
    Ended(DownloadEnd),
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadEnd {
    /// The other side will not send the file (message 50), in its own words.
    #[error("denied: {0}")]
    Denied(String),
    /// The transfer broke off at the other side (message 46), and so did the one after it.
    #[error("upload failed at the other side")]
    UploadFailed,
    /// The user is not logged in.
    #[error("user is offline")]
    PeerOffline,
    /// Neither side can reach the other.
    #[error("cannot connect to the user")]
    CannotConnect,
    /// Our own session is over.
    #[error("session ended")]
    SessionEnded,
}

/// Why bytes did not come, or stopped coming.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// [`Download::accept`] was called when nothing was granted.
    #[error("nothing was granted")]
    NotGranted,
    /// The request ended before the first byte.
    #[error(transparent)]
    Ended(#[from] DownloadEnd),
    /// The file is offered with another size than the one accepted, so the offer was refused.
    #[error("the file has {size} bytes now")]
    SizeChanged {
        /// Bytes offered last.
        size: u64,
    },
    /// The offset leaves nothing to send, so the offer was refused.
    #[error("offset {offset} leaves nothing of {size} bytes")]
    NothingLeft {
        /// What was asked for.
        offset: u64,
        /// What the file has.
        size: u64,
    },
    /// The other side went silent.
    #[error("{what} did not come in time")]
    TimedOut {
        /// What was being waited for.
        what: &'static str,
        /// Bytes received on this connection.
        received: u64,
    },
    /// The connection ended before the file did.
    #[error("connection cut after {received} bytes")]
    ConnectionCut {
        /// Bytes received on this connection, counted from the offset.
        received: u64,
    },
    /// The other side sent more than the file has. What was promised has been handed out.
    #[error("more bytes than promised")]
    Surplus,
}

#[derive(Debug)]
enum News {
    Sent,
    Unsent(ConnectError),
    Place(u32),
    Offered(Offer),
    Failed,
    Denied(String),
    Offline,
}

#[derive(Debug)]
struct Offer {
    token: u32,
    size: u64,
    /// The connection the offer came on; the answer goes back on it.
    link: Link,
}

impl Download {
    /// Asks for a file. `None` when this very file is being asked for already.
    pub(crate) fn begin(session: &Arc<Session>, user: &str, path: &str) -> Option<Download> {
        let (sender, news) = mpsc::channel(NEWS);
        {
            let mut open = lock(&session.downloads.open);
            let of_user = open.entry(user.to_owned()).or_default();
            if of_user.contains_key(path) {
                return None;
            }
            if of_user.is_empty() {
                // Tells us when the user leaves, which is when a queue ceases to exist.
                session.mention_to_server(ServerRequest::WatchUser { user: user.to_owned() });
            }
            of_user.insert(path.to_owned(), sender);
        }
        let download = Download {
            session: Arc::clone(session),
            user: user.to_owned(),
            path: path.to_owned(),
            news,
            offer: None,
            next_ask: Instant::now() + FIRST_ASK_AFTER,
            unanswered: 0,
            may_repeat: true,
            ended: None,
        };
        download.tell(PeerMessage::QueueUpload { path: path.to_owned() }, true);
        Some(download)
    }

    /// Whose file it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its virtual path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits for the next news. Dropping the future loses none.
    pub async fn next(&mut self) -> DownloadEvent {
        loop {
            if let Some(end) = &self.ended {
                return DownloadEvent::Ended(end.clone());
            }
            let news = tokio::select! {
                news = self.news.recv() => news,
                () = sleep_until(self.next_ask) => {
                    self.ask();
                    continue;
                }
            };
            let event = match news {
                Some(News::Sent) => DownloadEvent::Queued,
                // A place nobody asked for is no news, or a peer could make it without end.
                Some(News::Place(_)) if self.unanswered == 0 => continue,
                Some(News::Place(place)) => {
                    self.unanswered = 0;
                    DownloadEvent::Place(place)
                }
                Some(News::Offered(offer)) => {
                    let size = offer.size;
                    self.offer = Some(offer);
                    self.next_ask = Instant::now() + ASK_EVERY;
                    DownloadEvent::Granted { size }
                }
                // Room in a queue comes with time: the request stands and is repeated.
                Some(News::Denied(reason)) if is_full_queue(&reason) => {
                    self.unanswered = self.unanswered.max(1);
                    self.next_ask = Instant::now() + ASK_EVERY;
                    continue;
                }
                // It may speak of an earlier attempt that was cut, so it is asked once more.
                Some(News::Failed) if self.may_repeat => {
                    self.may_repeat = false;
                    self.tell(PeerMessage::QueueUpload { path: self.path.clone() }, true);
                    continue;
                }
                Some(end) => {
                    self.ended = Some(end.into_end());
                    continue;
                }
                None => {
                    self.ended = Some(DownloadEnd::SessionEnded);
                    continue;
                }
            };
            return event;
        }
    }

    /// Asks for our place; asks for the file anew when the last question was not answered.
    fn ask(&mut self) {
        self.next_ask = Instant::now() + ASK_EVERY;
        if self.unanswered > 0 {
            self.tell(PeerMessage::QueueUpload { path: self.path.clone() }, false);
        }
        self.unanswered += 1;
        self.tell(PeerMessage::GetPlaceInQueue { path: self.path.clone() }, false);
    }

    fn tell(&self, message: PeerMessage, first: bool) {
        let session = Arc::clone(&self.session);
        let (user, path) = (self.user.clone(), self.path.clone());
        self.session.spawn(async move {
            let news = match crate::peers::send(&session, &user, &message).await {
                Ok(()) if first => News::Sent,
                Ok(()) => return,
                Err(error) => News::Unsent(error),
            };
            session.downloads.tell(&user, &path, news);
        });
    }

    /// Takes what was granted, from `offset` bytes on. Call it after [`DownloadEvent::Granted`] with
    /// the size told there; the other side waits about half a minute. An offer of any other size is
    /// refused, even one that comes after the first was accepted: whoever has bytes of the file has
    /// them of the file of that size.
    pub async fn accept(&mut self, offset: u64, size: u64) -> Result<FileStream, TransferError> {
        let Some(mut offer) = self.newest_offer()? else { return Err(TransferError::NotGranted) };
        // Real clients keep a slot hanging for minutes when asked for nothing. SOULSEEK.md 2.9.
        if offer.size == size && (offset > size || (offset == size && size > 0)) {
            self.answer(&offer, cancelled()).await?;
            return Err(TransferError::NothingLeft { offset, size });
        }
        let deadline = Instant::now() + FILE_PATIENCE;
        let (session, user) = (Arc::clone(&self.session), self.user.clone());
        let stream = loop {
            if offer.size != size {
                return Err(self.refuse_resized(&offer).await);
            }
            let mut arriving = session.downloads.expect(&user, offer.token);
            self.answer(&offer, Verdict::Accepted { size: None }).await?;
            tokio::select! {
                arrived = &mut arriving.stream => match arrived {
                    Ok(stream) => break stream,
                    Err(_) => return Err(DownloadEnd::SessionEnded.into()),
                },
                renewed = self.renewed() => offer = renewed?,
                () = sleep_until(deadline) => {
                    return Err(TransferError::TimedOut { what: "file connection", received: 0 });
                }
            }
        };
        FileStream::begin(stream, offset, size).await
    }

    /// The file changed in between; the caller has to see its new size first.
    async fn refuse_resized(&mut self, offer: &Offer) -> TransferError {
        // Nothing more comes of this request, whether or not the refusal arrives.
        self.ended = Some(DownloadEnd::UploadFailed);
        match self.answer(offer, cancelled()).await {
            Ok(()) => TransferError::SizeChanged { size: offer.size },
            Err(error) => error,
        }
    }

    /// Declines what was granted; the request is over then at the other side.
    pub async fn refuse(&mut self, reason: &str) -> Result<(), TransferError> {
        let Some(offer) = self.newest_offer()? else { return Err(TransferError::NotGranted) };
        self.answer(&offer, Verdict::Declined { reason: reason.to_owned() }).await
    }

    /// An uploader that got no answer offers again under a new token; only the last one counts.
    fn newest_offer(&mut self) -> Result<Option<Offer>, TransferError> {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Offered(offer) => self.offer = Some(offer),
                News::Sent | News::Place(_) => {}
                end => return Err(self.end(end.into_end())),
            }
        }
        Ok(self.offer.take())
    }

    async fn renewed(&mut self) -> Result<Offer, TransferError> {
        loop {
            match self.news.recv().await {
                Some(News::Offered(offer)) => return Ok(offer),
                Some(News::Sent | News::Place(_)) => {}
                Some(end) => return Err(self.end(end.into_end())),
                None => return Err(self.end(DownloadEnd::SessionEnded)),
            }
        }
    }

    fn end(&mut self, end: DownloadEnd) -> TransferError {
        self.ended = Some(end.clone());
        end.into()
    }

    async fn answer(&self, offer: &Offer, verdict: Verdict) -> Result<(), TransferError> {
        let message = PeerMessage::TransferResponse { token: offer.token, verdict };
        if offer.link.send(&message).await.is_ok() {
            return Ok(());
        }
        let sent = crate::peers::send(&self.session, &self.user, &message).await;
        sent.map_err(|error| News::Unsent(error).into_end().into())
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.session.downloads.forget(&self.session, &self.user, &self.path);
        while let Ok(news) = self.news.try_recv() {
            if let News::Offered(offer) = news {
                self.offer = Some(offer);
            }
        }
        if let Some(offer) = &self.offer {
            offer.link.mention(&decline(offer.token));
        }
    }
}

fn is_full_queue(reason: &str) -> bool {
    reason == reason::TOO_MANY_FILES || reason == reason::TOO_MANY_MEGABYTES
}

fn cancelled() -> Verdict {
    Verdict::Declined { reason: reason::CANCELLED.to_owned() }
}

fn decline(token: u32) -> PeerMessage {
    PeerMessage::TransferResponse { token, verdict: cancelled() }
}

impl News {
    fn into_end(self) -> DownloadEnd {
        match self {
            News::Unsent(ConnectError::Offline) | News::Offline => DownloadEnd::PeerOffline,
            News::Unsent(ConnectError::Unreachable) => DownloadEnd::CannotConnect,
            News::Unsent(ConnectError::SessionEnded) => DownloadEnd::SessionEnded,
            News::Denied(reason) => DownloadEnd::Denied(reason),
            News::Failed | News::Sent | News::Place(_) | News::Offered(_) => {
                DownloadEnd::UploadFailed
            }
        }
    }
}

/// The bytes of one file from an offset on. Dropping it closes the connection, which is how a
/// transfer is cancelled and also how a complete one ends.
#[derive(Debug)]
pub struct FileStream {
    stream: TcpStream,
    size: u64,
    received: u64,
    checked: bool,
}

impl FileStream {
    async fn begin(
        mut stream: TcpStream,
        offset: u64,
        size: u64,
    ) -> Result<FileStream, TransferError> {
        let sent = write_all(&mut stream, &encode_offset(offset)).await;
        sent.map_err(|_| TransferError::ConnectionCut { received: 0 })?;
        Ok(FileStream { stream, size: size - offset, received: 0, checked: false })
    }

    /// Bytes this stream hands out in all: the file's size less the offset.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether there is nothing to hand out, as with an empty file.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Bytes handed out so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Reads up to `buffer.len()` bytes; 0 once everything promised has been handed out, and then
    /// the connection is closed. Never hands out a byte more; an uploader that sends more is told
    /// of with [`TransferError::Surplus`] after the last promised byte.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransferError> {
        let left = self.size - self.received;
        if left == 0 {
            return self.finish().await.map(|()| 0);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let received = self.received;
        let count = timeout(BYTES_PATIENCE, self.stream.read(&mut buffer[..most]))
            .await
            .map_err(|_| TransferError::TimedOut { what: "the next bytes", received })?
            .unwrap_or(0);
        if count == 0 {
            return Err(TransferError::ConnectionCut { received });
        }
        self.received += count as u64;
        Ok(count)
    }

    /// Closes our half, and sees whether the other half ends as it should.
    async fn finish(&mut self) -> Result<(), TransferError> {
        if self.checked {
            return Ok(());
        }
        self.checked = true;
        let _ = self.stream.shutdown().await;
        let mut surplus = [0; 1];
        match timeout(SURPLUS_PATIENCE, self.stream.read(&mut surplus)).await {
            Ok(Ok(count)) if count > 0 => Err(TransferError::Surplus),
            _ => Ok(()),
        }
    }
}

/// An `F` connection came in: its token says which download it belongs to.
pub(crate) fn file_arrived(session: &Arc<Session>, user: &str, mut stream: TcpStream) {
    let Ok(permit) = Arc::clone(&session.file_greetings).try_acquire_owned() else {
        return tracing::debug!(user, "too many file connections without a token");
    };
    let (session, user) = (Arc::clone(session), user.to_owned());
    let arriving = Arc::clone(&session);
    session.spawn(async move {
        let mut token = [0; TOKEN_BYTES];
        let Ok(Ok(_)) = timeout(TOKEN_PATIENCE, stream.read_exact(&mut token)).await else {
            return tracing::debug!(user, "a file connection without a token");
        };
        drop(permit);
        arriving.downloads.arrived(&user, decode_token(token), stream);
    });
}

/// Our requests under way.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    /// By user, then by path.
    open: Mutex<HashMap<String, HashMap<String, mpsc::Sender<News>>>>,
    expected: Mutex<HashMap<(String, u32), oneshot::Sender<TcpStream>>>,
}

/// A file connection we accepted but do not have yet.
struct Arriving<'a> {
    downloads: &'a Downloads,
    key: (String, u32),
    stream: oneshot::Receiver<TcpStream>,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        lock(&self.downloads.expected).remove(&self.key);
    }
}

impl Downloads {
    /// Message 40. What we did not ask for is refused, whoever offers it.
    pub(crate) fn offered(&self, user: &str, path: &str, token: u32, size: u64, link: &Link) {
        let offer = Offer { token, size, link: link.clone() };
        if !self.tell(user, path, News::Offered(offer)) {
            link.mention(&decline(token));
        }
    }

    /// Message 44.
    pub(crate) fn placed(&self, user: &str, path: &str, place: u32) {
        self.tell(user, path, News::Place(place));
    }

    /// Message 46.
    pub(crate) fn failed(&self, user: &str, path: &str) {
        self.tell(user, path, News::Failed);
    }

    /// Message 50.
    pub(crate) fn denied(&self, user: &str, path: &str, reason: &str) {
        self.tell(user, path, News::Denied(reason.chars().take(LONGEST_REASON).collect()));
    }

    /// The server says the user left, or never was.
    pub(crate) fn offline(&self, user: &str) {
        if let Some(of_user) = lock(&self.open).get(user) {
            for download in of_user.values() {
                let _ = download.try_send(News::Offline);
            }
        }
    }

    fn tell(&self, user: &str, path: &str, news: News) -> bool {
        let open = lock(&self.open);
        let download = open.get(user).and_then(|of_user| of_user.get(path));
        download.is_some_and(|download| download.try_send(news).is_ok())
    }

    fn expect(&self, user: &str, token: u32) -> Arriving<'_> {
        let key = (user.to_owned(), token);
        let (waiter, stream) = oneshot::channel();
        lock(&self.expected).insert(key.clone(), waiter);
        Arriving { downloads: self, key, stream }
    }

    fn arrived(&self, user: &str, token: u32, stream: TcpStream) {
        match lock(&self.expected).remove(&(user.to_owned(), token)) {
            Some(waiter) => drop(waiter.send(stream)),
            None => tracing::debug!(user, token, "a file nobody accepted"),
        }
    }

    fn forget(&self, session: &Session, user: &str, path: &str) {
        let mut open = lock(&self.open);
        if let Some(of_user) = open.get_mut(user) {
            of_user.remove(path);
            if of_user.is_empty() {
                open.remove(user);
                session.mention_to_server(ServerRequest::UnwatchUser { user: user.to_owned() });
            }
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.open).clear();
        lock(&self.expected).clear();
    }
}
