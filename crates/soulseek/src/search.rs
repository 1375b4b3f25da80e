//! Searches: ours and the answers they bring, others' and the answers we owe.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::attributes::RemoteFile;
use crate::crowd::Crowd;
use crate::session::{Session, lock};
use crate::shares::Found;
use crate::wire::{PeerMessage, peer};

/// Answers that may wait to be read; a popular query brings thousands, and the rest is dropped.
const ANSWERS: usize = 256;
/// Bytes that the answers to one search may take while they wait.
const ANSWERS_BYTES: usize = 8 << 20;
/// Longest query a server takes, in bytes. SOULSEEK.md 2.8.
pub(crate) const LONGEST_QUERY: usize = 256;
/// Files in one answer of ours. SOULSEEK.md 2.7.
const FILES_PER_ANSWER: usize = 100;
/// Searches of others that are looked up at the same time, each on a thread.
const SEARCHING: usize = 8;
/// Searches of others that are looked up or wait to be.
const ASKED: usize = 256;
/// Answers of ours being delivered at the same time; beyond it, those that take longest are given up.
const DELIVERIES: usize = 32;
/// Searches remembered so that a second copy is not answered again.
const REMEMBERED: usize = 512;

/// A search under way. Dropping it stops listening.
#[derive(Debug)]
pub struct Search {
    session: Arc<Session>,
    token: u32,
    answers: mpsc::Receiver<(SearchAnswer, OwnedSemaphorePermit)>,
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
        let room = Arc::new(Semaphore::new(ANSWERS_BYTES));
        lock(&session.searches.open).insert(token, Waiting { answers: sender, room });
        Search { session: Arc::clone(session), token, answers }
    }

    /// The number answers refer to.
    pub fn token(&self) -> u32 {
        self.token
    }

    /// Waits for the next answer; `None` once the session is over. There is no last answer:
    /// the caller decides when enough have come.
    pub async fn next(&mut self) -> Option<SearchAnswer> {
        let (answer, _room) = self.answers.recv().await?;
        Some(answer)
    }
}

impl SearchAnswer {
    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize {
        let file = |file: &RemoteFile| {
            size_of::<RemoteFile>() + file.path.capacity() + file.extension.capacity()
        };
        self.files.iter().chain(&self.private_files).map(file).sum()
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
    open: Mutex<HashMap<u32, Waiting>>,
}

/// Where the answers to one search wait.
#[derive(Debug)]
struct Waiting {
    answers: mpsc::Sender<(SearchAnswer, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

impl Searches {
    /// Whether this body of message 9 is from who says so and answers a search that has room for it.
    pub(crate) fn want(&self, user: &str, body: &[u8]) -> bool {
        peer::SearchAnswer::peek(body).is_ok_and(|(claimed, token)| {
            let open = lock(&self.open);
            claimed == user && open.get(&token).is_some_and(|search| search.answers.capacity() > 0)
        })
    }

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
        let bytes = u32::try_from(answer.bytes()).unwrap_or(u32::MAX);
        let queued = match Arc::clone(&search.room).try_acquire_many_owned(bytes) {
            Ok(room) => search.answers.try_send((answer, room)).is_ok(),
            Err(_) => false,
        };
        if !queued {
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
    /// By user.
    asked: Arc<Crowd<String>>,
    searching: Semaphore,
    /// By user.
    deliveries: Arc<Crowd<String>>,
}

impl Default for Answering {
    fn default() -> Answering {
        Answering {
            excluded: RwLock::new(Arc::from([])),
            recent: Mutex::default(),
            asked: Crowd::new(ASKED),
            searching: Semaphore::new(SEARCHING),
            deliveries: Crowd::new(DELIVERIES),
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
    // A long query has many words, and every word is work.
    if query.len() > LONGEST_QUERY || user == session.user || !answering.is_new(&user, token) {
        return;
    }
    if session.manners.banned.has_user(&user) {
        return;
    }
    let mut asking = answering.asked.enter(user.clone());
    let excluded = Arc::clone(&answering.excluded.read().unwrap_or_else(PoisonError::into_inner));
    let delivering = Arc::clone(session);
    session.spawn(async move {
        let (shares, asker) = (delivering.shares(), user.clone());
        // It reads from disk, and others should not wait for it.
        let turn = asking.within(delivering.answering.searching.acquire()).await;
        let Some(Ok(turn)) = turn else { return };
        let searching = tokio::task::spawn_blocking(move || {
            shares.search(&asker, &query, &excluded, FILES_PER_ANSWER)
        });
        let Ok(found) = searching.await else { return };
        drop((asking, turn));
        if found.is_empty() {
            return;
        }
        // Only now: most searches find nothing, and must not put out answers on their way.
        let mut place = delivering.answering.deliveries.enter(user.clone());
        let (private, public): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.private);
        let entries = |list: Vec<&Found>| {
            list.iter().map(|found| found.file.entry(&found.file.virtual_path)).collect()
        };
        let load = delivering.uploads.load();
        let answer = peer::SearchAnswer {
            user: delivering.user.clone(),
            token,
            files: entries(public),
            free_slot: load.free_slot,
            speed: load.speed,
            queue_length: load.waiting,
            private_files: entries(private),
        };
        let message = PeerMessage::SearchAnswer { answer };
        match place.within(crate::peers::send(&delivering, &user, &message)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(user, ?error, "a search answer was not delivered"),
            None => tracing::debug!(user, "others wait for answers, too"),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::offline;
    use crate::shares::Shares;
    use crate::wire::peer::FileEntry;

    fn wire_answer(token: u32, path_bytes: usize) -> peer::SearchAnswer {
        let file = |_| FileEntry {
            mark: 1,
            name: "x".repeat(path_bytes),
            size: 1,
            extension: String::new(),
            attributes: Vec::new(),
        };
        peer::SearchAnswer {
            user: "ada".to_owned(),
            token,
            files: (0..1_000).map(file).collect(),
            free_slot: true,
            speed: 1,
            queue_length: 0,
            private_files: Vec::new(),
        }
    }

    #[tokio::test]
    async fn answers_that_wait_take_a_bounded_amount_of_memory() {
        let (session, _) = offline(Shares::default());
        let mut search = Search::begin(&session);
        let mut fill = |path_bytes: usize| {
            for _ in 0..40 {
                session.searches.answered("ada", wire_answer(search.token(), path_bytes));
            }
            let mut bytes = Vec::new();
            while let Ok((answer, _room)) = search.answers.try_recv() {
                bytes.push(answer.bytes());
            }
            bytes
        };
        let large = fill(2_000);
        assert!(large.iter().sum::<usize>() <= ANSWERS_BYTES && large.len() == 4, "{large:?}");
        // What was read makes room again.
        assert_eq!(fill(2_000), large);
        assert_eq!(fill(10).len(), 40, "ordinary answers all fit");
    }

    #[test]
    fn an_answer_is_not_wanted_while_there_is_no_room_for_it() {
        let (session, _) = offline(Shares::default());
        let search = Search::begin(&session);
        let answer = || wire_answer(search.token(), 1);
        let body = PeerMessage::SearchAnswer { answer: answer() }.encode_body();
        for _ in 0..ANSWERS {
            assert!(session.searches.want("ada", &body));
            session.searches.answered("ada", peer::SearchAnswer { files: Vec::new(), ..answer() });
        }
        assert!(!session.searches.want("ada", &body));
    }

    #[tokio::test]
    async fn a_query_longer_than_servers_take_is_not_looked_at() {
        let (session, _) = offline(Shares::default());
        answer(&session, "ada".to_owned(), 1, "x ".repeat(LONGEST_QUERY));
        assert!(session.answering.is_new("ada", 1));
        answer(&session, "ada".to_owned(), 2, "x ".repeat(LONGEST_QUERY / 2));
        assert!(!session.answering.is_new("ada", 2));
    }
}
