//! Histories to fold: single events for stories, and a generator of plausible whole ones. They do not
//! come from the engine, so they also hold what it would never conclude, such as news that comes late.

use domain::chunk::{CHUNK_BYTES, Digest};
use domain::decision::{
    AttemptDropReason, Choice, CutReason, DropReason, HoldReason, Refusal, ResumedBy,
};
use domain::id::{AcoustId, TrackId};
use domain::observation::{DiskFault, Lookup, LookupFault, SessionEnd, TransferEnd, TransferFault};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Decision, Event, Input, JobId, Observation, PeerId, Policy,
    RecordingId, ReleaseId, SearchId, SourceId, Target, Timestamp, Track, TrackKey,
};
use eventlog::{Log, Step};

pub const RELEASE: ReleaseId = ReleaseId([0x11; 16]);
pub const SIZE: u64 = 3 * CHUNK_BYTES + 5;

pub type Steps = Vec<Vec<Event>>;

pub fn seen(observation: Observation) -> Event {
    Event::Input(Input::Observation(observation))
}

pub fn asked(command: Command) -> Event {
    Event::Input(Input::Command(command))
}

pub fn so(decision: Decision) -> Event {
    Event::Decision(decision)
}

pub fn woken() -> Event {
    seen(Observation::DeadlineReached)
}

pub fn key(job: u32, index: u16) -> TrackKey {
    TrackKey { job: JobId(job), index }
}

pub fn peer(name: &str) -> PeerId {
    PeerId::Soulseek(name.to_owned())
}

pub fn started() -> Event {
    seen(Observation::NodeStarted { policy: Policy::default(), engine: 1, build: "test".into() })
}

pub fn closed(reason: SessionEnd) -> Event {
    seen(Observation::SessionClosed { reason })
}

pub fn target(tracks: u16) -> Target {
    let credit = Credit { name: "Ada".into(), artists: vec![] };
    let track = |index: u16| Track {
        id: TrackId([index as u8; 16]),
        recording: RecordingId([index as u8; 16]),
        medium: 1,
        position: index + 1,
        title: format!("Song {}", index + 1),
        credit: credit.clone(),
        duration_ms: Some(200_000),
        isrcs: vec![],
    };
    Target {
        release: RELEASE,
        group: None,
        title: "Album".into(),
        credit: credit.clone(),
        date: "1991".into(),
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
        media: 1,
        tracks: (0..tracks).map(track).collect(),
    }
}

pub fn added(job: u32) -> Vec<Event> {
    let job = JobId(job);
    vec![
        asked(Command::AddJob { release: RELEASE }),
        so(Decision::JobAdded { job, release: RELEASE }),
        so(Decision::LookupPlanned { lookup: Lookup::Release { job } }),
    ]
}

/// The description of the release is that of an earlier job.
pub fn added_like(job: u32, from: u32) -> Vec<Event> {
    let (job, from) = (JobId(job), JobId(from));
    vec![
        asked(Command::AddJob { release: RELEASE }),
        so(Decision::JobAdded { job, release: RELEASE }),
        so(Decision::ReleaseReused { job, from }),
    ]
}

pub fn fetched(job: u32, tracks: u16) -> Vec<Event> {
    let (job, query) = (JobId(job), "ada album".into());
    vec![
        seen(Observation::ReleaseFetched { job, target: target(tracks) }),
        so(Decision::SearchPlanned { job, search: SearchId(1), track: None, query }),
    ]
}

pub fn found(track: TrackKey, source: u32, name: &str) -> Event {
    let (path, likeness) = (format!("{name}\\song.flac"), Ppm(900_000));
    let source = SourceId(source);
    so(Decision::SourceFound { track, source, peer: peer(name), path, size: SIZE, likeness })
}

pub fn assigned(
    track: TrackKey,
    assignment: u64,
    source: u32,
    name: &str,
    start: u64,
    takeover: bool,
) -> Event {
    so(Decision::RangeAssigned {
        track,
        attempt: 1,
        assignment: AssignmentId(assignment),
        source: SourceId(source),
        peer: peer(name),
        path: format!("{name}\\song.flac"),
        size: SIZE,
        range: ByteRange { start, end: SIZE },
        overlap: 0,
        choice: Choice { candidates: 2, cost_ms: 9, next_cost_ms: None, takeover },
    })
}

pub fn chunk(track: TrackKey, assignment: u64, start: u64) -> Vec<Event> {
    let assignment = AssignmentId(assignment);
    let range = ByteRange { start, end: (start + CHUNK_BYTES).min(SIZE) };
    let digest = Digest([1; 32]);
    vec![
        seen(Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms: 100 }),
        so(Decision::ChunkAccepted { track, assignment, range, digest }),
    ]
}

pub fn ended(track: TrackKey, assignment: u64, end: TransferEnd) -> Event {
    seen(Observation::TransferEnded { track, assignment: AssignmentId(assignment), end })
}

/// Appends each step on its own, a second apart.
pub fn append(log: &mut Log, steps: &[Vec<Event>]) {
    for (second, events) in (1u64..).zip(steps) {
        log.append(&[Step::new(Timestamp(second * 1_000_000), events)]).unwrap();
    }
}

/// A small generator of numbers: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// A history of `length` steps that the seed decides.
pub fn generated(seed: u64, length: usize) -> Steps {
    let mut dice = Dice(seed);
    let mut steps: Steps = vec![vec![started()]];
    let mut jobs = 0;
    let mut assignment = 0;
    while steps.len() < length {
        let job = 1 + dice.below(jobs.max(1)) as u32;
        let track = key(job, dice.below(4) as u16);
        let source = dice.below(4) as u32;
        let name = ["ada", "bob", "cy", "dee"][source as usize];
        // Mostly the newest assignment, sometimes one that is long over or never was.
        let recent = if dice.below(5) == 0 { dice.below(40) } else { assignment };
        let until = Timestamp(dice.below(400) * 1_000_000);
        let start = dice.below(4) * CHUNK_BYTES;
        steps.push(match dice.below(25) {
            0 if jobs < 4 => {
                jobs += 1;
                // Also like a job that was never described, and like itself.
                match dice.below(3) {
                    0 => added_like(jobs as u32, job),
                    _ => added(jobs as u32),
                }
            }
            1 | 2 => fetched(job, 4),
            3 | 4 => {
                vec![woken(), found(track, source, name), found(track, (source + 1) % 4, "eve")]
            }
            5..=8 => {
                assignment += 1;
                let takeover = dice.below(3) == 0;
                vec![woken(), assigned(track, assignment, source, name, start, takeover)]
            }
            9..=12 => chunk(track, recent, start),
            13 => vec![ended(track, recent, TransferEnd::Complete)],
            14 => vec![
                ended(track, recent, TransferEnd::Failed(TransferFault::PeerOffline)),
                so(Decision::PeerRested {
                    track,
                    peer: peer(name),
                    reason: TransferFault::PeerOffline,
                    until,
                }),
            ],
            15 => finish(track, dice.below(3)),
            16 => vec![woken(), so(Decision::TrackWaiting { track, until })],
            17 => match dice.below(5) {
                0 => vec![started()],
                1 => vec![closed(SessionEnd::Kicked)],
                2 => vec![closed(SessionEnd::Lost("reset".into()))],
                _ => vec![seen(Observation::SessionOpened)],
            },
            18 => hold_or_end(JobId(job), dice.below(6), until),
            19 => vec![
                woken(),
                so(Decision::SourceDropped {
                    track,
                    source: SourceId(source),
                    reason: DropReason::KnownBad,
                }),
                so(Decision::AttemptDropped {
                    track,
                    attempt: 1,
                    reason: AttemptDropReason::NoSourceLeft,
                }),
            ],
            20 => vec![
                woken(),
                so(Decision::AssignmentCut {
                    track,
                    assignment: AssignmentId(recent),
                    reason: CutReason::Stalled,
                }),
            ],
            21 => vec![seen(Observation::PlaceTold {
                track,
                assignment: AssignmentId(recent),
                place: dice.below(90) as u32,
            })],
            22 => {
                vec![seen(Observation::TransferStarted { track, assignment: AssignmentId(recent) })]
            }
            23 => {
                let source = SourceId(source);
                let decision = match dice.below(2) {
                    0 => Decision::SourceSetAside { track, attempt: 1, source },
                    _ => Decision::SourceReturned { track, source, size: SIZE },
                };
                vec![woken(), so(decision)]
            }
            _ => vec![
                seen(Observation::LookupFailed {
                    lookup: Lookup::Release { job: JobId(job) },
                    fault: LookupFault::NotFound,
                }),
                so(Decision::LookupDeferred {
                    lookup: Lookup::Identity { track, attempt: 1 },
                    fault: LookupFault::Unreachable("dns".into()),
                    until,
                }),
            ],
        });
    }
    steps
}

fn finish(track: TrackKey, how: u64) -> Vec<Event> {
    let (attempt, path) = (1, "Ada/Album/01.flac".to_owned());
    let mut events = vec![woken(), so(Decision::FileAssembled { track, attempt, size: SIZE })];
    let lookup = Lookup::Identity { track, attempt };
    match how {
        0 => events.push(so(Decision::LookupPlanned { lookup })),
        1 => {
            let (digest, reason) = (Digest([9; 32]), Refusal::Unidentified);
            events.push(so(Decision::TrackRefused { track, attempt, digest, reason }));
        }
        _ => {
            let (acoustid, score) = (AcoustId([3; 16]), Ppm(970_000));
            let verified =
                Decision::TrackVerified { track, attempt, acoustid, score, path: path.clone() };
            events.extend([so(verified), so(Decision::TrackCompleted { track, attempt, path })]);
        }
    }
    events
}

fn hold_or_end(job: JobId, how: u64, until: Timestamp) -> Vec<Event> {
    let decision = match how {
        0 => {
            Decision::JobHeld { job, reason: HoldReason::Disk(DiskFault::Full), until: Some(until) }
        }
        1 => Decision::JobHeld {
            job,
            reason: HoldReason::Lookup(LookupFault::Refused("bad key".into())),
            until: None,
        },
        2 => Decision::JobCancelled { job },
        3 => Decision::JobCompleted { job },
        _ => Decision::JobResumed { job, by: ResumedBy::Person },
    };
    vec![asked(Command::RetryJob { job }), so(decision)]
}
