//! Bodies of messages between client and server: `soulseek::wire::server`, both directions. A code
//! of two bytes, then the body. What was read is written so that it reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reprise_fuzz::assert_round_trip;
use soulseek::wire::{ServerMessage, ServerRequest};

fuzz_target!(|data: &[u8]| {
    let Some((code, body)) = data.split_first_chunk() else { return };
    let code = u32::from(u16::from_le_bytes(*code));
    assert_round_trip!(ServerMessage, code, body);
    assert_round_trip!(ServerRequest, code, body);
});
