//! What can be wrong with stored bytes. Where it is wrong is told by the error that carries this:
//! [`crate::ReadError`] names a position in the log, [`crate::history::ReadError`] a byte of a file.

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// No block begins where the one before ended.
    #[error("no block begins here")]
    Missing,
    /// A block's later part is not there.
    #[error("part {0} of the block is missing")]
    PartMissing(u16),
    /// There is a key that belongs to no block.
    #[error("a key that belongs to no block")]
    StrayKey,
    /// A block's header contradicts itself or its key.
    #[error("block header: {0}")]
    Header(&'static str),
    /// A block's BLAKE3 is not the one written at its end.
    #[error("the block's hash is wrong")]
    Hash,
    /// A block does not carry the hash of the block before it.
    #[error("the block does not follow the one before it")]
    Chain,
    /// The bytes end before what they announce.
    #[error("cut short")]
    Cut,
    /// There are bytes after the end.
    #[error("bytes after the end")]
    Surplus,
    /// A frame announces more bytes than any frame has.
    #[error("a frame of {0} bytes, which is more than is allowed")]
    TooLong(u32),
    /// A frame's CRC-32 is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// A format version this program does not know; a newer program may.
    #[error("format version {0} is not known to this program")]
    Version(u32),
    /// A frame says another position than the one it stands at, or an impossible one.
    #[error("the frame says it is event {0}")]
    Position(u64),
    /// A frame does not follow in its stream.
    #[error("it says it is revision {revision} of its stream, and is not")]
    Revision {
        /// The revision it claims.
        revision: u64,
    },
    /// A frame's payload is no event.
    #[error("not an event: {0}")]
    Payload(String),
    /// An event of a type or version that this program does not know; a newer program may.
    #[error("an event of type {kind}, version {version}, which this program does not know")]
    UnknownEvent {
        /// Number of the type.
        kind: u16,
        /// Version of its fields.
        version: u8,
    },
}
