//! Fetches one file of one user: asks for it, waits for its turn, receives its bytes.
//!
//! ```text
//! 43 out ─▶ Queued ─▶ Place(n)… ─▶ 40 in: Granted ─▶ accept: 41 out, F in, offset out ─▶ bytes
//!              └─▶ 46 or 50 in, user gone: Ended
//! ```
//! What to do about an end is the caller's: ask again, or ask someone else. SOULSEEK.md 2.5.

mod news;
mod open;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::session::{Session, lock};
use crate::wire::peer::{Verdict, reason};
use crate::wire::{PeerMessage, ServerRequest};
pub use news::{DownloadEnd, DownloadEvent, TransferError};
use news::{News, Offer, cancelled, decline, is_full_queue, says};
pub(crate) use open::{Downloads, file_arrived};
pub use stream::FileStream;

/// The first question for our place; files that are granted before it are never asked about.
const FIRST_ASK_AFTER: Duration = Duration::from_secs(3);
/// Between two questions for our place.
const ASK_EVERY: Duration = Duration::from_secs(180);
/// Patience for the uploader's file connection after we accepted.
const FILE_PATIENCE: Duration = Duration::from_secs(60);
/// News that may wait for the caller.
const NEWS: usize = 32;

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
    /// Whether the path is written the way clients older than Unicode know it.
    latin: bool,
    ended: Option<DownloadEnd>,
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
            latin: false,
            ended: None,
        };
        download.tell(download.request(), true);
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
                    self.tell(self.request(), true);
                    continue;
                }
                Some(News::Denied(reason)) if self.may_be_latin(&reason) => {
                    self.latin = true;
                    self.tell(self.request(), true);
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
            self.tell(self.request(), false);
        }
        self.unanswered += 1;
        self.tell(self.about_path(PeerMessage::GetPlaceInQueue { path: self.path.clone() }), false);
    }

    /// Message 43.
    fn request(&self) -> PeerMessage {
        self.about_path(PeerMessage::QueueUpload { path: self.path.clone() })
    }

    /// A message that holds the path and nothing else, in the letters the other side knows it by.
    fn about_path(&self, message: PeerMessage) -> PeerMessage {
        match latin(&self.path) {
            Some(path) if self.latin => {
                let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
                let body = [&length.to_le_bytes()[..], &path].concat();
                PeerMessage::Unknown { code: message.code(), body }
            }
            _ => message,
        }
    }

    /// Whether a denial may only mean that the other side knows no Unicode: what it showed us in
    /// Latin-1 it does not find when it is asked for in UTF-8. SOULSEEK.md 2.1.
    fn may_be_latin(&self, denial: &str) -> bool {
        let differs = !self.path.is_ascii() && latin(&self.path).is_some();
        differs && !self.latin && says(denial, reason::NOT_SHARED)
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
        FileStream::begin(session.downloads.pace.clone(), stream, offset, size).await
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
                // It speaks of another attempt: this one has been granted.
                News::Denied(reason) if is_full_queue(&reason) => {}
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
                Some(News::Denied(reason)) if is_full_queue(&reason) => {}
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

/// The path in Latin-1, when all its letters are in there.
fn latin(path: &str) -> Option<Vec<u8>> {
    path.chars().map(|letter| u8::try_from(letter).ok()).collect()
}
