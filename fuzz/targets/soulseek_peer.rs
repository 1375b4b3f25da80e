//! Bodies of messages between clients as they lie on the wire: `soulseek::wire::peer`, the
//! compressed ones with their zlib. A code of one byte, then the body. What was read reads back the
//! same, and what a body of this size unpacks to fits into the memory the fuzzer is given. What is
//! behind the zlib is reached by `soulseek_unpacked`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reprise_fuzz::assert_round_trip;
use soulseek::wire::PeerMessage;

fuzz_target!(|data: &[u8]| {
    let Some((code, body)) = data.split_first() else { return };
    assert_round_trip!(PeerMessage, u32::from(*code), body);
});
