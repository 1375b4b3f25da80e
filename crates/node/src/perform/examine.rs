//! Decodes a staged file from start to end and takes its fingerprint.

use audio::{ExamineError, examine};
use domain::TrackKey;
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
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

fn described(music: audio::Examined) -> Examined {
    let codec = match music.codec {
        audio::Codec::Flac => Codec::Flac,
        audio::Codec::Alac => Codec::Alac,
        audio::Codec::Pcm => Codec::Pcm,
        audio::Codec::Mp3 => Codec::Mp3,
        audio::Codec::Aac => Codec::Aac,
        audio::Codec::Vorbis => Codec::Vorbis,
        audio::Codec::Opus => Codec::Opus,
        _ => Codec::Other,
    };
    Examined {
        profile: CodecProfile {
            codec,
            sample_rate_hz: music.sample_rate_hz,
            channels: u16::try_from(music.channels).unwrap_or(u16::MAX),
            bit_depth: music.bit_depth.and_then(|depth| u16::try_from(depth).ok()),
        },
        duration_ms: music.duration_ms,
        fingerprint: Fingerprint(music.fingerprint),
    }
}

fn fault(error: ExamineError) -> AudioFault {
    match error {
        ExamineError::Truncated { .. } => AudioFault::Truncated(error.to_string()),
        ExamineError::Damaged { at_ms, detail } => {
            AudioFault::Damaged { at_ms: at_ms.unwrap_or(0), detail }
        }
        ExamineError::Silent | ExamineError::TooShort { .. } => {
            AudioFault::NotIdentifiable(error.to_string())
        }
        other => AudioFault::NotDecodable(other.to_string()),
    }
}
