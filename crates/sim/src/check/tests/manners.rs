//! The laws of how others are treated and of what is proof, each shown one thing that is against it.

use domain::observation::{Examination, Lookup, LookupFault};
use domain::{JobId, SourceId, Timestamp};

use super::super::{accepts_only_proof, keeps_etiquette};
use super::*;

fn etiquette(log: &[Envelope]) -> Result<(), Broken> {
    keeps_etiquette(log, &Policy::default())
}

fn proof(log: &[Envelope]) -> Result<(), Broken> {
    accepts_only_proof(log, &Policy::default())
}

fn seen(log: &mut [Envelope], at: usize) -> &mut Observation {
    let Event::Input(Input::Observation(seen)) = &mut log[at].event else {
        panic!("no observation stands there")
    };
    seen
}

#[test]
fn a_peer_that_is_asked_while_it_rests_is_seen() {
    let mut log = good();
    let at = first(&log, "PeerRested");
    let Decision::PeerRested { peer: resting, .. } = decision(&mut log, at).clone() else {
        unreachable!("it is named so")
    };
    let assigned = first(&log, "RangeAssigned");
    let mut again = decision(&mut log, assigned).clone();
    if let Decision::RangeAssigned { peer, source, .. } = &mut again {
        (*peer, *source) = (resting, SourceId(99));
    }
    insert(&mut log, at + 1, Event::Decision(again));
    wrong(etiquette(&log), "is asked while it rests");
}

#[test]
fn a_source_out_of_use_that_is_asked_is_seen() {
    let mut log = good();
    let at = first(&log, "RangeAssigned");
    let Decision::RangeAssigned { track, attempt, source, .. } = *decision(&mut log, at) else {
        unreachable!("it is named so")
    };
    let aside = Decision::SourceSetAside { track, attempt, source };
    insert(&mut log, at, Event::Decision(aside));
    wrong(etiquette(&log), "is out of use and is asked");
}

#[test]
fn a_transfer_that_moves_is_not_cut_as_stalled_and_none_is_cut_twice() {
    let mut log = good();
    let (at, track, assignment) = middle(&log);
    let cut = |reason| Event::Decision(Decision::AssignmentCut { track, assignment, reason });
    let mut twice = log.clone();
    insert(&mut log, at + 1, cut(CutReason::Stalled));
    wrong(etiquette(&log), "moved and is cut as stalled");
    insert(&mut twice, at + 1, cut(CutReason::JobStopped));
    insert(&mut twice, at + 1, cut(CutReason::JobStopped));
    wrong(etiquette(&twice), "is cut and was not open");
}

#[test]
fn a_service_that_is_asked_too_soon_is_seen() {
    let mut log = good();
    let at = first(&log, "LookupPlanned");
    let lookup = Lookup::Release { job: JobId(1) };
    let deferred = |until| {
        let fault = LookupFault::Unreachable("no route".into());
        Event::Decision(Decision::LookupDeferred { lookup, fault, until })
    };
    let (now, mut early) = (log[at].at, log.clone());
    insert(&mut log, at, deferred(now));
    wrong(etiquette(&log), "sooner than its service said");
    insert(&mut early, at, deferred(Timestamp(u64::MAX)));
    wrong(etiquette(&early), "before its wait is over");
}

#[test]
fn a_takeover_that_proves_less_than_it_could_is_seen() {
    let mut log = good();
    for envelope in &mut log {
        if let Event::Decision(Decision::RangeAssigned { overlap, choice, .. }) =
            &mut envelope.event
            && choice.takeover
        {
            *overlap -= 1;
        }
    }
    wrong(conserves(&log), "are to prove");
}

#[test]
fn what_is_verified_without_its_proof_is_seen() {
    let verified = |log: &mut Vec<Envelope>| {
        let at = first(log, "TrackVerified");
        match *decision(log, at) {
            Decision::TrackVerified { track, attempt, .. } => (track, attempt),
            _ => unreachable!("it is named so"),
        }
    };
    let mut log = good();
    let of = verified(&mut log);
    for at in 0..log.len() {
        if let Event::Input(Input::Observation(Observation::RecordingIdentified { .. })) =
            log[at].event
            && let Observation::RecordingIdentified { track, attempt, matches } = seen(&mut log, at)
            && (*track, *attempt) == of
        {
            matches.clear();
        }
    }
    wrong(proof(&log), "is verified and not identified");

    let mut log = good();
    for at in 0..log.len() {
        if let Event::Input(Input::Observation(Observation::FileExamined { .. })) = log[at].event
            && let Observation::FileExamined { track, attempt, outcome, .. } = seen(&mut log, at)
            && (*track, *attempt) == of
            && let Examination::Music(music) = outcome
        {
            music.duration_ms += 60_000;
        }
    }
    wrong(proof(&log), "is verified with a wrong length");
}

#[test]
fn what_is_refused_for_another_file_is_seen() {
    let mut log = good();
    let at = first(&log, "TrackRefused");
    if let Decision::TrackRefused { digest, .. } = decision(&mut log, at) {
        digest.0[0] ^= 1;
    }
    wrong(proof(&log), "is refused for what it is not");
}

#[test]
fn a_job_that_is_done_before_its_tracks_is_seen() {
    let mut log = good();
    log.remove(first(&log, "TrackCompleted"));
    wrong(forgets_no_refusal(&log), "is completed without");
}
