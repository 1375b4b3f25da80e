//! How others are treated: who failed is left alone for a while, who fails again and again or gave what
//! was refused is not asked again, nobody is asked sooner than they said, and nobody is waited for
//! longer than was meant.

use std::collections::{BTreeMap, BTreeSet};

use domain::decision::{CutReason, Decision, DropReason, HoldReason, ResumedBy};
use domain::id::Transport;
use domain::observation::{Lookup, LookupFault, Observation, TransferFault};
use domain::{
    AssignmentId, Envelope, Event, Input, JobId, PeerId, Policy, SourceId, Timestamp, TrackKey,
};

use super::{Broken, Law, each};

/// Etiquette: rests, waits and limits of patience are kept, and sources out of use are not used.
///
/// # Errors
/// The first violation.
pub fn keeps_etiquette(log: &[Envelope], policy: &Policy) -> Result<(), Broken> {
    let mut manners = Manners::new(policy);
    each(Law::Etiquette, log, |envelope| manners.take(&envelope.event, envelope.at))
}

/// A remote file.
type Remote = (TrackKey, SourceId);

/// Least rest of a peer whose connection broke.
const BROKEN_REST_MS: u64 = 3_000;
/// Least rest of a node of the mesh.
const MESH_REST_MS: u64 = 1_000;

/// Longest wait that a service is believed.
const BELIEVED_MS: u64 = 3_600_000;

struct Manners<'a> {
    policy: &'a Policy,
    /// The time of the step before.
    before: Timestamp,
    rests: BTreeMap<PeerId, Timestamp>,
    offers: BTreeMap<JobId, BTreeSet<PeerId>>,
    open: BTreeMap<AssignmentId, Asked>,
    /// The one cut last.
    cut: Option<Remote>,
    failures: BTreeMap<Remote, u32>,
    /// Out of use, and for which attempt; `None` for all.
    out: BTreeMap<Remote, Option<u16>>,
    /// Never to be used again.
    refused: BTreeSet<Remote>,
    givers: BTreeMap<TrackKey, BTreeSet<SourceId>>,
    deferred: BTreeMap<Lookup, Timestamp>,
    searches: BTreeMap<TrackKey, u32>,
    waiting: BTreeMap<TrackKey, Timestamp>,
    /// Tracks whose content is known: what one source does not give, others give.
    parts: BTreeSet<TrackKey>,
    /// Whether the input of this step is a failed lookup, and what its service asked for.
    asked_wait_ms: u64,
}

struct Asked {
    remote: Remote,
    is_running: bool,
    moved: Timestamp,
}

impl<'a> Manners<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            before: Timestamp(0),
            rests: BTreeMap::new(),
            offers: BTreeMap::new(),
            open: BTreeMap::new(),
            cut: None,
            failures: BTreeMap::new(),
            out: BTreeMap::new(),
            refused: BTreeSet::new(),
            givers: BTreeMap::new(),
            deferred: BTreeMap::new(),
            searches: BTreeMap::new(),
            waiting: BTreeMap::new(),
            parts: BTreeSet::new(),
            asked_wait_ms: 0,
        }
    }

    fn take(&mut self, event: &Event, at: Timestamp) -> Result<(), String> {
        match event {
            Event::Input(input) => self.entered(input, at),
            Event::Decision(decision) => self.decided(decision, at),
        }
    }

    fn entered(&mut self, input: &Input, at: Timestamp) -> Result<(), String> {
        let overdue = self.open.iter().find(|(_, asked)| {
            asked.is_running && self.before.ms_since(asked.moved) > self.policy.stall_after_ms
        });
        if let Some((assignment, _)) = overdue {
            return Err(format!("assignment {assignment} is silent and still waited for"));
        }
        (self.before, self.cut, self.asked_wait_ms) = (at, None, 0);
        match input {
            Input::Observation(Observation::TransferStarted { assignment, .. }) => {
                if let Some(asked) = self.open.get_mut(assignment) {
                    (asked.is_running, asked.moved) = (true, at);
                }
            }
            Input::Observation(
                Observation::ChunkArrived { assignment, .. }
                | Observation::PieceSpoiled { assignment, .. },
            ) => {
                if let Some(asked) = self.open.get_mut(assignment)
                    && self.parts.contains(&asked.remote.0)
                {
                    asked.moved = at;
                }
            }
            Input::Observation(Observation::LookupFailed {
                fault: LookupFault::Busy { retry_after_ms, .. },
                ..
            }) => self.asked_wait_ms = retry_after_ms.unwrap_or(0).min(BELIEVED_MS),
            _ => {}
        }
        Ok(())
    }

    fn decided(&mut self, decision: &Decision, at: Timestamp) -> Result<(), String> {
        match decision {
            Decision::SourceFound { track, peer, .. } => {
                self.offers.entry(track.job).or_default().insert(peer.clone());
            }
            Decision::RangeAssigned { track, attempt, assignment, source, peer, .. } => {
                let remote = (*track, *source);
                self.may_ask(remote, *attempt, peer, at)?;
                self.open.insert(*assignment, Asked { remote, is_running: false, moved: at });
            }
            Decision::ChunkAccepted { track, assignment, .. } => {
                if let Some(asked) = self.open.get_mut(assignment) {
                    (asked.is_running, asked.moved) = (true, at);
                    self.givers.entry(*track).or_default().insert(asked.remote.1);
                }
            }
            Decision::AssignmentCut { assignment, reason, .. } => {
                let Some(asked) = self.open.remove(assignment) else {
                    return Err(format!("assignment {assignment} is cut and was not open"));
                };
                self.cut = Some(asked.remote);
                if *reason == CutReason::Stalled
                    && at.ms_since(asked.moved) < self.policy.stall_after_ms
                {
                    return Err(format!("assignment {assignment} moved and is cut as stalled"));
                }
            }
            Decision::PeerRested { track, peer, reason, until } => {
                let least = match peer.transport() {
                    Transport::Stream
                        if matches!(
                            reason,
                            TransferFault::ConnectionCut | TransferFault::UploadFailed
                        ) =>
                    {
                        self.policy.peer_rest_ms.min(BROKEN_REST_MS)
                    }
                    Transport::Stream => self.policy.peer_rest_ms,
                    Transport::Ranges => MESH_REST_MS,
                };
                if *until < at.plus_ms(least) {
                    return Err(format!("{peer} failed and is left no rest"));
                }
                self.rests.insert(peer.clone(), *until);
                if let Some(remote) = self.cut.filter(|(of, _)| of == track) {
                    *self.failures.entry(remote).or_default() += 1;
                }
            }
            Decision::ContentAdopted { track, .. } => {
                self.parts.insert(*track);
            }
            Decision::FileAssembled { track, .. } => {
                self.parts.remove(track);
                self.open.retain(|_, asked| asked.remote.0 != *track);
            }
            Decision::AttemptDropped { track, .. } => {
                self.parts.remove(track);
                self.open.retain(|_, asked| asked.remote.0 != *track);
                self.givers.remove(track);
            }
            Decision::TrackRefused { track, .. } => {
                let givers = self.givers.remove(track).unwrap_or_default();
                if givers.len() == 1 {
                    self.refused.extend(givers.into_iter().map(|source| (*track, source)));
                }
            }
            _ => return self.waited(decision, at),
        }
        Ok(())
    }

    /// The rest of them: sources in and out of use, and waits.
    fn waited(&mut self, decision: &Decision, at: Timestamp) -> Result<(), String> {
        match decision {
            Decision::SourceDropped { track, source, reason } => {
                let remote = (*track, *source);
                self.out.insert(remote, None);
                if matches!(reason, DropReason::Refused | DropReason::KnownBad) {
                    self.refused.insert(remote);
                }
            }
            Decision::SourceSetAside { track, attempt, source } => {
                self.out.insert((*track, *source), Some(*attempt));
            }
            Decision::SourceReturned { track, source, .. } => {
                self.out.remove(&(*track, *source));
                self.failures.remove(&(*track, *source));
            }
            Decision::LookupPlanned { lookup }
                if self.deferred.remove(lookup).is_some_and(|until| until > at) =>
            {
                return Err(format!("{lookup:?} is asked for before its wait is over"));
            }
            Decision::LookupDeferred { lookup, until, .. } => {
                let least = self.policy.lookup_retry_ms.max(self.asked_wait_ms);
                if *until < at.plus_ms(least) {
                    return Err(format!("{lookup:?} is asked for sooner than its service said"));
                }
                self.deferred.insert(*lookup, *until);
            }
            Decision::SearchPlanned { track: Some(track), .. } => {
                *self.searches.entry(*track).or_default() += 1;
                if self.waiting.remove(track).is_some_and(|until| until > at) {
                    return Err(format!("{track} is searched for before its wait is over"));
                }
            }
            Decision::TrackWaiting { track, until } => {
                let in_vain = self.searches.get(track).copied().unwrap_or(0);
                let wait = self.policy.search_repeat_ms << in_vain.saturating_sub(1).min(16);
                if *until < at.plus_ms(wait.min(self.policy.search_repeat_most_ms)) {
                    return Err(format!("{track} waits too little after {in_vain} searches"));
                }
                self.waiting.insert(*track, *until);
            }
            Decision::JobHeld { job, reason, until } => {
                self.forget(*job);
                if let (HoldReason::Disk(_), Some(until)) = (reason, until)
                    && *until < at.plus_ms(self.policy.disk_retry_ms)
                {
                    return Err(format!("job {job} leaves a full disk no time"));
                }
            }
            Decision::JobCancelled { job } | Decision::JobFailed { job, .. } => self.forget(*job),
            Decision::JobResumed { job, by } => match by {
                ResumedBy::Person => {
                    self.forget(*job);
                    self.waiting.retain(|track, _| track.job != *job);
                    for peer in self.offers.get(job).into_iter().flatten() {
                        self.rests.remove(peer);
                    }
                }
                ResumedBy::Start => self.forget(*job),
                ResumedBy::Pause => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn may_ask(
        &self,
        remote: Remote,
        attempt: u16,
        peer: &PeerId,
        at: Timestamp,
    ) -> Result<(), String> {
        let (track, source) = remote;
        if self.rests.get(peer).is_some_and(|until| *until > at) {
            return Err(format!("{peer} is asked while it rests"));
        }
        if self.refused.contains(&remote) {
            return Err(format!("source {source} of {track} gave a refused file and is asked"));
        }
        if self.out.get(&remote).is_some_and(|of| of.is_none_or(|of| of == attempt)) {
            return Err(format!("source {source} of {track} is out of use and is asked"));
        }
        let failures = self.failures.get(&remote).copied().unwrap_or(0);
        if failures >= self.policy.source_failures && !self.parts.contains(&track) {
            return Err(format!("source {source} of {track} failed {failures} times and is asked"));
        }
        Ok(())
    }

    /// Waits of lookups of a job that end with it, or are cut short by its going on.
    fn forget(&mut self, job: JobId) {
        self.deferred.retain(|lookup, _| match lookup {
            Lookup::Release { job: of } => *of != job,
            Lookup::Identity { track, .. } => track.job != job,
        });
    }
}
