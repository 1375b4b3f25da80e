//! The length in front of every message, and how long each kind of message may be.
//!
//! Reading frames off a socket is [`crate::conn`]. File connections have no frames; see
//! [`super::file`].

/// Which kind of connection a frame travels on: it decides the code's width and the size caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// From a server to us.
    FromServer,
    /// From a client to a server.
    ToServer,
    /// The first frame of a connection between two clients.
    Init,
    /// Messages between two clients (`P`), when nothing large was asked for.
    Peer,
    /// The same, when a share list, a folder or user information was asked for.
    PeerAsked,
    /// The distributed search network (`D`).
    Distributed,
}

/// Why a frame is not read any further; the connection is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length leaves no room for a code.
    #[error("frame of {length} bytes has no room for a code")]
    TooShort {
        /// What the frame says it is long.
        length: u32,
    },
    /// The length is above what this kind of message may have.
    #[error("frame of {length} bytes with code {code} is above the limit of {cap} bytes")]
    TooLong {
        /// The message's code.
        code: u32,
        /// What the frame says it is long.
        length: u32,
        /// What it may be.
        cap: u32,
    },
}

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

impl Channel {
    /// How many bytes the code takes.
    pub fn code_bytes(self) -> usize {
        match self {
            Channel::FromServer | Channel::ToServer | Channel::Peer | Channel::PeerAsked => 4,
            Channel::Init | Channel::Distributed => 1,
        }
    }

    /// The longest frame accepted, in bytes after the length. SOULSEEK.md 2.8.
    pub fn cap(self, code: u32) -> u32 {
        match (self, code) {
            (Channel::FromServer, _) => 16 * MIB,
            (Channel::ToServer, _) => 8 * KIB,
            (Channel::Init, _) => KIB,
            // Share lists, which are read as they arrive.
            (Channel::PeerAsked, 5) => 256 * MIB,
            // User information with a picture, folders.
            (Channel::PeerAsked, 16 | 37) => 4 * MIB,
            // A thousand files take a tenth of it, and hundreds of strangers may send one at once.
            (Channel::Peer | Channel::PeerAsked, 9) => 256 * KIB,
            (Channel::Peer | Channel::PeerAsked, _) => 64 * KIB,
            (Channel::Distributed, _) => 16 * KIB,
        }
    }

    /// Checks a frame's announced length and returns how long its body is.
    pub fn body_bytes(self, length: u32, code: u32) -> Result<usize, FrameError> {
        let cap = self.cap(code);
        if length > cap {
            return Err(FrameError::TooLong { code, length, cap });
        }
        usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_sub(self.code_bytes()))
            .ok_or(FrameError::TooShort { length })
    }
}

/// Fills in the length of a frame that was started with four empty bytes.
pub(super) fn close(frame: &mut [u8]) {
    let length = u32::try_from(frame.len() - 4).expect("we never build a message of 4 GiB");
    frame[..4].copy_from_slice(&length.to_le_bytes());
}

/// Takes one complete frame apart into code and body.
#[cfg(test)]
pub(super) fn split(frame: &[u8], channel: Channel) -> Option<(u32, &[u8])> {
    let (length, rest) = frame.split_first_chunk::<4>()?;
    assert_eq!(usize::try_from(u32::from_le_bytes(*length)).ok()?, rest.len());
    match channel.code_bytes() {
        1 => rest.split_first().map(|(code, body)| (u32::from(*code), body)),
        _ => rest.split_first_chunk().map(|(code, body)| (u32::from_le_bytes(*code), body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_must_hold_its_code_and_stay_below_its_cap() {
        assert_eq!(Channel::Peer.body_bytes(3, 0), Err(FrameError::TooShort { length: 3 }));
        assert_eq!(Channel::Init.body_bytes(5, 0), Ok(4));
        assert!(Channel::Peer.body_bytes(1 << 20, 5).is_err(), "nobody asked for a share list");
        assert!(Channel::PeerAsked.body_bytes(1 << 20, 5).is_ok());
        assert!(Channel::PeerAsked.body_bytes(300 << 20, 5).is_err(), "asked for, yet too long");
        assert!(Channel::PeerAsked.body_bytes(8 << 20, 16).is_err(), "asked for, yet too long");
        assert!(Channel::Peer.body_bytes(200 << 10, 9).is_ok());
        assert!(Channel::Peer.body_bytes(1 << 20, 9).is_err());
        assert!(matches!(
            Channel::Peer.body_bytes(u32::MAX, 43),
            Err(FrameError::TooLong { cap: 65_536, .. })
        ));
    }
}
