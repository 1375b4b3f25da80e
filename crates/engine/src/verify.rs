//! Whether an assembled file is what is wanted: it decodes, has the right length, and AcoustID names
//! the wanted recording among those it sounds like. Refused content is remembered for good.

use domain::decision::{DropReason, Refusal};
use domain::media::{Codec, Examined};
use domain::observation::{
    Examination, IdentityMatch, Lookup, LookupFault, Observation, PublishFault,
};
use domain::{Decision, Event, Input, Timestamp, TrackKey, library_path};

use crate::source;
use crate::state::{State, TrackJob, TrackPhase};

pub(crate) fn react(state: &State, input: &Input, _at: Timestamp) -> Vec<Decision> {
    let Input::Observation(seen) = input else { return Vec::new() };
    match seen {
        Observation::FileExamined { track: key, attempt, digest, outcome } => {
            let Some(track) = present(state, *key, *attempt) else { return Vec::new() };
            let known = state
                .recording(*key)
                .is_some_and(|recording| state.refused.has(recording, *digest));
            let reason = if known {
                Some(Refusal::KnownBad)
            } else {
                match outcome {
                    Examination::Fault(fault) => Some(Refusal::Audio(fault.clone())),
                    Examination::Music(music) => wrong_length(state, *key, music),
                }
            };
            match (reason, track.phase) {
                (Some(reason), TrackPhase::Examining | TrackPhase::Identifying) => {
                    refuse(state, *key, track, *digest, reason)
                }
                _ => Vec::new(),
            }
        }
        Observation::RecordingIdentified { track: key, attempt, matches } => {
            let Some(track) = present(state, *key, *attempt) else { return Vec::new() };
            if track.phase != TrackPhase::Identifying {
                return Vec::new();
            }
            judge(state, *key, track, matches)
        }
        Observation::LookupFailed {
            lookup: Lookup::Identity { track: key, attempt },
            fault: LookupFault::NotFound,
        } => {
            let Some(track) = present(state, *key, *attempt) else { return Vec::new() };
            match (track.phase, track.digest) {
                (TrackPhase::Identifying, Some(digest)) => {
                    refuse(state, *key, track, digest, Refusal::Unidentified)
                }
                _ => Vec::new(),
            }
        }
        Observation::PublishFailed {
            track: key,
            attempt,
            fault: PublishFault::Untaggable(detail),
        } => {
            let Some(track) = present(state, *key, *attempt) else { return Vec::new() };
            match (track.phase, track.digest) {
                (TrackPhase::Publishing, Some(digest)) => {
                    refuse(state, *key, track, digest, Refusal::Untaggable(detail.clone()))
                }
                _ => Vec::new(),
            }
        }
        Observation::FilePublished { track: key, attempt, path, .. } => match state.track(*key) {
            Some(track) if track.phase == TrackPhase::Publishing && track.attempt == *attempt => {
                vec![Decision::TrackCompleted {
                    track: *key,
                    attempt: track.attempt,
                    path: path.clone(),
                }]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn present(state: &State, key: TrackKey, attempt: u16) -> Option<&TrackJob> {
    state.track(key).filter(|track| track.attempt == attempt)
}

fn wrong_length(state: &State, key: TrackKey, music: &Examined) -> Option<Refusal> {
    let target = state.job(key.job)?.target.as_ref()?;
    let expected_ms = target.tracks.get(usize::from(key.index))?.duration_ms?;
    let wrong = music.duration_ms.abs_diff(expected_ms) > state.run.policy.duration_tolerance_ms;
    wrong.then_some(Refusal::WrongDuration { expected_ms, actual_ms: music.duration_ms })
}

/// Accepts when the wanted recording is among those named, not only when it is the first: one
/// AcoustID track may be linked to several recordings.
fn judge(
    state: &State,
    key: TrackKey,
    track: &TrackJob,
    matches: &[IdentityMatch],
) -> Vec<Decision> {
    let (Some(target), Some(music), Some(digest)) = (
        state.job(key.job).and_then(|job| job.target.as_ref()),
        track.examined.as_ref(),
        track.digest,
    ) else {
        return Vec::new();
    };
    let Some(wanted) = target.tracks.get(usize::from(key.index)) else { return Vec::new() };
    let near = |found: &&IdentityMatch| found.score >= state.run.policy.identity_least;
    let proof = matches.iter().filter(near).find(|m| m.recordings.contains(&wanted.recording));
    if let Some(proof) = proof {
        return vec![Decision::TrackVerified {
            track: key,
            attempt: track.attempt,
            acoustid: proof.acoustid,
            score: proof.score,
            path: library_path::of(target, wanted, extension(music.profile.codec, track)),
        }];
    }
    let other = matches.iter().filter(near).find_map(|m| Some((m.score, *m.recordings.first()?)));
    let reason = match other {
        Some((score, found)) => Refusal::WrongRecording { found, score },
        None => Refusal::Unidentified,
    };
    refuse(state, key, track, digest, reason)
}

fn refuse(
    state: &State,
    key: TrackKey,
    track: &TrackJob,
    digest: domain::chunk::Digest,
    reason: Refusal,
) -> Vec<Decision> {
    // Damage in a file of several givers may be of any of them; who is suspected again and again is
    // not innocent.
    let certain = reason.is_of_the_music() || track.givers.len() < 2;
    let most = state.run.policy.source_failures;
    let suspected = |source| track.source(source).map_or(0, |source| source.suspicions);
    let refused = Decision::TrackRefused { track: key, attempt: track.attempt, digest, reason };
    let blamed = track.givers.iter().map(|source| {
        if certain || suspected(*source) + 1 >= most {
            let reason = DropReason::Refused;
            Decision::SourceDropped { track: key, source: *source, reason }
        } else {
            Decision::SourceSuspected { track: key, source: *source }
        }
    });
    std::iter::once(refused).chain(blamed).collect()
}

/// The ending of the published file's name: by what the file is, not by what its peer called it.
fn extension(codec: Codec, track: &TrackJob) -> &'static str {
    match codec {
        Codec::Flac => "flac",
        Codec::Mp3 => "mp3",
        Codec::Aac | Codec::Alac => "m4a",
        Codec::Vorbis => "ogg",
        Codec::Opus => "opus",
        Codec::Pcm | Codec::Other => {
            let aiff = track.givers.iter().filter_map(|id| track.source(*id)).any(|giver| {
                let path = giver.path.to_ascii_lowercase();
                source::codec(&path).is_some()
                    && (path.ends_with(".aif") || path.ends_with(".aiff"))
            });
            if aiff { "aiff" } else { "wav" }
        }
    }
}

pub(crate) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Input(Input::Observation(Observation::FileExamined {
            track,
            attempt,
            digest,
            outcome,
        })) => {
            let Some(track) = state.track_mut(*track) else { return };
            if track.attempt != *attempt || track.phase != TrackPhase::Examining {
                return;
            }
            track.digest = Some(*digest);
            if let Examination::Music(music) = outcome {
                track.examined = Some(music.clone());
                track.phase = TrackPhase::Identifying;
            }
        }
        Event::Input(Input::Observation(Observation::FileDiscarded { track, attempt })) => {
            if let Some(track) = state.track_mut(*track) {
                track.trash.remove(attempt);
            }
        }
        Event::Decision(Decision::TrackVerified { track, acoustid, path, .. }) => {
            if let Some(track) = state.track_mut(*track) {
                track.phase = TrackPhase::Publishing;
                track.acoustid = Some(*acoustid);
                track.path = Some(path.clone());
            }
        }
        Event::Decision(Decision::TrackRefused { track, digest, reason, .. }) => {
            let Some(about) = state.recording(*track).map(|wanted| reason.about(wanted)) else {
                return;
            };
            let Some(job) = state.track_mut(*track) else { return };
            let (size, head) = (job.size, job.head);
            job.start_over();
            if reason.is_of_the_music() {
                job.refused_sizes.extend(size);
                let head = size.zip(head).map(|(size, head)| (about, size, head));
                state.refused.heads.extend(head);
            }
            state.refused.whole.insert((about, *digest));
        }
        Event::Decision(Decision::TrackCompleted { track, attempt, path }) => {
            if let Some(track) = state.track_mut(*track) {
                // What it took to get here is in the log; the engine needs it no more.
                *track = TrackJob {
                    phase: TrackPhase::Completed,
                    attempt: *attempt,
                    held: track.held,
                    path: Some(path.clone()),
                    trash: std::mem::take(&mut track.trash),
                    ..TrackJob::default()
                };
                track.trash.insert(*attempt);
            }
        }
        Event::Input(_) | Event::Decision(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use domain::media::AudioFault;

    use super::*;
    use crate::testing::*;

    const TRACK: TrackKey = TrackKey { job: domain::JobId(1), index: 0 };

    fn assembled() -> Vec<Input> {
        vec![
            session(),
            add_job(),
            fetched(1),
            answered("ada", &[file(1, 300_000)]),
            chunk(TRACK, 1, 0, 262_144),
            chunk(TRACK, 1, 262_144, 300_000),
        ]
    }

    #[test]
    fn the_recording_may_be_any_of_those_named() {
        let mut history = assembled();
        history.push(examined(TRACK, 0, 200_000));
        given(history).when(identified(TRACK, 0, 900_000, &[7, 1])).then(
            "TrackVerified       job=1/1 attempt=0 acoustid=00000000-0000-0000-0000-000000000000 \
             score=90.0% path=\"The Tin Orchard/Harbour Lights (1999)/01 - Tone One.flac\"",
        );
    }

    #[test]
    fn a_wrong_recording_is_refused_and_its_source_dropped() {
        let mut history = assembled();
        history.push(examined(TRACK, 0, 200_000));
        given(history).when(identified(TRACK, 0, 900_000, &[7])).then_first(
            "TrackRefused        job=1/1 attempt=0 digest=0909090909090909 reason=\"wrong recording: it \
             is 07070707-0707-0707-0707-070707070707 (90.0% alike)\"",
        );
    }

    #[test]
    fn a_weak_match_proves_nothing() {
        let mut history = assembled();
        history.push(examined(TRACK, 0, 200_000));
        given(history).when(identified(TRACK, 0, 400_000, &[1])).then_first(
            "TrackRefused        job=1/1 attempt=0 digest=0909090909090909 reason=\"AcoustID knows no \
             such recording\"",
        );
    }

    #[test]
    fn a_wrong_length_and_a_damaged_file_are_refused_without_asking_anybody() {
        given(assembled()).when(examined(TRACK, 0, 150_000)).then_first(
            "TrackRefused        job=1/1 attempt=0 digest=0909090909090909 reason=\"wrong length: 150.0 s \
             instead of 200.0 s\"",
        );
        let fault = AudioFault::Damaged { at_ms: 61_500, detail: "bad frame".into() };
        given(assembled()).when(faulty(TRACK, 0, fault)).then_first(
            "TrackRefused        job=1/1 attempt=0 digest=0909090909090909 reason=\"damaged at 61.5 s: \
             bad frame\"",
        );
    }

    #[test]
    fn a_damaged_copy_says_nothing_of_others_that_begin_alike() {
        let mut history = assembled();
        let fault = AudioFault::Damaged { at_ms: 61_500, detail: "bad frame".into() };
        history.push(faulty(TRACK, 0, fault));
        history.push(answered("bob", &[file(1, 300_000)]));
        given(history)
            .when(chunk(TRACK, 2, 0, 262_144))
            .then_first("ChunkAccepted       job=1/1 assignment=2 range=0..262144");
    }

    #[test]
    fn refused_content_is_known_again_by_its_first_cell() {
        let mut history = assembled();
        history.push(faulty(TRACK, 0, AudioFault::NotIdentifiable("silence".into())));
        history.push(answered("bob", &[file(1, 300_000)]));
        given(history).when(chunk(TRACK, 2, 0, 262_144)).then_first(
            "ChunkRefused        job=1/1 assignment=2 range=0..262144 reason=\"known bad\"",
        );
    }
}
