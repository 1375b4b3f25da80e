//! What people see of a job, told as short histories.

use domain::chunk::Digest;
use domain::decision::{
    AttemptDropReason, CutReason, DropReason, HoldReason, JobFailure, Refusal, ResumedBy,
};
use domain::id::AcoustId;
use domain::observation::{DiskFault, Lookup, LookupFault, SessionEnd, TransferEnd, TransferFault};
use domain::score::Ppm;
use domain::{
    AssignmentId, Command, Decision, Event, JobId, Observation, SourceId, Timestamp, TrackKey,
};
use eventlog::Log;
use projections::jobs::{JobState, JobView, Jobs, NodeView, SourceState, TrackState};
use projections::{Store, follow};

use crate::history::{
    SIZE, Steps, added, added_like, append, asked, assigned, chunk, closed, ended, fetched, found,
    key, peer, seen, so, started, woken,
};

const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };
const LATER: Timestamp = Timestamp(3_600_000_000);

/// Job 1 and the node after the steps.
fn after(steps: Steps) -> (JobView, NodeView) {
    shown(steps, JobId(1))
}

fn shown(steps: Steps, job: JobId) -> (JobView, NodeView) {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, &steps);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (mut jobs, view) = Jobs::open(&store).unwrap();
    follow::catch_up(&mut jobs, &reader).unwrap();
    (view.get(job).unwrap().value.unwrap(), view.node().unwrap().value.unwrap())
}

/// A logged-in node with job 1 of two tracks, then the steps.
fn with_job(steps: impl IntoIterator<Item = Vec<Event>>) -> JobView {
    let mut all = vec![vec![started()], vec![seen(Observation::SessionOpened)], added(1)];
    all.push(fetched(1, 2));
    all.extend(steps);
    after(all).0
}

fn told(job: &JobView) -> (&str, &str) {
    (job.head.reason.as_deref().unwrap_or(""), job.head.next_action.as_deref().unwrap_or(""))
}

#[test]
fn a_job_goes_from_lookup_to_searching_to_active() {
    let job = after(vec![vec![started()], added(1)]).0;
    assert_eq!((job.head.state, job.tracks.len()), (JobState::LookingUp, 0));
    let job = with_job([]);
    assert_eq!(job.head.state, JobState::Searching);
    assert_eq!((&*job.head.title, &*job.head.artist, &*job.head.date), ("Album", "Ada", "1991"));
    assert_eq!(job.tracks[1].title, "Song 2");
    assert_eq!(told(&job), ("", ""));
    let job = with_job([vec![woken(), found(TRACK, 0, "ada")]]);
    assert_eq!(job.head.state, JobState::Active);
    assert_eq!(job.tracks[0].sources[0].state, SourceState::Candidate);
}

#[test]
fn a_job_that_takes_over_a_description_shows_its_tracks_at_once_and_none_of_their_history() {
    let mut steps = vec![vec![started()], added(1), fetched(1, 2)];
    steps.push(vec![woken(), found(TRACK, 0, "ada")]);
    steps.push(vec![woken(), assigned(TRACK, 1, 0, "ada", 0, true)]);
    steps.push(chunk(TRACK, 1, 0));
    steps.push(vec![
        asked(Command::CancelJob { job: JobId(1) }),
        so(Decision::JobCancelled { job: JobId(1) }),
    ]);
    steps.push(added_like(2, 1));
    let first = after(steps.clone()).0;
    let second = shown(steps, JobId(2)).0;
    assert_eq!((second.head.state, second.head.tracks_total), (JobState::Searching, 2));
    assert_eq!(
        (&second.head.title, &second.head.artist, &second.head.date),
        (&first.head.title, &first.head.artist, &first.head.date)
    );
    let called = |job: &JobView| {
        let tracks = job.tracks.iter();
        tracks.map(|it| (it.position, it.title.clone(), it.recording)).collect::<Vec<_>>()
    };
    assert_eq!(called(&second), called(&first));
    let track = &second.tracks[0];
    assert_eq!((track.state, track.attempt, track.takeovers), (TrackState::Wanted, 0, 0));
    assert_eq!((track.held_bytes, track.size, track.sources.len()), (0, None, 0));
}

#[test]
fn a_track_is_fetched_taken_over_proved_and_published() {
    let mut steps = vec![
        vec![woken(), found(TRACK, 0, "ada"), found(TRACK, 1, "bob")],
        vec![woken(), assigned(TRACK, 1, 0, "ada", 0, false)],
    ];
    let track = with_job(steps.clone()).tracks.remove(0);
    assert_eq!((track.state, track.size), (TrackState::Queued { place: None }, Some(SIZE)));

    let assignment = AssignmentId(1);
    steps.push(vec![seen(Observation::PlaceTold { track: TRACK, assignment, place: 4 })]);
    let track = with_job(steps.clone()).tracks.remove(0);
    assert_eq!(track.state, TrackState::Queued { place: Some(4) });
    assert_eq!(track.sources[0].state, SourceState::Queued { place: Some(4) });

    steps.push(vec![seen(Observation::TransferStarted { track: TRACK, assignment })]);
    steps.push(chunk(TRACK, 1, 0));
    let track = with_job(steps.clone()).tracks.remove(0);
    assert_eq!((track.state, track.held_bytes), (TrackState::Downloading, 262_144));
    assert_eq!(track.sources[0].state, SourceState::Sending);

    let fault = TransferFault::ConnectionCut;
    let rest = Decision::PeerRested {
        track: TRACK,
        peer: peer("ada"),
        reason: fault.clone(),
        until: LATER,
    };
    steps.push(vec![
        ended(TRACK, 1, TransferEnd::Failed(fault)),
        so(rest),
        assigned(TRACK, 2, 1, "bob", 262_144, true),
    ]);
    // A chunk of the lost assignment comes late: its time counts, the state does not change.
    let late = chunk(TRACK, 1, 0).remove(0);
    steps.push(vec![late]);
    for start in [262_144, 524_288, 786_432] {
        steps.push(chunk(TRACK, 2, start));
    }
    let track = with_job(steps.clone()).tracks.remove(0);
    let sources: Vec<_> =
        track.sources.iter().map(|it| (it.state, it.bytes_accepted, it.busy_ms)).collect();
    assert_eq!(
        sources,
        [
            (SourceState::Resting { until: LATER }, 262_144, 200),
            (SourceState::Sending, SIZE - 262_144, 300)
        ]
    );
    assert_eq!(track.sources[0].reason.as_deref(), Some("connection cut"));
    assert_eq!((track.takeovers, track.held_bytes), (1, SIZE));

    let lookup = Lookup::Identity { track: TRACK, attempt: 1 };
    steps.push(vec![woken(), so(Decision::FileAssembled { track: TRACK, attempt: 1, size: SIZE })]);
    steps.push(vec![ended(TRACK, 2, TransferEnd::Complete)]);
    let track = with_job(steps.clone()).tracks.remove(0);
    assert_eq!(track.state, TrackState::Examining);
    assert_eq!(track.sources[1].state, SourceState::Done);
    steps.push(vec![woken(), so(Decision::LookupPlanned { lookup })]);
    assert_eq!(with_job(steps.clone()).tracks[0].state, TrackState::Identifying);

    let (attempt, path) = (1, "Ada/Album (1991)/01 - Song 1.flac".to_owned());
    let (acoustid, score) = (AcoustId([5; 16]), Ppm(990_000));
    let verified = Decision::TrackVerified { track: TRACK, attempt, acoustid, score, path };
    steps.push(vec![woken(), so(verified)]);
    assert_eq!(with_job(steps.clone()).tracks[0].state, TrackState::Publishing);
    let path = "Ada/Album (1991)/01 - Song 1 (2).flac".to_owned();
    let completed = Decision::TrackCompleted { track: TRACK, attempt, path: path.clone() };
    steps.push(vec![woken(), so(completed)]);
    let job = with_job(steps);
    let track = &job.tracks[0];
    assert_eq!((track.state, track.path.as_ref()), (TrackState::Completed, Some(&path)));
    assert_eq!((track.acoustid, track.score), (Some(acoustid), Some(score)));
    assert_eq!((job.head.tracks_completed, job.head.tracks_total), (1, 2));
    assert_eq!((job.head.bytes_held, job.head.bytes_total), (SIZE, SIZE));
}

#[test]
fn a_refused_file_names_who_gave_it() {
    let (attempt, digest) = (1, Digest([7; 32]));
    let refused =
        Decision::TrackRefused { track: TRACK, attempt, digest, reason: Refusal::Unidentified };
    let dropped =
        Decision::SourceDropped { track: TRACK, source: SourceId(0), reason: DropReason::Refused };
    let job = with_job([
        vec![woken(), found(TRACK, 0, "ada"), found(TRACK, 1, "bob")],
        vec![woken(), assigned(TRACK, 1, 0, "ada", 0, false)],
        chunk(TRACK, 1, 0),
        vec![ended(TRACK, 1, TransferEnd::Complete), so(refused), so(dropped)],
    ]);
    let track = &job.tracks[0];
    assert_eq!(track.refusals.len(), 1);
    assert_eq!((track.refusals[0].digest, &track.refusals[0].peers), (digest, &vec![peer("ada")]));
    assert_eq!(track.refusals[0].reason, "AcoustID knows no such recording");
    assert_eq!((track.state, track.held_bytes), (TrackState::Wanted, 0));
    assert_eq!(track.next_action.as_deref(), Some("the next source is tried"));
    assert_eq!(track.sources[0].state, SourceState::Dropped);
    assert_eq!(track.sources[0].reason.as_deref(), Some("its file was refused"));
}

#[test]
fn a_cut_source_may_be_asked_again() {
    let cut = Decision::AssignmentCut {
        track: TRACK,
        assignment: AssignmentId(1),
        reason: CutReason::Stalled,
    };
    let job = with_job([
        vec![woken(), found(TRACK, 0, "ada")],
        vec![woken(), assigned(TRACK, 1, 0, "ada", 0, false)],
        vec![woken(), so(cut)],
    ]);
    assert_eq!(job.tracks[0].state, TrackState::Wanted);
    assert_eq!(job.tracks[0].sources[0].state, SourceState::Candidate);
    assert_eq!(job.tracks[0].sources[0].reason.as_deref(), Some("stalled"));
}

#[test]
fn a_source_set_aside_comes_back_with_the_next_attempt() {
    let source = SourceId(0);
    let mut steps = vec![
        vec![woken(), found(TRACK, 0, "ada")],
        vec![woken(), so(Decision::SourceSetAside { track: TRACK, attempt: 1, source })],
    ];
    assert_eq!(with_job(steps.clone()).tracks[0].sources[0].state, SourceState::SetAside);
    let reason = AttemptDropReason::NoSourceLeft;
    steps.push(vec![woken(), so(Decision::AttemptDropped { track: TRACK, attempt: 1, reason })]);
    let track = with_job(steps).tracks.remove(0);
    assert_eq!((track.sources[0].state, track.held_bytes), (SourceState::Candidate, 0));
    let words = "the bytes held were given up: no source has the same file";
    assert_eq!(track.reason.as_deref(), Some(words));
}

#[test]
fn a_dropped_source_that_is_offered_again_is_a_candidate() {
    let (source, reason) = (SourceId(0), DropReason::Failed(TransferFault::UploadFailed));
    let job = with_job([
        vec![woken(), found(TRACK, 0, "ada")],
        vec![woken(), so(Decision::SourceDropped { track: TRACK, source, reason })],
        vec![woken(), so(Decision::SourceReturned { track: TRACK, source, size: 7 })],
    ]);
    let source = &job.tracks[0].sources[0];
    assert_eq!((source.state, source.size, &source.reason), (SourceState::Candidate, 7, &None));
}

#[test]
fn a_job_whose_tracks_all_wait_says_until_when() {
    let wait = |index, until| {
        let track = TrackKey { job: JobId(1), index };
        vec![woken(), so(Decision::TrackWaiting { track, until })]
    };
    assert_eq!(told(&with_job([wait(0, LATER)])), ("", ""));
    let job = with_job([wait(0, LATER), wait(1, LATER.plus_ms(1))]);
    let next = "searched for again at 1970-01-01T01:00:00.000Z; retry the job to search at once";
    assert_eq!(told(&job), ("no source offers 2 of 2 tracks", next));
    assert_eq!(job.tracks[0].state, TrackState::Waiting { until: LATER });
    assert_eq!(job.tracks[0].next_action.as_deref(), Some(next));
    let job = with_job([wait(0, LATER), vec![woken(), found(TRACK, 0, "ada")]]);
    assert_eq!((job.tracks[0].state, &job.tracks[0].reason), (TrackState::Wanted, &None));
}

#[test]
fn a_held_or_failed_job_says_what_to_do() {
    let job = JobId(1);
    let reason = HoldReason::Disk(DiskFault::Full);
    let held = with_job([vec![woken(), so(Decision::JobHeld { job, reason, until: Some(LATER) })]]);
    assert_eq!(held.head.state, JobState::Held { until: Some(LATER) });
    assert_eq!(
        told(&held),
        (
            "disk full",
            "free some disk space; the job goes on by itself at 1970-01-01T01:00:00.000Z"
        )
    );
    let reason = HoldReason::Lookup(LookupFault::Refused("invalid API key".into()));
    let hold = vec![woken(), so(Decision::JobHeld { job, reason, until: None })];
    assert_eq!(
        told(&with_job([hold.clone()])),
        (
            "metadata service refused: invalid API key",
            "check the key of the service in the configuration, then retry the job"
        )
    );
    let resume = vec![
        asked(Command::RetryJob { job }),
        so(Decision::JobResumed { job, by: ResumedBy::Person }),
    ];
    let resumed = with_job([hold, resume]);
    assert_eq!((resumed.head.state, told(&resumed)), (JobState::Searching, ("", "")));

    let reason = JobFailure::Release(LookupFault::NotFound);
    let failed = after(vec![
        vec![started()],
        added(1),
        vec![woken(), so(Decision::JobFailed { job, reason })],
    ]);
    assert_eq!(failed.0.head.state, JobState::Failed);
    assert_eq!(failed.0.head.finished_at, Some(Timestamp(3_000_000)));
    assert!(told(&failed.0).1.contains("musicbrainz.org"));
}

#[test]
fn a_deferred_lookup_says_when_it_is_tried_again() {
    let (job, fault) = (JobId(1), LookupFault::Busy { status: 503, retry_after_ms: None });
    let deferred =
        Decision::LookupDeferred { lookup: Lookup::Release { job }, fault, until: LATER };
    let job = after(vec![vec![started()], added(1), vec![woken(), so(deferred)]]).0;
    let next = "asked again at 1970-01-01T01:00:00.000Z";
    assert_eq!(told(&job), ("MusicBrainz: busy (HTTP 503)", next));
    assert_eq!(job.head.state, JobState::LookingUp);
}

#[test]
fn who_is_not_logged_in_is_told_so_by_node_and_jobs() {
    let steps = |last| vec![vec![started()], added(1), fetched(1, 1), vec![last]];
    let (job, node) = after(steps(closed(SessionEnd::Refused("INVALIDPASS".into()))));
    assert!(!node.logged_in);
    assert_eq!(told(&job).0, "not logged in to Soulseek: login refused: INVALIDPASS");
    assert!(told(&job).1.contains("password"));
    let (job, node) = after(steps(closed(SessionEnd::Lost("reset".into()))));
    assert_eq!(told(&job).1, "the node logs in again by itself");
    assert_eq!(node.next_action, job.head.next_action);
    let (job, node) = after(steps(seen(Observation::SessionOpened)));
    assert_eq!((told(&job), node.logged_in, node.reason), (("", ""), true, None));
    assert_eq!((node.engine, &*node.build, node.runs), (1, "test", 1));
}

#[test]
fn a_verbose_stranger_does_not_stop_the_view() {
    let long = "x".repeat(200_000);
    let mut steps = vec![vec![woken(), found(TRACK, 0, &long)]];
    steps.push(vec![woken(), assigned(TRACK, 1, 0, &long, 0, false)]);
    let fault = TransferFault::Denied(long.clone());
    let rest = Decision::PeerRested {
        track: TRACK,
        peer: peer(&long),
        reason: fault.clone(),
        until: LATER,
    };
    steps.push(vec![ended(TRACK, 1, TransferEnd::Failed(fault)), so(rest)]);
    let job = with_job(steps);
    let source = &job.tracks[0].sources[0];
    assert_eq!(source.state, SourceState::Resting { until: LATER });
    assert!(source.path.len() < 5000 && source.peer.name().len() < 300);
}

#[test]
fn many_sources_stay_readable() {
    let sources = (0..64).map(|id| found(key(1, 1), id, "ada"));
    let job = with_job([std::iter::once(woken()).chain(sources).collect()]);
    let ids: Vec<_> = job.tracks[1].sources.iter().map(|it| it.source.0).collect();
    assert_eq!(ids, (0..64).collect::<Vec<_>>());
}
