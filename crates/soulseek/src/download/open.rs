//! Which files are being asked of whom, and which connections bring them: where what others send
//! finds the [`super::Download`] it is meant for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::news::{News, Offer, decline};
use crate::pace::Pace;
use crate::peers::Link;
use crate::session::{Session, lock};
use crate::wire::ServerRequest;
use crate::wire::file::{TOKEN_BYTES, decode_token};

/// Patience for the token that opens a file connection.
const TOKEN_PATIENCE: Duration = Duration::from_secs(10);
/// Letters of a denial that are passed on; everybody writes a few words.
const LONGEST_REASON: usize = 200;

/// Our requests under way.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    /// The limit of all of them together.
    pub(super) pace: Option<Arc<Pace>>,
    /// By user, then by path.
    pub(super) open: Mutex<HashMap<String, HashMap<String, mpsc::Sender<News>>>>,
    expected: Mutex<HashMap<(String, u32), oneshot::Sender<TcpStream>>>,
}

/// A file connection we accepted but do not have yet.
pub(super) struct Arriving<'a> {
    downloads: &'a Downloads,
    key: (String, u32),
    pub(super) stream: oneshot::Receiver<TcpStream>,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        lock(&self.downloads.expected).remove(&self.key);
    }
}

impl Downloads {
    pub(crate) fn new(bytes_per_s: Option<u64>) -> Downloads {
        Downloads {
            pace: bytes_per_s.map(|limit| Arc::new(Pace::new(limit))),
            ..Downloads::default()
        }
    }

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

    pub(super) fn tell(&self, user: &str, path: &str, news: News) -> bool {
        let open = lock(&self.open);
        let download = open.get(user).and_then(|of_user| of_user.get(path));
        download.is_some_and(|download| download.try_send(news).is_ok())
    }

    pub(super) fn expect(&self, user: &str, token: u32) -> Arriving<'_> {
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

    pub(super) fn forget(&self, session: &Session, user: &str, path: &str) {
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

/// An `F` connection came in: its token says which download it belongs to.
pub(crate) fn file_arrived(session: &Arc<Session>, user: &str, mut stream: TcpStream) {
    let Ok(address) = stream.peer_addr() else { return };
    let mut greeting = session.file_greetings.enter(address.ip());
    let (session, user) = (Arc::clone(session), user.to_owned());
    let arriving = Arc::clone(&session);
    session.spawn(async move {
        let mut token = [0; TOKEN_BYTES];
        let told = timeout(TOKEN_PATIENCE, stream.read_exact(&mut token));
        let Some(Ok(Ok(_))) = greeting.within(told).await else {
            return tracing::debug!(user, "a file connection without a token");
        };
        drop(greeting);
        arriving.downloads.arrived(&user, decode_token(token), stream);
    });
}
