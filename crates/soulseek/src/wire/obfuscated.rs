//! Obfuscation of type 1: a message behind a key that changes with every four bytes. SOULSEEK.md 2.3.
//!
//! Hides nothing from anybody who looks, and is not meant to: it keeps simple filters from knowing the
//! protocol by its first bytes. Only first frames and messages (`P`) are obfuscated, never files or the
//! distributed network. Where connections of this kind are made and taken is [`crate::connect`].

/// The kind of obfuscation that messages 2, 3 and 18 name; there is no other.
pub const KIND: u32 = 1;
/// Bytes of the key in front of each message.
pub const KEY_BYTES: usize = 4;
/// How far the key is rotated to the right for the next four bytes.
const ROTATION: u32 = 31;

/// The key of one message as it runs along. Applied to hidden bytes it gives plain ones, and the other
/// way round; a message may be given to it in pieces.
#[derive(Debug, Clone)]
pub struct Keystream {
    key: u32,
    /// Bytes of the current key that are used up.
    used: usize,
}

impl Keystream {
    /// Starts behind the key, at the first byte of the message's length.
    pub fn new(key: [u8; KEY_BYTES]) -> Keystream {
        Keystream { key: u32::from_le_bytes(key), used: KEY_BYTES }
    }

    /// Turns the next bytes of the message over, in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == KEY_BYTES {
                self.key = self.key.rotate_right(ROTATION);
                self.used = 0;
            }
            *byte ^= self.key.to_le_bytes()[self.used];
            self.used += 1;
        }
    }
}

/// Writes a whole frame behind this key.
pub fn obfuscate(frame: &[u8], key: [u8; KEY_BYTES]) -> Vec<u8> {
    let mut hidden = [&key[..], frame].concat();
    Keystream::new(key).apply(&mut hidden[KEY_BYTES..]);
    hidden
}

#[cfg(test)]
mod tests {
    use super::super::recorded::unhex;
    use super::*;

    const RECORDED: &str = include_str!("../../../../fixtures/soulseek/obfuscated.json");

    #[test]
    fn bytes_are_hidden_as_a_real_client_hides_them() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(RECORDED).unwrap();
        assert!(rows.len() >= 40);
        for row in rows {
            let bytes = |name: &str| unhex(row[name].as_str().unwrap());
            let key = bytes("key").try_into().unwrap();
            assert_eq!(obfuscate(&bytes("plain"), key), bytes("hex"));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_hidden_comes_back_in_pieces_of_any_size(
            key: [u8; 4],
            frame in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
            piece in 1..200usize,
        ) {
            let mut hidden = obfuscate(&frame, key);
            proptest::prop_assert_eq!(&hidden[..4], key);
            let mut keys = Keystream::new(key);
            for piece in hidden[4..].chunks_mut(piece) {
                keys.apply(piece);
            }
            proptest::prop_assert_eq!(&hidden[4..], frame);
        }
    }
}
