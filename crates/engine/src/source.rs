//! Search answers become sources of tracks. Which source is asked is decided in [`crate::schedule`].

use domain::decision::DropReason;
use domain::media::Codec;
use domain::observation::{Observation, RemoteFile};
use domain::score::Ppm;
use domain::{Decision, Input, PeerId, SourceId, Timestamp, TrackKey};

use crate::likeness::{self, Offered, Wanted};
use crate::state::{Job, Source, Standing, State, TrackPhase};

/// Sources of one track that are ever remembered, usable or not.
const MOST_SOURCES: u32 = 1024;

pub(crate) fn react(state: &State, input: &Input, _at: Timestamp) -> Vec<Decision> {
    let Input::Observation(Observation::SearchAnswered { job: id, peer, files, .. }) = input else {
        return Vec::new();
    };
    let Some(job) = state.job(*id).filter(|job| !job.phase.is_over()) else { return Vec::new() };
    let Some(target) = &job.target else { return Vec::new() };
    let wanted: Vec<_> = target.tracks.iter().map(|track| Wanted::of(target, track)).collect();
    let mut found: Vec<Decision> = Vec::new();
    for file in files {
        let Some((index, likeness)) = best_track(state, job, &wanted, file) else { continue };
        let key = TrackKey { job: *id, index };
        let track = &job.tracks[usize::from(index)];
        let known =
            (0u32..).zip(&track.sources).find(|(_, s)| s.peer == *peer && s.path == file.path);
        if let Some((number, source)) = known {
            if source.standing == Standing::Failed {
                let source = SourceId(number);
                found.push(Decision::SourceReturned { track: key, source, size: file.size });
            }
            continue;
        }
        let twice = found.iter().any(|decision| {
            matches!(decision, Decision::SourceFound { track, path, .. }
                    if *track == key && *path == file.path)
        });
        let found_now = found
            .iter()
            .filter(|d| matches!(d, Decision::SourceFound { track, .. } if *track == key))
            .count();
        let number = u32::try_from(track.sources.len() + found_now).unwrap_or(u32::MAX);
        // Those that are gone do not stand in the way of new ones, up to a point.
        let usable = track.usable().count() + found_now;
        let full = usable >= state.run.policy.sources_per_track as usize || number >= MOST_SOURCES;
        if twice || full {
            continue;
        }
        found.push(Decision::SourceFound {
            track: key,
            source: SourceId(number),
            peer: peer.clone(),
            path: file.path.clone(),
            size: file.size,
            likeness,
        });
    }
    found
}

/// The one track that a file fits best; of equals the first.
fn best_track(
    state: &State,
    job: &Job,
    wanted: &[Wanted],
    file: &RemoteFile,
) -> Option<(u16, Ppm)> {
    if file.size == 0
        || file.size > state.run.policy.largest_file_bytes
        || codec(&file.path).is_none()
    {
        return None;
    }
    let tolerance = state.run.policy.duration_tolerance_ms;
    let offered = Offered::of(file);
    (0u16..)
        .zip(wanted)
        .filter_map(|(index, track)| {
            likeness::of(&offered, track, tolerance).map(|likeness| (index, likeness))
        })
        .max_by_key(|(index, likeness)| (*likeness, std::cmp::Reverse(*index)))
        .filter(|(index, _)| job.tracks[usize::from(*index)].phase != TrackPhase::Completed)
}

/// The codec that a path's ending promises.
pub(crate) fn codec(path: &str) -> Option<Codec> {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
    name.rsplit_once('.').and_then(|(_, extension)| Codec::from_extension(extension))
}

pub(crate) fn found(
    state: &mut State,
    track: TrackKey,
    peer: &PeerId,
    path: &str,
    size: u64,
    likeness: Ppm,
) {
    if let Some(track) = state.track_mut(track) {
        track.sources.push(Source {
            peer: peer.clone(),
            path: path.to_owned(),
            size,
            likeness,
            failures: 0,
            suspicions: 0,
            resized: false,
            standing: Standing::Usable,
        });
    }
}

pub(crate) fn resized(state: &mut State, track: TrackKey, id: SourceId, size: u64) {
    change(state, track, id, |source| {
        source.size = size;
        source.resized = true;
    });
}

pub(crate) fn dropped(state: &mut State, key: TrackKey, id: SourceId, reason: &DropReason) {
    let standing = match reason {
        DropReason::Failed(_) => Standing::Failed,
        DropReason::Refused | DropReason::KnownBad => Standing::Refused,
    };
    change(state, key, id, |source| source.standing = standing);
    let size = state.track(key).and_then(|track| track.source(id)).map(|source| source.size);
    if let (Some(size), DropReason::KnownBad, Some(track)) = (size, reason, state.track_mut(key)) {
        track.refused_sizes.insert(size);
    }
}

pub(crate) fn set_aside(state: &mut State, track: TrackKey, id: SourceId) {
    change(state, track, id, |source| source.standing = Standing::SetAside);
}

pub(crate) fn suspected(state: &mut State, track: TrackKey, id: SourceId) {
    change(state, track, id, |source| {
        source.suspicions = source.suspicions.saturating_add(1);
    });
}

pub(crate) fn returned(state: &mut State, track: TrackKey, id: SourceId, size: u64) {
    change(state, track, id, |source| {
        source.standing = Standing::Usable;
        source.size = size;
        source.failures = 0;
        source.resized = false;
    });
}

/// A peer failed at a track: that counts against whatever it offers for it.
pub(crate) fn failed(state: &mut State, track: TrackKey, peer: &PeerId) {
    if let Some(track) = state.track_mut(track) {
        for source in track.sources.iter_mut().filter(|source| source.peer == *peer) {
            source.failures = source.failures.saturating_add(1);
        }
    }
}

fn change(state: &mut State, track: TrackKey, id: SourceId, change: impl FnOnce(&mut Source)) {
    let source =
        state.track_mut(track).and_then(|track| track.sources.get_mut(usize::try_from(id.0).ok()?));
    if let Some(source) = source {
        change(source);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    #[test]
    fn files_that_fit_become_sources_and_others_do_not() {
        given([session(), add_job(), fetched(2)])
            .when(answered("ada", &[file(1, 300_000), named("cover.jpg", 5000), named("notes.flac", 9)]))
            .then_first(
                r#"SourceFound         job=1/1 source=0 peer=slsk:ada 300000 B likeness=94.9% path="m\Tin Orchard\Harbour Lights\01 - Tone One.flac""#,
            );
    }

    #[test]
    fn the_same_file_is_remembered_once() {
        let answer = answered("ada", &[file(1, 300_000), file(1, 300_000)]);
        given([session(), add_job(), fetched(1), answer.clone()]).when(answer).then("");
    }
}
