//! Searches: ours and the answers they bring, others' and the answers we owe.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc};

use crate::attributes::RemoteFile;
use crate::session::{Session, lock};
use crate::wire::{PeerMessage, peer};

/// Answers that may wait to be read; a popular query brings thousands, and the rest is dropped.
const ANSWERS: usize = 256;
/// Files in one answer of ours. SOULSEEK.md 2.7.
const FILES_PER_ANSWER: usize = 100;
/// Answers of ours being delivered at the same time; searches beyond it stay unanswered.
const DELIVERIES: usize = 32;
/// Searches remembered so that a second copy is not answered again.
const REMEMBERED: usize = 512;

/// A search under way. Dropping it stops listening.
#[derive(Debug)]
pub struct Search {
    session: Arc<Session>,
    token: u32,
    answers: mpsc::Receiver<SearchAnswer>,
}

/// What one user has for a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchAnswer {
    /// Who answers.
    pub user: String,
    /// Files anyone may fetch.
    pub files: Vec<RemoteFile>,
    /// Files only for users this one has chosen.
    pub private_files: Vec<RemoteFile>,
    /// Whether an upload would begin at once.
    pub free_slot: bool,
    /// Average upload speed in bytes per second.
    pub speed: u32,
    /// How many uploads wait.
    pub queue_length: u32,
}

impl Search {
    pub(crate) fn begin(session: &Arc<Session>) -> Search {
        let token = session.tokens.next();
        let (sender, answers) = mpsc::channel(ANSWERS);
        lock(&session.searches.open).insert(token, sender);
        Search { session: Arc::clone(session), token, answers }
    }

    /// The number answers refer to.
    pub fn token(&self) -> u32 {
        self.token
    }

    /// Waits for the next answer; `None` once the session is over. There is no last answer:
    /// the caller decides when enough have come.
    pub async fn next(&mut self) -> Option<SearchAnswer> {
        self.answers.recv().await
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        lock(&self.session.searches.open).remove(&self.token);
    }
}

/// Our searches under way, by token.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    open: Mutex<HashMap<u32, mpsc::Sender<SearchAnswer>>>,
}

impl Searches {
    /// Message 9 came from this user.
    pub(crate) fn answered(&self, user: &str, answer: peer::SearchAnswer) {
        if answer.user != user {
            return tracing::debug!(user, claimed = answer.user, "an answer in another's name");
        }
        let open = lock(&self.open);
        let Some(search) = open.get(&answer.token) else { return };
        let answer = SearchAnswer {
            user: answer.user,
            files: answer.files.into_iter().map(RemoteFile::from).collect(),
            private_files: answer.private_files.into_iter().map(RemoteFile::from).collect(),
            free_slot: answer.free_slot,
            speed: answer.speed,
            queue_length: answer.queue_length,
        };
        if search.try_send(answer).is_err() {
            tracing::debug!(user, "an answer nobody had time for");
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.open).clear();
    }
}

/// What answering others' searches needs to remember.
#[derive(Debug)]
pub(crate) struct Answering {
    excluded: RwLock<Arc<[String]>>,
    recent: Mutex<VecDeque<(String, u32)>>,
    deliveries: Arc<Semaphore>,
}

impl Default for Answering {
    fn default() -> Answering {
        Answering {
            excluded: RwLock::new(Arc::from([])),
            recent: Mutex::default(),
            deliveries: Arc::new(Semaphore::new(DELIVERIES)),
        }
    }
}

impl Answering {
    /// Message 160.
    pub(crate) fn exclude(&self, phrases: Vec<String>) {
        *self.excluded.write().unwrap_or_else(PoisonError::into_inner) = phrases.into();
    }

    /// The same search reaches a client over several ways; the second copy is not new.
    fn is_new(&self, user: &str, token: u32) -> bool {
        let mut recent = lock(&self.recent);
        if recent.iter().any(|(known, number)| *number == token && known == user) {
            return false;
        }
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        recent.push_back((user.to_owned(), token));
        true
    }
}

/// Answers a search of another user, if anything matches and the answer can be delivered.
pub(crate) fn answer(session: &Arc<Session>, user: String, token: u32, query: String) {
    let answering = &session.answering;
    if user == session.user || !answering.is_new(&user, token) {
        return;
    }
    let Ok(permit) = Arc::clone(&answering.deliveries).try_acquire_owned() else { return };
    let excluded = Arc::clone(&answering.excluded.read().unwrap_or_else(PoisonError::into_inner));
    let delivering = Arc::clone(session);
    session.spawn(async move {
        let shares = delivering.shares();
        let files: Vec<_> = shares
            .search(&query, &excluded, FILES_PER_ANSWER)
            .into_iter()
            .map(|file| file.entry(&file.virtual_path))
            .collect();
        if files.is_empty() {
            return;
        }
        let load = delivering.uploads.load();
        let answer = peer::SearchAnswer {
            user: delivering.user.clone(),
            token,
            files,
            free_slot: load.free_slot,
            speed: load.speed,
            queue_length: load.waiting,
            private_files: Vec::new(),
        };
        let message = PeerMessage::SearchAnswer { answer };
        if let Err(error) = crate::peers::send(&delivering, &user, &message).await {
            tracing::debug!(user, ?error, "a search answer was not delivered");
        }
        drop(permit);
    });
}
