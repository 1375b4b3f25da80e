//! Asks the metadata services. One try each; trying again is the engine's decision.

use domain::media::Fingerprint;
use domain::observation::{Lookup, Observation};
use domain::{JobId, ReleaseId, TrackKey};

use super::Tools;

pub(super) async fn release(tools: &Tools, job: JobId, release: ReleaseId) -> Observation {
    tools.musicbrainz_turns.turn().await;
    match tools.musicbrainz.release(release).await {
        Ok(target) => Observation::ReleaseFetched { job, target },
        Err(fault) => Observation::LookupFailed { lookup: Lookup::Release { job }, fault },
    }
}

pub(super) async fn identity(
    tools: &Tools,
    track: TrackKey,
    attempt: u16,
    duration_ms: u64,
    fingerprint: &Fingerprint,
) -> Observation {
    let compressed = audio::compress(&fingerprint.0);
    tools.acoustid_turns.turn().await;
    match tools.acoustid.lookup(duration_ms, &compressed).await {
        Ok(matches) => Observation::RecordingIdentified { track, attempt, matches },
        Err(fault) => {
            Observation::LookupFailed { lookup: Lookup::Identity { track, attempt }, fault }
        }
    }
}
