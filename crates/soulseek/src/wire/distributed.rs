//! Messages of the distributed search network (`D`), which also arrive embedded in server
//! message 93. What is made of them is [`crate::distributed`].

use super::pack::{DecodeError, Field, Raw, Reader};
use super::table::messages;

messages! {
    /// What parents and children tell each other.
    DistributedMessage: u8 {
        /// Keeps the connection alive.
        0 => Ping {}
        /// A search to answer and to pass on. `mark` is 0x31 in every client seen.
        3 => Search { mark: u32, user: String, token: u32, query: String }
        /// How far the sender is from the branch root.
        4 => BranchLevel { level: i32 }
        /// Who the branch root is.
        5 => BranchRoot { user: String }
        /// How deep the sender's own children go.
        7 => ChildDepth { depth: u32 }
        /// Server message 93 passed on as it came, by clients that should have unpacked it.
        93 => Embedded { message: Embedded }
    }
}

/// What is inside a message 93.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Which row of [`DistributedMessage`] it is.
    pub code: u8,
    /// What follows that code.
    pub body: Raw,
}

impl Field for Embedded {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Raw(bytes) = Field::read(reader)?;
        // Passed on with the server's code of four bytes by most, of which one was read as the code
        // here; with a code of one byte by some. SOULSEEK.md 2.6.
        let rest = bytes.strip_prefix(&WIDE[..]).unwrap_or(&bytes);
        let (&code, body) = rest.split_first().ok_or(DecodeError::Truncated)?;
        Ok(Embedded { code, body: Raw(body.to_vec()) })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&WIDE);
        self.code.write(out);
        self.body.write(out);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        (any::<u8>(), Raw::any()).prop_map(|(code, body)| Embedded { code, body }).boxed()
    }
}

/// What is left of a code of four bytes once the first was read.
const WIDE: [u8; 3] = [0; 3];

/// The value of `mark` in a search.
pub const SEARCH_MARK: u32 = 0x31;

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::Channel;

    table_tests!(DistributedMessage, Channel::Distributed);

    #[test]
    fn an_embedded_message_is_found_behind_either_width_of_its_code() {
        let message = Embedded { code: 3, body: Raw(vec![0x31, 0, 0, 0]) };
        let embedded = DistributedMessage::Embedded { message };
        for body in [&[3, 0x31, 0, 0, 0][..], &[0, 0, 0, 3, 0x31, 0, 0, 0]] {
            assert_eq!(DistributedMessage::decode(93, body).as_ref(), Ok(&embedded));
        }
        assert_eq!(DistributedMessage::decode(93, &[0; 3]), Err(DecodeError::Truncated));
    }
}
