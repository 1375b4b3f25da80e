//! Which slices an event changes, and in which order: the only place. How a slice changes is in the
//! module that owns it; what an event asks of the outside is in [`crate::effects`].
//!
//! The order within an arm matters where one slice reads another: a peer is credited with a file
//! while the assignment that brought it is still open, for example.

use domain::decision::ResumedBy;
use domain::observation::{Lookup, Observation};
use domain::{Command, Decision, Event, Input, Timestamp};

use crate::state::{Assignment, Run, State, Turn};
use crate::{chat, job, lookup, peer, search, source, swarm, transfer, verify};

impl State {
    /// Takes one event.
    pub(crate) fn evolve(&mut self, event: &Event, at: Timestamp) {
        self.run.at = at;
        match event {
            Event::Input(Input::Command(command)) => match command {
                // A command changes nothing itself: what becomes of it is decided.
                Command::AddJob { .. }
                | Command::CancelJob { .. }
                | Command::RetryJob { .. }
                // A matter of the view.
                | Command::SkipDeadLetter { .. }
                | Command::MarkChatRead { .. }
                | Command::SendChat { .. } => {}
            },
            Event::Input(Input::Observation(seen)) => self.observed(seen, at),
            Event::Decision(decision) => self.decided(decision, at),
        }
    }

    fn observed(&mut self, seen: &Observation, at: Timestamp) {
        match seen {
            Observation::NodeStarted { policy, .. } => {
                self.run = Run { policy: *policy, session: false, at };
                search::sent_again(self, at);
            }
            Observation::SessionOpened => self.run.session = true,
            Observation::SessionClosed { .. } => self.run.session = false,
            Observation::ReleaseFetched { job, target } => {
                lookup::closed(self, &Lookup::Release { job: *job });
                job::described(self, *job, target, at);
            }
            Observation::SearchAnswered {
                peer,
                slot_free,
                speed_bytes_per_s,
                queue_length,
                ..
            } => peer::advertised(self, peer, *slot_free, *speed_bytes_per_s, *queue_length),
            Observation::SearchEnded { search, .. } => search::ended(self, *search),
            Observation::TransferStarted { assignment, .. } => {
                transfer::started(self, *assignment, at);
                swarm::started(self, *assignment, at);
            }
            Observation::ChunkArrived { assignment, range, elapsed_ms, .. } => {
                peer::credited(self, *assignment, *range, *elapsed_ms);
                swarm::arrived(self, *assignment, *range, *elapsed_ms, at);
            }
            Observation::PieceSpoiled { assignment, range, elapsed_ms, .. } => {
                swarm::spoiled(self, *assignment, *range, *elapsed_ms, at);
            }
            Observation::SlotGranted { assignment, .. } => swarm::granted(self, *assignment, at),
            Observation::HoldingTold { track, peer, ranges } => {
                swarm::told(self, *track, peer, ranges);
            }
            Observation::FileExamined { track, attempt, digest, outcome } => {
                verify::examined(self, *track, *attempt, *digest, outcome);
            }
            Observation::RecordingIdentified { track, attempt, .. } => {
                lookup::closed(self, &Lookup::Identity { track: *track, attempt: *attempt });
            }
            Observation::FileDiscarded { track, attempt } => {
                verify::discarded(self, *track, *attempt);
            }
            // What is to be remembered of these is decided.
            Observation::LookupFailed { .. }
            | Observation::OverlapCompared { .. }
            | Observation::ContentDescribed { .. }
            | Observation::TransferEnded { .. }
            | Observation::ExamineFailed { .. }
            | Observation::StagingLost { .. }
            | Observation::FilePublished { .. }
            | Observation::PublishFailed { .. } => {}
            // Nothing to remember.
            Observation::PlaceTold { .. }
            | Observation::UploadEnded { .. }
            | Observation::PeersForgotten { .. }
            | Observation::ChatReceived { .. }
            | Observation::ChatSent { .. }
            | Observation::ChatFailed { .. }
            | Observation::DeadlineReached => {}
        }
    }

    fn decided(&mut self, decision: &Decision, at: Timestamp) {
        match decision {
            Decision::JobAdded { job, release } => job::added(self, *job, *release),
            Decision::ReleaseReused { job, from } => job::described_as(self, *job, *from),
            Decision::LookupPlanned { lookup } => lookup::planned(self, lookup),
            Decision::LookupDeferred { lookup, until, .. } => {
                lookup::deferred(self, lookup, *until);
            }
            Decision::JobHeld { job, until, .. } => {
                lookup::forgotten(self, *job);
                job::held(self, *job, *until);
            }
            Decision::JobResumed { job, by } => {
                match by {
                    ResumedBy::Person => {
                        peer::recalled(self, *job, at);
                        search::hastened(self, *job);
                        lookup::hastened(self, *job, at);
                    }
                    ResumedBy::Start => lookup::hastened(self, *job, at),
                    ResumedBy::Pause => {}
                }
                job::resumed(self, *job);
            }
            Decision::JobFailed { job, .. } => {
                search::abandoned(self, *job);
                lookup::forgotten(self, *job);
                job::failed(self, *job);
            }
            Decision::JobCancelled { job } => {
                search::abandoned(self, *job);
                lookup::forgotten(self, *job);
                job::cancelled(self, *job);
            }
            Decision::JobCompleted { job } => {
                search::abandoned(self, *job);
                job::completed(self, *job);
            }
            Decision::SearchPlanned { job, search, track, query } => {
                search::planned(self, *job, *search, *track, query, at);
            }
            Decision::TrackWaiting { track, until } => search::put_off(self, *track, *until),
            Decision::SourceFound { track, peer, path, size, likeness, .. } => {
                source::found(self, *track, peer, path, *size, *likeness);
            }
            Decision::SourceResized { track, source, size } => {
                source::resized(self, *track, *source, *size);
            }
            Decision::SourceDropped { track, source, reason } => {
                source::dropped(self, *track, *source, reason);
            }
            Decision::SourceSetAside { track, source, .. } => {
                source::set_aside(self, *track, *source);
            }
            Decision::SourceSuspected { track, source } => {
                source::suspected(self, *track, *source);
            }
            Decision::SourceReturned { track, source, size } => {
                source::returned(self, *track, *source, *size);
            }
            Decision::PeerRested { track, peer, until, .. } => {
                peer::rested(self, peer, *until, at);
                source::failed(self, *track, peer);
            }
            Decision::RangeAssigned {
                track,
                assignment,
                source,
                peer,
                size,
                range,
                choice,
                ..
            } => {
                let open = Assignment {
                    track: *track,
                    source: *source,
                    peer: peer.clone(),
                    size: *size,
                    range: *range,
                    started: false,
                    progress_at: at,
                    wait_until: at.plus_ms(self.run.policy.queue_wait_ms),
                    is_extended: false,
                    next: range.start,
                    asked_at: at,
                    turn: Turn::Told,
                };
                transfer::assigned(self, *assignment, open);
                swarm::assigned(self, *assignment, choice.takeover);
            }
            Decision::AssignmentCut { track, assignment, .. } => {
                transfer::taken_back(self, *track, *assignment);
            }
            Decision::WaitExtended { assignment, until, .. } => {
                transfer::wait_extended(self, *assignment, *until);
            }
            Decision::ChunkAccepted { track, assignment, range, digest } => {
                transfer::accepted(self, *track, *assignment, *range, *digest, at);
            }
            Decision::ContentAdopted { track, content, .. } => {
                swarm::adopted(self, *track, content);
            }
            Decision::OffsetChosen { assignment, range, .. } => {
                swarm::offset_chosen(self, *assignment, *range, at);
            }
            Decision::EndMoved { assignment, end, .. } => {
                swarm::end_moved(self, *assignment, *end);
            }
            Decision::SourceSilent { track, source } => swarm::silenced(self, *track, *source),
            Decision::ChatPlanned { chat, .. } => chat::planned(self, *chat),
            Decision::AttemptDropped { track, attempt, .. } => {
                transfer::dropped(self, *track);
                lookup::closed(self, &Lookup::Identity { track: *track, attempt: *attempt });
            }
            Decision::FileAssembled { track, .. } => {
                peer::completed(self, *track);
                transfer::assembled(self, *track);
            }
            Decision::TrackVerified { track, acoustid, path, .. } => {
                verify::verified(self, *track, *acoustid, path);
            }
            Decision::TrackRefused { track, attempt, digest, reason } => {
                verify::refused(self, *track, *digest, reason);
                lookup::closed(self, &Lookup::Identity { track: *track, attempt: *attempt });
            }
            Decision::TrackCompleted { track, attempt, path } => {
                verify::completed(self, *track, *attempt, path);
                job::progressed(self, track.job);
            }
            // They say why nothing changed.
            Decision::CommandRefused { .. } | Decision::ChunkRefused { .. } => {}
            // A matter of the view.
            Decision::ChatTaken { .. } => {}
        }
    }
}
