//! Serves our files: who may have what, and how busy we are.
//!
//! ```text
//! 43 from them → waiting → turn → 40 to them → 41 ok → F connection → offset → bytes → they close
//! ```
//! One transfer per user at a time, `slots` in all, users in turn: [`turns`]. From the turn on it is
//! [`sending`]. SOULSEEK.md 2.5 and 2.8.

mod sending;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::pace::Pace;
use crate::session::{Session, lock};
use crate::wire::PeerMessage;
use crate::wire::peer::{Verdict, reason};
pub(crate) use turns::Room;
use turns::Turns;

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

/// How busy the uploads are, as told to others.
pub(crate) struct Load {
    pub(crate) slots: u32,
    pub(crate) waiting: u32,
    pub(crate) free_slot: bool,
    pub(crate) speed: u32,
}

impl Uploads {
    pub(crate) fn new(
        slots: usize,
        bytes_per_s: Option<u64>,
        known_speed: u32,
        room: Room,
    ) -> Uploads {
        Uploads {
            slots,
            pace: bytes_per_s.map(Pace::new),
            turns: Mutex::new(Turns::new(room)),
            verdicts: Mutex::default(),
            speed: AtomicU32::new(known_speed),
        }
    }

    pub(crate) fn load(&self) -> Load {
        let turns = lock(&self.turns);
        Load {
            slots: u32::try_from(self.slots).unwrap_or(u32::MAX),
            waiting: u32::try_from(turns.waiting()).unwrap_or(u32::MAX),
            free_slot: turns.has_free(self.slots),
            speed: self.speed.load(Ordering::Relaxed),
        }
    }

    /// The place of a file in the queue, first is 1.
    pub(crate) fn place(&self, user: &str, path: &str) -> Option<u32> {
        lock(&self.turns).place(user, path)
    }

    /// Message 41.
    pub(crate) fn judged(&self, user: &str, token: u32, verdict: Verdict) {
        if let Some(waiter) = lock(&self.verdicts).remove(&(user.to_owned(), token)) {
            let _ = waiter.send(verdict);
        }
    }

    /// Message 69.
    pub(crate) fn privileged_are(&self, users: Vec<String>) {
        lock(&self.turns).privileged_are(users);
    }

    /// Message 7.
    pub(crate) fn privilege(&self, user: &str, privileged: bool) {
        lock(&self.turns).privilege(user, privileged);
    }
}

/// Message 43: queues a file for a user, or says why not.
pub(crate) fn queue(session: &Arc<Session>, user: &str, path: &str) -> Result<(), &'static str> {
    let shares = session.shares();
    // The official client tells those it banned the same. SOULSEEK.md 2.9.
    let Some(file) = shares.get_for(user, path).filter(|_| !session.manners.banned.has_user(user))
    else {
        return Err(reason::NOT_SHARED);
    };
    lock(&session.uploads.turns).add(user, path, file.size)?;
    sending::start_next(session);
    Ok(())
}

/// Tells those who wait that this session is about to end, and lets nobody else in. Only over the
/// connections there are: whoever is not connected finds out from the server.
pub(crate) async fn close_queue(session: &Arc<Session>) {
    let waiting = lock(&session.uploads.turns).close();
    let mut telling = tokio::task::JoinSet::new();
    for (user, paths) in waiting {
        let Some(link) = session.peers.newest(&user) else { continue };
        telling.spawn(async move {
            for path in paths {
                let reason = reason::PENDING_SHUTDOWN.to_owned();
                if link.send(&PeerMessage::UploadDenied { path, reason }).await.is_err() {
                    return;
                }
            }
        });
    }
    while telling.join_next().await.is_some() {}
}
