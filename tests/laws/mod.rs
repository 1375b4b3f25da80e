//! Properties that hold for every history, over random seeded ones. What each law says is in
//! `sim::check`; this file only lets worlds live and asks.

use domain::Policy;
use proptest::prelude::*;
use sim::{check, run};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

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
        for job in life.engine.state().jobs.values() {
            for track in &job.tracks {
                let path = track.path.as_deref().unwrap_or_default();
                prop_assert!(life.world.is_right(path), "{path} is not what it is called");
            }
        }
    }
}
