//! The first frame between two clients: who calls, or which call is being returned.

use super::pack::{DecodeError, Field, Reader};
use super::table::messages;

/// What a connection between two clients is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// `P`: messages.
    Peer,
    /// `F`: the bytes of one file.
    File,
    /// `D`: the distributed search network.
    Distributed,
}

impl Field for ConnectionKind {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let letter = String::read(reader)?;
        match letter.as_str() {
            "P" => Ok(ConnectionKind::Peer),
            "F" => Ok(ConnectionKind::File),
            "D" => Ok(ConnectionKind::Distributed),
            _ => Err(DecodeError::Meaningless { what: "connection type", value: letter }),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        let letter = match self {
            ConnectionKind::Peer => "P",
            ConnectionKind::File => "F",
            ConnectionKind::Distributed => "D",
        };
        letter.to_owned().write(out);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        proptest::sample::select(vec![
            ConnectionKind::Peer,
            ConnectionKind::File,
            ConnectionKind::Distributed,
        ])
        .boxed()
    }
}

messages! {
    /// The first frame on a connection between two clients.
    PeerInit: u8 {
        /// Answers message 18: the token says whose request this connection fulfils.
        0 => PierceFirewall { token: u32 }
        /// Opens a connection directly. The number is zero in every client seen.
        1 => Hello { user: String, kind: ConnectionKind, number: u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::Channel;

    table_tests!(PeerInit, Channel::Init);

    #[test]
    fn hello_lies_on_the_wire_as_documented() {
        let hello =
            PeerInit::Hello { user: "ada".to_owned(), kind: ConnectionKind::Peer, number: 0 };
        assert_eq!(
            hello.encode(),
            [17, 0, 0, 0, 1, 3, 0, 0, 0, b'a', b'd', b'a', 1, 0, 0, 0, b'P', 0, 0, 0, 0]
        );
    }
}
