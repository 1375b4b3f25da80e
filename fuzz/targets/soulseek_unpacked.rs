//! Share lists, search answers and folders behind their zlib: `soulseek::wire::peer`. A byte that
//! picks one of the three, then what the body unpacks to. What was read reads back the same.
#![no_main]

use std::io::Read;

use flate2::Compression;
use flate2::read::ZlibEncoder;
use libfuzzer_sys::fuzz_target;
use reprise_fuzz::assert_round_trip;
use soulseek::wire::PeerMessage;

fuzz_target!(|data: &[u8]| {
    let Some((pick, plain)) = data.split_first() else { return };
    let mut body = Vec::new();
    ZlibEncoder::new(plain, Compression::none()).read_to_end(&mut body).expect("memory");
    assert_round_trip!(PeerMessage, [5, 9, 37][usize::from(*pick % 3)], &body);
});
