//! Archived events: rkyv's validation and `domain::event`. An event that is believed is stored so
//! that it reads back the same, and is printed on one line that no terminal obeys.
#![no_main]

use domain::{Envelope, Seq, Timestamp, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(event) = eventlog::fuzzing::event(payload) else { return };
    let stored = eventlog::encode(&event).expect("it is small");
    assert_eq!(eventlog::fuzzing::event(&stored).as_ref(), Ok(&event));
    let _ = event.job();
    let envelope = Envelope { seq: Seq(1), at: Timestamp(0), cause: Seq(1), event };
    let line = render::line(&envelope);
    assert!(!line.contains(char::is_control), "{line:?}");
});
