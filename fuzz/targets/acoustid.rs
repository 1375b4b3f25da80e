//! AcoustID's JSON: `metadata::acoustid::matches`. Matches come best first, and none is more than
//! certain.
#![no_main]

use domain::score::Ppm;
use libfuzzer_sys::fuzz_target;
use metadata::acoustid::matches::read;

fuzz_target!(|json: &[u8]| {
    let Ok(matches) = read(json) else { return };
    assert!(matches.is_sorted_by(|before, after| before.score >= after.score));
    assert!(matches.iter().all(|one| one.score <= Ppm::ONE));
});
