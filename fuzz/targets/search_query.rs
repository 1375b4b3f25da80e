//! What people search for: `projections::search`. A text is taken or refused, what is taken is bounded,
//! and without fields a thing that is called so is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use projections::fuzzing;

fuzz_target!(|text: &str| fuzzing::search(text));
