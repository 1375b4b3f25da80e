//! Our place in the distributed search network (`D`): a parent that brings searches, children that
//! get them from us. SOULSEEK.md 2.6.
//!
//! One task owns the [`Tree`], which decides; it has no sockets. Connections are [`link`]s with a
//! task each: they tell this one what they hear, and write what it gives them. Open the files in the
//! order below.

mod tree;

mod allowance;
mod heard;
mod neighbours;
mod place;
mod recent;

mod link;

#[cfg(test)]
mod tree_tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::connect::open;
use crate::session::{Session, SessionEnded};
use crate::wire::server::ParentCandidate;
use crate::wire::{ConnectionKind, ServerRequest};
use link::Link;
use tree::{Action, Tree};

/// News that may wait for the one task; whoever brings more waits, and so does its sender.
const NEWS: usize = 256;
/// How often patience is looked at.
const TICK: Duration = Duration::from_secs(5);

/// Tells one connection from all others of a session.
type LinkId = u64;

/// Something happened that concerns the tree.
#[derive(Debug)]
pub(crate) enum News {
    /// Message 83, in KiB per second.
    MinSpeed(u32),
    /// Message 84.
    SpeedRatio(u32),
    /// What the server keeps as our average upload speed, in bytes per second (messages 5 and 36).
    OwnSpeed(u32),
    /// Message 102.
    PossibleParents(Vec<ParentCandidate>),
    /// Message 93: the server takes us for a root.
    Embedded { code: u8, body: Vec<u8> },
    /// Message 130.
    Reset,
    /// Somebody connected to us, or asked us to connect: a child.
    ChildArrived { user: String, stream: TcpStream },
    /// A candidate was reached, or called back after it had been.
    CandidateArrived { user: String, stream: TcpStream },
    /// A candidate was not reached.
    CandidateUnreachable { user: String },
    /// A frame came.
    Heard { link: LinkId, code: u32, body: Vec<u8> },
    /// A connection is closed.
    Closed { link: LinkId },
}

/// The sending end of what the one task hears of.
pub(crate) type NewsSender = mpsc::Sender<News>;

pub(crate) fn channel() -> (NewsSender, mpsc::Receiver<News>) {
    mpsc::channel(NEWS)
}

/// Keeps our place until the session ends.
pub(crate) fn start(session: &Arc<Session>, news: mpsc::Receiver<News>) {
    let keeping = Arc::clone(session);
    session.spawn(async move {
        let network = Network {
            tree: Tree::new(&keeping.user),
            links: HashMap::new(),
            last_link: 0,
            session: keeping,
        };
        network.run(news).await;
    });
}

/// Puts an introduced connection to its use. Drops it while more is going on than can be followed.
pub(crate) fn arrived(session: &Session, news: News) {
    if session.distributed.try_send(news).is_err() {
        tracing::debug!("too much is going on to take another distributed connection");
    }
}

struct Network {
    session: Arc<Session>,
    tree: Tree,
    links: HashMap<LinkId, Link>,
    last_link: LinkId,
}

impl Network {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let actions = tokio::select! {
                told = news.recv() => match told {
                    Some(told) => self.hear(told),
                    None => return,
                },
                _ = tick.tick() => self.tree.tick(Instant::now()),
            };
            if self.perform(actions).await.is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, news: News) -> Vec<Action> {
        let now = Instant::now();
        let tree = &mut self.tree;
        match news {
            News::MinSpeed(kib_per_s) => tree.min_speed(kib_per_s),
            News::SpeedRatio(ratio) => tree.speed_ratio(ratio),
            News::OwnSpeed(bytes_per_s) => tree.own_speed(bytes_per_s),
            News::PossibleParents(candidates) => {
                tree.possible_parents(candidates.into_iter().map(|candidate| candidate.user))
            }
            News::Embedded { code, body } => match heard::search(code, &body) {
                Some(search) => tree.embedded(search, now),
                None => Vec::new(),
            },
            News::Reset => tree.reset(),
            News::ChildArrived { user, stream } => {
                let link = self.begin(stream, link::Role::Child);
                self.tree.child_connected(link, &user, now)
            }
            News::CandidateArrived { user, stream } => {
                let link = self.begin(stream, link::Role::Candidate);
                self.tree.candidate_connected(link, &user, now)
            }
            News::CandidateUnreachable { user } => tree.candidate_unreachable(&user),
            News::Heard { link, code, body } => {
                tree.heard(link, heard::understand(code, &body), now)
            }
            News::Closed { link } => {
                self.links.remove(&link);
                tree.closed(link)
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, role: link::Role) -> LinkId {
        self.last_link += 1;
        self.links.insert(self.last_link, link::start(&self.session, self.last_link, role, stream));
        self.last_link
    }

    async fn perform(&mut self, actions: Vec<Action>) -> Result<(), SessionEnded> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Dial { user } => self.dial(user),
                Action::Close(link) => {
                    self.links.remove(&link);
                }
                Action::TellServer(request) => self.session.tell_server(request).await?,
                Action::Answer { user, token, query } => {
                    crate::search::answer(&self.session, user, token, query);
                }
                Action::Send { to, frame } => {
                    for id in to {
                        let sent = self.links.get(&id).is_some_and(|link| link.send(&frame));
                        // Whoever does not take what it asked for must not hold the others up.
                        if !sent {
                            self.links.remove(&id);
                            actions.extend(self.tree.closed(id));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn dial(&self, user: String) {
        let dialling = Arc::clone(&self.session);
        self.session.spawn(async move {
            let news = match open(&dialling, &user, ConnectionKind::Distributed).await {
                Ok(stream) => News::CandidateArrived { user, stream },
                Err(error) => {
                    tracing::debug!(user, ?error, "a possible parent was not reached");
                    News::CandidateUnreachable { user }
                }
            };
            let _ = dialling.distributed.send(news).await;
        });
    }
}

/// Asks what the server keeps as our average upload speed, on which the number of our children
/// rests.
pub(crate) fn ask_own_speed(session: &Session) {
    session.mention_to_server(ServerRequest::GetUserStats { user: session.user.clone() });
}
