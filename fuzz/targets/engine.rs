//! The engine, told anything: `engine::Engine` with what peers, services and disks may answer to
//! what it asks, with any names, sizes and numbers, and with answers nobody asked for. The laws of
//! `sim::check` hold for whatever comes of it, and a restart remembers the same.
#![no_main]

use domain::chunk::{self, Content, Digest};
use domain::id::{AcoustId, TrackId};
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{
    DiskFault, Examination, IdentityMatch, Lookup, LookupFault, PublishFault, RemoteFile,
    SessionEnd, TransferEnd, TransferFault,
};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Effect, Envelope, Input, JobId, Observation, PeerId, Policy,
    RecordingId, ReleaseId, SearchId, Seq, Target, Timestamp, Track, TrackKey, render,
};
use engine::{Engine, VERSION};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use sim::check;

/// Inputs of one life; more are seldom news and always slow.
const MOST: usize = 200;

fuzz_target!(|data: &[u8]| {
    let mut life = Life::default();
    // The bytes running out is how a life ends.
    let _ = life.live(&mut Unstructured::new(data));
    life.is_lawful();
});

#[derive(Default)]
struct Life {
    engine: Engine,
    log: Vec<Envelope>,
    at: Timestamp,
    asked: Vec<Effect>,
}

impl Life {
    fn live(&mut self, dice: &mut Unstructured) -> Result<()> {
        self.observe(started());
        self.observe(Observation::SessionOpened);
        self.enter(Input::Command(Command::AddJob { release: ReleaseId([1; 16]) }));
        while self.log.len() < 5_000 && !dice.is_empty() {
            let pause = [0, 1, 2_000, 60_000, 1_000_000][dice.choose_index(5)?];
            self.at = self.at.plus_ms(pause);
            let input = if dice.ratio(3u8, 4u8)? && !self.asked.is_empty() {
                self.answer(dice)?
            } else {
                self.news(dice)?
            };
            self.enter(input);
            if self.log.iter().filter(|one| one.seq == one.cause).count() > MOST {
                break;
            }
        }
        Ok(())
    }

    fn observe(&mut self, seen: Observation) {
        self.enter(Input::Observation(seen));
    }

    fn enter(&mut self, input: Input) {
        let cause = Seq(self.log.len() as u64 + 1);
        let step = self.engine.step(input, self.at);
        for event in step.events {
            let seq = Seq(self.log.len() as u64 + 1);
            self.log.push(Envelope { seq, at: self.at, cause, event });
        }
        self.asked.extend(step.effects);
    }

    /// An answer to something that was asked: of the right kind, with anything in it.
    fn answer(&mut self, dice: &mut Unstructured) -> Result<Input> {
        let which = dice.choose_index(self.asked.len())?;
        let is_last = dice.ratio(1u8, 3u8)?;
        let asked = match &mut self.asked[which] {
            Effect::FetchRange { track, assignment, size, range, .. }
                if !is_last && !range.is_empty() =>
            {
                let end = chunk::cell_end(range.start, *size).min(range.end);
                let piece = ByteRange { start: range.start, end };
                range.start = end;
                return Ok(Input::Observation(Observation::ChunkArrived {
                    track: *track,
                    assignment: *assignment,
                    range: piece,
                    digest: Digest([dice.int_in_range(0..=2)?; 32]),
                    elapsed_ms: dice.arbitrary()?,
                }));
            }
            Effect::Search { job, search, .. } if !is_last => {
                return Ok(Input::Observation(answered(dice, *job, *search)?));
            }
            _ => self.asked.swap_remove(which),
        };
        Ok(Input::Observation(match asked {
            Effect::FetchRelease { job, .. } if dice.ratio(7u8, 8u8)? => {
                Observation::ReleaseFetched { job, target: target(dice)? }
            }
            Effect::FetchRelease { job, .. } => {
                Observation::LookupFailed { lookup: Lookup::Release { job }, fault: lost(dice)? }
            }
            Effect::Identify { track, attempt, .. } if dice.ratio(3u8, 4u8)? => {
                let matches = some(dice, |dice| {
                    Ok(IdentityMatch {
                        acoustid: AcoustId([4; 16]),
                        score: Ppm(dice.int_in_range(0..=1_000_000)?),
                        recordings: some(dice, recording)?,
                    })
                })?;
                Observation::RecordingIdentified { track, attempt, matches }
            }
            Effect::Identify { track, attempt, .. } => Observation::LookupFailed {
                lookup: Lookup::Identity { track, attempt },
                fault: lost(dice)?,
            },
            Effect::Search { job, search, .. } => Observation::SearchEnded { job, search },
            Effect::FetchRange { track, assignment, .. } => {
                Observation::TransferEnded { track, assignment, end: end(dice)? }
            }
            Effect::Examine { track, attempt, .. } => Observation::FileExamined {
                track,
                attempt,
                digest: Digest([dice.int_in_range(0..=3)?; 32]),
                outcome: outcome(dice)?,
            },
            Effect::Publish { track, attempt, digest, path, .. } => match dice.choose_index(4)? {
                0 => Observation::StagingLost { track, attempt, detail: text(dice)? },
                1 => Observation::PublishFailed {
                    track,
                    attempt,
                    fault: PublishFault::Untaggable(text(dice)?),
                },
                _ => {
                    let size = dice.arbitrary()?;
                    Observation::FilePublished { track, attempt, path, size, digest }
                }
            },
            Effect::Discard { track, attempt } => Observation::FileDiscarded { track, attempt },
            Effect::CancelTransfer { .. }
            | Effect::BeginAt { .. }
            | Effect::MoveEnd { .. }
            | Effect::SendChat { .. }
            | Effect::AcknowledgeChat { .. }
            | Effect::Share { .. } => Observation::DeadlineReached,
        }))
    }

    /// Something nobody asked for.
    fn news(&mut self, dice: &mut Unstructured) -> Result<Input> {
        let job = JobId(dice.int_in_range(0..=2)?);
        let track = TrackKey { job, index: dice.int_in_range(0..=3)? };
        let assignment = AssignmentId(dice.int_in_range(0..=9)?);
        let attempt = dice.int_in_range(0..=3)?;
        let range = ByteRange { start: dice.arbitrary()?, end: dice.arbitrary()? };
        Ok(Input::Observation(match dice.choose_index(21)? {
            0 => return Ok(Input::Command(Command::CancelJob { job })),
            1 => return Ok(Input::Command(Command::RetryJob { job })),
            2 => {
                let release = ReleaseId([dice.int_in_range(0..=2)?; 16]);
                return Ok(Input::Command(Command::AddJob { release }));
            }
            3 => {
                self.asked.retain(|asked| !matches!(asked, Effect::FetchRange { .. }));
                started()
            }
            4 => Observation::SessionOpened,
            5 => Observation::SessionClosed { reason: SessionEnd::Lost(text(dice)?) },
            6 => {
                let search = SearchId(dice.int_in_range(0..=5)?);
                answered(dice, job, search)?
            }
            7 => Observation::PlaceTold { track, assignment, place: dice.arbitrary()? },
            8 => Observation::TransferStarted { track, assignment },
            9 => {
                let equal = dice.arbitrary()?;
                Observation::OverlapCompared { track, assignment, range, equal }
            }
            10 => Observation::ChunkArrived {
                track,
                assignment,
                range,
                digest: Digest([7; 32]),
                elapsed_ms: dice.arbitrary()?,
            },
            11 => Observation::TransferEnded { track, assignment, end: end(dice)? },
            12 => Observation::StagingLost { track, attempt, detail: text(dice)? },
            13 => Observation::ExamineFailed { track, attempt, fault: DiskFault::Full },
            14 => Observation::FileDiscarded { track, attempt },
            15 => Observation::UploadEnded {
                peer: peer(dice)?,
                path: text(dice)?,
                sent_bytes: dice.arbitrary()?,
                complete: dice.arbitrary()?,
            },
            16 => {
                let root = Digest([dice.int_in_range(0..=2)?; 32]);
                let (size, unit) = if dice.ratio(3u8, 4u8)? {
                    (300_000, 16_384)
                } else {
                    (dice.arbitrary()?, dice.arbitrary()?)
                };
                Observation::ContentDescribed { track, content: Content { root, size, unit } }
            }
            17 => {
                let range = |dice: &mut Unstructured| {
                    Ok(ByteRange { start: dice.arbitrary()?, end: dice.arbitrary()? })
                };
                Observation::HoldingTold { track, peer: peer(dice)?, ranges: some(dice, range)? }
            }
            18 => Observation::SlotGranted { track, assignment },
            19 => Observation::PieceSpoiled {
                track,
                assignment,
                range,
                elapsed_ms: dice.arbitrary()?,
            },
            _ => {
                self.at = self.at.max(self.engine.deadline().unwrap_or_default());
                Observation::DeadlineReached
            }
        }))
    }

    fn is_lawful(&self) {
        let mut restarted = Engine::new();
        for envelope in &self.log {
            restarted.recover(envelope);
            let line = render::line(envelope);
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        assert_eq!(restarted.state(), self.engine.state());
        assert_eq!(restarted.deadline(), self.engine.deadline());
        check::conserves(&self.log).expect("conservation");
        check::keeps_limits(&self.log, &Policy::default()).expect("limits");
        check::forgets_no_refusal(&self.log).expect("memory");
    }
}

fn started() -> Observation {
    let policy = Policy { gather_ms: 0, ..Policy::default() };
    Observation::NodeStarted { policy, engine: VERSION, build: String::new() }
}

fn target(dice: &mut Unstructured) -> Result<Target> {
    let credit = Credit { name: text(dice)?, artists: Vec::new() };
    let title = text(dice)?;
    let tracks = some(dice, |dice| {
        Ok(Track {
            id: TrackId([2; 16]),
            recording: recording(dice)?,
            medium: dice.int_in_range(0..=2)?,
            position: dice.int_in_range(0..=3)?,
            title: text(dice)?,
            credit: credit.clone(),
            duration_ms: dice.arbitrary()?,
            isrcs: Vec::new(),
        })
    })?;
    Ok(Target {
        release: ReleaseId([1; 16]),
        group: None,
        title,
        credit,
        date: text(dice)?,
        country: String::new(),
        label: String::new(),
        barcode: String::new(),
        media: dice.int_in_range(0..=2)?,
        tracks,
    })
}

fn answered(dice: &mut Unstructured, job: JobId, search: SearchId) -> Result<Observation> {
    Ok(Observation::SearchAnswered {
        job,
        search,
        peer: peer(dice)?,
        slot_free: dice.arbitrary()?,
        speed_bytes_per_s: dice.arbitrary()?,
        queue_length: dice.arbitrary()?,
        files: some(dice, |dice| {
            let folder = if dice.arbitrary()? { r"m\tin orchard\lights\" } else { "" };
            Ok(RemoteFile {
                path: format!("{folder}{}.flac", text(dice)?),
                size: if dice.ratio(3u8, 4u8)? { 300_000 } else { dice.arbitrary()? },
                bitrate_kbps: None,
                duration_s: dice.arbitrary()?,
            })
        })?,
    })
}

fn outcome(dice: &mut Unstructured) -> Result<Examination> {
    Ok(match dice.choose_index(4)? {
        0 => Examination::Fault(AudioFault::NotDecodable(text(dice)?)),
        1 => Examination::Fault(AudioFault::Damaged {
            at_ms: dice.arbitrary()?,
            detail: text(dice)?,
        }),
        _ => Examination::Music(Examined {
            profile: CodecProfile {
                codec: Codec::Flac,
                sample_rate_hz: 44_100,
                channels: 2,
                bit_depth: None,
            },
            duration_ms: if dice.arbitrary()? { 200_000 } else { dice.arbitrary()? },
            fingerprint: Fingerprint(vec![1]),
        }),
    })
}

fn end(dice: &mut Unstructured) -> Result<TransferEnd> {
    Ok(TransferEnd::Failed(match dice.choose_index(10)? {
        0 => TransferFault::PeerOffline,
        1 => TransferFault::TimedOut(text(dice)?),
        2 => TransferFault::Denied(text(dice)?),
        3 => TransferFault::UploadFailed,
        4 => TransferFault::SizeChanged(dice.arbitrary()?),
        5 => TransferFault::Surplus,
        6 => TransferFault::StagingShort(dice.arbitrary()?),
        7 => TransferFault::Disk(DiskFault::Full),
        8 => TransferFault::SessionClosed,
        _ => return Ok(TransferEnd::Complete),
    }))
}

fn lost(dice: &mut Unstructured) -> Result<LookupFault> {
    Ok(match dice.choose_index(3)? {
        0 => LookupFault::NotFound,
        1 => LookupFault::Busy { status: 503, retry_after_ms: dice.arbitrary()? },
        _ => LookupFault::Refused(text(dice)?),
    })
}

fn recording(dice: &mut Unstructured) -> Result<RecordingId> {
    Ok(RecordingId([dice.int_in_range(0..=3)?; 16]))
}

fn peer(dice: &mut Unstructured) -> Result<PeerId> {
    Ok(match dice.choose_index(5)? {
        number @ 0..3 => PeerId::Soulseek(["ada", "bob", "\u{1b}[31m"][number].to_owned()),
        number => PeerId::Mesh(["9f", "\u{1b}[31m"][number - 3].to_owned()),
    })
}

/// A few common words, or any text.
fn text(dice: &mut Unstructured) -> Result<String> {
    const WORDS: [&str; 8] =
        ["tone", "one", "two", "(live)", "01", "-", "Tin Orchard", "1999-05-01"];
    if dice.ratio(1u8, 8u8)? {
        return dice.arbitrary();
    }
    let words = some(dice, |dice| Ok(WORDS[dice.choose_index(WORDS.len())?]))?;
    Ok(words.join(" "))
}

fn some<T>(
    dice: &mut Unstructured,
    one: impl Fn(&mut Unstructured) -> Result<T>,
) -> Result<Vec<T>> {
    (0..dice.int_in_range(0..=3)?).map(|_| one(dice)).collect()
}
