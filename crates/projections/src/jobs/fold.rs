//! How each event changes the rows. It words nothing (`advice`) and reads nothing but rows.

use domain::decision::Choice;
use domain::observation::{Lookup, SessionEnd, TransferEnd};
use domain::{
    AssignmentId, Command, Decision, Envelope, Event, Input, JobId, Observation, PeerId,
    RecordingId, ReleaseId, SourceId, Target, Timestamp, TrackKey,
};

use super::rows::{
    JobRow, JobState, NodeRow, PeerRow, RefusalRow, Session, SourceRow, SourceState, TrackRow,
    TrackState,
};
use super::{JOB, NODE, REFUSAL, SOURCE, TRACK, advice, item_key, job_key, peer_key, track_key};
use crate::draft::Draft;
use crate::foreign;
use crate::table::TableError;

type Folded = Result<(), TableError>;

/// Assignments of a track whose late news are still told apart.
const ASSIGNED_MOST: usize = 32;

pub(crate) fn fold(draft: &mut Draft<'_>, envelope: &Envelope) -> Folded {
    let Envelope { seq, at, cause: _, event } = envelope;
    match event {
        Event::Input(Input::Command(command)) => match command {
            // What follows from it is told by decisions.
            Command::AddJob { .. } | Command::CancelJob { .. } | Command::RetryJob { .. } => (),
            // It is the same for every view.
            Command::SendChat { .. }
            | Command::MarkChatRead { .. }
            | Command::SkipDeadLetter { .. } => (),
        },
        Event::Input(Input::Observation(seen)) => observation(draft, seen, *at)?,
        Event::Decision(decision) => self::decision(draft, decision, *at)?,
    }
    draft.update::<NodeRow>(NODE, |node| node.now = *at)?;
    match event.job() {
        Some(id) => job(draft, id, |job| job.changed = *seq),
        None => Ok(()),
    }
}

fn observation(draft: &mut Draft<'_>, seen: &Observation, at: Timestamp) -> Folded {
    match seen {
        Observation::NodeStarted { engine, build, policy: _ } => {
            let runs = draft.get::<NodeRow>(NODE)?.map_or(0, |node| node.runs) + 1;
            let node = NodeRow {
                session: Session::Opening,
                since: at,
                engine: *engine,
                build: foreign::text(build),
                started_at: at,
                runs,
                now: at,
            };
            draft.put(NODE, &node)
        }
        Observation::SessionOpened => session(draft, Session::Open, at),
        Observation::SessionClosed { reason } => {
            let words = foreign::text(&reason.to_string());
            let closed = match reason {
                SessionEnd::Lost(_) | SessionEnd::CannotListen(_) => Session::Lost(words),
                SessionEnd::Refused(_) | SessionEnd::Kicked => Session::Ended(words),
            };
            session(draft, closed, at)
        }
        Observation::ReleaseFetched { job, target } => release_fetched(draft, *job, target),
        Observation::PlaceTold { track, assignment, place } => {
            let place = Some(*place);
            if is_open(draft, *track, *assignment)? {
                self::track(draft, *track, |row| row.state = TrackState::Queued { place })?;
                source_of(draft, *track, *assignment, |_, it| {
                    it.state = SourceState::Queued { place };
                })?;
            }
            Ok(())
        }
        Observation::TransferStarted { track, assignment } => {
            if is_open(draft, *track, *assignment)? {
                self::track(draft, *track, |row| row.go(TrackState::Downloading))?;
                source_of(draft, *track, *assignment, |_, it| it.state = SourceState::Sending)?;
            }
            Ok(())
        }
        Observation::ChunkArrived { track, assignment, elapsed_ms, .. }
        | Observation::PieceSpoiled { track, assignment, elapsed_ms, .. } => {
            source_of(draft, *track, *assignment, |_, it| {
                it.busy_ms = it.busy_ms.saturating_add(*elapsed_ms)
            })
        }
        Observation::TransferEnded { track, assignment, end } => match end {
            // The last chunk has made the file whole; if it did not, a cut follows.
            TransferEnd::Complete => Ok(()),
            TransferEnd::Failed(fault) => {
                let reason = Some(foreign::text(&fault.to_string()));
                end_assignment(draft, *track, *assignment, SourceState::Candidate, reason)
            }
        },
        Observation::PublishFailed { track, attempt, fault } => self::track(draft, *track, |row| {
            if row.attempt == *attempt && row.state == TrackState::Publishing {
                row.stand("it could not be put into the library", &fault.to_string());
                row.next_action = Some("tried again when the job goes on".to_owned());
            }
        }),
        Observation::ExamineFailed { track, attempt, fault } => self::track(draft, *track, |row| {
            if row.attempt == *attempt && row.state == TrackState::Examining {
                row.stand("it could not be read from staging", &fault.to_string());
                row.next_action = Some("tried again when the job goes on".to_owned());
            }
        }),
        // What follows from these is told by decisions.
        Observation::LookupFailed { .. }
        | Observation::SearchAnswered { .. }
        | Observation::SearchEnded { .. }
        | Observation::OverlapCompared { .. }
        | Observation::FileExamined { .. }
        | Observation::StagingLost { .. }
        | Observation::RecordingIdentified { .. }
        | Observation::FilePublished { .. }
        | Observation::FileDiscarded { .. }
        | Observation::UploadEnded { .. }
        | Observation::PeersForgotten { .. }
        | Observation::ChatReceived { .. }
        | Observation::ChatSent { .. }
        | Observation::ChatFailed { .. }
        | Observation::ContentDescribed { .. }
        | Observation::HoldingTold { .. }
        | Observation::SlotGranted { .. }
        | Observation::DeadlineReached => Ok(()),
    }
}

fn decision(draft: &mut Draft<'_>, decision: &Decision, at: Timestamp) -> Folded {
    match decision {
        Decision::JobAdded { job, release } => job_added(draft, *job, *release, at),
        Decision::ReleaseReused { job, from } => release_reused(draft, *job, *from),
        Decision::CommandRefused { .. } => Ok(()),
        Decision::LookupPlanned { lookup } => match lookup {
            Lookup::Release { job } => self::job(draft, *job, |row| row.go(JobState::LookingUp)),
            Lookup::Identity { track, .. } => {
                self::track(draft, *track, |row| row.go(TrackState::Identifying))
            }
        },
        Decision::LookupDeferred { lookup, fault, until } => {
            let next = Some(advice::again_at("asked again", *until));
            match lookup {
                Lookup::Release { job } => self::job(draft, *job, |row| {
                    row.reason =
                        Some(format!("MusicBrainz: {}", foreign::text(&fault.to_string())));
                    row.next_action = next;
                }),
                Lookup::Identity { track, .. } => self::track(draft, *track, |row| {
                    row.stand("AcoustID", &fault.to_string());
                    row.next_action = next;
                }),
            }
        }
        Decision::JobHeld { job, reason, until } => self::job(draft, *job, |row| {
            row.state = JobState::Held { until: *until };
            row.reason = Some(foreign::text(&reason.to_string()));
            row.next_action = Some(advice::after_hold(reason, *until));
        }),
        Decision::JobResumed { job, by: _ } => self::job(draft, *job, |row| {
            row.finished_at = None;
            row.go(match (row.tracks, row.has_source) {
                (0, _) => JobState::Queued,
                (_, false) => JobState::Searching,
                (_, true) => JobState::Active,
            });
        }),
        Decision::JobFailed { job, reason } => self::job(draft, *job, |row| {
            row.state = JobState::Failed;
            row.finished_at = Some(at);
            row.reason = Some(foreign::text(&reason.to_string()));
            row.next_action = Some(advice::after_failure(reason));
        }),
        Decision::JobCancelled { job } => job_cancelled(draft, *job, at),
        Decision::JobCompleted { job } => self::job(draft, *job, |row| {
            row.go(JobState::Completed);
            row.finished_at = Some(at);
        }),
        Decision::SearchPlanned { track, .. } => match track {
            Some(track) => self::track(draft, *track, |row| {
                if let TrackState::Waiting { .. } = row.state {
                    row.go(TrackState::Wanted);
                }
            }),
            None => Ok(()),
        },
        Decision::TrackWaiting { track, until } => self::track(draft, *track, |row| {
            let again = advice::again_at("searched for again", *until);
            if row.open.is_some() {
                // Somebody keeps us in a queue, and others are looked for meanwhile.
                row.reason = Some("its only source keeps us in a queue".to_owned());
                row.next_action = Some(again);
                return;
            }
            row.state = TrackState::Waiting { until: *until };
            row.reason = Some("no source offers it".to_owned());
            row.next_action = Some(format!("{again}; retry the job to search at once"));
        }),
        Decision::SourceFound { track, source, peer, path, size, likeness } => {
            let row = SourceRow { likeness: *likeness, ..new_source(peer, path, *size) };
            draft.put(&item_key(SOURCE, *track, source.0), &row)?;
            self::track(draft, *track, |row| {
                if let TrackState::Waiting { .. } = row.state {
                    row.go(TrackState::Wanted);
                }
            })?;
            job(draft, track.job, |row| {
                row.has_source = true;
                if row.state == JobState::Searching {
                    row.go(JobState::Active);
                }
            })
        }
        Decision::SourceResized { track, source, size } => {
            self::source(draft, *track, *source, |row| row.size = *size)
        }
        Decision::SourceDropped { track, source, reason } => {
            self::source(draft, *track, *source, |row| {
                row.state = SourceState::Dropped;
                row.reason = Some(foreign::text(&reason.to_string()));
            })
        }
        Decision::SourceSetAside { track, source, attempt: _ } => {
            self::source(draft, *track, *source, |row| {
                row.state = SourceState::SetAside;
                row.reason = Some("its bytes differ from those held".to_owned());
            })
        }
        Decision::SourceSuspected { track, source } => {
            self::source(draft, *track, *source, |row| {
                row.reason = Some("it gave a part of a damaged file".to_owned());
            })
        }
        Decision::SourceReturned { track, source, size } => {
            self::source(draft, *track, *source, |row| {
                row.state = SourceState::Candidate;
                row.reason = None;
                row.size = *size;
            })
        }
        Decision::PeerRested { peer, reason, until, track: _ } => {
            let reason = foreign::text(&reason.to_string());
            draft.put(&peer_key(peer), &PeerRow { until: *until, reason })
        }
        Decision::RangeAssigned {
            track,
            attempt,
            assignment,
            source,
            peer,
            path,
            size,
            range: _,
            overlap: _,
            choice,
        } => {
            let asked = new_source(peer, path, *size);
            range_assigned(draft, *track, *assignment, *source, asked, *choice)?;
            self::track(draft, *track, |row| {
                row.attempt = *attempt;
            })
        }
        Decision::AssignmentCut { track, assignment, reason } => {
            let reason = Some(foreign::text(&reason.to_string()));
            end_assignment(draft, *track, *assignment, SourceState::Candidate, reason)
        }
        Decision::WaitExtended { track, assignment: _, until } => {
            self::track(draft, *track, |row| {
                row.reason = Some("it still stands in the peer's queue".to_owned());
                row.next_action = Some(advice::again_at("other sources are looked for", *until));
            })
        }
        Decision::ChunkAccepted { track, assignment, range, digest: _ } => {
            if is_open(draft, *track, *assignment)? {
                self::track(draft, *track, |row| row.go(TrackState::Downloading))?;
                source_of(draft, *track, *assignment, |_, it| it.state = SourceState::Sending)?;
            }
            self::track(draft, *track, |row| {
                row.held_bytes = row.held_bytes.saturating_add(range.len());
            })?;
            source_of(draft, *track, *assignment, |attempt, it| {
                it.bytes_accepted = it.bytes_accepted.saturating_add(range.len());
                it.gave_to = Some(attempt);
            })
        }
        // The row tells of the assignment made last; who gives which part is in the log.
        Decision::ChunkRefused { .. }
        | Decision::ContentAdopted { .. }
        | Decision::OffsetChosen { .. }
        | Decision::EndMoved { .. }
        | Decision::ChatPlanned { .. }
        | Decision::ChatTaken { .. }
        | Decision::SourceSilent { .. } => Ok(()),
        Decision::AttemptDropped { track, attempt: _, reason } => {
            begin_anew(draft, *track, "the bytes held were given up", &reason.to_string())
        }
        Decision::FileAssembled { track, attempt: _, size } => {
            let open = draft.get::<TrackRow>(&track_key(TRACK, *track))?.and_then(|row| row.open);
            if let Some(open) = open {
                let done = SourceState::Done;
                end_assignment(draft, *track, AssignmentId(open), done, None)?;
            }
            self::track(draft, *track, |row| {
                row.held_bytes = *size;
                row.size = Some(*size);
                row.go(TrackState::Examining);
            })
        }
        Decision::TrackVerified { track, attempt: _, acoustid, score, path } => {
            self::track(draft, *track, |row| {
                row.acoustid = Some(*acoustid);
                row.score = Some(*score);
                row.path = Some(foreign::path(path));
                row.go(TrackState::Publishing);
            })
        }
        Decision::TrackRefused { track, attempt, digest, reason } => {
            let words = foreign::text(&reason.to_string());
            let sources = draft.scan::<SourceRow>(&track_key(SOURCE, *track))?;
            let givers = sources.into_iter().filter(|(_, it)| it.gave_to == Some(*attempt));
            let peers = givers.map(|(_, it)| it.peer).collect();
            let Some(row) = draft.get::<TrackRow>(&track_key(TRACK, *track))? else {
                return Ok(());
            };
            let refusal = RefusalRow { digest: *digest, reason: words.clone(), peers, at };
            draft.put(&item_key(REFUSAL, *track, row.refusals), &refusal)?;
            self::track(draft, *track, |row| row.refusals += 1)?;
            begin_anew(draft, *track, "a file was refused", &words)
        }
        Decision::TrackCompleted { track, attempt: _, path } => self::track(draft, *track, |row| {
            row.path = Some(foreign::path(path));
            row.go(TrackState::Completed);
        }),
    }
}

fn session(draft: &mut Draft<'_>, session: Session, at: Timestamp) -> Folded {
    draft.update::<NodeRow>(NODE, |node| {
        // A server that is tried again and again is away since the first time.
        if std::mem::discriminant(&node.session) != std::mem::discriminant(&session) {
            node.since = at;
        }
        node.session = session;
    })
}

fn job_added(draft: &mut Draft<'_>, job: JobId, release: ReleaseId, at: Timestamp) -> Folded {
    let row = JobRow {
        release,
        state: JobState::Queued,
        reason: None,
        next_action: None,
        title: String::new(),
        artist: String::new(),
        date: String::new(),
        tracks: 0,
        has_source: false,
        added_at: at,
        finished_at: None,
        changed: domain::Seq(0),
    };
    draft.put(&job_key(JOB, job), &row)
}

/// What is published stays; of the rest nothing is kept.
fn job_cancelled(draft: &mut Draft<'_>, job: JobId, at: Timestamp) -> Folded {
    let tracks = draft.get::<JobRow>(&job_key(JOB, job))?.map_or(0, |row| row.tracks);
    for index in 0..tracks {
        let track = TrackKey { job, index };
        let row = draft.get::<TrackRow>(&track_key(TRACK, track))?;
        if row.is_some_and(|row| row.state != TrackState::Completed) {
            let_go(draft, track)?;
        }
    }
    self::job(draft, job, |row| {
        row.state = JobState::Cancelled;
        row.finished_at = Some(at);
        row.reason = Some("cancelled by command".to_owned());
        row.next_action = Some("add the release again to take it up anew".to_owned());
    })
}

fn release_fetched(draft: &mut Draft<'_>, job: JobId, target: &Target) -> Folded {
    let names = [&target.title, &target.credit.name, &target.date].map(|name| foreign::text(name));
    let tracks = target.tracks.iter().map(|track| {
        let names = [&track.title, &track.credit.name].map(|name| foreign::text(name));
        new_track((track.medium, track.position), names, track.recording, track.duration_ms)
    });
    described(draft, job, names, tracks)
}

/// The rows of the other job tell what its tracks are; what has become of them there is left out.
fn release_reused(draft: &mut Draft<'_>, job: JobId, from: JobId) -> Folded {
    let Some(known) = draft.get::<JobRow>(&job_key(JOB, from))? else { return Ok(()) };
    let names = [known.title, known.artist, known.date];
    let tracks = draft.scan::<TrackRow>(&job_key(TRACK, from))?.into_iter().map(|(_, track)| {
        let (place, names) = ((track.medium, track.position), [track.title, track.artist]);
        new_track(place, names, track.recording, track.duration_ms)
    });
    described(draft, job, names, tracks)
}

fn described(
    draft: &mut Draft<'_>,
    job: JobId,
    [title, artist, date]: [String; 3],
    tracks: impl Iterator<Item = TrackRow>,
) -> Folded {
    let Some(mut row) = draft.get::<JobRow>(&job_key(JOB, job))? else { return Ok(()) };
    // An answer that comes twice, or after the job has ended, changes nothing.
    if row.tracks > 0 || !matches!(row.state, JobState::Queued | JobState::LookingUp) {
        return Ok(());
    }
    (row.title, row.artist, row.date) = (title, artist, date);
    for (index, track) in (0u16..).zip(tracks) {
        draft.put(&track_key(TRACK, TrackKey { job, index }), &track)?;
        row.tracks = index + 1;
    }
    row.go(JobState::Searching);
    draft.put(&job_key(JOB, job), &row)
}

fn new_track(
    (medium, position): (u16, u16),
    [title, artist]: [String; 2],
    recording: RecordingId,
    duration_ms: Option<u64>,
) -> TrackRow {
    TrackRow {
        medium,
        position,
        title,
        artist,
        recording,
        duration_ms,
        state: TrackState::Wanted,
        reason: None,
        next_action: None,
        attempt: 0,
        held_bytes: 0,
        size: None,
        path: None,
        acoustid: None,
        score: None,
        takeovers: 0,
        refusals: 0,
        open: None,
        assigned: Vec::new(),
    }
}

fn new_source(peer: &PeerId, path: &str, size: u64) -> SourceRow {
    SourceRow {
        peer: foreign::peer(peer),
        path: foreign::path(path),
        size,
        likeness: domain::score::Ppm(0),
        state: SourceState::Candidate,
        reason: None,
        bytes_accepted: 0,
        busy_ms: 0,
        gave_to: None,
    }
}

fn range_assigned(
    draft: &mut Draft<'_>,
    track: TrackKey,
    assignment: AssignmentId,
    source: SourceId,
    asked: SourceRow,
    choice: Choice,
) -> Folded {
    // Whoever is asked has rested enough.
    draft.remove(&peer_key(&asked.peer));
    let key = item_key(SOURCE, track, source.0);
    let size = asked.size;
    let mut row = draft.get::<SourceRow>(&key)?.unwrap_or(asked);
    row.state = SourceState::Queued { place: None };
    row.reason = None;
    row.size = size;
    draft.put(&key, &row)?;
    self::track(draft, track, |row| {
        row.go(TrackState::Queued { place: None });
        row.size = Some(size);
        row.takeovers += u32::from(choice.takeover);
        row.open = Some(assignment.0);
        if row.assigned.len() == ASSIGNED_MOST {
            row.assigned.remove(0);
        }
        row.assigned.push((assignment.0, source.0));
    })
}

fn end_assignment(
    draft: &mut Draft<'_>,
    track: TrackKey,
    assignment: AssignmentId,
    state: SourceState,
    reason: Option<String>,
) -> Folded {
    if !is_open(draft, track, assignment)? {
        return Ok(());
    }
    source_of(draft, track, assignment, |_, source| {
        source.state = state;
        source.reason = reason;
    })?;
    self::track(draft, track, |row| {
        row.open = None;
        if let TrackState::Queued { .. } | TrackState::Downloading = row.state {
            row.go(TrackState::Wanted);
        }
    })
}

/// The attempt is over and the next one is tried.
fn begin_anew(draft: &mut Draft<'_>, track: TrackKey, what: &str, why: &str) -> Folded {
    let_go(draft, track)?;
    self::track(draft, track, |row| {
        row.stand(what, why);
        row.next_action = Some("the next source is tried".to_owned());
    })
}

/// Nothing is held any more, and what comes next is another attempt.
fn let_go(draft: &mut Draft<'_>, track: TrackKey) -> Folded {
    let open = draft.get::<TrackRow>(&track_key(TRACK, track))?.and_then(|row| row.open);
    if let Some(open) = open {
        end_assignment(draft, track, AssignmentId(open), SourceState::Candidate, None)?;
    }
    for (key, mut source) in draft.scan::<SourceRow>(&track_key(SOURCE, track))? {
        if matches!(source.state, SourceState::Done | SourceState::SetAside) {
            source.state = SourceState::Candidate;
            draft.put(&key, &source)?;
        }
    }
    self::track(draft, track, |row| {
        row.go(TrackState::Wanted);
        row.attempt = row.attempt.saturating_add(1);
        row.held_bytes = 0;
        row.size = None;
        row.path = None;
        row.acoustid = None;
        row.score = None;
    })
}

fn job(draft: &mut Draft<'_>, job: JobId, change: impl FnOnce(&mut JobRow)) -> Folded {
    draft.update(&job_key(JOB, job), change)
}

fn track(draft: &mut Draft<'_>, track: TrackKey, change: impl FnOnce(&mut TrackRow)) -> Folded {
    draft.update(&track_key(TRACK, track), change)
}

fn source(
    draft: &mut Draft<'_>,
    track: TrackKey,
    source: SourceId,
    change: impl FnOnce(&mut SourceRow),
) -> Folded {
    draft.update(&item_key(SOURCE, track, source.0), change)
}

fn is_open(
    draft: &Draft<'_>,
    track: TrackKey,
    assignment: AssignmentId,
) -> Result<bool, TableError> {
    let row = draft.get::<TrackRow>(&track_key(TRACK, track))?;
    Ok(row.is_some_and(|row| row.open == Some(assignment.0)))
}

/// Changes the source that got an assignment, given the track's attempt.
fn source_of(
    draft: &mut Draft<'_>,
    track: TrackKey,
    assignment: AssignmentId,
    change: impl FnOnce(u16, &mut SourceRow),
) -> Folded {
    let Some(row) = draft.get::<TrackRow>(&track_key(TRACK, track))? else { return Ok(()) };
    match row.assigned.iter().rev().find(|(id, _)| *id == assignment.0) {
        Some((_, id)) => source(draft, track, SourceId(*id), |it| change(row.attempt, it)),
        None => Ok(()),
    }
}

impl JobRow {
    /// Goes on in a state that needs no explanation.
    fn go(&mut self, state: JobState) {
        self.state = state;
        self.reason = None;
        self.next_action = None;
    }
}

impl TrackRow {
    /// Goes on in a state that needs no explanation.
    fn go(&mut self, state: TrackState) {
        self.state = state;
        self.reason = None;
        self.next_action = None;
    }

    /// Tells what is wrong.
    fn stand(&mut self, what: &str, why: &str) {
        self.reason = Some(format!("{what}: {}", foreign::text(why)));
    }
}
