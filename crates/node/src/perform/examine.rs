//! Decodes a staged file from start to end and takes its fingerprint. A disk that cannot be read says
//! nothing of the file, which may be as good as ever.

use std::io;

use audio::{ExamineError, examine};
use domain::TrackKey;
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, Observation};

use super::{Tools, blocking};
use crate::staging;

pub(super) async fn run(tools: &Tools, track: TrackKey, attempt: u16, size: u64) -> Observation {
    let files = tools.staging.clone();
    let path = files.path(track, attempt);
    let lost = |detail| Observation::StagingLost { track, attempt, detail };
    let unread = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => lost("the file is gone".into()),
        _ => Observation::ExamineFailed { track, attempt, fault: staging::fault(error) },
    };
    let digest = match blocking(move || files.digest(track, attempt)).await {
        Ok(Some((digest, found))) if found == size => digest,
        Ok(Some((_, found))) => return lost(format!("{found} of {size} B")),
        Ok(None) => return lost("the file is gone".into()),
        Err(error) => return unread(&error),
    };
    // Decoders of foreign bytes may panic; that is the file's fault and must not stop the track.
    let outcome = match tokio::task::spawn_blocking(move || examine(&path)).await {
        Ok(Ok(music)) => Examination::Music(described(music)),
        Ok(Err(ExamineError::Io(error))) => return unread(&error),
        Ok(Err(error)) => Examination::Fault(fault(error)),
        // Of this copy, perhaps: another may be whole.
        Err(_) => Examination::Fault(AudioFault::Damaged {
            at_ms: 0,
            detail: "the decoder gave up".into(),
        }),
    };
    Observation::FileExamined { track, attempt, digest, outcome }
}

fn described(music: audio::Examined) -> Examined {
    let codec = match music.codec {
        audio::Codec::Flac => Codec::Flac,
        audio::Codec::Alac => Codec::Alac,
        audio::Codec::Pcm => Codec::Pcm,
        audio::Codec::Mp3 => Codec::Mp3,
        audio::Codec::Aac => Codec::Aac,
        audio::Codec::Vorbis => Codec::Vorbis,
        audio::Codec::Adpcm | audio::Codec::Mp1 | audio::Codec::Mp2 => Codec::Other,
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
        ExamineError::NotAudio(_) | ExamineError::Unsupported(_) | ExamineError::Io(_) => {
            AudioFault::NotDecodable(error.to_string())
        }
    }
}
