//! What a recorded history tells of the outside: how each peer gave, what each file turned out to be, who
//! answered what, how long everything took. Nothing is averaged: samples are kept as they were, and
//! drawn from. Whatever the history does not tell is told by the nearest thing that it does tell.

use std::collections::BTreeMap;

use domain::chunk::Digest;
use domain::decision::CutReason;
use domain::id::SearchId;
use domain::media::AudioFault;
use domain::observation::{
    Examination, IdentityMatch, Lookup, LookupFault, PublishFault, RemoteFile, TransferEnd,
    TransferFault,
};
use domain::{
    AssignmentId, ByteRange, Decision, Envelope, Event, Input, JobId, Observation, PeerId,
    ReleaseId, Target, Timestamp, TrackKey,
};

use super::transfer::{End, Transfer, Under};

/// A file by its number; see [`Model::files`].
pub(super) type FileId = usize;

/// What a history tells of the outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) peers: BTreeMap<PeerId, Peer>,
    /// Every remote file that was offered.
    pub(super) files: Vec<File>,
    pub(super) by_path: BTreeMap<(PeerId, String), FileId>,
    /// What was made of the files with these bytes; see [`File::content`].
    pub(super) contents: BTreeMap<Content, Outcome>,
    /// How each query of a job was answered, each time it was asked.
    pub(super) searches: BTreeMap<(JobId, String), Vec<Answers>>,
    pub(super) releases: BTreeMap<ReleaseId, Result<Target, LookupFault>>,
    /// What each job wants.
    pub(super) targets: BTreeMap<JobId, ReleaseId>,
    pub(super) waits: Waits,
    /// Files that were examined first, and of those the ones that were right.
    pub(super) examined: u64,
    pub(super) verified: u64,
    /// Whose bytes each attempt consists of.
    pub(super) givers: BTreeMap<(TrackKey, u16), Vec<FileId>>,
}

/// What tells contents apart as far as it is known: the size, and the digest of the first cell.
pub(super) type Content = (u64, Option<Digest>);

#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// Transfers as they went, apart those that were asked for while another one was open.
    pub(super) transfers: [Vec<Transfer>; 2],
    /// Its last answer: slot free, speed, queue.
    pub(super) told: Option<(bool, u32, u32)>,
    pub(super) answers: u64,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) peer: PeerId,
    pub(super) offer: RemoteFile,
    pub(super) jobs: Vec<JobId>,
    /// What it is like when it is asked for, whoever asks.
    pub(super) refuses: Option<TransferFault>,
    pub(super) head: Option<Digest>,
    /// What was made of it where it alone was examined.
    pub(super) outcome: Outcome,
}

impl File {
    pub(super) fn content(&self) -> Content {
        (self.offer.size, self.head)
    }
}

/// What became of an assembled file, as far as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) examined: Option<(Digest, Examination)>,
    pub(super) matches: Option<Vec<IdentityMatch>>,
    pub(super) published: Option<(u64, Digest)>,
    pub(super) untaggable: Option<String>,
}

/// The answers to one search, with the time each took in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(pub(super) Vec<(u64, PeerId, Vec<RemoteFile>)>);

/// How long things took, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    pub(super) answer: Vec<u64>,
    pub(super) release: Vec<u64>,
    pub(super) identify: Vec<u64>,
    pub(super) examine: Vec<u64>,
    pub(super) publish: Vec<u64>,
}

/// What was asked for and not answered yet.
#[derive(Default)]
struct Asked {
    transfers: BTreeMap<AssignmentId, Under>,
    searches: BTreeMap<SearchId, (JobId, String, Timestamp, Answers)>,
    lookups: BTreeMap<Lookup, Timestamp>,
    examinations: BTreeMap<(TrackKey, u16), Timestamp>,
    publications: BTreeMap<(TrackKey, u16), Timestamp>,
    attempts: BTreeMap<AssignmentId, (TrackKey, u16)>,
}

impl Model {
    /// Reads a history.
    pub(super) fn fit(log: &[Envelope]) -> Self {
        let mut model = Self::default();
        let mut asked = Asked::default();
        for envelope in log {
            match &envelope.event {
                Event::Input(Input::Command(_)) => {}
                Event::Input(Input::Observation(seen)) => {
                    model.observe(&mut asked, seen, envelope.at);
                }
                Event::Decision(decided) => model.decide(&mut asked, decided, envelope.at),
            }
        }
        for (job, query, _, answers) in asked.searches.into_values() {
            model.searches.entry((job, query)).or_default().push(answers);
        }
        model
    }

    fn decide(&mut self, asked: &mut Asked, decided: &Decision, at: Timestamp) {
        match decided {
            Decision::JobAdded { job, release } => {
                self.targets.insert(*job, *release);
            }
            Decision::LookupPlanned { lookup } => {
                asked.lookups.insert(*lookup, at);
            }
            Decision::SearchPlanned { job, search, query, .. } => {
                let open = (*job, query.clone(), at, Answers::default());
                asked.searches.insert(*search, open);
            }
            Decision::RangeAssigned { track, attempt, assignment, peer, path, size, .. } => {
                let Some(file) = self.by_path.get(&(peer.clone(), path.clone())) else { return };
                let was_busy = asked.transfers.values().any(|open| open.peer == *peer);
                asked.attempts.insert(*assignment, (*track, *attempt));
                let under = Under {
                    file: *file,
                    peer: peer.clone(),
                    since: at,
                    size: *size,
                    was_busy,
                    started: None,
                    bytes: 0,
                    busy_ms: 0,
                };
                asked.transfers.insert(*assignment, under);
            }
            Decision::ChunkAccepted { track: _, assignment, range, digest } => {
                self.accepted(asked, *assignment, *range, *digest, at);
            }
            Decision::AssignmentCut { assignment, reason, .. } => {
                let Some(under) = asked.transfers.remove(assignment) else { return };
                let end = match reason {
                    CutReason::Stalled | CutReason::QueuedTooLong => End::Silent(under.bytes),
                    // Its end says why.
                    CutReason::Failed => return,
                    // What it would have come to is not known, and so far it was well.
                    CutReason::Restarted
                    | CutReason::BadContent
                    | CutReason::JobStopped
                    | CutReason::Overtaken
                    | CutReason::Complete => {
                        if under.bytes == 0 {
                            return;
                        }
                        End::Whole
                    }
                };
                self.note(&under, end, at);
            }
            Decision::FileAssembled { track, attempt, .. } => {
                asked.examinations.insert((*track, *attempt), at);
            }
            Decision::TrackVerified { track, attempt, .. } => {
                asked.publications.insert((*track, *attempt), at);
                self.verified += 1;
            }
            _ => {}
        }
    }

    fn accepted(
        &mut self,
        asked: &mut Asked,
        assignment: AssignmentId,
        range: ByteRange,
        digest: Digest,
        at: Timestamp,
    ) {
        let Some(under) = asked.transfers.get(&assignment) else { return };
        let (file, size) = (under.file, under.size);
        if range.start == 0 {
            self.files[file].head = Some(digest);
        }
        if let Some(key) = asked.attempts.get(&assignment) {
            let givers = self.givers.entry(*key).or_default();
            if !givers.contains(&file) {
                givers.push(file);
            }
        }
        if range.end == size
            && let Some(under) = asked.transfers.remove(&assignment)
        {
            self.note(&under, End::Whole, at);
        }
    }

    fn note(&mut self, under: &Under, end: End, at: Timestamp) {
        let peer = self.peers.entry(under.peer.clone()).or_default();
        peer.transfers[usize::from(under.was_busy)].push(under.went(end, at));
    }

    fn observe(&mut self, asked: &mut Asked, seen: &Observation, at: Timestamp) {
        match seen {
            Observation::NodeStarted { .. } => {
                let searches = std::mem::take(&mut asked.searches);
                for (search, (job, query, _, answers)) in searches {
                    // Sent again by the new run.
                    if answers.0.is_empty() {
                        asked.searches.insert(search, (job, query, at, answers));
                    } else {
                        self.searches.entry((job, query)).or_default().push(answers);
                    }
                }
            }
            Observation::SearchAnswered {
                job,
                search,
                peer,
                slot_free,
                speed_bytes_per_s,
                queue_length,
                files,
            } => {
                self.offered(*job, peer, files);
                let known = self.peers.entry(peer.clone()).or_default();
                known.told = Some((*slot_free, *speed_bytes_per_s, *queue_length));
                known.answers += 1;
                if let Some((_, _, since, answers)) = asked.searches.get_mut(search) {
                    let wait = at.ms_since(*since);
                    self.waits.answer.push(wait);
                    answers.0.push((wait, peer.clone(), files.clone()));
                }
            }
            Observation::SearchEnded { search, .. } => {
                if let Some((job, query, _, answers)) = asked.searches.remove(search) {
                    self.searches.entry((job, query)).or_default().push(answers);
                }
            }
            Observation::TransferStarted { assignment, .. } => {
                if let Some(under) = asked.transfers.get_mut(assignment) {
                    under.started = Some(at);
                }
            }
            Observation::ChunkArrived { assignment, range, elapsed_ms, .. } => {
                if let Some(under) = asked.transfers.get_mut(assignment) {
                    under.started.get_or_insert(at);
                    under.bytes = under.bytes.saturating_add(range.len());
                    under.busy_ms = under.busy_ms.saturating_add(*elapsed_ms);
                }
            }
            Observation::TransferEnded { assignment, end, .. } => {
                if let Some(under) = asked.transfers.remove(assignment) {
                    self.ended(&under, end, at);
                }
            }
            Observation::ReleaseFetched { job, target } => {
                let lookup = Lookup::Release { job: *job };
                self.waits.release.extend(answered(&mut asked.lookups, &lookup, at));
                if let Some(release) = self.targets.get(job) {
                    self.releases.insert(*release, Ok(target.clone()));
                }
            }
            Observation::LookupFailed { lookup, fault } => {
                if let Lookup::Release { job } = lookup
                    && let Some(release) = self.targets.get(job)
                    && !fault.is_passing()
                {
                    self.releases.entry(*release).or_insert_with(|| Err(fault.clone()));
                }
            }
            Observation::FileExamined { track, attempt, digest, outcome } => {
                let key = (*track, *attempt);
                if let Some(since) = asked.examinations.remove(&key) {
                    self.waits.examine.push(at.ms_since(since));
                    self.examined += 1;
                }
                // Damage is of one copy and not of whatever begins alike.
                let is_of_a_copy = matches!(
                    outcome,
                    Examination::Fault(AudioFault::Damaged { .. } | AudioFault::Truncated(_))
                );
                self.outcome(key, !is_of_a_copy, |known| {
                    known.examined = Some((*digest, outcome.clone()));
                });
            }
            Observation::RecordingIdentified { track, attempt, matches } => {
                let lookup = Lookup::Identity { track: *track, attempt: *attempt };
                self.waits.identify.extend(answered(&mut asked.lookups, &lookup, at));
                self.outcome((*track, *attempt), true, |known| {
                    known.matches = Some(matches.clone());
                });
            }
            Observation::FilePublished { track, attempt, size, digest, .. } => {
                let key = (*track, *attempt);
                self.waits.publish.extend(answered(&mut asked.publications, &key, at));
                self.outcome(key, true, |known| known.published = Some((*size, *digest)));
            }
            Observation::PublishFailed {
                track,
                attempt,
                fault: PublishFault::Untaggable(words),
            } => self.outcome((*track, *attempt), true, |known| {
                known.untaggable = Some(words.clone());
            }),
            _ => {}
        }
    }

    fn offered(&mut self, job: JobId, peer: &PeerId, files: &[RemoteFile]) {
        for offer in files {
            let next = self.files.len();
            let key = (peer.clone(), offer.path.clone());
            let id = *self.by_path.entry(key).or_insert(next);
            if id == next {
                self.files.push(File {
                    peer: peer.clone(),
                    offer: offer.clone(),
                    jobs: Vec::new(),
                    refuses: None,
                    head: None,
                    outcome: Outcome::default(),
                });
            }
            if !self.files[id].jobs.contains(&job) {
                self.files[id].jobs.push(job);
            }
        }
    }

    fn ended(&mut self, under: &Under, end: &TransferEnd, at: Timestamp) {
        let TransferEnd::Failed(fault) = end else {
            return self.note(under, End::Whole, at);
        };
        match fault {
            TransferFault::Denied(_) | TransferFault::SizeChanged(_) => {
                self.files[under.file].refuses = Some(fault.clone());
            }
            TransferFault::PeerOffline
            | TransferFault::CannotConnect
            | TransferFault::TimedOut(_)
            | TransferFault::ConnectionCut
            | TransferFault::UploadFailed
            | TransferFault::Surplus => {
                self.note(under, End::Failed(under.bytes, fault.clone()), at);
            }
            // Our own; what it gave until then tells how fast it is.
            TransferFault::StagingShort(_)
            | TransferFault::Disk(_)
            | TransferFault::SessionClosed => {
                if under.bytes > 0 {
                    self.note(under, End::Whole, at);
                }
            }
        }
    }

    /// Notes what became of an attempt: for the one file it is of, and for all that have its bytes.
    fn outcome(&mut self, key: (TrackKey, u16), of_all: bool, mut note: impl FnMut(&mut Outcome)) {
        let Some(givers) = self.givers.get(&key) else { return };
        if let [only] = givers[..] {
            note(&mut self.files[only].outcome);
        }
        if of_all && let Some(first) = givers.first() {
            note(self.contents.entry(self.files[*first].content()).or_default());
        }
    }
}

fn answered<K: Ord>(asked: &mut BTreeMap<K, Timestamp>, key: &K, at: Timestamp) -> Option<u64> {
    asked.remove(key).map(|since| at.ms_since(since))
}
