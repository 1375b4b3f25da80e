//! What a file is taken for was proved of this file, and what is refused was shown.

use std::collections::BTreeMap;

use domain::chunk::Digest;
use domain::decision::{Decision, Refusal};
use domain::observation::{Examination, IdentityMatch, Observation};
use domain::{Envelope, Event, Input, JobId, Policy, Target, Track, TrackKey};

use super::{Broken, Law, each};

/// Proof: a file is verified when it decoded, has the right length and sounds like the recording well
/// enough; it is refused for what was seen of it and not although it was proved.
///
/// # Errors
/// The first violation.
pub fn accepts_only_proof(log: &[Envelope], policy: &Policy) -> Result<(), Broken> {
    let mut evidence = Evidence::default();
    each(Law::Proof, log, |envelope| match &envelope.event {
        Event::Input(Input::Observation(seen)) => {
            evidence.seen(seen);
            Ok(())
        }
        Event::Input(Input::Command(_)) => Ok(()),
        Event::Decision(decision) => evidence.decided(decision, policy),
    })
}

#[derive(Default)]
struct Evidence<'a> {
    targets: BTreeMap<JobId, &'a Target>,
    examined: BTreeMap<(TrackKey, u16), (Digest, &'a Examination)>,
    identified: BTreeMap<(TrackKey, u16), &'a [IdentityMatch]>,
}

impl<'a> Evidence<'a> {
    fn seen(&mut self, seen: &'a Observation) {
        match seen {
            Observation::ReleaseFetched { job, target } => {
                self.targets.entry(*job).or_insert(target);
            }
            // The same file is told of in the same words; of what is told twice, the first counts.
            Observation::FileExamined { track, attempt, digest, outcome } => {
                self.examined.entry((*track, *attempt)).or_insert((*digest, outcome));
            }
            Observation::RecordingIdentified { track, attempt, matches } => {
                self.identified.insert((*track, *attempt), matches);
            }
            _ => {}
        }
    }

    fn decided(&mut self, decision: &Decision, policy: &Policy) -> Result<(), String> {
        match decision {
            Decision::ReleaseReused { job, from } => {
                self.targets.extend(self.targets.get(from).copied().map(|target| (*job, target)));
            }
            Decision::TrackVerified { track, attempt, .. } => {
                let Some((_, Examination::Music(music))) = self.examined.get(&(*track, *attempt))
                else {
                    return Err(format!("{track} is verified and is no music"));
                };
                let wanted = self.wanted(*track).and_then(|wanted| wanted.duration_ms);
                if wanted.is_some_and(|wanted| {
                    music.duration_ms.abs_diff(wanted) > policy.duration_tolerance_ms
                }) {
                    return Err(format!("{track} is verified with a wrong length"));
                }
                if !self.is_proved(*track, *attempt, policy) {
                    return Err(format!("{track} is verified and not identified"));
                }
            }
            Decision::TrackRefused { track, attempt, digest, reason } => {
                if self.examined.get(&(*track, *attempt)).is_none_or(|(seen, _)| seen != digest) {
                    return Err(format!("{track} is refused for what it is not"));
                }
                if matches!(reason, Refusal::WrongRecording { .. })
                    && self.is_proved(*track, *attempt, policy)
                {
                    return Err(format!("{track} is refused although it was proved"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn wanted(&self, track: TrackKey) -> Option<&'a Track> {
        self.targets.get(&track.job)?.tracks.get(usize::from(track.index))
    }

    fn is_proved(&self, track: TrackKey, attempt: u16, policy: &Policy) -> bool {
        self.wanted(track).zip(self.identified.get(&(track, attempt))).is_some_and(
            |(wanted, matches)| {
                matches.iter().any(|found| {
                    found.score >= policy.identity_least
                        && found.recordings.contains(&wanted.recording)
                })
            },
        )
    }
}
