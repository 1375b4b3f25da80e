//! One line per envelope: the form in which people read a history, in `replay show`, in tests and
//! in the API. Never parsed back.

use std::fmt::{self, Write};

use crate::chunk::Content;
use crate::command::Command;
use crate::decision::Decision;
use crate::effect::Effect;
use crate::event::{Envelope, Event, Input};
use crate::id::PeerId;
use crate::observation::{Examination, Lookup, Observation, TransferEnd};

/// Longest foreign text that is shown of a path or a message, in characters.
const LONGEST_TEXT: usize = 120;

/// A peer by its network and name. Names come from outside too.
pub struct Named<'a>(pub &'a PeerId);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name();
        let plain = |c: char| c.is_ascii_graphic() && c != '"';
        if !name.is_empty() && name.len() <= LONGEST_TEXT && name.chars().all(plain) {
            return self.0.fmt(f);
        }
        match self.0 {
            PeerId::Soulseek(name) => write!(f, "slsk:{}", Foreign(name)),
            PeerId::Mesh(key) => write!(f, "mesh:{}", Foreign(key)),
        }
    }
}

/// Whether a terminal obeys the character instead of showing it: control characters, line and
/// paragraph separators, and those that turn the direction of the text around them.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that came from outside, made safe for a terminal: what it would obey is replaced, length
/// cut.
pub struct Foreign<'a>(pub &'a str);

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (count, c) in self.0.chars().enumerate() {
            if count == LONGEST_TEXT {
                f.write_char('…')?;
                break;
            }
            f.write_char(if is_obeyed(c) { '\u{fffd}' } else { c })?;
        }
        f.write_char('"')
    }
}

/// The line of an envelope: position, time, direction (`<-` came in, `..` was concluded), name,
/// fields, and for a decision its cause.
#[must_use]
pub fn line(envelope: &Envelope) -> String {
    let Envelope { seq, at, cause, event } = envelope;
    match event {
        Event::Input(_) => format!("{seq:06} {}  <-  {}", at.clock(), event_text(event)),
        Event::Decision(_) => {
            format!("{seq:06}               ..  {}  cause={cause}", event_text(event))
        }
    }
}

/// The line without position, time and cause.
#[must_use]
pub fn event_text(event: &Event) -> String {
    let (name, fields) = match event {
        Event::Input(Input::Command(command)) => (name(event), command_fields(command)),
        Event::Input(Input::Observation(seen)) => (name(event), observation_fields(seen)),
        Event::Decision(decision) => (name(event), decision_fields(decision)),
    };
    format!("{name:<19} {fields}").trim_end().to_owned()
}

/// The line of an effect, in the same manner.
#[must_use]
pub fn effect_text(effect: &Effect) -> String {
    let (name, fields) = match effect {
        Effect::FetchRelease { job, release } => {
            ("FetchRelease", format!("job={job} release={release}"))
        }
        Effect::Identify { track, attempt, duration_ms, fingerprint } => (
            "Identify",
            format!(
                "job={track} attempt={attempt} length={duration_ms} ms items={}",
                fingerprint.0.len()
            ),
        ),
        Effect::Search { job, search, query, open_ms } => (
            "Search",
            format!("job={job} search={search} query={} for={open_ms} ms", Foreign(query)),
        ),
        Effect::FetchRange {
            track,
            attempt,
            assignment,
            peer,
            path,
            size,
            range,
            overlap,
            content,
        } => {
            let mut text = format!(
                "job={track} attempt={attempt} assignment={assignment} from={} range={range} of \
                 {size} B overlap={overlap} path={}",
                Named(peer),
                Foreign(path)
            );
            if let Some(content) = content {
                let _ = write!(text, " {}", content_fields(content));
            }
            ("FetchRange", text)
        }
        Effect::BeginAt { assignment, range } => {
            ("BeginAt", format!("assignment={assignment} range={range}"))
        }
        Effect::MoveEnd { assignment, end } => {
            ("MoveEnd", format!("assignment={assignment} end={end}"))
        }
        Effect::CancelTransfer { assignment } => {
            ("CancelTransfer", format!("assignment={assignment}"))
        }
        Effect::Examine { track, attempt, size } => {
            ("Examine", format!("job={track} attempt={attempt} {size} B"))
        }
        Effect::Publish { track, attempt, digest, path, tags } => (
            "Publish",
            format!(
                "job={track} attempt={attempt} digest={digest} title={} acoustid={} path={}",
                Foreign(&tags.track.title),
                tags.acoustid,
                Foreign(path)
            ),
        ),
        Effect::Discard { track, attempt } => ("Discard", format!("job={track} attempt={attempt}")),
        Effect::Share { path } => ("Share", format!("path={}", Foreign(path))),
        Effect::SendChat { chat, peer, text } => {
            ("SendChat", format!("chat={chat} to={} text={}", Named(peer), Foreign(text)))
        }
        Effect::AcknowledgeChat { id } => ("AcknowledgeChat", format!("id={id}")),
    };
    format!("{name:<19} {fields}")
}

/// The variant's name, such as `ChunkArrived`.
#[must_use]
pub fn name(event: &Event) -> &'static str {
    match event {
        Event::Input(Input::Command(command)) => match command {
            Command::AddJob { .. } => "AddJob",
            Command::CancelJob { .. } => "CancelJob",
            Command::RetryJob { .. } => "RetryJob",
            Command::SkipDeadLetter { .. } => "SkipDeadLetter",
            Command::SendChat { .. } => "SendChat",
            Command::MarkChatRead { .. } => "MarkChatRead",
        },
        Event::Input(Input::Observation(seen)) => match seen {
            Observation::NodeStarted { .. } => "NodeStarted",
            Observation::SessionOpened => "SessionOpened",
            Observation::SessionClosed { .. } => "SessionClosed",
            Observation::ReleaseFetched { .. } => "ReleaseFetched",
            Observation::LookupFailed { .. } => "LookupFailed",
            Observation::SearchAnswered { .. } => "SearchAnswered",
            Observation::SearchEnded { .. } => "SearchEnded",
            Observation::PlaceTold { .. } => "PlaceTold",
            Observation::TransferStarted { .. } => "TransferStarted",
            Observation::OverlapCompared { .. } => "OverlapCompared",
            Observation::ChunkArrived { .. } => "ChunkArrived",
            Observation::TransferEnded { .. } => "TransferEnded",
            Observation::FileExamined { .. } => "FileExamined",
            Observation::ExamineFailed { .. } => "ExamineFailed",
            Observation::StagingLost { .. } => "StagingLost",
            Observation::RecordingIdentified { .. } => "RecordingIdentified",
            Observation::FilePublished { .. } => "FilePublished",
            Observation::PublishFailed { .. } => "PublishFailed",
            Observation::FileDiscarded { .. } => "FileDiscarded",
            Observation::UploadEnded { .. } => "UploadEnded",
            Observation::ContentDescribed { .. } => "ContentDescribed",
            Observation::HoldingTold { .. } => "HoldingTold",
            Observation::SlotGranted { .. } => "SlotGranted",
            Observation::PieceSpoiled { .. } => "PieceSpoiled",
            Observation::PeersForgotten { .. } => "PeersForgotten",
            Observation::ChatReceived { .. } => "ChatReceived",
            Observation::ChatSent { .. } => "ChatSent",
            Observation::ChatFailed { .. } => "ChatFailed",
            Observation::DeadlineReached => "DeadlineReached",
        },
        Event::Decision(decision) => match decision {
            Decision::JobAdded { .. } => "JobAdded",
            Decision::CommandRefused { .. } => "CommandRefused",
            Decision::LookupPlanned { .. } => "LookupPlanned",
            Decision::LookupDeferred { .. } => "LookupDeferred",
            Decision::JobHeld { .. } => "JobHeld",
            Decision::JobResumed { .. } => "JobResumed",
            Decision::JobFailed { .. } => "JobFailed",
            Decision::JobCancelled { .. } => "JobCancelled",
            Decision::JobCompleted { .. } => "JobCompleted",
            Decision::SearchPlanned { .. } => "SearchPlanned",
            Decision::TrackWaiting { .. } => "TrackWaiting",
            Decision::SourceFound { .. } => "SourceFound",
            Decision::SourceResized { .. } => "SourceResized",
            Decision::SourceDropped { .. } => "SourceDropped",
            Decision::SourceSetAside { .. } => "SourceSetAside",
            Decision::SourceSuspected { .. } => "SourceSuspected",
            Decision::SourceReturned { .. } => "SourceReturned",
            Decision::PeerRested { .. } => "PeerRested",
            Decision::RangeAssigned { .. } => "RangeAssigned",
            Decision::AssignmentCut { .. } => "AssignmentCut",
            Decision::WaitExtended { .. } => "WaitExtended",
            Decision::ChunkAccepted { .. } => "ChunkAccepted",
            Decision::ChunkRefused { .. } => "ChunkRefused",
            Decision::AttemptDropped { .. } => "AttemptDropped",
            Decision::FileAssembled { .. } => "FileAssembled",
            Decision::TrackVerified { .. } => "TrackVerified",
            Decision::TrackRefused { .. } => "TrackRefused",
            Decision::TrackCompleted { .. } => "TrackCompleted",
            Decision::ReleaseReused { .. } => "ReleaseReused",
            Decision::ContentAdopted { .. } => "ContentAdopted",
            Decision::OffsetChosen { .. } => "OffsetChosen",
            Decision::EndMoved { .. } => "EndMoved",
            Decision::SourceSilent { .. } => "SourceSilent",
            Decision::ChatPlanned { .. } => "ChatPlanned",
            Decision::ChatTaken { .. } => "ChatTaken",
        },
    }
}

fn command_fields(command: &Command) -> String {
    match command {
        Command::AddJob { release } => format!("release={release}"),
        Command::CancelJob { job } | Command::RetryJob { job } => format!("job={job}"),
        Command::SkipDeadLetter { view, event } => {
            format!("view={} event={event}", Foreign(view))
        }
        Command::SendChat { peer, text } => {
            format!("to={} text={}", Named(peer), Foreign(text))
        }
        Command::MarkChatRead { peer, through } => {
            format!("from={} through={through}", Named(peer))
        }
    }
}

fn content_fields(content: &Content) -> String {
    format!("root={} of {} B in units of {} B", content.root, content.size, content.unit)
}

fn lookup_fields(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Release { job } => format!("job={job} of=release"),
        Lookup::Identity { track, attempt } => format!("job={track} attempt={attempt} of=identity"),
    }
}

fn observation_fields(seen: &Observation) -> String {
    match seen {
        Observation::NodeStarted { engine, build, policy: _ } => {
            format!("engine={engine} build={}", Foreign(build))
        }
        Observation::SessionOpened | Observation::DeadlineReached => String::new(),
        Observation::SessionClosed { reason } => {
            format!("reason={}", Foreign(&reason.to_string()))
        }
        Observation::ReleaseFetched { job, target } => {
            format!("job={job} title={} tracks={}", Foreign(&target.title), target.tracks.len())
        }
        Observation::LookupFailed { lookup, fault } => {
            format!("{} fault={}", lookup_fields(lookup), Foreign(&fault.to_string()))
        }
        Observation::SearchAnswered {
            job,
            search,
            peer,
            slot_free,
            speed_bytes_per_s,
            queue_length,
            files,
        } => format!(
            "job={job} search={search} from={peer} files={} slot={} speed={speed_bytes_per_s} B/s \
             queue={queue_length}",
            files.len(),
            if *slot_free { "free" } else { "busy" },
            peer = Named(peer)
        ),
        Observation::SearchEnded { job, search } => format!("job={job} search={search}"),
        Observation::PlaceTold { track, assignment, place } => {
            format!("job={track} assignment={assignment} place={place}")
        }
        Observation::TransferStarted { track, assignment } => {
            format!("job={track} assignment={assignment}")
        }
        Observation::OverlapCompared { track, assignment, range, equal } => {
            format!("job={track} assignment={assignment} range={range} equal={equal}")
        }
        Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms } => format!(
            "job={track} assignment={assignment} range={range} {} B in {elapsed_ms} ms \
             digest={digest}",
            range.len()
        ),
        Observation::ContentDescribed { track, content } => {
            format!("job={track} {}", content_fields(content))
        }
        Observation::HoldingTold { track, peer, ranges } => {
            format!("job={track} from={} ranges={}", Named(peer), ranges.len())
        }
        Observation::SlotGranted { track, assignment } => {
            format!("job={track} assignment={assignment}")
        }
        Observation::PieceSpoiled { track, assignment, range, elapsed_ms } => {
            format!("job={track} assignment={assignment} range={range} in {elapsed_ms} ms")
        }
        Observation::TransferEnded { track, assignment, end } => match end {
            TransferEnd::Complete => format!("job={track} assignment={assignment} complete"),
            TransferEnd::Failed(fault) => {
                format!("job={track} assignment={assignment} fault={}", Foreign(&fault.to_string()))
            }
        },
        Observation::FileExamined { track, attempt, digest, outcome } => match outcome {
            Examination::Music(music) => format!(
                "job={track} attempt={attempt} digest={digest} profile={} length={} ms items={}",
                music.profile,
                music.duration_ms,
                music.fingerprint.0.len()
            ),
            Examination::Fault(fault) => format!(
                "job={track} attempt={attempt} digest={digest} fault={}",
                Foreign(&fault.to_string())
            ),
        },
        Observation::ExamineFailed { track, attempt, fault } => {
            format!("job={track} attempt={attempt} fault={}", Foreign(&fault.to_string()))
        }
        Observation::StagingLost { track, attempt, detail } => {
            format!("job={track} attempt={attempt} detail={}", Foreign(detail))
        }
        Observation::RecordingIdentified { track, attempt, matches } => {
            let mut text = format!("job={track} attempt={attempt} matches={}", matches.len());
            if let Some(best) = matches.first() {
                let _ = write!(text, " best={} score={}", best.acoustid, best.score);
            }
            text
        }
        Observation::FilePublished { track, attempt, path, size, digest } => {
            format!("job={track} attempt={attempt} path={} {size} B digest={digest}", Foreign(path))
        }
        Observation::PublishFailed { track, attempt, fault } => {
            format!("job={track} attempt={attempt} fault={}", Foreign(&fault.to_string()))
        }
        Observation::FileDiscarded { track, attempt } => format!("job={track} attempt={attempt}"),
        Observation::PeersForgotten { peers, identity, last, head } => {
            let identity: String = identity.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("peers={peers} told-from={identity} last={last} head={head}")
        }
        Observation::UploadEnded { peer, path, sent_bytes, complete } => {
            format!(
                "to={peer} path={} {sent_bytes} B complete={complete}",
                Foreign(path),
                peer = Named(peer)
            )
        }
        Observation::ChatReceived { peer, id, sent_at, text } => {
            format!("from={} id={id} sent={} text={}", Named(peer), sent_at.clock(), Foreign(text))
        }
        Observation::ChatSent { chat } => format!("chat={chat}"),
        Observation::ChatFailed { chat, fault } => format!("chat={chat} fault=\"{fault}\""),
    }
}

fn decision_fields(decision: &Decision) -> String {
    match decision {
        Decision::JobAdded { job, release } => format!("job={job} release={release}"),
        Decision::CommandRefused { reason } => format!("reason={}", Foreign(&reason.to_string())),
        Decision::LookupPlanned { lookup } => lookup_fields(lookup),
        Decision::LookupDeferred { lookup, fault, until } => format!(
            "{} fault={} until={}",
            lookup_fields(lookup),
            Foreign(&fault.to_string()),
            until.clock()
        ),
        Decision::JobHeld { job, reason, until } => {
            let mut text = format!("job={job} reason={}", Foreign(&reason.to_string()));
            if let Some(until) = until {
                let _ = write!(text, " until={}", until.clock());
            }
            text
        }
        Decision::JobResumed { job, by } => format!("job={job} by={by}"),
        Decision::JobCancelled { job } | Decision::JobCompleted { job } => format!("job={job}"),
        Decision::JobFailed { job, reason } => {
            format!("job={job} reason={}", Foreign(&reason.to_string()))
        }
        Decision::SearchPlanned { job, search, track, query } => match track {
            Some(track) => format!("job={track} search={search} query={}", Foreign(query)),
            None => format!("job={job} search={search} query={}", Foreign(query)),
        },
        Decision::TrackWaiting { track, until } => {
            format!("job={track} for=sources until={}", until.clock())
        }
        Decision::SourceFound { track, source, peer, path, size, likeness } => format!(
            "job={track} source={source} peer={peer} {size} B likeness={likeness} path={}",
            Foreign(path),
            peer = Named(peer)
        ),
        Decision::SourceResized { track, source, size } => {
            format!("job={track} source={source} size={size} B")
        }
        Decision::SourceDropped { track, source, reason } => {
            format!("job={track} source={source} reason={}", Foreign(&reason.to_string()))
        }
        Decision::SourceSetAside { track, attempt, source } => {
            format!("job={track} attempt={attempt} source={source} reason=\"its bytes differ\"")
        }
        Decision::SourceSuspected { track, source } => format!("job={track} source={source}"),
        Decision::SourceReturned { track, source, size } => {
            format!("job={track} source={source} {size} B")
        }
        Decision::PeerRested { track, peer, reason, until } => format!(
            "job={track} peer={peer} reason={} until={}",
            Foreign(&reason.to_string()),
            until.clock(),
            peer = Named(peer)
        ),
        Decision::RangeAssigned {
            track,
            attempt,
            assignment,
            source,
            peer,
            path: _,
            size,
            range,
            overlap,
            choice,
        } => {
            let mut text = format!(
                "job={track} attempt={attempt} assignment={assignment} to={peer} source={source} \
                 range={range} of {size} B overlap={overlap} candidates={} cost={} ms",
                choice.candidates,
                choice.cost_ms,
                peer = Named(peer)
            );
            if let Some(next) = choice.next_cost_ms {
                let _ = write!(text, " next={next} ms");
            }
            if choice.takeover {
                text.push_str(" takeover");
            }
            text
        }
        Decision::AssignmentCut { track, assignment, reason } => {
            format!("job={track} assignment={assignment} reason={}", Foreign(&reason.to_string()))
        }
        Decision::WaitExtended { track, assignment, until } => {
            format!("job={track} assignment={assignment} until={}", until.clock())
        }
        Decision::ChunkAccepted { track, assignment, range, digest: _ } => {
            format!("job={track} assignment={assignment} range={range}")
        }
        Decision::ChunkRefused { track, assignment, range, reason } => format!(
            "job={track} assignment={assignment} range={range} reason={}",
            Foreign(&reason.to_string())
        ),
        Decision::AttemptDropped { track, attempt, reason } => {
            format!("job={track} attempt={attempt} reason={}", Foreign(&reason.to_string()))
        }
        Decision::FileAssembled { track, attempt, size } => {
            format!("job={track} attempt={attempt} {size} B")
        }
        Decision::TrackVerified { track, attempt, acoustid, score, path } => format!(
            "job={track} attempt={attempt} acoustid={acoustid} score={score} path={}",
            Foreign(path)
        ),
        Decision::TrackRefused { track, attempt, digest, reason } => format!(
            "job={track} attempt={attempt} digest={digest} reason={}",
            Foreign(&reason.to_string())
        ),
        Decision::TrackCompleted { track, attempt, path } => {
            format!("job={track} attempt={attempt} path={}", Foreign(path))
        }
        Decision::ReleaseReused { job, from } => format!("job={job} from={from}"),
        Decision::ContentAdopted { track, attempt, content } => {
            format!("job={track} attempt={attempt} {}", content_fields(content))
        }
        Decision::OffsetChosen { track, assignment, range } => {
            format!("job={track} assignment={assignment} range={range}")
        }
        Decision::EndMoved { track, assignment, end } => {
            format!("job={track} assignment={assignment} end={end}")
        }
        Decision::SourceSilent { track, source } => format!("job={track} source={source}"),
        Decision::ChatPlanned { chat, peer, text } => {
            format!("chat={chat} to={} text={}", Named(peer), Foreign(text))
        }
        Decision::ChatTaken { id } => format!("id={id}"),
    }
}
