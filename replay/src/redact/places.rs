//! Where events tell of people. Every event is named, so that a new one has to say here what it tells.

use domain::decision::{AttemptDropReason, DropReason, HoldReason, JobFailure, Refusal};
use domain::media::AudioFault;
use domain::observation::{
    DiskFault, Examination, LookupFault, Observation, PublishFault, SessionEnd, TransferEnd,
    TransferFault,
};
use domain::{Command, Decision, Event, Input, PeerId};

/// The views that there are. A command may name another, in whatever words its sender likes.
const VIEWS: [&str; 4] = ["jobs", "trace", "chat", "search"];

/// Something told of people.
pub(super) enum Place<'a> {
    /// A user name.
    Peer(&'a mut String),
    /// A path at a peer, or one that we share.
    Path(&'a mut String),
    /// A path in our library that was made of MusicBrainz' words.
    Planned(&'a str),
    /// A path in our library as it came to be.
    Library(&'a mut String),
    /// What people say to each other.
    Private(&'a mut String),
    /// Words of a peer, a server, a program or a system.
    Words(&'a mut String),
}

/// Shows every place of an event.
pub(super) fn each(event: &mut Event, show: &mut impl FnMut(Place<'_>)) {
    match event {
        Event::Input(Input::Command(command)) => match command {
            Command::SkipDeadLetter { view, .. } => {
                if !VIEWS.contains(&view.as_str()) {
                    show(Place::Words(view));
                }
            }
            Command::SendChat { peer, text } => {
                named(peer, show);
                show(Place::Private(text));
            }
            Command::MarkChatRead { peer, .. } => named(peer, show),
            Command::AddJob { .. } | Command::CancelJob { .. } | Command::RetryJob { .. } => {}
        },
        Event::Input(Input::Observation(seen)) => observed(seen, show),
        Event::Decision(decision) => decided(decision, show),
    }
}

fn observed(seen: &mut Observation, show: &mut impl FnMut(Place<'_>)) {
    match seen {
        Observation::SearchAnswered { peer, files, .. } => {
            named(peer, show);
            files.iter_mut().for_each(|file| show(Place::Path(&mut file.path)));
        }
        Observation::UploadEnded { peer, path, .. } => {
            named(peer, show);
            show(Place::Path(path));
        }
        Observation::HoldingTold { peer, .. } => named(peer, show),
        Observation::ChatReceived { peer, text, .. } => {
            named(peer, show);
            show(Place::Private(text));
        }
        Observation::SessionClosed { reason } => match reason {
            SessionEnd::Refused(words)
            | SessionEnd::CannotListen(words)
            | SessionEnd::Lost(words) => {
                show(Place::Words(words));
            }
            SessionEnd::Kicked => {}
        },
        Observation::LookupFailed { fault, .. } => lookup(fault, show),
        Observation::TransferEnded { end: TransferEnd::Failed(fault), .. } => transfer(fault, show),
        Observation::FileExamined { outcome: Examination::Fault(fault), .. } => audio(fault, show),
        Observation::ExamineFailed { fault, .. } => disk(fault, show),
        Observation::StagingLost { detail, .. } => show(Place::Words(detail)),
        Observation::FilePublished { path, .. } => show(Place::Library(path)),
        Observation::PublishFailed { fault, .. } => match fault {
            PublishFault::Disk(fault) => disk(fault, show),
            PublishFault::Untaggable(words) => show(Place::Words(words)),
        },
        Observation::NodeStarted { .. }
        | Observation::SessionOpened
        | Observation::ReleaseFetched { .. }
        | Observation::SearchEnded { .. }
        | Observation::PlaceTold { .. }
        | Observation::TransferStarted { .. }
        | Observation::OverlapCompared { .. }
        | Observation::ChunkArrived { .. }
        | Observation::TransferEnded { end: TransferEnd::Complete, .. }
        | Observation::FileExamined { outcome: Examination::Music(_), .. }
        | Observation::RecordingIdentified { .. }
        | Observation::FileDiscarded { .. }
        | Observation::ContentDescribed { .. }
        | Observation::PeersForgotten { .. }
        | Observation::SlotGranted { .. }
        | Observation::PieceSpoiled { .. }
        | Observation::ChatSent { .. }
        | Observation::ChatFailed { .. }
        | Observation::DeadlineReached => {}
    }
}

fn decided(decision: &mut Decision, show: &mut impl FnMut(Place<'_>)) {
    match decision {
        Decision::SourceFound { peer, path, .. } | Decision::RangeAssigned { peer, path, .. } => {
            named(peer, show);
            show(Place::Path(path));
        }
        Decision::PeerRested { peer, reason, .. } => {
            named(peer, show);
            transfer(reason, show);
        }
        Decision::SourceDropped { reason, .. } => match reason {
            DropReason::Failed(fault) => transfer(fault, show),
            DropReason::Refused | DropReason::KnownBad => {}
        },
        Decision::LookupDeferred { fault, .. } => lookup(fault, show),
        Decision::JobHeld { reason, .. } => match reason {
            HoldReason::Disk(fault) => disk(fault, show),
            HoldReason::Lookup(fault) => lookup(fault, show),
        },
        Decision::JobFailed { reason, .. } => match reason {
            JobFailure::Release(fault) => lookup(fault, show),
            JobFailure::NoTracks => {}
        },
        Decision::AttemptDropped { reason, .. } => match reason {
            AttemptDropReason::StagingLost(words) => show(Place::Words(words)),
            AttemptDropReason::NoSourceLeft => {}
        },
        Decision::TrackRefused { reason, .. } => match reason {
            Refusal::Audio(fault) => audio(fault, show),
            Refusal::Untaggable(words) => show(Place::Words(words)),
            Refusal::WrongDuration { .. }
            | Refusal::WrongRecording { .. }
            | Refusal::Unidentified
            | Refusal::KnownBad => {}
        },
        Decision::TrackVerified { path, .. } => show(Place::Planned(path)),
        Decision::TrackCompleted { path, .. } => show(Place::Library(path)),
        Decision::ChatPlanned { peer, text, .. } => {
            named(peer, show);
            show(Place::Private(text));
        }
        Decision::JobAdded { .. }
        | Decision::CommandRefused { .. }
        | Decision::LookupPlanned { .. }
        | Decision::ReleaseReused { .. }
        | Decision::JobResumed { .. }
        | Decision::JobCancelled { .. }
        | Decision::JobCompleted { .. }
        // What is searched for are MusicBrainz' words.
        | Decision::SearchPlanned { .. }
        | Decision::TrackWaiting { .. }
        | Decision::SourceResized { .. }
        | Decision::SourceSetAside { .. }
        | Decision::SourceSuspected { .. }
        | Decision::SourceReturned { .. }
        | Decision::AssignmentCut { .. }
        | Decision::WaitExtended { .. }
        | Decision::ChunkAccepted { .. }
        | Decision::ChunkRefused { .. }
        | Decision::ContentAdopted { .. }
        | Decision::OffsetChosen { .. }
        | Decision::EndMoved { .. }
        | Decision::SourceSilent { .. }
        | Decision::ChatTaken { .. }
        | Decision::FileAssembled { .. } => {}
    }
}

fn named(peer: &mut PeerId, show: &mut impl FnMut(Place<'_>)) {
    match peer {
        PeerId::Soulseek(name) | PeerId::Mesh(name) => show(Place::Peer(name)),
    }
}

fn lookup(fault: &mut LookupFault, show: &mut impl FnMut(Place<'_>)) {
    match fault {
        LookupFault::Unreachable(words)
        | LookupFault::Malformed(words)
        | LookupFault::Refused(words) => show(Place::Words(words)),
        LookupFault::NotFound | LookupFault::Busy { .. } => {}
    }
}

fn transfer(fault: &mut TransferFault, show: &mut impl FnMut(Place<'_>)) {
    match fault {
        TransferFault::TimedOut(words) | TransferFault::Denied(words) => show(Place::Words(words)),
        TransferFault::Disk(fault) => disk(fault, show),
        TransferFault::PeerOffline
        | TransferFault::CannotConnect
        | TransferFault::ConnectionCut
        | TransferFault::UploadFailed
        | TransferFault::SizeChanged(_)
        | TransferFault::Surplus
        | TransferFault::StagingShort(_)
        | TransferFault::SessionClosed => {}
    }
}

fn disk(fault: &mut DiskFault, show: &mut impl FnMut(Place<'_>)) {
    match fault {
        DiskFault::Other(words) => show(Place::Words(words)),
        DiskFault::Full => {}
    }
}

fn audio(fault: &mut AudioFault, show: &mut impl FnMut(Place<'_>)) {
    match fault {
        AudioFault::NotDecodable(words)
        | AudioFault::Truncated(words)
        | AudioFault::NotIdentifiable(words)
        | AudioFault::Damaged { detail: words, .. } => show(Place::Words(words)),
    }
}
