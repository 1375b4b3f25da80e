//! Lives of the simulator, forked: what is recorded is as it was, what is modelled is like it, and what was
//! changed is different.

use super::*;
use crate::rng::Rng;
use crate::run::{Life as Lived, run};

fn life(seed: u64) -> Lived {
    run(seed, &crate::fault::drawn(seed))
}

/// The first decision of a kind.
fn first(log: &[Envelope], is_it: impl Fn(&Decision) -> bool) -> Option<Seq> {
    let is_it = |envelope: &&Envelope| matches!(&envelope.event, Event::Decision(decision) if is_it(decision));
    log.iter().find(is_it).map(|envelope| envelope.seq)
}

fn assigned(log: &[Envelope]) -> Option<Seq> {
    first(log, |decision| matches!(decision, Decision::RangeAssigned { .. }))
}

#[test]
fn one_seed_is_one_life_and_where_nothing_is_left_to_decide_it_is_the_recorded_one() {
    for seed in 0..40 {
        let log = life(seed).log;
        let last = Fork::at(&log, Seq(log.len() as u64)).unwrap();
        let change = Change::default();
        assert_eq!(last.run(&change, 1).jobs, last.recorded().jobs);
        let Some(place) = assigned(&log) else { continue };
        let fork = Fork::at(&log, place).unwrap();
        assert_eq!(fork.live(&change, 3), fork.live(&change, 3));
        assert!(Fork::at(&log, Seq(0)).is_none());
        assert!(Fork::at(&log, Seq(log.len() as u64 + 1)).is_none());
    }
}

#[test]
fn a_life_without_faults_goes_on_much_as_it_did() {
    let (mut complete, mut close, mut all) = (0, 0, 0);
    for seed in 0..60 {
        let log = run(seed, &[]).log;
        let Some(place) = assigned(&log) else { continue };
        let fork = Fork::at(&log, place).unwrap();
        let was = fork.recorded().complete_ms();
        let is = fork.run(&Change::default(), 1).complete_ms();
        all += 1;
        complete += u32::from(is.is_some());
        if let (Some(was), Some(is)) = (was, is) {
            close += u32::from(is.abs_diff(was) <= was / 4 + 10_000);
        }
    }
    assert!(complete * 10 >= all * 9, "{complete} of {all}");
    assert!(close * 10 >= all * 6, "{close} of {all}");
}

#[test]
fn who_was_dropped_is_neither_asked_nor_heard_again() {
    let mut dropped = 0;
    for seed in 0..60 {
        let log = life(seed).log;
        let Some(place) = assigned(&log) else { continue };
        let fork = Fork::at(&log, place).unwrap();
        let recorded = fork.recorded();
        let Some(peer) = recorded.bytes.keys().next().cloned() else { continue };
        let mut change = Change::default();
        change.drop_peer(peer.clone());
        let outcome = fork.run(&change, 1);
        assert_eq!(outcome.bytes.get(&peer), None, "seed {seed}");
        for envelope in fork.live(&change, 1) {
            match &envelope.event {
                Event::Decision(Decision::RangeAssigned { peer: asked, .. }) => {
                    assert_ne!(*asked, peer);
                }
                Event::Input(Input::Observation(Observation::SearchAnswered {
                    peer: heard,
                    ..
                })) => assert_ne!(*heard, peer),
                _ => {}
            }
        }
        let changes = recorded.changes(&outcome);
        assert!(changes.number > 0 && changes.first.is_some());
        dropped += 1;
    }
    assert!(dropped > 30, "{dropped}");
}

#[test]
fn another_policy_is_kept_to_from_the_fork_on_and_over_restarts() {
    let mut change = Change::default();
    change.set("transfers", 1).unwrap();
    assert!(change.set("transfer", 1).unwrap_err().to_string().contains("transfers_per_peer"));
    let mut restarts = 0;
    for seed in 0..60 {
        let log = life(seed).log;
        let place = first(&log, |decision| matches!(decision, Decision::JobAdded { .. })).unwrap();
        let fork = Fork::at(&log, place).unwrap();
        let mut engine = Engine::new();
        log[..fork.before.len()].iter().for_each(|envelope| engine.recover(envelope));
        for envelope in fork.live(&change, seed) {
            engine.recover(&envelope);
            assert!(engine.state().transfers.open.len() <= 1, "seed {seed}: {}", envelope.seq);
            restarts += u32::from(matches!(
                envelope.event,
                Event::Input(Input::Observation(Observation::NodeStarted { .. }))
            ));
        }
    }
    assert!(restarts > 5, "{restarts}");
}

#[test]
fn a_life_can_be_forked_anywhere() {
    for seed in 0..6 {
        let log = life(seed).log;
        for at in (1..=log.len() as u64).step_by(7) {
            let fork = Fork::at(&log, Seq(at)).unwrap();
            let outcome = fork.run(&Change::default(), at);
            let known: BTreeSet<_> = fork.peers().collect();
            assert!(outcome.bytes.keys().all(|peer| known.contains(peer)));
            assert_eq!(fork.recorded().changes(&fork.recorded()).number, 0);
        }
    }
}

/// A history is somebody else's file, and what it says of sizes, times and speeds is what he wrote.
#[test]
fn no_history_makes_a_fork_panic_or_go_on_for_ever() {
    let extreme = [0, 1, 262_143, 262_144, 1 << 40, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for seed in 0..2 {
        let mut rng = Rng::new(seed, "lies");
        let mut number = || extreme[rng.bits() as usize % extreme.len()];
        let mut log = life(seed).log;
        for envelope in &mut log {
            match &mut envelope.event {
                Event::Input(Input::Observation(Observation::NodeStarted { policy, .. })) => {
                    policy.largest_file_bytes = u64::MAX;
                }
                Event::Input(Input::Observation(Observation::SearchAnswered { files, .. })) => {
                    files.iter_mut().for_each(|file| file.size = number());
                }
                Event::Input(Input::Observation(Observation::ChunkArrived {
                    range,
                    elapsed_ms,
                    ..
                })) => (range.start, range.end, *elapsed_ms) = (number(), number(), number()),
                Event::Decision(
                    Decision::SourceFound { size, .. } | Decision::FileAssembled { size, .. },
                ) => *size = number(),
                Event::Decision(Decision::ChunkAccepted { range, .. }) => {
                    (range.start, range.end) = (number(), number());
                }
                Event::Decision(Decision::RangeAssigned { size, range, overlap, .. }) => {
                    (*size, range.start, range.end, *overlap) =
                        (number(), number(), number(), number());
                }
                _ => {}
            }
        }
        for at in (1..=log.len() as u64).step_by(61) {
            let fork = Fork::at(&log, Seq(at)).unwrap();
            let mut spread = Spread::default();
            let outcome = fork.run(&Change::default(), seed);
            spread.add(&outcome);
            let _ = fork.recorded().changes(&outcome);
        }
    }
}
