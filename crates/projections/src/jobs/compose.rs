//! Puts rows together for readers, and adds what no single row knows: that a job stands still because
//! all its tracks do, or because we are not logged in.

use domain::{JobId, SourceId, Timestamp, TrackKey};

use super::rows::{
    JobRow, JobState, NodeRow, PeerRow, RefusalRow, Session, SourceRow, SourceState, TrackRow,
    TrackState,
};
use super::view::{JobHead, JobView, NodeView, RefusalView, SourceView, TrackView};
use super::{JOB, NODE, REFUSAL, SOURCE, TRACK, advice, job_key, peer_key, track_key};
use crate::table::{Snapshot, TableError};

pub(super) fn node(snapshot: &Snapshot<'_>) -> Result<Option<NodeView>, TableError> {
    Ok(snapshot.get::<NodeRow>(NODE)?.map(|node| {
        let (reason, next_action) = offline(&node.session).unzip();
        NodeView {
            logged_in: node.session == Session::Open,
            reason,
            next_action,
            since: node.since,
            engine: node.engine,
            build: node.build,
            started_at: node.started_at,
            runs: node.runs,
        }
    }))
}

pub(super) fn heads(snapshot: &Snapshot<'_>) -> Result<Vec<JobHead>, TableError> {
    let node = snapshot.get::<NodeRow>(NODE)?;
    let mut heads = Vec::new();
    for (key, row) in snapshot.scan::<JobRow>(&[JOB])? {
        if let Ok(number) = key.try_into() {
            let job = JobId(u32::from_be_bytes(number));
            heads.push(head_of(snapshot, job, row, node.as_ref())?);
        }
    }
    Ok(heads)
}

pub(super) fn head(snapshot: &Snapshot<'_>, job: JobId) -> Result<Option<JobHead>, TableError> {
    let node = snapshot.get::<NodeRow>(NODE)?;
    let row = snapshot.get::<JobRow>(&job_key(JOB, job))?;
    row.map(|row| head_of(snapshot, job, row, node.as_ref())).transpose()
}

fn head_of(
    snapshot: &Snapshot<'_>,
    job: JobId,
    row: JobRow,
    node: Option<&NodeRow>,
) -> Result<JobHead, TableError> {
    let tracks = snapshot.scan::<TrackRow>(&job_key(TRACK, job))?;
    let tracks: Vec<TrackRow> = tracks.into_iter().map(|(_, track)| track).collect();
    let completed = tracks.iter().filter(|track| track.state == TrackState::Completed).count();
    let told = row.reason.zip(row.next_action);
    let told = told.or_else(|| match row.state {
        JobState::Searching | JobState::Active => {
            node.and_then(|node| offline(&node.session)).or_else(|| all_waiting(&tracks))
        }
        JobState::Queued
        | JobState::LookingUp
        | JobState::Held { .. }
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Completed => None,
    });
    let (reason, next_action) = told.unzip();
    Ok(JobHead {
        job,
        release: row.release,
        state: row.state,
        reason,
        next_action,
        title: row.title,
        artist: row.artist,
        date: row.date,
        tracks_total: row.tracks,
        tracks_completed: u16::try_from(completed).unwrap_or(u16::MAX),
        bytes_held: sum(tracks.iter().map(|track| track.held_bytes)),
        bytes_total: sum(tracks.iter().filter_map(|track| track.size)),
        added_at: row.added_at,
        finished_at: row.finished_at,
        changed: row.changed,
    })
}

pub(super) fn job(snapshot: &Snapshot<'_>, head: JobHead) -> Result<JobView, TableError> {
    let now = snapshot.get::<NodeRow>(NODE)?.map_or(Timestamp(0), |node| node.now);
    let job = head.job;
    let rows = snapshot.scan::<TrackRow>(&job_key(TRACK, job))?;
    let mut tracks = Vec::with_capacity(rows.len());
    for (index, (_, row)) in (0u16..).zip(rows) {
        tracks.push(track(snapshot, TrackKey { job, index }, row, now)?);
    }
    Ok(JobView { head, tracks })
}

fn track(
    snapshot: &Snapshot<'_>,
    key: TrackKey,
    row: TrackRow,
    now: Timestamp,
) -> Result<TrackView, TableError> {
    let mut sources = Vec::new();
    for (id, row) in snapshot.scan::<SourceRow>(&track_key(SOURCE, key))? {
        if let Ok(id) = id.try_into() {
            sources.push(source(snapshot, SourceId(u32::from_be_bytes(id)), row, now)?);
        }
    }
    let (reason, next_action) = match (row.state, row.reason) {
        (TrackState::Wanted, None) => all_resting(&sources).unzip(),
        (_, reason) => (reason, row.next_action),
    };
    let refusals = snapshot.scan::<RefusalRow>(&track_key(REFUSAL, key))?;
    let refusals = refusals.into_iter().map(|(_, row)| RefusalView {
        digest: row.digest,
        reason: row.reason,
        peers: row.peers,
        at: row.at,
    });
    Ok(TrackView {
        index: key.index,
        medium: row.medium,
        position: row.position,
        title: row.title,
        artist: row.artist,
        recording: row.recording,
        duration_ms: row.duration_ms,
        state: row.state,
        reason,
        next_action,
        attempt: row.attempt,
        held_bytes: row.held_bytes,
        size: row.size,
        path: row.path,
        acoustid: row.acoustid,
        score: row.score,
        takeovers: row.takeovers,
        sources,
        refusals: refusals.collect(),
    })
}

/// Why a track is wanted and nobody is asked: everybody who has it is left alone for a while.
fn all_resting(sources: &[SourceView]) -> Option<(String, String)> {
    let mut soonest: Option<(Timestamp, &str)> = None;
    for source in sources {
        match source.state {
            SourceState::Resting { until } => {
                let reason = source.reason.as_deref().unwrap_or("it failed");
                if soonest.is_none_or(|(before, _)| until < before) {
                    soonest = Some((until, reason));
                }
            }
            SourceState::Dropped | SourceState::SetAside => {}
            SourceState::Candidate
            | SourceState::Queued { .. }
            | SourceState::Sending
            | SourceState::Done => return None,
        }
    }
    let (until, reason) = soonest?;
    let next = format!("asked again at {}; retry the job to ask at once", until.rfc3339());
    Some((format!("every source failed lately: {reason}"), next))
}

fn source(
    snapshot: &Snapshot<'_>,
    source: SourceId,
    row: SourceRow,
    now: Timestamp,
) -> Result<SourceView, TableError> {
    let (mut state, mut reason) = (row.state, row.reason);
    // A rest is the peer's, for all its files and all jobs, so it is kept once and added here.
    if let SourceState::Candidate | SourceState::Done = state
        && let Some(rest) = snapshot.get::<PeerRow>(&peer_key(&row.peer))?
        && rest.until > now
    {
        (state, reason) = (SourceState::Resting { until: rest.until }, Some(rest.reason));
    }
    Ok(SourceView {
        source,
        peer: row.peer,
        path: row.path,
        size: row.size,
        likeness: row.likeness,
        state,
        reason,
        bytes_accepted: row.bytes_accepted,
        busy_ms: row.busy_ms,
    })
}

// Sizes are what strangers say they are.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// Why we are not logged in, and what next.
fn offline(session: &Session) -> Option<(String, String)> {
    match session {
        Session::Open => None,
        Session::Opening => Some((
            "not logged in to Soulseek yet".to_owned(),
            "the node logs in by itself".to_owned(),
        )),
        Session::Lost(reason) => Some((
            format!("not logged in to Soulseek: {reason}"),
            "the node logs in again by itself".to_owned(),
        )),
        Session::Ended(reason) => Some((
            format!("not logged in to Soulseek: {reason}"),
            "check the user name and password in the configuration, and that no other program \
             uses them, then restart the node"
                .to_owned(),
        )),
    }
}

/// Why a job stands still although nothing is wrong with it: every track that is missing waits.
fn all_waiting(tracks: &[TrackRow]) -> Option<(String, String)> {
    let missing = || tracks.iter().filter(|track| track.state != TrackState::Completed);
    let mut first = None;
    for track in missing() {
        let TrackState::Waiting { until } = track.state else { return None };
        first = Some(first.map_or(until, |first: Timestamp| first.min(until)));
    }
    let again = advice::again_at("searched for again", first?);
    Some((
        format!("no source offers {} of {} tracks", missing().count(), tracks.len()),
        format!("{again}; retry the job to search at once"),
    ))
}
