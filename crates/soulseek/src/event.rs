//! What a client reports without being asked.

use std::sync::Mutex;

use tokio::sync::mpsc;

use crate::session::lock;

/// How many events may wait to be received. Progress beyond it is dropped, the rest waits.
const WAITING: usize = 256;

/// Something happened to the session or to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server connection is lost. [`Event::Ended`] follows.
    Disconnected {
        /// Why, as far as it is known.
        reason: String,
    },
    /// Someone logged in with this name elsewhere (message 41): logging in again at once would
    /// only throw the other one out. [`Event::Ended`] follows.
    KickedByOtherLogin,
    /// A user takes one of our files.
    UploadStarted {
        /// Who takes it.
        user: String,
        /// Its virtual path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// Where the user starts, in bytes.
        offset: u64,
    },
    /// Bytes went out. Dropped when events are not received fast enough.
    UploadProgress {
        /// Who takes it.
        user: String,
        /// Its virtual path.
        path: String,
        /// Bytes sent so far, counted from the offset.
        sent_bytes: u64,
    },
    /// An upload is over; also told for one that never started.
    UploadEnded {
        /// Who wanted it.
        user: String,
        /// Its virtual path.
        path: String,
        /// Bytes sent, counted from the offset.
        sent_bytes: u64,
        /// How it ended.
        outcome: UploadOutcome,
    },
    /// Somebody said something to us (message 22). It comes again with each login, the same number and
    /// time with it, until it is acknowledged.
    PrivateMessage {
        /// The server's number for it.
        id: u32,
        /// When the server got it, in seconds since 1970.
        sent_at_s: u32,
        /// Who said it.
        user: String,
        /// What.
        text: String,
    },
    /// Text from the people who run the server (message 66).
    AdminMessage {
        /// The text.
        text: String,
    },
    /// Seconds between two wishlist searches (message 104).
    WishlistInterval {
        /// The interval.
        seconds: u32,
    },
    /// The session is over; no event follows.
    Ended,
}

/// How an upload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadOutcome {
    /// Everything was sent and the downloader closed.
    Completed,
    /// The downloader did not want it after all.
    Declined {
        /// Its words.
        reason: String,
    },
    /// The downloader closed early.
    Cut,
    /// The downloader could not be reached, or stopped answering.
    Unreachable,
    /// The file on disk is not what the shares promised.
    ReadError,
}

/// The receiving end of a client's events. Receive them or drop it: uploads wait for room to
/// tell that they began or ended.
#[derive(Debug)]
pub struct EventReceiver {
    events: mpsc::Receiver<Event>,
    over: bool,
}

impl EventReceiver {
    /// Waits for the next event; `None` once the session is over.
    pub async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await;
        self.over = matches!(event, None | Some(Event::Ended));
        event
    }
}

/// The sending end; shared by every task of a session.
#[derive(Debug)]
pub(crate) struct EventSender {
    events: Mutex<Option<mpsc::Sender<Event>>>,
}

impl EventSender {
    /// Waits for room: an event that matters is never lost while someone listens.
    pub(crate) async fn tell(&self, event: Event) {
        let sender = lock(&self.events).clone();
        if let Some(sender) = sender {
            // Whoever dropped the receiver does not want to know.
            let _ = sender.send(event).await;
        }
    }

    /// Drops the event when there is no room.
    pub(crate) fn mention(&self, event: Event) {
        if let Some(sender) = lock(&self.events).as_ref() {
            let _ = sender.try_send(event);
        }
    }

    /// Drops the event when half the room is taken, so that progress never crowds out the rest.
    pub(crate) fn mention_progress(&self, event: Event) {
        if let Some(sender) = lock(&self.events).as_ref()
            && sender.capacity() > WAITING / 2
        {
            let _ = sender.try_send(event);
        }
    }

    /// Says so and falls silent, even while others still hold the session.
    pub(crate) fn end(&self) {
        self.mention(Event::Ended);
        lock(&self.events).take();
    }
}

pub(crate) fn channel() -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (
        EventSender { events: Mutex::new(Some(sender)) },
        EventReceiver { events: receiver, over: false },
    )
}
