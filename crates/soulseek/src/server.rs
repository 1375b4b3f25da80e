//! The server connection: logging in, then acting on what the server says until it is lost.
//!
//! Messages are [`crate::wire::server`]; what follows from them happens elsewhere.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::conn::{ReadError, dial, read_frame, write_all};
use crate::connect::return_call;
use crate::distributed::News;
use crate::event::Event;
use crate::reach::Listening;
use crate::session::Session;
use crate::wire::obfuscated;
use crate::wire::server::{LoginAnswer, Obfuscation};
use crate::wire::{Channel, ServerMessage, ServerRequest};

/// Major version for clients that are neither of the old ones. SOULSEEK.md, decision 4.
const MAJOR_VERSION: u32 = 177;
const MINOR_VERSION: u32 = 1;
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// A banned address gets no answer at all, so this also tells of bans.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);
const PING_EVERY: Duration = Duration::from_secs(60);
/// A quiet server is normal: it answers no pings. A dead one is noticed when a ping cannot be
/// delivered, so this only bounds the wait in name.
const SILENCE: Duration = Duration::from_secs(24 * 3600);
/// How long a lost session waits for last words: the server's, then its own to be received.
const LAST_WORDS: Duration = Duration::from_secs(5);

const OFFLINE: u32 = 0;

/// Why the server did not let us in.
#[derive(Debug)]
pub(crate) enum LogInError {
    Unreachable(io::Error),
    NoAnswer,
    Closed,
    Refused { reason: String, detail: Option<String> },
}

impl From<io::Error> for LogInError {
    fn from(error: io::Error) -> LogInError {
        LogInError::Unreachable(error)
    }
}

/// md5 in lower-case hex, as the login (code 1) carries it.
pub fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Connects and logs in.
pub(crate) async fn log_in(
    server: &str,
    user: &str,
    password: &str,
    local: IpAddr,
) -> Result<TcpStream, LogInError> {
    let mut stream = reach(server, local).await?;
    let login = ServerRequest::Login {
        user: user.to_owned(),
        password: password.to_owned(),
        major: MAJOR_VERSION,
        digest: md5_hex(&format!("{user}{password}")),
        minor: MINOR_VERSION,
    };
    write_all(&mut stream, &login.encode()).await?;
    loop {
        let frame = match read_frame(&mut stream, Channel::FromServer, LOGIN_PATIENCE).await {
            Ok(frame) => frame,
            Err(ReadError::TimedOut) => return Err(LogInError::NoAnswer),
            Err(_) => return Err(LogInError::Closed),
        };
        match ServerMessage::decode(frame.code, &frame.body) {
            Ok(ServerMessage::Login { answer: LoginAnswer::Accepted { .. } }) => return Ok(stream),
            Ok(ServerMessage::Login { answer: LoginAnswer::Refused { reason, detail } }) => {
                return Err(LogInError::Refused { reason, detail });
            }
            Ok(_) => {}
            Err(_) => return Err(LogInError::Closed),
        }
    }
}

async fn reach(server: &str, local: IpAddr) -> io::Result<TcpStream> {
    let lookup = timeout(CONNECT_PATIENCE, tokio::net::lookup_host(server));
    let addresses = lookup.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match dial(address, local, CONNECT_PATIENCE).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What a client tells the server right after the login. SOULSEEK.md 2.2.
pub(crate) fn introduction(
    session: &Session,
    port: u16,
    obfuscated_port: Option<u16>,
) -> Vec<ServerRequest> {
    let user = &session.user;
    let obfuscation =
        obfuscated_port.map(|port| Obfuscation { kind: obfuscated::KIND, port: port.into() });
    vec![
        ServerRequest::SetWaitPort { port: port.into(), obfuscation },
        ServerRequest::SetStatus { status: 2 },
        shared_counts(session),
        ServerRequest::WatchUser { user: user.clone() },
        ServerRequest::HaveNoParent { without: true },
        ServerRequest::BranchLevel { level: 0 },
        ServerRequest::BranchRoot { user: user.clone() },
        // Without a parent there is nothing to pass on to children yet. The rest is said by
        // `crate::distributed`.
        ServerRequest::AcceptChildren { accept: false },
        ServerRequest::EnableRoomInvitations { enable: false },
    ]
}

/// Message 35.
pub(crate) fn shared_counts(session: &Session) -> ServerRequest {
    let shares = session.shares();
    ServerRequest::SharedFoldersFiles {
        folders: u32::try_from(shares.folder_count()).unwrap_or(u32::MAX),
        files: u32::try_from(shares.file_count()).unwrap_or(u32::MAX),
    }
}

/// Starts reading from and writing to a server that let us in.
pub(crate) fn start(session: &Arc<Session>, stream: TcpStream, requests: mpsc::Receiver<Vec<u8>>) {
    let (read_half, write_half) = stream.into_split();
    let writing = write(write_half, requests);
    let reading = Arc::clone(session);
    session.spawn(async move {
        let mut heard = pin!(read(&reading, read_half));
        let reason = tokio::select! {
            biased;
            reason = &mut heard => reason,
            // A server that stopped taking requests may have said why just before.
            reason = writing => timeout(LAST_WORDS, heard).await.unwrap_or(reason),
        };
        reading.release_waiters();
        let last_words = async {
            match reason {
                Loss::Relogged => reading.events.tell(Event::KickedByOtherLogin).await,
                Loss::Closed(reason) => {
                    reading.events.tell(Event::Disconnected { reason }).await;
                }
            }
            reading.events.tell(Event::Ended).await;
        };
        if timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::warn!("nobody received the end of the session");
        }
        reading.end();
    });
}

enum Loss {
    Relogged,
    Closed(String),
}

async fn write(mut stream: OwnedWriteHalf, mut requests: mpsc::Receiver<Vec<u8>>) -> Loss {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, and the login was sign of life enough.
    ping.tick().await;
    loop {
        let frame = tokio::select! {
            request = requests.recv() => match request {
                Some(frame) => frame,
                None => return Loss::Closed("session ended".to_owned()),
            },
            _ = ping.tick() => ServerRequest::Ping {}.encode(),
        };
        if let Err(error) = write_all(&mut stream, &frame).await {
            return Loss::Closed(error.to_string());
        }
    }
}

async fn read(session: &Arc<Session>, mut stream: OwnedReadHalf) -> Loss {
    loop {
        let frame = match read_frame(&mut stream, Channel::FromServer, SILENCE).await {
            Ok(frame) => frame,
            Err(error) => return Loss::Closed(error.to_string()),
        };
        match ServerMessage::decode(frame.code, &frame.body) {
            Ok(ServerMessage::Relogged {}) => return Loss::Relogged,
            Ok(message) => act(session, message).await,
            Err(error) => tracing::warn!(code = frame.code, %error, "unreadable from the server"),
        }
    }
}

async fn act(session: &Arc<Session>, message: ServerMessage) {
    match message {
        ServerMessage::PeerAddress { user, ip, port, obfuscation, obfuscated_port } => {
            let told = Listening::new(ip, port, obfuscation, obfuscated_port.into());
            session.addresses.told(&user, told);
        }
        ServerMessage::WatchedUser { user, exists, state } => {
            if let Some(state) = &state {
                own_speed(session, &user, state.stats.speed).await;
            }
            if !exists || state.is_some_and(|state| state.status == OFFLINE) {
                session.downloads.offline(&user);
            }
        }
        ServerMessage::UserStatus { user, status, privileged } => {
            session.uploads.privilege(&user, privileged);
            if status == OFFLINE {
                session.downloads.offline(&user);
            }
        }
        ServerMessage::ConnectToPeer {
            user,
            kind,
            ip,
            port,
            token,
            obfuscation,
            obfuscated_port,
            ..
        } => {
            let told = Listening::new(ip, port, obfuscation, obfuscated_port);
            return_call(session, user, kind, told, token);
        }
        ServerMessage::CantConnectToPeer { token } => session.invitations.declined(token),
        ServerMessage::FileSearch { user, token, query } => {
            crate::search::answer(session, user, token, query);
        }
        ServerMessage::EmbeddedMessage { code, body } => {
            tell_tree(session, News::Embedded { code, body: body.0 }).await;
        }
        ServerMessage::PrivateMessage { id, at, user, text, .. } => {
            crate::chat::heard(session, id, at, user, text);
        }
        ServerMessage::PrivilegedUsers { users } => session.uploads.privileged_are(users),
        ServerMessage::ExcludedPhrases { phrases } => session.answering.exclude(phrases),
        // Said aloud but never waited for: the server must not stall because nobody listens.
        ServerMessage::AdminMessage { text } => {
            session.events.mention(Event::AdminMessage { text });
        }
        ServerMessage::WishlistInterval { seconds } => {
            session.events.mention(Event::WishlistInterval { seconds });
        }
        ServerMessage::ResetDistributed {} => tell_tree(session, News::Reset).await,
        ServerMessage::ParentMinSpeed { speed } => {
            tell_tree(session, News::MinSpeed(speed)).await;
        }
        ServerMessage::ParentSpeedRatio { ratio } => {
            tell_tree(session, News::SpeedRatio(ratio)).await;
        }
        ServerMessage::PossibleParents { candidates } => {
            tell_tree(session, News::PossibleParents(candidates)).await;
        }
        ServerMessage::UserStats { user, stats } => own_speed(session, &user, stats.speed).await,
        // What nobody here asks for.
        ServerMessage::Login { .. }
        | ServerMessage::Ping {}
        | ServerMessage::Relogged {}
        | ServerMessage::RoomList { .. }
        | ServerMessage::CheckPrivileges { .. }
        | ServerMessage::RoomMessage { .. }
        | ServerMessage::JoinedRoom { .. }
        | ServerMessage::LeftRoom { .. }
        | ServerMessage::UserJoinedRoom { .. }
        | ServerMessage::UserLeftRoom { .. }
        | ServerMessage::Recommendations { .. }
        | ServerMessage::OwnInterests { .. }
        | ServerMessage::GlobalRecommendations { .. }
        | ServerMessage::UserInterests { .. }
        | ServerMessage::SimilarUsers { .. }
        | ServerMessage::ThingRecommendations { .. }
        | ServerMessage::ThingSimilarUsers { .. }
        | ServerMessage::Tickers { .. }
        | ServerMessage::TickerAdded { .. }
        | ServerMessage::TickerRemoved { .. }
        | ServerMessage::UserPrivileges { .. }
        | ServerMessage::RoomMembers { .. }
        | ServerMessage::RoomMemberAdded { .. }
        | ServerMessage::RoomMemberRemoved { .. }
        | ServerMessage::MembershipGranted { .. }
        | ServerMessage::MembershipRevoked { .. }
        | ServerMessage::RoomInvitations { .. }
        | ServerMessage::PasswordChanged { .. }
        | ServerMessage::RoomOperatorAdded { .. }
        | ServerMessage::RoomOperatorRemoved { .. }
        | ServerMessage::OperatorshipGranted { .. }
        | ServerMessage::OperatorshipRevoked { .. }
        | ServerMessage::RoomOperators { .. }
        | ServerMessage::GlobalRoomMessage { .. }
        | ServerMessage::RelatedSearches { .. }
        | ServerMessage::CannotCreateRoom { .. }
        | ServerMessage::Unknown { .. } => {}
    }
}

/// The server told a user's speed; ours decides how many children we may have.
async fn own_speed(session: &Session, user: &str, bytes_per_s: u32) {
    if user == session.user {
        tell_tree(session, News::OwnSpeed(bytes_per_s)).await;
    }
}

async fn tell_tree(session: &Session, news: News) {
    // Nobody hears it only once the session is over.
    let _ = session.distributed.send(news).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_digest_is_lower_case_hex() {
        assert_eq!(md5_hex("adasecret"), "ce6829b16cdf830477ff3af181b2a62f");
    }
}
