//! Obfuscated messages: `soulseek::wire::obfuscated`. A byte for how long the pieces are in which a
//! message is read, four of a key, then the message. What was hidden comes back, and hiding is its own
//! reverse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soulseek::wire::obfuscated::{KEY_BYTES, Keystream, obfuscate};

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    let Some((key, message)) = rest.split_first_chunk::<KEY_BYTES>() else { return };
    let hidden = obfuscate(message, *key);
    assert_eq!(hidden[..KEY_BYTES], *key);
    let mut plain = hidden[KEY_BYTES..].to_vec();
    let mut keys = Keystream::new(*key);
    for piece in plain.chunks_mut(usize::from(*piece) + 1) {
        keys.apply(piece);
    }
    assert_eq!(plain, message);
    assert_eq!(obfuscate(&hidden[KEY_BYTES..], *key)[KEY_BYTES..], *message);
});
