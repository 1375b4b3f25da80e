//! What was refused stays refused, and what is done stays done.

use std::collections::{BTreeMap, BTreeSet};

use domain::chunk::{Digest, cell_end};
use domain::decision::{Decision, Refusal};
use domain::observation::Observation;
use domain::{AssignmentId, Envelope, Event, Input, JobId, RecordingId, TrackKey};

use super::{Broken, Law, each};

/// Memory: what was refused for a recording is never accepted for it, neither whole nor by its
/// beginning, and is known again when it comes whole; what is completed is never fetched again, and a
/// job is not done before its tracks are.
///
/// # Errors
/// The first violation.
pub fn forgets_no_refusal(log: &[Envelope]) -> Result<(), Broken> {
    let mut memory = Memory::default();
    each(Law::Memory, log, |envelope| memory.take(&envelope.event))
}

/// A recording that something is wrong for; `None` for any.
type About = Option<RecordingId>;

#[derive(Default)]
struct Memory {
    recordings: BTreeMap<TrackKey, RecordingId>,
    refused: BTreeSet<(About, Digest)>,
    refused_heads: BTreeSet<(About, u64, Digest)>,
    examined: BTreeMap<(TrackKey, u16), Digest>,
    sizes: BTreeMap<AssignmentId, (u16, u64)>,
    heads: BTreeMap<(TrackKey, u16), (u64, Digest)>,
    completed: BTreeSet<TrackKey>,
}

impl Memory {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Input(Input::Observation(Observation::ReleaseFetched { job, target })) => {
                for (index, track) in (0u16..).zip(&target.tracks) {
                    let key = TrackKey { job: *job, index };
                    self.recordings.entry(key).or_insert(track.recording);
                }
            }
            Event::Input(Input::Observation(Observation::FileExamined {
                track,
                attempt,
                digest,
                ..
            })) => {
                self.examined.entry((*track, *attempt)).or_insert(*digest);
            }
            Event::Decision(decision) => return self.decided(decision),
            Event::Input(_) => {}
        }
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) -> Result<(), String> {
        match decision {
            Decision::ReleaseReused { job, from } => {
                let known: Vec<_> = self
                    .tracks(*from)
                    .map(|(track, recording)| (TrackKey { job: *job, ..*track }, *recording))
                    .collect();
                self.recordings.extend(known);
            }
            Decision::RangeAssigned { track, attempt, assignment, size, .. } => {
                if self.completed.contains(track) {
                    return Err(format!("{track} is fetched again"));
                }
                self.sizes.insert(*assignment, (*attempt, *size));
            }
            Decision::ChunkAccepted { track, assignment, range, digest } => {
                let Some((attempt, size)) = self.sizes.get(assignment).copied() else {
                    return Ok(());
                };
                if range.start == 0 && range.end == cell_end(0, size) {
                    if self
                        .knows(*track, |about| self.refused_heads.contains(&(about, size, *digest)))
                    {
                        return Err(format!("{track} takes a file that begins as a refused one"));
                    }
                    self.heads.insert((*track, attempt), (size, *digest));
                }
            }
            Decision::TrackRefused { track, attempt, digest, reason } => {
                if self.knows(*track, |about| self.refused.contains(&(about, *digest)))
                    && *reason != Refusal::KnownBad
                {
                    return Err(format!("{track} does not know a refused file again"));
                }
                let Some(recording) = self.recordings.get(track) else { return Ok(()) };
                let about = reason.about(*recording);
                self.refused.insert((about, *digest));
                if let Some((size, head)) = self.heads.get(&(*track, *attempt))
                    && reason.is_of_the_music()
                {
                    self.refused_heads.insert((about, *size, *head));
                }
            }
            Decision::TrackVerified { track, attempt, .. } => {
                let Some(digest) = self.examined.get(&(*track, *attempt)) else {
                    return Err(format!("{track} is verified and was not examined"));
                };
                if self.knows(*track, |about| self.refused.contains(&(about, *digest))) {
                    return Err(format!("{track} is verified with a refused file"));
                }
            }
            Decision::TrackCompleted { track, .. } if !self.completed.insert(*track) => {
                return Err(format!("{track} is completed twice"));
            }
            Decision::JobCompleted { job } => {
                if let Some((track, _)) =
                    self.tracks(*job).find(|(track, _)| !self.completed.contains(track))
                {
                    return Err(format!("job {job} is completed without {track}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tracks(&self, job: JobId) -> impl Iterator<Item = (&TrackKey, &RecordingId)> {
        let all = TrackKey { job, index: 0 }..=TrackKey { job, index: u16::MAX };
        self.recordings.range(all)
    }

    /// Whether something is refused for the recording of a track, or for any.
    fn knows(&self, track: TrackKey, is_refused: impl Fn(About) -> bool) -> bool {
        is_refused(None) || self.recordings.get(&track).is_some_and(|it| is_refused(Some(*it)))
    }
}
