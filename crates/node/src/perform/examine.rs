//! Decodes a staged file from start to end and takes its fingerprint.

use audio::examine::{ExamineError, examine};
use domain::TrackKey;
use domain::media::{AudioFault, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, Observation};

use super::{Tools, blocking};

/// `None` when the disk cannot be read: nothing was learned, and a restart asks again.
pub(super) async fn run(
    tools: &Tools,
    track: TrackKey,
    attempt: u16,
    size: u64,
) -> Option<Observation> {
    let staging = tools.staging.clone();
    blocking(move || {
        let lost = |detail| Some(Observation::StagingLost { track, attempt, detail });
        let digest = match staging.digest(track, attempt) {
            Ok(Some((digest, found))) if found == size => digest,
            Ok(Some((_, found))) => return lost(format!("{found} of {size} B")),
            Ok(None) => return lost("the file is gone".into()),
            Err(error) => return lost(error.to_string()),
        };
        let outcome = match examine(&staging.path(track, attempt)) {
            Ok(music) => Examination::Music(described(music)),
            Err(ExamineError::Io(error)) => return lost(error.to_string()),
            Err(error) => Examination::Fault(fault(error)),
        };
        Some(Observation::FileExamined { track, attempt, digest, outcome })
    })
    .await
}
