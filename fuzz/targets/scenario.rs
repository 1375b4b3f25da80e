//! Worlds of one file, as `sched-sim` reads them: `sim::scenario`. What is taken for one makes sense.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim::scenario::parse;

fuzz_target!(|text: &str| {
    if let Ok(scenario) = parse(text) {
        assert!(scenario.size > 0 && scenario.unit > 0);
        assert!((1..=64).contains(&scenario.peers.len()));
        for peer in &scenario.peers {
            assert!(peer.rate.windows(2).all(|two| two[0].0 < two[1].0));
            assert!(peer.down.iter().chain(&peer.bad).all(|(from, to)| from <= to));
        }
    }
});
