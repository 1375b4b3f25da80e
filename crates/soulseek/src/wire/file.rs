//! File connections (`F`): the uploader sends a token, the downloader an offset, then bytes flow.
//!
//! ```text
//! uploader    token: u32 ─────────────▶
//!             ◀───────────────── offset: u64   downloader
//!             bytes[offset..size] ────▶
//!             ◀────────────────────── close
//! ```

/// Bytes of the transfer token.
pub const TOKEN_BYTES: usize = 4;
/// Bytes of the offset.
pub const OFFSET_BYTES: usize = 8;

/// Writes the token of transfer request 40.
pub fn encode_token(token: u32) -> [u8; TOKEN_BYTES] {
    token.to_le_bytes()
}

/// Reads the token of transfer request 40.
pub fn decode_token(bytes: [u8; TOKEN_BYTES]) -> u32 {
    u32::from_le_bytes(bytes)
}

/// Writes where in the file to start, in bytes.
pub fn encode_offset(offset: u64) -> [u8; OFFSET_BYTES] {
    offset.to_le_bytes()
}

/// Reads where in the file to start, in bytes.
pub fn decode_offset(bytes: [u8; OFFSET_BYTES]) -> u64 {
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn both_numbers_survive_a_round_trip(token: u32, offset: u64) {
            proptest::prop_assert_eq!(decode_token(encode_token(token)), token);
            proptest::prop_assert_eq!(decode_offset(encode_offset(offset)), offset);
        }
    }
}
