//! Archived events by type and version (three bytes before the fields): rkyv's validation and `domain::event`. An event that is believed is stored so
//! that it reads back the same, and is printed on one line that no terminal obeys.
#![no_main]

use domain::{Envelope, Seq, Timestamp, render};
use eventlog::Schema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(([low, high, version], payload)) = data.split_first_chunk() else { return };
    let schema = Schema { kind: u16::from_le_bytes([*low, *high]), version: *version };
    let Ok(event) = eventlog::decode(schema, payload) else { return };
    let (kept, stored) = eventlog::encode(&event).expect("it is small");
    assert_eq!(kept.kind, schema.kind);
    assert_eq!(eventlog::decode(kept, &stored).as_ref(), Ok(&event));
    let _ = event.job();
    let envelope = Envelope { seq: Seq(1), at: Timestamp(0), cause: Seq(1), event };
    let line = render::line(&envelope);
    assert!(!line.contains(char::is_control), "{line:?}");
});
