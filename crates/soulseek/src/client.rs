//! The surface of this crate: one logged-in user, and what it can ask for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::distributed;
use crate::download::Download;
use crate::event::{self, EventReceiver};
use crate::manners::Manners;
use crate::search::{LONGEST_QUERY, Search};
use crate::server::{self, LogInError};
use crate::session::{Founding, Session, SessionEnded};
use crate::shares::Shares;
use crate::upload::{self, Uploads};
use crate::wire::ServerRequest;

/// Requests that may wait to be written to the server.
const TO_SERVER: usize = 256;
/// How long those who wait for our files may take to hear that we leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who logs in where, and how it serves others.
#[derive(Clone)]
pub struct ClientConfig {
    /// `host:port` of the server.
    pub server: String,
    /// At most 30 printable ASCII characters.
    pub user: String,
    /// Any text but the empty one.
    pub password: String,
    /// Where others connect; port 0 takes a free one. Outgoing connections leave from the same
    /// address, unless it is unspecified.
    pub listen: SocketAddr,
    /// The port others see, when a router maps it to the one we listen on.
    pub advertised_port: Option<u16>,
    /// A second port for obfuscated connections; port 0 takes a free one. With it, others who have one
    /// are called there, too. SOULSEEK.md 2.3.
    pub obfuscated_port: Option<u16>,
    /// Uploads at the same time, at most one per user.
    pub upload_slots: usize,
    /// Bytes per second for all uploads together.
    pub upload_bytes_per_s: Option<u64>,
    /// Average upload speed of earlier sessions in bytes per second, told with search answers until
    /// this session has measured its own; 0 when unknown.
    pub known_upload_speed: u32,
    /// What others read about this user.
    pub description: String,
    /// Limits, and who is kept away.
    pub manners: Manners,
}

impl ClientConfig {
    /// A client with one upload slot and no limits that nobody asked for.
    pub fn new(server: &str, user: &str, password: &str, listen: SocketAddr) -> ClientConfig {
        ClientConfig {
            server: server.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            listen,
            advertised_port: None,
            obfuscated_port: None,
            upload_slots: 1,
            upload_bytes_per_s: None,
            known_upload_speed: 0,
            description: String::new(),
            manners: Manners::default(),
        }
    }
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Configurations end up in logs, and passwords must not.
        f.debug_struct("ClientConfig")
            .field("server", &self.server)
            .field("user", &self.user)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Why the session did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// We cannot listen for others.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The server cannot be reached.
    #[error("server is unreachable")]
    Unreachable(#[source] io::Error),
    /// The server says nothing; so it also treats a banned address.
    #[error("server does not answer the login")]
    Timeout,
    /// The server closed the connection instead of answering.
    #[error("server closed the connection")]
    Closed,
    /// `INVALIDUSERNAME`.
    #[error("user name is not acceptable: {detail}")]
    InvalidUserName {
        /// The server's explanation, possibly empty.
        detail: String,
    },
    /// `EMPTYPASSWORD`.
    #[error("password is empty")]
    EmptyPassword,
    /// `INVALIDPASS`: the name belongs to someone else, or the password is mistyped.
    #[error("password is wrong")]
    WrongPassword,
    /// `INVALIDVERSION`.
    #[error("server does not accept this client version")]
    InvalidVersion,
    /// `SVRFULL`.
    #[error("server is full")]
    ServerFull,
    /// `SVRPRIVATE`.
    #[error("server is private")]
    ServerPrivate,
    /// A reason this client does not know.
    #[error("server refused the login: {reason}")]
    Refused {
        /// The server's word for it.
        reason: String,
    },
}

/// Why we cannot listen for others.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error("port {0} is in use")]
    PortInUse(u16),
    /// The system refuses.
    #[error("cannot listen on {address}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a request could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The session is over.
    #[error("session ended")]
    SessionEnded,
    /// This file of this user is being asked for already.
    #[error("this file is already being downloaded from this user")]
    AlreadyAsked,
    /// The query has no words, or more bytes than servers take.
    #[error("query is empty or longer than {LONGEST_QUERY} bytes")]
    UnsuitableQuery,
}

impl From<SessionEnded> for ClientError {
    fn from(_: SessionEnded) -> ClientError {
        ClientError::SessionEnded
    }
}

/// One logged-in user. Cheap to clone; the session ends with the last clone, or with
/// [`Client::close`].
#[derive(Debug, Clone)]
pub struct Client {
    hold: Arc<Hold>,
}

/// Ends the session when the last client is gone. Tasks hold the session itself, not this.
#[derive(Debug)]
struct Hold {
    session: Arc<Session>,
    listen_addr: SocketAddr,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.session.end();
    }
}

impl Client {
    /// Listens, connects to the server and logs in.
    pub async fn login(
        config: ClientConfig,
        shares: Shares,
    ) -> Result<(Client, EventReceiver), LoginError> {
        let (listener, listen_addr) = listen(config.listen).await?;
        let local: IpAddr = config.listen.ip();
        let obfuscated = match config.obfuscated_port {
            Some(port) => Some(listen(SocketAddr::new(local, port)).await?),
            None => None,
        };
        let stream = server::log_in(&config.server, &config.user, &config.password, local).await?;

        let (to_server, requests) = mpsc::channel(TO_SERVER);
        let (events, receiver) = event::channel();
        let (distributed, news) = distributed::channel();
        let session = Session::new(Founding {
            user: config.user,
            description: config.description,
            local,
            obfuscates: obfuscated.is_some(),
            shares,
            uploads: Uploads::new(
                config.upload_slots,
                config.upload_bytes_per_s,
                config.known_upload_speed,
                config.manners.room(),
            ),
            manners: config.manners,
            events,
            distributed,
            to_server,
        });
        let client = Client { hold: Arc::new(Hold { session: Arc::clone(&session), listen_addr }) };
        crate::listen::start(&session, listener, false);
        let obfuscated_port = obfuscated.map(|(listener, address)| {
            crate::listen::start(&session, listener, true);
            address.port()
        });
        server::start(&session, stream, requests);
        let port = config.advertised_port.unwrap_or(listen_addr.port());
        for request in server::introduction(&session, port, obfuscated_port) {
            session.tell_server(request).await.map_err(|_| LoginError::Closed)?;
        }
        // What it tells the server is to come after the introduction.
        distributed::start(&session, news);
        Ok((client, receiver))
    }

    /// Where others connect.
    pub fn listen_addr(&self) -> SocketAddr {
        self.hold.listen_addr
    }

    /// Searches everywhere. How often is the caller's care: servers ban the impatient, see
    /// SOULSEEK.md 2.8.
    pub async fn search(&self, query: &str) -> Result<Search, ClientError> {
        let query = query.trim();
        if query.is_empty() || query.len() > LONGEST_QUERY {
            return Err(ClientError::UnsuitableQuery);
        }
        let session = self.session()?;
        let search = Search::begin(session);
        let request = ServerRequest::FileSearch { token: search.token(), query: query.to_owned() };
        session.tell_server(request).await?;
        Ok(search)
    }

    /// Asks a user for a file by its virtual path. What becomes of it tells [`Download::next`].
    pub async fn download(&self, user: &str, path: &str) -> Result<Download, ClientError> {
        Download::begin(self.session()?, user, path).ok_or(ClientError::AlreadyAsked)
    }

    /// Replaces what is shared and tells the server how much it is (message 35). Uploads under
    /// way go on.
    pub fn set_shares(&self, shares: Shares) {
        let session = &self.hold.session;
        *session.shares.write().unwrap_or_else(PoisonError::into_inner) = shares;
        session.mention_to_server(server::shared_counts(session));
    }

    /// Tells those who wait for our files, logs out, and returns once every socket is closed, so that
    /// the port is free again.
    pub async fn close(self) {
        let session = &self.hold.session;
        if !session.has_ended() {
            let _ = timeout(FAREWELL, upload::close_queue(session)).await;
        }
        session.end_and_wait().await;
    }

    pub(crate) fn session(&self) -> Result<&Arc<Session>, ClientError> {
        let session = &self.hold.session;
        if session.has_ended() { Err(ClientError::SessionEnded) } else { Ok(session) }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let other = |source| ListenError::Other { address, source };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(ListenError::PortInUse(address.port()));
        }
        Err(error) => return Err(other(error)),
    };
    let bound = listener.local_addr().map_err(other)?;
    Ok((listener, bound))
}

impl From<LogInError> for LoginError {
    fn from(error: LogInError) -> LoginError {
        let (reason, detail) = match error {
            LogInError::Unreachable(source) => return LoginError::Unreachable(source),
            LogInError::NoAnswer => return LoginError::Timeout,
            LogInError::Closed => return LoginError::Closed,
            LogInError::Refused { reason, detail } => (reason, detail.unwrap_or_default()),
        };
        match reason.as_str() {
            "INVALIDUSERNAME" => LoginError::InvalidUserName { detail },
            "EMPTYPASSWORD" => LoginError::EmptyPassword,
            "INVALIDPASS" => LoginError::WrongPassword,
            "INVALIDVERSION" => LoginError::InvalidVersion,
            "SVRFULL" => LoginError::ServerFull,
            "SVRPRIVATE" => LoginError::ServerPrivate,
            _ => LoginError::Refused { reason },
        }
    }
}
