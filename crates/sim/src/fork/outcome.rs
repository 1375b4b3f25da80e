//! What came of a life after a fork: when which track was done, who gave how much, and what was chosen.
//! The recorded and the modelled are counted by this same code.

use std::collections::{BTreeMap, BTreeSet};

use domain::render::{Foreign, Named};
use domain::{
    AssignmentId, ByteRange, Decision, Envelope, Event, Input, JobId, Observation, PeerId, Seq,
    Timestamp, TrackKey,
};
use engine::State;
use engine::state::TrackPhase;

/// What is known where a fork begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    now: Timestamp,
    /// Who was asked by each assignment.
    asked: BTreeMap<AssignmentId, PeerId>,
    /// Jobs that are not over.
    jobs: BTreeSet<JobId>,
    /// Their tracks that are not in the library.
    tracks: BTreeSet<TrackKey>,
}

/// What came of it. Times count from the fork, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When each job was complete; `None` for one that was not by the end.
    pub jobs: BTreeMap<JobId, Option<u64>>,
    /// The same of each track that was not before.
    pub tracks: BTreeMap<TrackKey, Option<u64>>,
    /// Bytes of each peer that became part of a file.
    pub bytes: BTreeMap<PeerId, u64>,
    /// Times another source went on with a file.
    pub takeovers: u64,
    /// Files that were not what was wanted.
    pub refused: u64,
    /// Searches sent.
    pub searches: u64,
    /// How long it was looked on.
    pub until_ms: u64,
    /// What was chosen, by what it is about.
    choices: BTreeMap<Subject, Vec<Choice>>,
}

type Subject = (Option<JobId>, Option<TrackKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    at: Timestamp,
    seq: Seq,
    words: String,
}

/// How one outcome chose otherwise than another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Decisions that are not the same, about whatever it is, from the first that is not.
    pub number: u64,
    /// The first of them.
    pub first: Option<Changed>,
}

/// A decision that is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// When, in microseconds since 1970.
    pub at: Timestamp,
    /// Where it stands in the first outcome's history; `None` when it has none.
    pub seq: Option<Seq>,
    /// The track it is about, or else the job.
    pub about: String,
    /// What was decided.
    pub was: Option<String>,
    /// What is decided in its place.
    pub is: Option<String>,
}

impl Base {
    pub(super) fn of(before: &[Envelope], state: &State) -> Self {
        let mut base = Self {
            now: before.last().map_or(Timestamp(0), |envelope| envelope.at),
            jobs: state.unfinished.clone(),
            ..Self::default()
        };
        for (id, job) in state.unfinished.iter().filter_map(|id| state.jobs.get_key_value(id)) {
            let open =
                (0u16..).zip(&job.tracks).filter(|(_, track)| track.phase != TrackPhase::Completed);
            base.tracks.extend(open.map(|(index, _)| TrackKey { job: *id, index }));
        }
        for envelope in before {
            if let Event::Decision(Decision::RangeAssigned { assignment, peer, .. }) =
                &envelope.event
            {
                base.asked.insert(*assignment, peer.clone());
            }
        }
        base
    }

    /// What came of the events after the fork.
    pub(super) fn outcome(&self, after: &[Envelope]) -> Outcome {
        let mut asked = self.asked.clone();
        let mut outcome = Outcome {
            jobs: self.jobs.iter().map(|job| (*job, None)).collect(),
            tracks: self.tracks.iter().map(|track| (*track, None)).collect(),
            ..Outcome::default()
        };
        for envelope in after {
            let took = envelope.at.ms_since(self.now);
            outcome.until_ms = took;
            match &envelope.event {
                Event::Input(Input::Observation(Observation::ReleaseFetched { job, target })) => {
                    for (index, _) in (0u16..).zip(&target.tracks) {
                        let track = TrackKey { job: *job, index };
                        if outcome.jobs.contains_key(job) {
                            outcome.tracks.entry(track).or_insert(None);
                        }
                    }
                }
                Event::Input(_) => {}
                Event::Decision(decided) => {
                    outcome.count(decided, took, &mut asked);
                    if let Some(words) = chosen(decided) {
                        let subject = (envelope.event.job(), envelope.event.track());
                        let choice = Choice { at: envelope.at, seq: envelope.seq, words };
                        outcome.choices.entry(subject).or_default().push(choice);
                    }
                }
            }
        }
        outcome
    }
}

impl Outcome {
    fn count(&mut self, decided: &Decision, took: u64, asked: &mut BTreeMap<AssignmentId, PeerId>) {
        match decided {
            Decision::JobAdded { job, .. } => {
                self.jobs.entry(*job).or_insert(None);
            }
            Decision::JobCompleted { job } => {
                self.jobs.insert(*job, Some(took));
            }
            Decision::TrackCompleted { track, .. } => {
                self.tracks.insert(*track, Some(took));
            }
            Decision::RangeAssigned { assignment, peer, choice, .. } => {
                asked.insert(*assignment, peer.clone());
                self.takeovers += u64::from(choice.takeover);
            }
            Decision::ChunkAccepted { assignment, range, .. } => {
                self.gave(asked, *assignment, *range)
            }
            Decision::TrackRefused { .. } => self.refused += 1,
            Decision::SearchPlanned { .. } => self.searches += 1,
            _ => {}
        }
    }

    fn gave(
        &mut self,
        asked: &BTreeMap<AssignmentId, PeerId>,
        assignment: AssignmentId,
        range: ByteRange,
    ) {
        if let Some(peer) = asked.get(&assignment) {
            let gave = self.bytes.entry(peer.clone()).or_default();
            *gave = gave.saturating_add(range.len());
        }
    }

    /// Whether every job that was looked at is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.jobs.values().all(Option::is_some)
    }

    /// When the last job was complete; `None` when one was not.
    #[must_use]
    pub fn complete_ms(&self) -> Option<u64> {
        self.jobs.values().copied().try_fold(0, |last, job| Some(last.max(job?)))
    }

    /// How `other` chose otherwise. What is chosen is compared track by track and job by job, in order: a
    /// choice that is made earlier or later than another one's is the same choice.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Changes {
        let subjects: BTreeSet<_> = self.choices.keys().chain(other.choices.keys()).collect();
        let mut changes = Changes { number: 0, first: None };
        for subject in subjects {
            let of = |outcome: &Self| outcome.choices.get(subject).cloned().unwrap_or_default();
            let (was, is) = (of(self), of(other));
            let same = was.iter().zip(&is).take_while(|(was, is)| was.words == is.words).count();
            changes.number += (was.len().max(is.len()) - same) as u64;
            let (was, is) = (was.get(same), is.get(same));
            let Some(at) = was.or(is).map(|choice| choice.at) else { continue };
            if changes.first.as_ref().is_none_or(|first| at < first.at) {
                let words = |choice: Option<&Choice>| choice.map(|choice| choice.words.clone());
                changes.first = Some(Changed {
                    at,
                    seq: was.map(|choice| choice.seq),
                    about: about(*subject),
                    was: words(was),
                    is: words(is),
                });
            }
        }
        changes
    }
}

fn about((job, track): Subject) -> String {
    match (job, track) {
        (_, Some(track)) => format!("track {track}"),
        (Some(job), None) => format!("job {job}"),
        (None, None) => "the node".to_owned(),
    }
}

/// What a decision chooses, in words without what is only a number or a time; nothing for what merely
/// follows.
fn chosen(decided: &Decision) -> Option<String> {
    Some(match decided {
        Decision::JobAdded { release, .. } => format!("JobAdded release={release}"),
        Decision::JobHeld { reason, .. } => {
            format!("JobHeld reason={}", Foreign(&reason.to_string()))
        }
        Decision::JobResumed { by, .. } => format!("JobResumed by={by}"),
        Decision::JobFailed { reason, .. } => {
            format!("JobFailed reason={}", Foreign(&reason.to_string()))
        }
        Decision::JobCancelled { .. } => "JobCancelled".to_owned(),
        Decision::JobCompleted { .. } => "JobCompleted".to_owned(),
        Decision::SearchPlanned { query, .. } => format!("SearchPlanned query={}", Foreign(query)),
        Decision::TrackWaiting { .. } => "TrackWaiting".to_owned(),
        Decision::SourceDropped { reason, .. } => {
            format!("SourceDropped reason={}", Foreign(&reason.to_string()))
        }
        Decision::PeerRested { peer, reason, .. } => {
            format!("PeerRested peer={} reason={}", Named(peer), Foreign(&reason.to_string()))
        }
        Decision::RangeAssigned { peer, path, choice, .. } => format!(
            "RangeAssigned peer={} path={}{}",
            Named(peer),
            Foreign(path),
            if choice.takeover { " takeover" } else { "" }
        ),
        Decision::AssignmentCut { reason, .. } => format!("AssignmentCut reason={reason}"),
        Decision::AttemptDropped { reason, .. } => {
            format!("AttemptDropped reason={}", Foreign(&reason.to_string()))
        }
        Decision::TrackVerified { path, .. } => format!("TrackVerified path={}", Foreign(path)),
        Decision::TrackRefused { reason, .. } => {
            format!("TrackRefused reason={}", Foreign(&reason.to_string()))
        }
        Decision::TrackCompleted { path, .. } => format!("TrackCompleted path={}", Foreign(path)),
        Decision::CommandRefused { .. }
        | Decision::LookupPlanned { .. }
        | Decision::LookupDeferred { .. }
        | Decision::ReleaseReused { .. }
        | Decision::SourceFound { .. }
        | Decision::SourceResized { .. }
        | Decision::SourceSetAside { .. }
        | Decision::SourceSuspected { .. }
        | Decision::SourceReturned { .. }
        | Decision::WaitExtended { .. }
        | Decision::ContentAdopted { .. }
        | Decision::OffsetChosen { .. }
        | Decision::EndMoved { .. }
        | Decision::SourceSilent { .. }
        | Decision::ChunkAccepted { .. }
        | Decision::ChunkRefused { .. }
        | Decision::FileAssembled { .. }
        | Decision::ChatPlanned { .. }
        | Decision::ChatTaken { .. } => return None,
    })
}
