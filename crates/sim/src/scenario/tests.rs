//! What the scheduler makes of our own worlds, and what is no world.

use domain::Policy;

use super::live::{self, Outcome, Told};
use super::{Scenario, bound, parse};
use crate::check;

fn text(name: &str) -> String {
    let path = format!("{}/../../fixtures/scenarios/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn world(name: &str) -> Scenario {
    parse(&text(name)).unwrap()
}

fn percent(part: u64, whole: u64) -> u64 {
    part * 100 / whole
}

/// Lives, and asks of the log what is asked of every log.
fn lived(scenario: &Scenario, told: Told) -> Outcome {
    let outcome = live::run(scenario, told);
    check::replays(&outcome.log).unwrap();
    check::of_the_log(&outcome.log, &Policy::default()).unwrap();
    outcome
}

const PINNED: [(&str, u64, u64); 10] = [
    ("steady", 99, 5_176_101_231_302_414_694),
    ("queues", 87, 55_922_699_784_148_677),
    ("stalls", 99, 5_986_920_769_274_423_447),
    ("parts", 99, 9_260_318_711_099_174_386),
    ("rotten", 92, 7_405_713_320_427_796_899),
    ("churn", 92, 7_441_081_854_239_156_545),
    ("far", 87, 6_964_249_116_370_118_911),
    ("random-1", 64, 11_164_014_671_501_459),
    ("random-2", 57, 17_743_889_917_150_921_644),
    ("random-3", 68, 4_872_123_501_884_596_060),
];

/// Known numbers, the same in every build: how near to the bound, in percent, and the engine's digest.
#[test]
fn our_worlds_are_lived_by_the_laws_and_as_ever() {
    let now = PINNED.map(|(name, _, _)| {
        let world = world(name);
        let outcome = lived(&world, Told::Content);
        assert!(outcome.ok, "{name}");
        assert!(percent(outcome.wire_bytes, world.size) <= 125, "{name}");
        assert!(outcome.starts.values().all(|starts| *starts <= 4), "{name}");
        (name, percent(bound::least(&world).unwrap(), outcome.time), outcome.digest)
    });
    assert_eq!(now, PINNED);
}

#[test]
fn without_a_description_the_file_comes_from_one_source_at_a_time() {
    let world = world("steady");
    let (one, many) = (lived(&world, Told::Nothing), lived(&world, Told::Content));
    assert!(one.ok && one.time > 2 * many.time, "{} and {}", one.time, many.time);
}

#[test]
fn what_nobody_has_has_no_bound() {
    let mut world = world("rotten");
    let base = world.peers.last_mut().unwrap();
    base.bad = vec![(0, world.size)];
    assert!(bound::least(&world).is_some());
    for peer in &mut world.peers {
        peer.bad = vec![(5, 6)];
    }
    assert_eq!(bound::least(&world), None);
}

#[test]
fn what_is_no_world_is_refused_with_what_is_wrong() {
    let good = text("steady");
    for (from, to, words) in [
        ("\"size\": 20971520", "\"size\": 0", "its size"),
        ("\"size\": 20971520", "\"size\": 99999999999999", "its size"),
        ("\"size\": 20971520", "\"size\": -1", "not a scenario"),
        ("\"verify_unit\": 16384", "\"verify_unit\": 1", "its verify_unit"),
        ("\"verify_unit\": 16384", "\"verify_unit\": 0", "its verify_unit"),
        ("\"rtt_ms\": 60", "\"rtt_ms\": -60", "rtt_ms of peer \"a\""),
        ("\"rtt_ms\": 60", "\"rtt_ms\": 1e30", "rtt_ms of peer \"a\""),
        ("\"id\": \"b\"", "\"id\": \"a\"", "two peers are called \"a\""),
        ("\"kind\": \"mesh\"", "\"kind\": \"mash\"", "not a scenario"),
        ("1000000", "-1", "the rate of peer \"a\""),
        ("\"downlink\": null", "\"downlink\": [[3, 5], [2, 5]]", "its downlink"),
        ("\"queue_s\": 0", "\"queue_s\": 0, \"bad\": [[5, 4]]", "a range of peer \"a\""),
        ("\"queue_s\": 0", "\"queue_s\": 0, \"down\": [[5, 4]]", "a down window of peer \"a\""),
    ] {
        assert!(good.contains(from), "{from}");
        let error = parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    }
}

/// Damaged in a few places, a world is refused or another world, and nothing else happens.
#[test]
fn a_damaged_world_is_refused_or_another_world() {
    let good = text("rotten");
    let mut rng = crate::rng::Rng::new(7, "damage");
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..rng.within(1, 4) {
            let at = rng.within(0, bytes.len() as u64) as usize;
            bytes[at] = b"0123456789-.eE[]{},:\"x"[rng.within(0, 22) as usize];
        }
        let damaged = String::from_utf8(bytes).unwrap();
        refused += u32::from(parse(&damaged).is_err());
    }
    assert!(refused > 100, "{refused}");
}
