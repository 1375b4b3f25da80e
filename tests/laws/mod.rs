//! Properties that hold for every history, over random seeded ones. What each law says is in
//! `sim::check`; this file only lets worlds live and asks.

use domain::{Policy, Seq};
use engine::state::TrackPhase;
use eventlog::{Log, Step};
use projections::jobs::{Jobs, TrackState};
use projections::trace::Trace;
use projections::{Store, follow};
use proptest::prelude::*;
use sim::{check, run};

mod strange;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_history_obeys_the_laws(seed in any::<u64>(), crash_percent in 0u64..8) {
        let policy = Policy::default();
        let life = run::run(seed, policy, crash_percent);
        check::replays(&life.log).map_err(TestCaseError::fail)?;
        check::conserves(&life.log).map_err(TestCaseError::fail)?;
        check::keeps_limits(&life.log, &policy).map_err(TestCaseError::fail)?;
        check::forgets_no_refusal(&life.log).map_err(TestCaseError::fail)?;
    }

    /// With one honest source of every track, every job completes, whatever the others do.
    #[test]
    fn an_honest_source_is_enough(seed in any::<u64>(), crash_percent in 0u64..8) {
        let life = run::run(seed, Policy::default(), crash_percent);
        let last: Vec<_> = life.log.iter().rev().take(6).map(domain::render::line).collect();
        prop_assert!(life.is_completed(), "last events: {last:#?}");
        if let Some(job) = life.engine.state().jobs.values().next_back() {
            for track in &job.tracks {
                let path = track.path.as_deref().unwrap_or_default();
                prop_assert!(life.world.is_right(path), "{path} is not what it is called");
            }
        }
    }
}

proptest! {
    // Each case writes a log and two read models to disk.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    /// What the engine knows, the log keeps and the views show; a view that was dropped is folded to
    /// the same again.
    #[test]
    fn log_and_views_agree_with_the_engine(seed in any::<u64>(), batch in 1usize..60) {
        let life = run::run(seed, Policy::default(), 3);
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
