//! Looking at what another user shares: everything, one folder, and what they say of themselves.
//!
//! An answer is only taken while somebody waits for it; [`crate::peers`] drops the others packed as they
//! are. What we tell those who ask us is in [`crate::peers`] as well. SOULSEEK.md 2.4.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::attributes::RemoteFile;
use crate::client::Client;
use crate::conn::{Head, ReadError};
use crate::connect::ConnectError;
use crate::session::{Session, lock};
use crate::wire::peer::{FOLDER, FileEntry, FolderEntry, SHARE_LIST, USER_INFO, UserInfo};
use crate::wire::share_list::{Limits, ListedFolder, ShareListReader, Step};
use crate::wire::{Channel, DecodeError, PeerMessage};

/// Patience for an answer to begin: some clients first gather a large list.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// Patience for whoever asked for a list to take the next piece of it.
const ASKER_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a list that are handed on at a time.
const PIECE: usize = 64 << 10;
/// Pieces that may wait for whoever asked.
const PIECES: usize = 4;
/// Users who may still send a list that nobody waits for any more, without losing their connection.
const GIVEN_UP: usize = 64;

/// One folder of another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFolder {
    /// Virtual path, with `\` between its parts.
    pub path: String,
    /// Its files, each with its whole path.
    pub files: Vec<RemoteFile>,
    /// Only for users this one has chosen.
    pub private: bool,
}

/// Why another user's shares or words are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrowseError {
    /// The user is not logged in.
    #[error("user is offline")]
    Offline,
    /// Neither side could reach the other.
    #[error("user cannot be reached")]
    Unreachable,
    /// The same is being asked for already.
    #[error("this user is already being asked for this")]
    AlreadyAsked,
    /// The user was asked and says nothing.
    #[error("user does not answer")]
    NoAnswer,
    /// The connection ended inside the list.
    #[error("list broke off")]
    Cut,
    /// The list is damaged or larger than any.
    #[error("list cannot be read")]
    Unreadable(#[from] DecodeError),
    /// The session is over.
    #[error("session ended")]
    SessionEnded,
}

impl Client {
    /// Asks a user for everything they share (message 4). The list is unpacked as it is read, so
    /// that its size does not matter.
    pub async fn browse(&self, user: &str) -> Result<Browse, BrowseError> {
        let session = self.session().map_err(|_| BrowseError::SessionEnded)?;
        let browse = Browse::begin(session, user)?;
        crate::peers::send(session, user, &PeerMessage::GetShareList {}).await?;
        Ok(browse)
    }

    /// Asks a user for one folder by its virtual path (message 36); some clients also tell those
    /// below it. Empty when there is no such folder.
    pub async fn folder(&self, user: &str, path: &str) -> Result<Vec<RemoteFolder>, BrowseError> {
        let session = self.session().map_err(|_| BrowseError::SessionEnded)?;
        let token = session.tokens.next();
        let question = PeerMessage::GetFolder { token, folder: path.to_owned() };
        match ask(session, user, Asked::Folder(token), question).await? {
            PeerMessage::Folder { contents } => {
                let folders = contents.folders.into_iter();
                Ok(folders.map(|FolderEntry { path, files }| remote(path, files, false)).collect())
            }
            _ => Err(BrowseError::NoAnswer),
        }
    }

    /// Asks what a user says of themselves, and how busy they are (message 15).
    pub async fn user_info(&self, user: &str) -> Result<UserInfo, BrowseError> {
        let session = self.session().map_err(|_| BrowseError::SessionEnded)?;
        match ask(session, user, Asked::Info, PeerMessage::GetUserInfo {}).await? {
            PeerMessage::UserInfo { info } => Ok(info),
            _ => Err(BrowseError::NoAnswer),
        }
    }
}

/// A share list under way. Dropping it stops listening; the list is read over when it comes.
#[derive(Debug)]
pub struct Browse {
    session: Arc<Session>,
    pieces: mpsc::Receiver<Vec<u8>>,
    /// The latest piece, taken up to `at`.
    piece: Vec<u8>,
    at: usize,
    reader: ShareListReader,
}

impl Browse {
    fn begin(session: &Arc<Session>, user: &str) -> Result<Browse, BrowseError> {
        let (asker, pieces) = mpsc::channel(PIECES);
        {
            let mut lists = lock(&session.browses.lists);
            if lists.len() >= GIVEN_UP {
                lists.retain(|_, askers| askers.iter().any(|asker| !asker.is_closed()));
            }
            let askers = lists.entry(user.to_owned()).or_default();
            if askers.iter().any(|asker| !asker.is_closed()) {
                return Err(BrowseError::AlreadyAsked);
            }
            askers.push_back(asker);
        }
        let reader = ShareListReader::new(Limits::default());
        Ok(Browse { session: Arc::clone(session), pieces, piece: Vec::new(), at: 0, reader })
    }

    /// Waits for the next folder; `None` when the list is complete. A folder of thousands of files
    /// comes in several pieces with the same path. After an error nothing more comes.
    pub async fn next(&mut self) -> Result<Option<RemoteFolder>, BrowseError> {
        loop {
            let mut rest = &self.piece[self.at..];
            let step = self.reader.next(&mut rest)?;
            self.at = self.piece.len() - rest.len();
            match step {
                Step::Folder(ListedFolder { path, files, private }) => {
                    return Ok(Some(remote(path, files, private)));
                }
                Step::End => return Ok(None),
                Step::NeedMore => {
                    let piece = timeout(ANSWER_PATIENCE, self.pieces.recv()).await;
                    self.piece = match piece.map_err(|_| BrowseError::NoAnswer)? {
                        Some(piece) => piece,
                        None if self.session.has_ended() => return Err(BrowseError::SessionEnded),
                        None => return Err(BrowseError::Cut),
                    };
                    self.at = 0;
                }
            }
        }
    }
}

fn remote(path: String, files: Vec<FileEntry>, private: bool) -> RemoteFolder {
    let whole = |name: String| if path.is_empty() { name } else { format!("{path}\\{name}") };
    let files = files
        .into_iter()
        .map(|file| RemoteFile::from(FileEntry { name: whole(file.name), ..file }))
        .collect();
    RemoteFolder { files, private, path }
}

/// What a user is asked for in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Info,
    /// With the request's token.
    Folder(u32),
}

impl Asked {
    /// Of the answer.
    fn code(self) -> u32 {
        match self {
            Asked::Info => USER_INFO,
            Asked::Folder(_) => FOLDER,
        }
    }
}

/// Who waits for what from whom.
#[derive(Debug, Default)]
pub(crate) struct Browses {
    /// One for each list a user owes us; at most one of them is still listening.
    lists: Mutex<HashMap<String, VecDeque<mpsc::Sender<Vec<u8>>>>>,
    answers: Mutex<HashMap<(String, Asked), oneshot::Sender<PeerMessage>>>,
}

impl Browses {
    /// Who takes this user's list, if it is one and was asked for. Nobody takes a second one.
    pub(crate) fn who_asked_for_list(
        &self,
        user: &str,
        code: u32,
    ) -> Option<mpsc::Sender<Vec<u8>>> {
        if code != SHARE_LIST {
            return None;
        }
        let mut lists = lock(&self.lists);
        let askers = lists.get_mut(user)?;
        let listening = askers.iter().position(|asker| !asker.is_closed());
        let asker = askers.remove(listening.unwrap_or(0));
        if askers.is_empty() {
            lists.remove(user);
        }
        asker
    }

    /// What this user may send: more when it was asked for.
    pub(crate) fn channel(&self, user: &str, code: u32) -> Channel {
        if self.expect(user, code) { Channel::PeerAsked } else { Channel::Peer }
    }

    /// Whether this user was asked for anything that is answered with this code.
    pub(crate) fn expect(&self, user: &str, code: u32) -> bool {
        lock(&self.answers).keys().any(|(of, asked)| of == user && asked.code() == code)
    }

    pub(crate) fn want(&self, user: &str, asked: Asked) -> bool {
        lock(&self.answers).contains_key(&(user.to_owned(), asked))
    }

    /// Messages 16 and 37.
    pub(crate) fn answered(&self, user: &str, asked: Asked, answer: PeerMessage) {
        if let Some(waiter) = lock(&self.answers).remove(&(user.to_owned(), asked)) {
            let _ = waiter.send(answer);
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.lists).clear();
        lock(&self.answers).clear();
    }
}

/// Hands a list on as it arrives. What nobody takes any more is read over, so that the connection can
/// still be used.
pub(crate) async fn deliver<R>(
    mut head: Head,
    stream: &mut R,
    asker: mpsc::Sender<Vec<u8>>,
) -> Result<(), ReadError>
where
    R: AsyncRead + Unpin,
{
    let mut left = head.body_bytes(Channel::PeerAsked)?;
    let mut asker = Some(asker);
    while left > 0 {
        let mut piece = vec![0; left.min(PIECE)];
        head.read_piece(stream, &mut piece).await?;
        left -= piece.len();
        if let Some(listening) = &asker
            && listening.send_timeout(piece, ASKER_PATIENCE).await.is_err()
        {
            asker = None;
        }
    }
    Ok(())
}

async fn ask(
    session: &Arc<Session>,
    user: &str,
    asked: Asked,
    question: PeerMessage,
) -> Result<PeerMessage, BrowseError> {
    let key = (user.to_owned(), asked);
    let (waiter, answered) = oneshot::channel();
    {
        let mut answers = lock(&session.browses.answers);
        if answers.contains_key(&key) {
            return Err(BrowseError::AlreadyAsked);
        }
        answers.insert(key, waiter);
    }
    let mut asking = Asking { session, answered };
    crate::peers::send(session, user, &question).await?;
    match timeout(ANSWER_PATIENCE, &mut asking.answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(BrowseError::SessionEnded),
        Err(_) => Err(BrowseError::NoAnswer),
    }
}

/// Forgets a question however the wait for its answer ends.
struct Asking<'a> {
    session: &'a Session,
    answered: oneshot::Receiver<PeerMessage>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.answered.close();
        lock(&self.session.browses.answers).retain(|_, waiter| !waiter.is_closed());
    }
}

impl From<ConnectError> for BrowseError {
    fn from(error: ConnectError) -> BrowseError {
        match error {
            ConnectError::Offline => BrowseError::Offline,
            ConnectError::Unreachable => BrowseError::Unreachable,
            ConnectError::SessionEnded => BrowseError::SessionEnded,
        }
    }
}
