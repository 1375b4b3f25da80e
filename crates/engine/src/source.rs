//! Search answers become sources of tracks. Which source is asked is decided in [`crate::schedule`].

use domain::decision::DropReason;
use domain::media::Codec;
use domain::observation::{Observation, RemoteFile};
use domain::{Decision, Event, Input, SourceId, Timestamp, TrackKey};

use crate::likeness;
use crate::state::{Job, Source, Standing, State, TrackPhase};

/// Sources of one track that are ever remembered, usable or not.
const MOST_SOURCES: u32 = 1024;

pub(crate) fn react(state: &State, input: &Input, _at: Timestamp) -> Vec<Decision> {
    let Input::Observation(Observation::SearchAnswered { job: id, peer, files, .. }) = input else {
        return Vec::new();
    };
    let Some(job) = state.job(*id).filter(|job| !job.phase.is_over()) else { return Vec::new() };
    let mut found: Vec<Decision> = Vec::new();
    for file in files {
        let Some((index, likeness)) = best_track(state, job, file) else { continue };
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
fn best_track(state: &State, job: &Job, file: &RemoteFile) -> Option<(u16, domain::score::Ppm)> {
    let target = job.target.as_ref()?;
    if file.size == 0
        || file.size > state.run.policy.largest_file_bytes
        || codec(&file.path).is_none()
    {
        return None;
    }
    let tolerance = state.run.policy.duration_tolerance_ms;
    (0u16..)
        .zip(&target.tracks)
        .filter_map(|(index, track)| {
            likeness::of(file, target, track, tolerance).map(|likeness| (index, likeness))
        })
        .max_by_key(|(index, likeness)| (*likeness, std::cmp::Reverse(*index)))
        .filter(|(index, _)| job.tracks[usize::from(*index)].phase != TrackPhase::Completed)
}

/// The codec that a path's ending promises.
pub(crate) fn codec(path: &str) -> Option<Codec> {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
    name.rsplit_once('.').and_then(|(_, extension)| Codec::from_extension(extension))
}

pub(crate) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Decision(Decision::SourceFound { track, peer, path, size, likeness, .. }) => {
            if let Some(track) = state.track_mut(*track) {
                track.sources.push(Source {
                    peer: peer.clone(),
                    path: path.clone(),
                    size: *size,
                    likeness: *likeness,
                    failures: 0,
                    suspicions: 0,
                    resized: false,
                    standing: Standing::Usable,
                });
            }
        }
        Event::Decision(Decision::SourceResized { track, source, size }) => {
            change(state, *track, *source, |source| {
                source.size = *size;
                source.resized = true;
            });
        }
        Event::Decision(Decision::SourceDropped { track, source, reason }) => {
            let standing = match reason {
                DropReason::Failed(_) => Standing::Failed,
                DropReason::Refused | DropReason::KnownBad => Standing::Refused,
            };
            change(state, *track, *source, |source| source.standing = standing);
            let size = state.track(*track).and_then(|t| t.source(*source)).map(|s| s.size);
            if let (Some(size), DropReason::KnownBad, Some(track)) =
                (size, reason, state.track_mut(*track))
            {
                track.refused_sizes.insert(size);
            }
        }
        Event::Decision(Decision::SourceSetAside { track, source, .. }) => {
            change(state, *track, *source, |source| source.standing = Standing::SetAside);
        }
        Event::Decision(Decision::SourceSuspected { track, source }) => {
            change(state, *track, *source, |source| {
                source.suspicions = source.suspicions.saturating_add(1);
            });
        }
        Event::Decision(Decision::SourceReturned { track, source, size }) => {
            change(state, *track, *source, |source| {
                source.standing = Standing::Usable;
                source.size = *size;
                source.failures = 0;
                source.resized = false;
            });
        }
        Event::Decision(Decision::PeerRested { track, peer, .. }) => {
            if let Some(track) = state.track_mut(*track) {
                for source in track.sources.iter_mut().filter(|source| source.peer == *peer) {
                    source.failures = source.failures.saturating_add(1);
                }
            }
        }
        Event::Input(_) | Event::Decision(_) => {}
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
