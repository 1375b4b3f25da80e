//! Properties that hold for every history, over random seeded ones. What each law says is in
//! `sim::check`; this file only lets worlds live and asks.

use domain::Seq;
use engine::state::TrackPhase;
use eventlog::{Log, Step};
use projections::jobs::{Jobs, TrackState};
use projections::trace::Trace;
use projections::{Store, follow};
use proptest::prelude::*;
use sim::{check, fault, run};

mod names;
mod strange;

/// One seed is one life, wherever and in whatever company it is lived; and with one honest source of
/// every track, every job completes by the laws, whatever goes wrong.
#[test]
fn a_thousand_lives_obey_all_laws_and_are_the_same_when_lived_again() {
    let live = |seed| {
        let life = run::run(seed, &fault::drawn(seed));
        check::all(&life).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        (seed, life.engine.digest(), life.log.len())
    };
    let half = |odd| (0..500u64).map(|number| live(2 * number + odd)).collect::<Vec<_>>();
    let mut on_two_threads = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        let mut lives = half(0);
        lives.extend(odd.join().unwrap());
        lives
    });
    on_two_threads.sort_unstable();
    let on_one: Vec<_> = (0..1_000).map(live).collect();
    assert_eq!(on_one, on_two_threads);
}

/// Known numbers: a debug build, a release build and every machine agree on them.
#[test]
fn a_life_is_the_same_in_every_build() {
    let digest = |seed| run::run(seed, &fault::drawn(seed)).engine.digest();
    assert_eq!(
        [1, 2, 3].map(digest),
        [2_221_103_632_927_296_089, 676_165_197_829_823_578, 12_585_347_151_462_456_047]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// A list of faults is a list: any part of it makes a life too.
    #[test]
    fn a_life_with_some_of_its_faults_obeys_all_laws(seed in any::<u64>(), keep in any::<u64>()) {
        let faults: Vec<_> = fault::drawn(seed)
            .into_iter()
            .enumerate()
            .filter(|(number, _)| keep >> (number % 64) & 1 == 1)
            .map(|(_, fault)| fault)
            .collect();
        let life = run::run(seed, &faults);
        check::all(&life).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }
}

proptest! {
    // Each case writes a log and two read models to disk.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    /// What the engine knows, the log keeps and the views show; a view that was dropped is folded to
    /// the same again.
    #[test]
    fn log_and_views_agree_with_the_engine(seed in any::<u64>(), batch in 1usize..60) {
        let life = run::run(seed, &fault::drawn(seed));
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        let mut steps: Vec<Vec<_>> = Vec::new();
        for envelope in &life.log {
            if envelope.seq == envelope.cause {
                steps.push(Vec::new());
            }
            steps.last_mut().unwrap().push(envelope);
        }
        for some in steps.chunks(batch) {
            let events: Vec<(_, Vec<_>)> = some
                .iter()
                .map(|step| (step[0].at, step.iter().map(|e| e.event.clone()).collect()))
                .collect();
            let steps: Vec<_> =
                events.iter().map(|(at, events)| Step::new(*at, events)).collect();
            log.append(&steps).unwrap();
        }
        let read: Vec<_> =
            reader.range(Seq(1)..=reader.durable()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&read, &life.log);
        replay::verify_engine(read.into_iter().map(Ok::<_, std::convert::Infallible>)).unwrap();

        let store = Store::open(&dir.path().join("views")).unwrap();
        let (mut jobs, view) = Jobs::open(&store).unwrap();
        follow::catch_up(&mut jobs, &reader).unwrap();
        let shown = view.all().unwrap();
        prop_assert_eq!(shown.seq, reader.durable());
        for (shown, (id, known)) in shown.value.iter().zip(&life.engine.state().jobs) {
            prop_assert_eq!(shown.head.job, *id);
            let wanted = known.target.iter().flat_map(|target| &target.tracks);
            prop_assert!(
                shown.tracks.iter().map(|it| it.recording).eq(wanted.map(|it| it.recording))
            );
            for (shown, known) in shown.tracks.iter().zip(&known.tracks) {
                let completed = known.phase == TrackPhase::Completed;
                prop_assert_eq!(shown.state == TrackState::Completed, completed);
                let is_asked =
                    matches!(shown.state, TrackState::Queued { .. } | TrackState::Downloading);
                prop_assert_eq!(is_asked, matches!(known.phase, TrackPhase::Fetching(_)));
                prop_assert_eq!(&shown.path, &known.path);
                prop_assert_eq!(shown.attempt, known.attempt);
                prop_assert_eq!(shown.held_bytes, known.held);
                // The engine forgets the sources of what is done; the view does not.
                prop_assert!(completed || shown.sources.len() == known.sources.len());
            }
        }
        let (mut trace, trace_view) = Trace::open(&store, reader.clone()).unwrap();
        follow::catch_up(&mut trace, &reader).unwrap();
        prop_assert!(trace_view.summary(domain::JobId(1)).unwrap().value.is_some());

        // Dropped and folded anew.
        let before = view.all().unwrap();
        drop((jobs, view));
        store.discard("jobs").unwrap();
        let (mut jobs, view) = Jobs::open(&store).unwrap();
        follow::catch_up(&mut jobs, &reader).unwrap();
        prop_assert_eq!(view.all().unwrap().value, before.value);
    }
}
