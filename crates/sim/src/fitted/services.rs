//! MusicBrainz and AcoustID as the history knows them.

use domain::id::AcoustId;
use domain::observation::{IdentityMatch, Lookup, LookupFault, Observation};
use domain::score::Ppm;
use domain::{JobId, ReleaseId, Timestamp, TrackKey};

use super::{Fitted, drawn, number_of};

/// Where no wait was recorded.
const USUAL_WAIT_MS: u64 = 500;

impl Fitted {
    pub(super) fn fetch_release(&mut self, at: Timestamp, job: JobId, release: ReleaseId) {
        let mut rng = self.rng("release", job.0.into());
        let wait = drawn(&mut rng, &self.model.waits.release).copied().unwrap_or(USUAL_WAIT_MS);
        let lookup = Lookup::Release { job };
        let seen = match self.model.releases.get(&release) {
            Some(Ok(target)) => Observation::ReleaseFetched { job, target: target.clone() },
            Some(Err(fault)) => Observation::LookupFailed { lookup, fault: fault.clone() },
            None => Observation::LookupFailed { lookup, fault: LookupFault::NotFound },
        };
        self.agenda.plan(at.plus_ms(wait), seen);
    }

    pub(super) fn identify(&mut self, at: Timestamp, track: TrackKey, attempt: u16) {
        let mut rng = self.rng("identify", number_of(track, attempt));
        let wait = drawn(&mut rng, &self.model.waits.identify).copied().unwrap_or(USUAL_WAIT_MS);
        let known = self.outcome(track, attempt).and_then(|known| known.matches.clone());
        let matches = known.unwrap_or_else(|| self.supposed(track, attempt));
        let seen = Observation::RecordingIdentified { track, attempt, matches };
        self.agenda.plan(at.plus_ms(wait), seen);
    }

    /// What a file that was never looked at sounds like: the recording wanted as often as files were that,
    /// and otherwise like nothing.
    fn supposed(&self, track: TrackKey, attempt: u16) -> Vec<IdentityMatch> {
        let is_right = self.is_right(track, attempt);
        let Some(recording) = self.wanted(track).map(|track| track.recording) else {
            return Vec::new();
        };
        let acoustid = AcoustId(recording.0);
        let found = IdentityMatch { acoustid, score: Ppm(950_000), recordings: vec![recording] };
        if is_right { vec![found] } else { Vec::new() }
    }
}
