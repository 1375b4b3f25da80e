//! Many nodes that share with one another, each of them the real engine: one clock, one agenda keyed by
//! time and order, one seed. What goes wrong is part of the world: nodes leave, come back and die, stall,
//! cut, lie, jump in time and have full disks. One node in a world of its own, with every law and a list of
//! faults to shrink, is in [`crate::run`].
//!
//! [`node`] is one of them, [`uploads`] what they do for others, [`things`] what there is to be had.

mod node;
mod things;
mod uploads;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use domain::observation::{DiskFault, Observation, PublishFault, RemoteFile};
use domain::{Command, Effect, Envelope, Input, Policy, Seq, Timestamp, TrackKey};
use engine::VERSION;
use engine::state::JobPhase;

use crate::check::{self, Broken};
use crate::rng::Rng;
use crate::run::BEGINNING;
use node::Node;
use things::{Albums, FileId};
use uploads::Transfer;

/// Nodes whose logs are kept and asked for every law.
const WATCHED: usize = 64;
/// Answers that reach whoever searches.
const ANSWERS_MOST: usize = 20;

/// Within this time things go wrong: most of what is wanted comes within it.
const BUSY_MS: u64 = 600_000;

/// What is to happen.
enum Happening {
    /// A node sees something, if it still lives the life in which it was told.
    Seen(u32, u32, Box<Observation>),
    /// A node asked to be woken.
    Wake(u32),
    /// A transfer goes on.
    Transfer(u64),
    /// A node leaves, or comes back.
    Leaves(u32),
    Returns(u32),
    /// A node's process dies and is started again.
    Dies(u32),
    /// A node's clock is set.
    Clock(u32, i64),
    /// A person asks a node for an album.
    Wants(u32),
}

/// A happening, ordered by time and then by when it was planned.
struct Planned(Timestamp, u64, Happening);

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Planned {}
impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// What came of a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Nodes that have what they wanted.
    pub completed: u32,
    /// When the last of them had, in milliseconds from the beginning.
    pub last_ms: u64,
    /// Inputs that were stepped.
    pub inputs: u64,
    /// Inputs and decisions.
    pub events: u64,
    /// Bytes that were given.
    pub bytes: u64,
    /// Processes that died.
    pub deaths: u32,
    /// Stands for everything that every node was told, concluded and asked for.
    pub digest: u64,
}

/// The crowd at a moment.
struct Crowd {
    seed: u64,
    nodes: Vec<Node>,
    albums: Albums,
    /// Who has an album, or a part of it.
    holders: BTreeMap<u32, Vec<u32>>,
    transfers: BTreeMap<u64, Transfer>,
    last_transfer: u64,
    agenda: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    now: Timestamp,
    outcome: Outcome,
}

/// Lets so many nodes live for so long, faults included or not.
///
/// # Errors
/// When a law does not hold in the log of one of the nodes that are watched.
pub fn run(seed: u64, nodes: u32, for_ms: u64, faults: bool) -> Result<Outcome, Broken> {
    let mut crowd = Crowd::new(seed, nodes, faults);
    let end = BEGINNING.plus_ms(for_ms);
    while let Some(Reverse(Planned(at, _, what))) = crowd.agenda.pop() {
        if at > end || crowd.outcome.completed == nodes {
            break;
        }
        crowd.now = at.max(crowd.now);
        crowd.happen(what);
    }
    for node in &crowd.nodes {
        let mixed = crowd.outcome.digest ^ node.engine.digest();
        crowd.outcome.digest = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if let Some(log) = &node.log {
            check::of_the_log(log, &Policy::default())?;
        }
    }
    Ok(crowd.outcome)
}

impl Crowd {
    fn new(seed: u64, count: u32, faults: bool) -> Self {
        let albums = Albums::new(seed, count / 40 + 1);
        let nodes: Vec<Node> =
            (0..count).map(|number| Node::new(seed, number, &albums, faults)).collect();
        let mut crowd = Self {
            seed,
            nodes,
            albums,
            holders: BTreeMap::new(),
            transfers: BTreeMap::new(),
            last_transfer: 0,
            agenda: BinaryHeap::new(),
            planned: 0,
            now: BEGINNING,
            outcome: Outcome {
                completed: 0,
                last_ms: 0,
                inputs: 0,
                events: 0,
                bytes: 0,
                deaths: 0,
                digest: seed,
            },
        };
        let every = (count as usize).div_ceil(WATCHED).max(1);
        for number in 0..count {
            let node = &mut crowd.nodes[number as usize];
            node.log = (number as usize).is_multiple_of(every).then(Vec::new);
            let mut seen: Vec<u32> = node.files.keys().map(|(album, _)| *album).collect();
            seen.dedup();
            for album in seen {
                crowd.holders.entry(album).or_default().push(number);
            }
            let mut rng = Rng::numbered(seed, "life", u64::from(number));
            let begins = BEGINNING.plus_ms(rng.within(0, 120_000));
            crowd.plan(begins, Happening::Wants(number));
            // Every album has somebody who stays: the first of its holders.
            if faults && crowd.nodes[number as usize].is_fickle {
                crowd.misfortunes(&mut rng, number);
            }
        }
        crowd
    }

    /// What goes wrong with a node while it is likely to be at work.
    fn misfortunes(&mut self, rng: &mut Rng, number: u32) {
        for _ in 0..rng.within(0, 4) {
            let at = BEGINNING.plus_ms(rng.within(30_000, BUSY_MS));
            match rng.within(0, 4) {
                0 => {
                    self.plan(at, Happening::Leaves(number));
                    self.plan(at.plus_ms(rng.within(5_000, 300_000)), Happening::Returns(number));
                }
                1 => {
                    self.plan(at, Happening::Clock(number, rng.within(0, 600_000) as i64 - 300_000))
                }
                _ => self.plan(at, Happening::Dies(number)),
            }
        }
    }

    fn plan(&mut self, at: Timestamp, what: Happening) {
        self.planned += 1;
        self.agenda.push(Reverse(Planned(at, self.planned, what)));
    }

    fn tell(&mut self, number: u32, after_ms: u64, seen: Observation) {
        let life = self.nodes[number as usize].life;
        self.plan(self.now.plus_ms(after_ms), Happening::Seen(number, life, Box::new(seen)));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Seen(number, life, seen) => {
                if self.nodes[number as usize].life == life {
                    self.enter(number, Input::Observation(*seen));
                }
            }
            Happening::Wake(number) => {
                let node = &mut self.nodes[number as usize];
                node.armed = None;
                let is_due = node.deadline().is_some_and(|due| due <= self.now);
                if is_due {
                    self.enter(number, Input::Observation(Observation::DeadlineReached));
                } else {
                    self.arm(number);
                }
            }
            Happening::Transfer(id) => self.go_on(id),
            Happening::Leaves(number) => self.leave(number),
            Happening::Returns(number) => self.nodes[number as usize].is_there = true,
            Happening::Dies(number) => {
                self.outcome.deaths += 1;
                self.leave(number);
                self.nodes[number as usize].is_there = true;
                self.nodes[number as usize].life += 1;
                self.start(number);
            }
            Happening::Clock(number, by_ms) => self.nodes[number as usize].clock.set(by_ms),
            Happening::Wants(number) => {
                self.start(number);
                let release = self.albums.release(self.nodes[number as usize].wants);
                self.enter(number, Input::Command(Command::AddJob { release }));
            }
        }
    }

    fn start(&mut self, number: u32) {
        let resumed = self.nodes[number as usize].engine.resume();
        self.enter(
            number,
            Input::Observation(Observation::NodeStarted {
                policy: Policy::default(),
                engine: VERSION,
                build: "sim".into(),
            }),
        );
        for effect in resumed {
            self.perform(number, effect);
        }
        self.tell(number, 50, Observation::SessionOpened);
    }

    fn enter(&mut self, number: u32, input: Input) {
        let node = &mut self.nodes[number as usize];
        let at = node.clock.stamp(self.now);
        let step = node.engine.step(input, at);
        self.outcome.inputs += 1;
        self.outcome.events += step.events.len() as u64;
        if let Some(log) = &mut node.log {
            let cause = Seq(log.len() as u64 + 1);
            for event in step.events {
                let seq = Seq(log.len() as u64 + 1);
                log.push(Envelope { seq, at, cause, event });
            }
        }
        for effect in step.effects {
            self.perform(number, effect);
        }
        let node = &mut self.nodes[number as usize];
        let mut jobs = node.engine.state().jobs.values();
        if !node.is_done && jobs.any(|job| job.phase == JobPhase::Completed) {
            node.is_done = true;
            self.outcome.completed += 1;
            self.outcome.last_ms = self.now.ms_since(BEGINNING);
        }
        self.arm(number);
    }

    fn arm(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        let Some(due) = node.deadline() else { return };
        let due = due.max(self.now);
        if node.armed.is_none_or(|armed| due < armed) {
            node.armed = Some(due);
            self.plan(due, Happening::Wake(number));
        }
    }

    /// Does what an engine asks for: at the services, on the disk, or with the others.
    fn perform(&mut self, number: u32, effect: Effect) {
        let mut rng = Rng::numbered(self.seed, "effect", self.planned);
        let node = &mut self.nodes[number as usize];
        let is_unlucky = node.is_fickle && rng.chance(2);
        match effect {
            Effect::FetchRelease { job, .. } => {
                let target = self.albums.target(node.wants);
                self.tell(number, rng.within(50, 900), Observation::ReleaseFetched { job, target });
            }
            Effect::Identify { track, attempt, fingerprint, .. } => {
                let matches = things::matches(fingerprint.0[0]);
                let seen = Observation::RecordingIdentified { track, attempt, matches };
                self.tell(number, rng.within(50, 900), seen);
            }
            Effect::Search { job, search, open_ms, .. } => {
                let album = node.wants;
                self.answer(number, album, &mut rng, |peer, files, rate| {
                    Observation::SearchAnswered {
                        job,
                        search,
                        peer,
                        slot_free: true,
                        speed_bytes_per_s: rate,
                        queue_length: 0,
                        files,
                    }
                });
                self.tell(number, open_ms, Observation::SearchEnded { job, search });
            }
            Effect::FetchRange { .. } => self.ask(number, effect, &mut rng),
            Effect::CancelTransfer { assignment } => self.cancel(number, assignment),
            // Nobody here describes the content of a file.
            Effect::BeginAt { .. } | Effect::MoveEnd { .. } => {}
            Effect::Examine { track, attempt, size } => {
                let seen = if is_unlucky {
                    Observation::ExamineFailed { track, attempt, fault: DiskFault::Full }
                } else {
                    node.examine(track, attempt, size)
                };
                self.tell(number, rng.within(200, 3_000), seen);
            }
            Effect::Publish { track, attempt, path, digest, .. } => {
                let seen = if is_unlucky {
                    let fault = PublishFault::Disk(DiskFault::Full);
                    Observation::PublishFailed { track, attempt, fault }
                } else {
                    self.share(number, track, attempt);
                    Observation::FilePublished { track, attempt, path, size: 1, digest }
                };
                self.tell(number, rng.within(20, 100), seen);
            }
            Effect::Discard { track, attempt } => {
                node.staging.remove(&(track, attempt));
                self.tell(number, 5, Observation::FileDiscarded { track, attempt });
            }
            // It is shared from the moment it is published.
            Effect::Share { .. } | Effect::SendChat { .. } | Effect::AcknowledgeChat { .. } => {}
        }
    }

    /// Some of those who have an album tell of it.
    fn answer(
        &mut self,
        number: u32,
        album: u32,
        rng: &mut Rng,
        tell: impl Fn(domain::PeerId, Vec<RemoteFile>, u32) -> Observation,
    ) {
        let holders = self.holders.get(&album).map_or(&[][..], Vec::as_slice);
        let from = rng.within(0, holders.len() as u64) as usize;
        let (before, after) = holders.split_at(from);
        let mut answers = Vec::new();
        for holder in after.iter().chain(before).take(ANSWERS_MOST) {
            let other = &self.nodes[*holder as usize];
            if *holder != number && other.is_there {
                let files = self.albums.offered(album, &other.files);
                answers.push(tell(node::peer(*holder), files, other.rate as u32));
            }
        }
        for seen in answers {
            self.tell(number, rng.within(20, 6_000), seen);
        }
    }

    /// What a node has put into its library others can have.
    fn share(&mut self, number: u32, track: TrackKey, attempt: u16) {
        let node = &mut self.nodes[number as usize];
        let Some(file) = node.staged(track, attempt) else { return };
        let album = node.wants;
        let is_first = !node.files.keys().any(|(of, _)| *of == album);
        node.files.insert((album, track.index), file);
        if is_first {
            self.holders.entry(album).or_default().push(number);
        }
    }
}

/// The copies of files that a node has, by album and track.
type Files = BTreeMap<(u32, u16), FileId>;

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: u64 = 4 * 3_600_000;

    /// A known number: the same in every build.
    #[test]
    fn a_crowd_has_what_it_wants_by_the_laws_and_as_ever() {
        let outcome = run(1, 60, HOURS, true).unwrap();
        assert_eq!((outcome.completed, outcome.digest), (60, 7_471_076_228_305_405_636));
        assert!(outcome.deaths > 0, "{outcome:?}");
    }

    #[test]
    fn a_crowd_is_the_same_on_any_thread() {
        let alone: Vec<_> = (0..4).map(|seed| run(seed, 30, HOURS, true)).collect();
        let on_threads: Vec<_> = std::thread::scope(|scope| {
            let live = |seed| scope.spawn(move || run(seed, 30, HOURS, true));
            let lives: Vec<_> = (0..4).map(live).collect();
            lives.into_iter().map(|life| life.join().unwrap()).collect()
        });
        assert_eq!(alone, on_threads);
    }

    #[test]
    fn without_faults_nothing_dies() {
        let outcome = run(1, 60, HOURS, false).unwrap();
        assert_eq!((outcome.completed, outcome.deaths), (60, 0));
    }
}
