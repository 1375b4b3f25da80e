//! Staging and library: what a file that was assembled turns out to be.

use domain::chunk::Digest;
use domain::media::{Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, Observation, PublishFault};
use domain::target::Track;
use domain::{Timestamp, TrackKey};

use super::model::Outcome;
use super::{Fitted, drawn, number_of};
use crate::rng::Rng;

/// Where no time was recorded.
const USUAL_WAIT_MS: u64 = 1000;
const DISCARD_MS: u64 = 5;
/// Taken for a track whose length nobody told.
const USUAL_LENGTH_MS: u64 = 200_000;

impl Fitted {
    /// What is known of an attempt's file: of the one file it is of, or of all with its bytes.
    pub(super) fn outcome(&self, track: TrackKey, attempt: u16) -> Option<&Outcome> {
        let givers = self.staged.get(&(track, attempt))?;
        let alone = match givers[..] {
            [only] => Some(&self.model.files[only].outcome),
            _ => None,
        };
        let first = self.model.files.get(*givers.first()?)?;
        alone
            .filter(|outcome| outcome.examined.is_some())
            .or_else(|| self.model.contents.get(&first.content()))
    }

    /// Whether a file that nobody looked at is what it is called: the same for the same bytes.
    pub(super) fn is_right(&self, track: TrackKey, attempt: u16) -> bool {
        let first = self.staged.get(&(track, attempt)).and_then(|givers| givers.first());
        let size = first.map_or(0, |file| self.model.files[*file].offer.size);
        let number = size ^ number_of(track, 0);
        // As many as were right of those that were looked at, and one more of each kind.
        let (right, all) = (self.model.verified + 1, self.model.examined + 2);
        self.rng("right", number).within(0, all) < right
    }

    pub(super) fn wanted(&self, key: TrackKey) -> Option<&Track> {
        let job = self.model.targets.get(&key.job)?;
        let Some(Ok(target)) = self.model.releases.get(job) else { return None };
        target.tracks.get(usize::from(key.index))
    }

    pub(super) fn examine(&mut self, at: Timestamp, track: TrackKey, attempt: u16, size: u64) {
        let mut rng = self.rng("examine", number_of(track, attempt));
        let wait = drawn(&mut rng, &self.model.waits.examine).copied().unwrap_or(USUAL_WAIT_MS);
        let known = self.outcome(track, attempt).and_then(|known| known.examined.clone());
        let (digest, outcome) = known.unwrap_or_else(|| self.supposed_file(track, size));
        let seen = Observation::FileExamined { track, attempt, digest, outcome };
        self.agenda.plan(at.plus_ms(wait), seen);
    }

    /// Music of the right length: what it is worth is told when it is identified.
    fn supposed_file(&self, track: TrackKey, size: u64) -> (Digest, Examination) {
        let length = self.wanted(track).and_then(|track| track.duration_ms);
        let profile = CodecProfile {
            codec: Codec::Flac,
            sample_rate_hz: 44_100,
            channels: 2,
            bit_depth: Some(16),
        };
        let examined = Examined {
            profile,
            duration_ms: length.unwrap_or(USUAL_LENGTH_MS),
            fingerprint: Fingerprint(vec![size as u32]),
        };
        (supposed_digest(size, number_of(track, 0)), Examination::Music(examined))
    }

    pub(super) fn publish(
        &mut self,
        at: Timestamp,
        (track, attempt): (TrackKey, u16),
        digest: Digest,
        path: String,
    ) {
        let mut rng = self.rng("publish", number_of(track, attempt));
        let wait = drawn(&mut rng, &self.model.waits.publish).copied().unwrap_or(USUAL_WAIT_MS);
        let known = self.outcome(track, attempt);
        let untaggable = known.and_then(|known| known.untaggable.clone());
        let published = known.and_then(|known| known.published);
        let seen = match untaggable {
            Some(words) => {
                let fault = PublishFault::Untaggable(words);
                Observation::PublishFailed { track, attempt, fault }
            }
            None => {
                let (size, digest) = published.unwrap_or((0, digest));
                Observation::FilePublished { track, attempt, path, size, digest }
            }
        };
        self.agenda.plan(at.plus_ms(wait), seen);
    }

    pub(super) fn discard(&mut self, at: Timestamp, track: TrackKey, attempt: u16) {
        self.staged.remove(&(track, attempt));
        self.agenda.plan(at.plus_ms(DISCARD_MS), Observation::FileDiscarded { track, attempt });
    }
}

/// Stands for a digest that was never recorded.
pub(super) fn supposed_digest(of: u64, part: u64) -> Digest {
    let mut rng = Rng::numbered(of, "supposed", part);
    let mut digest = [0; 32];
    for part in digest.chunks_exact_mut(8) {
        part.copy_from_slice(&rng.bits().to_le_bytes());
    }
    Digest(digest)
}
