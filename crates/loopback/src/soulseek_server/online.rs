//! Who has an account, who is online, and who wants to hear of whom.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use soulseek::wire::ServerMessage;
use soulseek::wire::server::{LoginAnswer, UserState, UserStats};
use tokio::sync::mpsc;

use super::chat::Mail;
use super::tree::{self, Branch};

/// Longest user name in bytes. SOULSEEK.md 2.2.
const LONGEST_NAME: usize = 30;

/// Status codes of message 7.
pub(super) const OFFLINE: u32 = 0;
const ONLINE: u32 = 2;

/// Everything the server knows; one lock, because nothing here takes long.
#[derive(Debug, Default)]
pub(super) struct World {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By name; kept after logging out.
    accounts: HashMap<String, Account>,
    pub(super) online: HashMap<String, Online>,
    pub(super) mail: Mail,
    visits: u64,
    /// Who broke which rule of the distributed network.
    pub(super) violations: Vec<String>,
}

#[derive(Debug)]
struct Account {
    password: String,
    /// What counts as this user's upload speed, in bytes per second (message 121).
    speed: u32,
}

/// One user who is logged in.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) visit: u64,
    outbox: mpsc::Sender<ServerMessage>,
    pub(super) ip: Ipv4Addr,
    pub(super) port: u32,
    pub(super) obfuscation: u32,
    pub(super) obfuscated_port: u32,
    pub(super) status: u32,
    pub(super) stats: UserStats,
    pub(super) branch: Branch,
    pub(super) watching: HashSet<String>,
}

/// One stay of one user, from login to logout.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) user: String,
    number: u64,
}

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    InvalidName(&'static str),
    EmptyPassword,
    WrongPassword,
}

impl World {
    /// Creates the account if the name is new, throws out an earlier session of the same user,
    /// and says welcome.
    pub(super) fn log_in(
        &self,
        user: &str,
        password: &str,
        digest: &str,
        ip: IpAddr,
        outbox: mpsc::Sender<ServerMessage>,
    ) -> Result<Visit, Refusal> {
        check_name(user)?;
        if password.is_empty() {
            return Err(Refusal::EmptyPassword);
        }
        if digest != soulseek::md5_hex(&format!("{user}{password}")) {
            return Err(Refusal::WrongPassword);
        }
        let mut state = self.state();
        let account = state
            .accounts
            .entry(user.to_owned())
            .or_insert_with(|| Account { password: password.to_owned(), speed: 0 });
        if account.password != password {
            return Err(Refusal::WrongPassword);
        }
        let speed = account.speed;
        if let Some(earlier) = state.online.remove(user) {
            earlier.send(ServerMessage::Relogged {});
        }
        let ip = match ip {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        state.visits += 1;
        let visit = Visit { user: user.to_owned(), number: state.visits };
        let online = Online {
            visit: visit.number,
            outbox,
            ip,
            port: 0,
            obfuscation: 0,
            obfuscated_port: 0,
            status: ONLINE,
            stats: UserStats { speed, uploads: 0, reserved: 0, files: 0, folders: 0 },
            branch: Branch::new(user),
            watching: HashSet::new(),
        };
        for message in welcome(ip, password) {
            online.send(message);
        }
        state.online.insert(user.to_owned(), online);
        state.tell_watchers(user);
        state.deliver(user);
        Ok(visit)
    }

    /// Forgets a session, unless a later one has taken its place.
    pub(super) fn log_out(&self, visit: &Visit) {
        let mut state = self.state();
        if state.online.get(&visit.user).is_some_and(|online| online.visit == visit.number) {
            state.online.remove(&visit.user);
            state.tell_watchers(&visit.user);
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn knows(&self, user: &str) -> bool {
        self.accounts.contains_key(user)
    }

    /// The session this visit is about; `None` once it was thrown out.
    pub(super) fn visitor(&mut self, visit: &Visit) -> Option<&mut Online> {
        self.online.get_mut(&visit.user).filter(|online| online.visit == visit.number)
    }

    /// Message 121: this is this user's speed from now on.
    pub(super) fn upload_ended(&mut self, user: &str, speed: u32) {
        if let Some(account) = self.accounts.get_mut(user) {
            account.speed = speed;
        }
        if let Some(online) = self.online.get_mut(user) {
            online.stats.speed = speed;
            online.stats.uploads = online.stats.uploads.saturating_add(1);
        }
    }

    /// Sends a message to a user, if online.
    pub(super) fn send(&self, user: &str, message: ServerMessage) {
        if let Some(online) = self.online.get(user) {
            online.send(message);
        }
    }

    /// Message 7 to everyone who watches this user.
    pub(super) fn tell_watchers(&self, user: &str) {
        for watcher in self.online.values().filter(|online| online.watching.contains(user)) {
            watcher.send(self.status_of(user));
        }
    }

    /// Message 7.
    pub(super) fn status_of(&self, user: &str) -> ServerMessage {
        let status = self.online.get(user).map_or(OFFLINE, |online| online.status);
        ServerMessage::UserStatus { user: user.to_owned(), status, privileged: false }
    }

    /// What message 5 tells of a user who exists.
    pub(super) fn user_state(&self, user: &str) -> UserState {
        match self.online.get(user) {
            Some(online) => UserState {
                status: online.status,
                stats: online.stats.clone(),
                country: Some(String::new()),
            },
            None => UserState {
                status: OFFLINE,
                stats: UserStats { speed: 0, uploads: 0, reserved: 0, files: 0, folders: 0 },
                country: None,
            },
        }
    }
}

impl Online {
    pub(super) fn send(&self, message: ServerMessage) {
        // A client that does not read loses messages, as it would by being disconnected.
        if self.outbox.try_send(message).is_err() {
            tracing::debug!("a client does not read what it is sent");
        }
    }
}

fn check_name(user: &str) -> Result<(), Refusal> {
    if user.is_empty() {
        return Err(Refusal::InvalidName("Nick empty."));
    }
    if user.len() > LONGEST_NAME {
        return Err(Refusal::InvalidName("Nick too long."));
    }
    if !user.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Refusal::InvalidName("Invalid characters in nick."));
    }
    if user.trim() != user {
        return Err(Refusal::InvalidName("No leading or trailing spaces allowed in nick."));
    }
    Ok(())
}

/// What a server says right after a login.
fn welcome(ip: Ipv4Addr, password: &str) -> [ServerMessage; 7] {
    [
        ServerMessage::Login {
            answer: LoginAnswer::Accepted {
                greeting: "loopback".to_owned(),
                ip,
                digest: soulseek::md5_hex(password),
                supporter: false,
            },
        },
        ServerMessage::RoomList {
            rooms: Vec::new(),
            users: Vec::new(),
            owned: Vec::new(),
            owned_users: Vec::new(),
            private: Vec::new(),
            private_users: Vec::new(),
            operated: Vec::new(),
        },
        ServerMessage::ParentMinSpeed { speed: tree::MIN_SPEED },
        ServerMessage::ParentSpeedRatio { ratio: tree::SPEED_RATIO },
        ServerMessage::WishlistInterval { seconds: 720 },
        ServerMessage::PrivilegedUsers { users: Vec::new() },
        ServerMessage::ExcludedPhrases { phrases: Vec::new() },
    ]
}
