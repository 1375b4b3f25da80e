//! First frames between clients and messages of the distributed network: `soulseek::wire::init`,
//! `distributed` and `file`. A code of one byte, then the body. What was read reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reprise_fuzz::assert_round_trip;
use soulseek::wire::{DistributedMessage, PeerInit, file};

fuzz_target!(|data: &[u8]| {
    let Some((code, body)) = data.split_first() else { return };
    assert_round_trip!(PeerInit, u32::from(*code), body);
    assert_round_trip!(DistributedMessage, u32::from(*code), body);
    if let Some(offset) = body.first_chunk() {
        assert_eq!(file::encode_offset(file::decode_offset(*offset)), *offset);
    }
    if let Some(token) = body.first_chunk() {
        assert_eq!(file::encode_token(file::decode_token(*token)), *token);
    }
});
