//! The real engine in a world of one file: commands and observations in, effects out, in virtual time.

use std::collections::BTreeMap;

use domain::chunk::{Content, Digest};
use domain::media::AudioFault;
use domain::observation::{Examination, Observation, RemoteFile};
use domain::{
    ByteRange, Command, Effect, Envelope, Input, JobId, PeerId, Policy, ReleaseId, SearchId, Seq,
    Timestamp, TrackKey,
};
use engine::{Engine, VERSION};

use super::Scenario;
use super::world::World;
use crate::run::BEGINNING;
use crate::world::catalogue;

/// Longest time that is waited for the file, in microseconds.
const LONGEST: u64 = 3 * 3_600 * 1_000_000;
const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };
/// Events within one simulated second after which the engine is taken to spin.
const BUSIEST: usize = 20_000;

/// What the scheduler is told of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its exact content: every byte is checked as it comes.
    Content,
    /// Nothing: it is proved when it is whole, and comes from one source at a time.
    Nothing,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When the file was whole, in microseconds; or when nobody waited any longer.
    pub time: u64,
    /// Bytes that came, used or not.
    pub wire_bytes: u64,
    /// Whether every byte is right.
    pub ok: bool,
    /// Streams begun, by peer that streams.
    pub starts: BTreeMap<String, u32>,
    /// Everything recorded.
    pub log: Vec<Envelope>,
    /// The digest of the engine at the end.
    pub digest: u64,
}

/// Lets the engine fetch the file.
#[must_use]
pub fn run(scenario: &Scenario, told: Told) -> Outcome {
    let mut life = Life {
        engine: Engine::new(),
        world: World::new(scenario),
        scenario,
        told,
        log: Vec::new(),
        is_done: false,
    };
    life.live();
    let starts = scenario.peers.iter().zip(&life.world.starts).filter(|(peer, _)| peer.streams);
    Outcome {
        time: life.world.now(),
        wire_bytes: life.world.wire_bytes(),
        ok: life.is_done && life.world.tainted.is_empty(),
        starts: starts.map(|(peer, starts)| (peer.id.clone(), *starts)).collect(),
        digest: life.engine.digest(),
        log: life.log,
    }
}

struct Life<'a> {
    engine: Engine,
    world: World<'a>,
    scenario: &'a Scenario,
    told: Told,
    log: Vec<Envelope>,
    is_done: bool,
}

impl Life<'_> {
    fn live(&mut self) {
        self.see(Observation::NodeStarted {
            policy: Policy::default(),
            engine: VERSION,
            build: "sim".into(),
        });
        self.see(Observation::SessionOpened);
        self.enter(Input::Command(Command::AddJob { release: ReleaseId([42; 16]) }));
        let (mut second, mut busy_from) = (0, 0);
        while !self.is_done && self.world.now() < LONGEST {
            let deadline = self.engine.deadline().map_or(LONGEST, |deadline| {
                (deadline.0.saturating_sub(BEGINNING.0)).max(self.world.now())
            });
            let seen = self.world.next(deadline.min(LONGEST));
            self.see(seen.unwrap_or(Observation::DeadlineReached));
            if self.world.now() / 1_000_000 > second {
                (second, busy_from) = (self.world.now() / 1_000_000, self.log.len());
            }
            assert!(self.log.len() - busy_from < BUSIEST, "the engine spins");
        }
    }

    fn see(&mut self, seen: Observation) {
        self.enter(Input::Observation(seen));
    }

    fn enter(&mut self, input: Input) {
        let at = Timestamp(BEGINNING.0 + self.world.now());
        let cause = Seq(self.log.len() as u64 + 1);
        let step = self.engine.step(input, at);
        for event in step.events {
            let seq = Seq(self.log.len() as u64 + 1);
            self.log.push(Envelope { seq, at, cause, event });
        }
        for effect in step.effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.world.now();
        match effect {
            Effect::FetchRelease { job, .. } => {
                self.world
                    .plan(now, Observation::ReleaseFetched { job, target: catalogue::album(1) });
            }
            Effect::Search { job, search, .. } => self.answer(job, search),
            Effect::FetchRange { track, assignment, peer, range, overlap, content, .. } => {
                let is_of = |known: &super::Peer| self.id(known) == peer;
                let number = self.scenario.peers.iter().position(is_of).expect("it is known");
                let of = (track, assignment);
                self.world.fetch(number, of, range, overlap, content.is_some());
            }
            Effect::BeginAt { assignment, range } => self.world.begin(assignment, range),
            Effect::MoveEnd { assignment, end } => self.world.move_end(assignment, end),
            Effect::CancelTransfer { assignment } => self.world.cancel(assignment),
            Effect::Examine { track, attempt, .. } => {
                self.is_done = self.world.tainted.is_empty();
                if !self.is_done {
                    self.world.tainted = domain::RangeSet::default();
                    let detail = "wrong bytes".to_owned();
                    let outcome = Examination::Fault(AudioFault::Damaged { at_ms: 1000, detail });
                    let digest = Digest([attempt as u8 + 2; 32]);
                    let seen = Observation::FileExamined { track, attempt, digest, outcome };
                    self.world.plan(now + 1_000_000, seen);
                }
            }
            Effect::Discard { track, attempt } => {
                self.world.plan(now, Observation::FileDiscarded { track, attempt });
            }
            Effect::Identify { .. }
            | Effect::Publish { .. }
            | Effect::Share { .. }
            | Effect::SendChat { .. }
            | Effect::AcknowledgeChat { .. } => {}
        }
    }

    /// Everybody answers when they become known; what the mesh would tell is told with the first search.
    fn answer(&mut self, job: JobId, search: SearchId) {
        let now = self.world.now();
        let Scenario { size, unit, .. } = *self.scenario;
        if self.told == Told::Content && search == SearchId(1) {
            let content = Content { root: Digest([7; 32]), size, unit };
            self.world.plan(now, Observation::ContentDescribed { track: TRACK, content });
        }
        for peer in &self.scenario.peers {
            let id = self.id(peer);
            let seen = match id {
                PeerId::Mesh(_) => Observation::HoldingTold {
                    track: TRACK,
                    peer: id,
                    ranges: peer
                        .have
                        .iter()
                        .flatten()
                        .map(|(start, end)| ByteRange { start: *start, end: *end })
                        .collect(),
                },
                // Whoever has only a part would send what it has not.
                PeerId::Soulseek(_) if peer.have.is_some() => continue,
                PeerId::Soulseek(_) => Observation::SearchAnswered {
                    job,
                    search,
                    peer: id,
                    slot_free: true,
                    speed_bytes_per_s: 0,
                    queue_length: 0,
                    files: vec![RemoteFile {
                        path: r"Music\Sim Artist - Sim Album\01 - Amber.flac".into(),
                        size,
                        bitrate_kbps: None,
                        duration_s: None,
                    }],
                },
            };
            let is_new = search == SearchId(1) || peer.appear > now || peer.streams;
            if is_new {
                self.world.plan(now.max(peer.appear), seen);
            }
        }
        self.world.plan(now + 12_000_000, Observation::SearchEnded { job, search });
    }

    /// Where nothing is told of the content, whoever would give ranges is asked as all others are.
    fn id(&self, peer: &super::Peer) -> PeerId {
        if peer.streams || self.told == Told::Nothing {
            PeerId::Soulseek(peer.id.clone())
        } else {
            PeerId::Mesh(peer.id.clone())
        }
    }
}
