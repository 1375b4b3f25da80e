//! Whether an assembled file is what is wanted: it decodes, has the right length, and AcoustID names
//! the wanted recording among those it sounds like. Refused content is remembered for good.

use domain::chunk::Digest;
use domain::decision::{DropReason, Refusal};
use domain::id::AcoustId;
use domain::media::{Codec, Examined};
use domain::observation::{
    Examination, IdentityMatch, Lookup, LookupFault, Observation, PublishFault,
};
use domain::score::Ppm;
use domain::{Decision, Input, PeerId, RecordingId, SourceId, Timestamp, TrackKey, library_path};

use crate::source;
use crate::state::{State, TrackJob, TrackPhase};

/// What is known of an assembled file and of what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The recording wanted.
    pub recording: RecordingId,
    /// The lowest score that proves one.
    pub identity_least: Ppm,
    /// What AcoustID named upon the input; nothing when the input is no such answer.
    pub named: Vec<Named>,
    /// The length wanted, in milliseconds.
    pub expected_ms: Option<u64>,
    /// The file's length, in milliseconds, once it was decoded.
    pub actual_ms: Option<u64>,
    /// Largest difference between the two, in milliseconds.
    pub tolerance_ms: u64,
    /// Who gave bytes of it.
    pub givers: Vec<(SourceId, PeerId)>,
}

/// One answer of AcoustID, as it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The AcoustID track.
    pub acoustid: AcoustId,
    /// How alike the sounds are.
    pub score: Ppm,
    /// Whether that is enough.
    pub is_near: bool,
    /// Whether the recording wanted is among those it is linked to.
    pub is_wanted: bool,
    /// The first recording it is linked to.
    pub recording: Option<RecordingId>,
}

pub(crate) fn react(state: &State, input: &Input, _at: Timestamp) -> Vec<Decision> {
    let Input::Observation(seen) = input else { return Vec::new() };
    match seen {
        Observation::FileExamined { track: key, attempt, digest, outcome } => {
            let Some(track) = present(state, *key, *attempt) else { return Vec::new() };
            let reason = if is_known_bad(state, *key, *digest) {
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

/// Asked at every verdict, not only when a file is examined: it may be refused for the same recording
/// under another track while its identity is looked up.
fn is_known_bad(state: &State, key: TrackKey, digest: Digest) -> bool {
    state.recording(key).is_some_and(|recording| state.refused.has(recording, digest))
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
    if is_known_bad(state, key, digest) {
        return refuse(state, key, track, digest, Refusal::KnownBad);
    }
    let named = named(state, wanted.recording, matches);
    if let Some(proof) = named.iter().find(|named| named.is_near && named.is_wanted) {
        return vec![Decision::TrackVerified {
            track: key,
            attempt: track.attempt,
            acoustid: proof.acoustid,
            score: proof.score,
            path: library_path::of(target, wanted, extension(music.profile.codec, track)),
        }];
    }
    let other = named
        .iter()
        .filter(|named| named.is_near)
        .find_map(|named| Some((named.score, named.recording?)));
    let reason = match other {
        Some((score, found)) => Refusal::WrongRecording { found, score },
        None => Refusal::Unidentified,
    };
    refuse(state, key, track, digest, reason)
}

/// What is named, as it is judged.
fn named(state: &State, wanted: RecordingId, matches: &[IdentityMatch]) -> Vec<Named> {
    let named = |found: &IdentityMatch| Named {
        acoustid: found.acoustid,
        score: found.score,
        is_near: found.score >= state.run.policy.identity_least,
        is_wanted: found.recordings.contains(&wanted),
        recording: found.recordings.first().copied(),
    };
    matches.iter().map(named).collect()
}

/// What was known of a track's file when it was accepted or refused upon `input`.
pub(crate) fn evidence(state: &State, key: TrackKey, input: &Input) -> Option<Evidence> {
    let target = state.job(key.job)?.target.as_ref()?;
    let wanted = target.tracks.get(usize::from(key.index))?;
    let track = state.track(key)?;
    let (music, named) = match input {
        Input::Observation(Observation::FileExamined {
            outcome: Examination::Music(music),
            ..
        }) => (Some(music), Vec::new()),
        Input::Observation(Observation::RecordingIdentified { matches, .. }) => {
            (track.examined.as_ref(), named(state, wanted.recording, matches))
        }
        _ => (track.examined.as_ref(), Vec::new()),
    };
    Some(Evidence {
        recording: wanted.recording,
        identity_least: state.run.policy.identity_least,
        named,
        expected_ms: wanted.duration_ms,
        actual_ms: music.map(|music| music.duration_ms),
        tolerance_ms: state.run.policy.duration_tolerance_ms,
        givers: track
            .givers
            .iter()
            .filter_map(|id| Some((*id, track.source(*id)?.peer.clone())))
            .collect(),
    })
}

fn refuse(
    state: &State,
    key: TrackKey,
    track: &TrackJob,
    digest: Digest,
    reason: Refusal,
) -> Vec<Decision> {
    let reason = if is_known_bad(state, key, digest) { Refusal::KnownBad } else { reason };
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

pub(crate) fn examined(
    state: &mut State,
    key: TrackKey,
    attempt: u16,
    digest: Digest,
    outcome: &Examination,
) {
    let Some(track) = state.track_mut(key) else { return };
    if track.attempt != attempt || track.phase != TrackPhase::Examining {
        return;
    }
    track.digest = Some(digest);
    if let Examination::Music(music) = outcome {
        track.examined = Some(music.clone());
        track.phase = TrackPhase::Identifying;
    }
}

pub(crate) fn discarded(state: &mut State, key: TrackKey, attempt: u16) {
    if let Some(track) = state.track_mut(key) {
        track.trash.remove(&attempt);
    }
}

pub(crate) fn verified(state: &mut State, key: TrackKey, acoustid: AcoustId, path: &str) {
    if let Some(track) = state.track_mut(key) {
        track.phase = TrackPhase::Publishing;
        track.acoustid = Some(acoustid);
        track.path = Some(path.to_owned());
    }
}

pub(crate) fn refused(state: &mut State, key: TrackKey, digest: Digest, reason: &Refusal) {
    let Some(about) = state.recording(key).map(|wanted| reason.about(wanted)) else { return };
    let Some(track) = state.track_mut(key) else { return };
    let (size, head) = (track.size, track.head);
    track.start_over();
    if reason.is_of_the_music() {
        track.refused_sizes.extend(size);
        let head = size.zip(head).map(|(size, head)| (about, size, head));
        state.refused.heads.extend(head);
    }
    state.refused.whole.insert((about, digest));
}

pub(crate) fn completed(state: &mut State, key: TrackKey, attempt: u16, path: &str) {
    if let Some(track) = state.track_mut(key) {
        // What it took to get here is in the log; the engine needs it no more.
        *track = TrackJob {
            phase: TrackPhase::Completed,
            attempt,
            held: track.held,
            path: Some(path.to_owned()),
            trash: std::mem::take(&mut track.trash),
            ..TrackJob::default()
        };
        track.trash.insert(attempt);
    }
}

#[cfg(test)]
mod tests {
    use domain::media::AudioFault;
    use domain::{Input, TrackKey};

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
