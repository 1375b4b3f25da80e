//! A law that nothing can break proves nothing: each is shown a good history with one thing changed.

use domain::chunk::Digest;
use domain::decision::{AttemptDropReason, CutReason, Refusal};
use domain::media::AudioFault;
use domain::observation::Observation;
use domain::{AssignmentId, Decision, Envelope, Event, Input, Policy, Seq, TrackKey, render};

use super::{Broken, conserves, forgets_no_refusal, keeps_limits, of_the_log, replays};
use crate::{fault, run};

mod manners;

/// A history by the laws, in which files are taken over, refused and published.
fn good() -> Vec<Envelope> {
    let told = |log: &[Envelope]| {
        let taken_over = log.iter().any(|envelope| match &envelope.event {
            Event::Decision(Decision::RangeAssigned { choice, .. }) => choice.takeover,
            _ => false,
        });
        let has = |name| log.iter().any(|envelope| render::name(&envelope.event) == name);
        // Each of their tracks has one beside it.
        let paired = log.iter().any(|envelope| match &envelope.event {
            Event::Input(Input::Observation(Observation::ReleaseFetched { target, .. })) => {
                target.tracks.len() % 2 == 0
            }
            _ => false,
        });
        paired && taken_over && has("TrackRefused") && has("JobCompleted") && !has("JobCancelled")
    };
    let usual = |seed: &u64| run::policy(*seed) == Policy::default();
    let lives = (0..).filter(usual).map(|seed| run::run(seed, &fault::drawn(seed)).log);
    let log = lives.into_iter().find(|log| told(log)).expect("most lives have it all");
    replays(&log).unwrap();
    of_the_log(&log, &Policy::default()).unwrap();
    log
}

/// Where the first event of a name stands.
fn first(log: &[Envelope], name: &str) -> usize {
    log.iter().position(|envelope| render::name(&envelope.event) == name).unwrap()
}

/// The first chunk that the next of its assignment follows: where it was accepted, for which track and by
/// which assignment.
fn middle(log: &[Envelope]) -> (usize, TrackKey, AssignmentId) {
    let accepted = |envelope: &Envelope| match &envelope.event {
        Event::Decision(Decision::ChunkAccepted { track, assignment, .. }) => {
            Some((*track, *assignment))
        }
        _ => None,
    };
    let found = log.iter().enumerate().find_map(|(at, envelope)| {
        let (track, assignment) = accepted(envelope)?;
        let mut decided = log[at + 1..].iter().filter(|later| {
            later.event.track() == Some(track) && matches!(later.event, Event::Decision(_))
        });
        let next = decided.next().and_then(accepted);
        (next == Some((track, assignment))).then_some((at, track, assignment))
    });
    found.unwrap()
}

fn attempt_of(log: &[Envelope], assignment: AssignmentId) -> u16 {
    let attempt = log.iter().find_map(|envelope| match &envelope.event {
        Event::Decision(Decision::RangeAssigned { assignment: it, attempt, .. }) => {
            (*it == assignment).then_some(*attempt)
        }
        _ => None,
    });
    attempt.unwrap()
}

fn decision(log: &mut [Envelope], at: usize) -> &mut Decision {
    let Event::Decision(decision) = &mut log[at].event else { panic!("an input stands there") };
    decision
}

/// Lets something happen that did not, with the input that was the last.
fn insert(log: &mut Vec<Envelope>, at: usize, event: Event) {
    let before = &log[at - 1];
    let (seq, when, cause) = (Seq(before.seq.0 + 1), before.at, before.cause);
    log.insert(at, Envelope { seq, at: when, cause, event });
}

#[track_caller]
fn wrong(found: Result<(), Broken>, words: &str) {
    let found = found.unwrap_err().words;
    assert!(found.contains(words), "{found}");
}

#[test]
fn a_chunk_accepted_after_its_assignment_was_cut_is_seen() {
    let mut log = good();
    let (at, track, assignment) = middle(&log);
    let cut = Decision::AssignmentCut { track, assignment, reason: CutReason::Stalled };
    insert(&mut log, at, Event::Decision(cut));
    wrong(conserves(&log), "accepted by no open assignment");
}

#[test]
fn a_hole_is_seen_in_the_middle_and_at_the_end() {
    let mut log = good();
    log.remove(middle(&log).0);
    wrong(conserves(&log), "accepted after");
    let mut log = good();
    log.remove(first(&log, "FileAssembled") - 1);
    wrong(conserves(&log), "is assembled with");
}

#[test]
fn a_chunk_accepted_twice_is_seen_whether_it_came_twice_or_not() {
    let mut log = good();
    let at = middle(&log).0;
    let accepted = log[at].event.clone();
    insert(&mut log, at + 1, accepted);
    wrong(conserves(&log), "accepted bytes that did not arrive");
    let arrived = log[at - 1].event.clone();
    insert(&mut log, at + 1, arrived);
    wrong(conserves(&log), "accepted after");
}

#[test]
fn bytes_for_another_track_are_seen() {
    let mut log = good();
    let at = middle(&log).0;
    if let Decision::ChunkAccepted { track, .. } = decision(&mut log, at) {
        track.index += 1;
    }
    wrong(conserves(&log), "accepted for another track");
}

#[test]
fn nothing_is_held_of_an_attempt_that_was_given_up_or_refused() {
    let good = good();
    let (at, track, assignment) = middle(&good);
    let attempt = attempt_of(&good, assignment);
    let reason = AttemptDropReason::NoSourceLeft;
    let dropped = Decision::AttemptDropped { track, attempt, reason };
    let (digest, reason) = (Digest([0; 32]), Refusal::KnownBad);
    let refused = Decision::TrackRefused { track, attempt, digest, reason };
    for over in [dropped, refused] {
        let mut log = good.clone();
        insert(&mut log, at + 1, Event::Decision(over));
        let assigned = log[..at]
            .iter()
            .rfind(|envelope| match &envelope.event {
                Event::Decision(Decision::RangeAssigned { assignment: it, .. }) => {
                    *it == assignment
                }
                _ => false,
            })
            .map(|envelope| envelope.event.clone());
        wrong(conserves(&log), "accepted by no open assignment");
        insert(&mut log, at + 2, assigned.unwrap());
        wrong(conserves(&log), "is fetched although that attempt is over");
    }
}

#[test]
fn nothing_goes_on_of_a_file_that_was_given_up() {
    let mut log = good();
    let (at, track, assignment) = middle(&log);
    let (attempt, reason) = (attempt_of(&log, assignment), AttemptDropReason::NoSourceLeft);
    let dropped = Decision::AttemptDropped { track, attempt, reason };
    insert(&mut log, at + 1, Event::Decision(dropped));
    wrong(keeps_limits(&log, &Policy::default()), "is given up and still fetched");
}

#[test]
fn nothing_goes_on_for_a_cancelled_job() {
    for name in ["RangeAssigned", "ChunkAccepted", "TrackVerified", "TrackCompleted"] {
        let mut log = good();
        let at = first(&log, name);
        let job = log[at].event.job().unwrap();
        insert(&mut log, at, Event::Decision(Decision::JobCancelled { job }));
        wrong(conserves(&log), "goes on after its job was cancelled");
    }
}

#[test]
fn a_file_that_was_not_proved_or_not_whole_is_not_published() {
    let mut log = good();
    log.remove(first(&log, "TrackVerified"));
    wrong(conserves(&log), "is published without a proof");
    let mut log = good();
    log.remove(first(&log, "FileAssembled"));
    wrong(conserves(&log), "is whole and not examined");
    let mut log = good();
    let at = first(&log, "TrackVerified");
    if let Decision::TrackVerified { attempt, .. } = decision(&mut log, at) {
        *attempt += 1;
    }
    wrong(conserves(&log), "not wholly held");
    let mut log = good();
    let at = first(&log, "TrackCompleted");
    let Decision::TrackCompleted { track, attempt, path } = decision(&mut log, at) else {
        unreachable!("it is named so")
    };
    path.push('x');
    let (track, attempt) = (*track, *attempt);
    wrong(conserves(&log), "was not published there");
    let reason = Refusal::Untaggable("broken header".into());
    let refused = Decision::TrackRefused { track, attempt, digest: Digest([0; 32]), reason };
    insert(&mut log, at - 1, Event::Decision(refused));
    wrong(conserves(&log), "is published without a proof");
}

#[test]
fn more_at_once_than_the_policy_allows_is_seen() {
    let policy = Policy::default();
    let good = good();
    let mut log = good.clone();
    let at = first(&log, "RangeAssigned");
    let mut more = decision(&mut log, at).clone();
    insert(&mut log, at + 1, Event::Decision(more.clone()));
    wrong(keeps_limits(&log, &policy), "two sources at once");
    log.truncate(at + 1);
    for index in 100..100 + policy.transfers_per_peer as u16 {
        if let Decision::RangeAssigned { track, assignment, .. } = &mut more {
            (track.index, *assignment) = (index, AssignmentId(index.into()));
        }
        let mut same = log.clone();
        insert(&mut same, at + 1, Event::Decision(more.clone()));
        wrong(keeps_limits(&same, &policy), "is asked twice at once for");
        if let Decision::RangeAssigned { path, .. } = &mut more {
            path.push_str(".flac");
        }
        insert(&mut log, at + 1, Event::Decision(more.clone()));
    }
    wrong(keeps_limits(&log, &policy), "3 with slsk:");

    let mut log = good.clone();
    let at = first(&log, "SearchPlanned");
    let again = log[at].event.clone();
    insert(&mut log, at + 1, again);
    wrong(keeps_limits(&log, &policy), "is repeated too soon");
    let mut log = good.clone();
    for number in 100..100 + u64::from(policy.searches_in_flight) {
        let planned = log[at].event.clone();
        insert(&mut log, at + 1, planned);
        if let Decision::SearchPlanned { search, query, .. } = decision(&mut log, at + 1) {
            (search.0, *query) = (number, number.to_string());
        }
    }
    wrong(keeps_limits(&log, &policy), "3 searches");
}

#[test]
fn refused_content_that_is_proved_later_is_seen() {
    let mut log = good();
    let verified = first(&log, "TrackVerified");
    let Decision::TrackVerified { track, attempt, .. } = *decision(&mut log, verified) else {
        unreachable!("it is named so")
    };
    let examined = log.iter().find_map(|envelope| match &envelope.event {
        Event::Input(Input::Observation(Observation::FileExamined {
            track: of,
            attempt: at,
            digest,
            ..
        })) => (*of == track && *at == attempt).then_some(*digest),
        _ => None,
    });
    let digest = examined.unwrap();
    let refused = |track, reason| {
        Event::Decision(Decision::TrackRefused { track, attempt: 0, digest, reason })
    };
    let other = TrackKey { index: track.index ^ 1, ..track };
    // Another recording's refusal says nothing of this one, unless the file is right for nothing.
    let mut damaged = log.clone();
    insert(&mut log, verified, refused(other, Refusal::Unidentified));
    forgets_no_refusal(&log).unwrap();
    let damage = Refusal::Audio(AudioFault::Truncated("5 of 9 s".into()));
    insert(&mut damaged, verified, refused(other, damage));
    wrong(forgets_no_refusal(&damaged), "is verified with a refused file");
    insert(&mut log, verified, refused(track, Refusal::Unidentified));
    wrong(forgets_no_refusal(&log), "is verified with a refused file");
}

#[test]
fn what_is_completed_is_neither_completed_nor_fetched_again() {
    let mut log = good();
    let at = first(&log, "TrackCompleted");
    let again = log[at].event.clone();
    insert(&mut log, at + 1, again);
    wrong(forgets_no_refusal(&log), "is completed twice");
    let Decision::TrackCompleted { track, .. } = *decision(&mut log, at) else {
        unreachable!("it is named so")
    };
    let assigned = log.iter().find(|envelope| match &envelope.event {
        Event::Decision(Decision::RangeAssigned { track: of, .. }) => *of == track,
        _ => false,
    });
    log[at + 1].event = assigned.unwrap().event.clone();
    wrong(forgets_no_refusal(&log), "is fetched again");
}

#[test]
fn a_decision_that_does_not_follow_is_seen() {
    let mut log = good();
    log.remove(first(&log, "RangeAssigned"));
    wrong(replays(&log), "replayed");
    let mut log = good();
    log.remove(first(&log, "AddJob"));
    wrong(replays(&log), "a decision without an input");
}
