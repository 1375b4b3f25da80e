//! What all tasks of one login share. Holds state and starts tasks; decides nothing.
//!
//! Every task is started here, so ending the session ends them all. Functions that start tasks
//! are plain ones: an `async fn` that starts another that may start the first has no finite type.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::browse::Browses;
use crate::connect::{Addresses, Invitations};
use crate::crowd::Crowd;
use crate::distributed::NewsSender;
use crate::download::Downloads;
use crate::event::EventSender;
use crate::manners::Manners;
use crate::peers::Peers;
use crate::search::{Answering, Searches};
use crate::shares::Shares;
use crate::token::Tokens;
use crate::upload::Uploads;
use crate::wire::ServerRequest;

/// How many connections from others may be introducing themselves at the same time.
const GREETINGS: usize = 128;
/// How many requests to connect back (message 18) are followed at the same time.
const RETURN_CALLS: usize = 256;
/// How many file connections may be about to say which file they bring.
const FILE_GREETINGS: usize = 128;
/// How many share lists and folders are on their way at the same time. Lists are read as they are sent;
/// a folder is as large as its packed form.
pub(crate) const BROWSINGS: usize = 16;
/// How many folders are packed at the same time.
const PACKINGS: usize = 2;

/// State of one login.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) description: String,
    /// Where outgoing connections come from.
    pub(crate) local: IpAddr,
    /// Whether we take obfuscated connections, and so make them.
    pub(crate) obfuscates: bool,
    pub(crate) tokens: Tokens,
    pub(crate) events: EventSender,
    pub(crate) shares: RwLock<Shares>,
    pub(crate) addresses: Addresses,
    pub(crate) invitations: Invitations,
    pub(crate) peers: Peers,
    pub(crate) searches: Searches,
    pub(crate) answering: Answering,
    pub(crate) downloads: Downloads,
    pub(crate) browses: Browses,
    pub(crate) uploads: Uploads,
    pub(crate) manners: Manners,
    /// By address.
    pub(crate) greetings: Arc<Crowd<IpAddr>>,
    /// By user.
    pub(crate) return_calls: Arc<Crowd<String>>,
    /// By address.
    pub(crate) file_greetings: Arc<Crowd<IpAddr>>,
    /// By address.
    pub(crate) browsings: Arc<Crowd<IpAddr>>,
    pub(crate) packings: Semaphore,
    /// To the task that keeps our place in the search network.
    pub(crate) distributed: NewsSender,
    to_server: mpsc::Sender<Vec<u8>>,
    tasks: Mutex<JoinSet<()>>,
    ended: AtomicBool,
}

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionEnded;

/// What a session starts from.
pub(crate) struct Founding {
    pub(crate) user: String,
    pub(crate) description: String,
    pub(crate) local: IpAddr,
    pub(crate) obfuscates: bool,
    pub(crate) shares: Shares,
    pub(crate) uploads: Uploads,
    pub(crate) manners: Manners,
    pub(crate) events: EventSender,
    pub(crate) distributed: NewsSender,
    pub(crate) to_server: mpsc::Sender<Vec<u8>>,
}

impl Session {
    pub(crate) fn new(founding: Founding) -> Arc<Session> {
        Arc::new(Session {
            user: founding.user,
            description: founding.description,
            local: founding.local,
            obfuscates: founding.obfuscates,
            tokens: Tokens::new(),
            events: founding.events,
            shares: RwLock::new(founding.shares),
            addresses: Addresses::default(),
            invitations: Invitations::default(),
            peers: Peers::default(),
            searches: Searches::default(),
            answering: Answering::default(),
            downloads: Downloads::new(founding.manners.download_bytes_per_s),
            browses: Browses::default(),
            uploads: founding.uploads,
            manners: founding.manners,
            greetings: Crowd::new(GREETINGS),
            return_calls: Crowd::new(RETURN_CALLS),
            file_greetings: Crowd::new(FILE_GREETINGS),
            browsings: Crowd::new(BROWSINGS),
            packings: Semaphore::new(PACKINGS),
            distributed: founding.distributed,
            to_server: founding.to_server,
            tasks: Mutex::new(JoinSet::new()),
            ended: AtomicBool::new(false),
        })
    }

    /// Starts a task that ends with the session at the latest.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        // Asked under the lock, so that nothing starts behind the back of `end`.
        if self.has_ended() {
            return;
        }
        while let Some(finished) = tasks.try_join_next() {
            if let Err(error) = finished {
                tracing::error!(%error, "a soulseek task broke");
            }
        }
        tasks.spawn(task);
    }

    /// Sends a request to the server, waiting while its queue is full.
    pub(crate) async fn tell_server(&self, request: ServerRequest) -> Result<(), SessionEnded> {
        self.to_server.send(request.encode()).await.map_err(|_| SessionEnded)
    }

    /// Sends a request unless the server's queue is full.
    pub(crate) fn try_tell_server(
        &self,
        request: ServerRequest,
    ) -> Result<(), TrySendError<Vec<u8>>> {
        self.to_server.try_send(request.encode())
    }

    /// Sends a request the server can do without when its queue is full.
    pub(crate) fn mention_to_server(&self, request: ServerRequest) {
        let _ = self.to_server.try_send(request.encode());
    }

    pub(crate) fn shares(&self) -> Shares {
        self.shares.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Lets everyone who waits for something know that it will not come.
    pub(crate) fn release_waiters(&self) {
        self.ended.store(true, Ordering::Release);
        self.searches.clear();
        self.downloads.clear();
        self.browses.clear();
        self.addresses.clear();
        self.invitations.clear();
        self.peers.clear();
    }

    /// Stops every task of this session, the calling one included at its next wait.
    pub(crate) fn end(&self) {
        self.release_waiters();
        self.events.end();
        lock(&self.tasks).abort_all();
    }

    /// Stops every task and waits until their sockets are closed.
    pub(crate) async fn end_and_wait(&self) {
        self.end();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }
}

/// A session without a server, and what it would tell one.
#[cfg(test)]
pub(crate) fn offline(shares: Shares) -> (Arc<Session>, mpsc::Receiver<Vec<u8>>) {
    offline_with(shares, Manners::default())
}

/// The same with manners of its own.
#[cfg(test)]
pub(crate) fn offline_with(
    shares: Shares,
    manners: Manners,
) -> (Arc<Session>, mpsc::Receiver<Vec<u8>>) {
    let (to_server, requests) = mpsc::channel(1_000);
    let session = Session::new(Founding {
        user: "bo".to_owned(),
        description: String::new(),
        local: IpAddr::from([127, 0, 0, 1]),
        obfuscates: false,
        shares,
        uploads: Uploads::new(1, None, 0, manners.room()),
        manners,
        events: crate::event::channel().0,
        distributed: crate::distributed::channel().0,
        to_server,
    });
    (session, requests)
}

/// Locks; a panic elsewhere does not make a map of waiters any less valid.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
