//! Identities: newtypes parsed once at the edge. How a pasted link becomes one is in
//! [`crate::reference`].

use std::fmt;
use std::str::FromStr;

use rkyv::{Archive, Deserialize, Serialize};

/// Why a text is not a MusicBrainz identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a MusicBrainz ID (36 characters such as 0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11)"
)]
pub struct NotAnMbid(pub String);

/// The 16 bytes of a UUID in its usual form of 36 characters (RFC 9562, section 4); `None` for anything
/// else.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut id = [0u8; 16];
    let mut nibbles = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let nibble = char::from(byte).to_digit(16)? as u8;
        id[nibbles / 2] = id[nibbles / 2] << 4 | nibble;
        nibbles += 1;
    }
    Some(id)
}

/// Writes a UUID in its usual form.
///
/// # Errors
/// When `f` fails.
pub fn write_uuid(id: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

macro_rules! mbid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        pub struct $name(pub [u8; 16]);

        impl FromStr for $name {
            type Err = NotAnMbid;
            fn from_str(text: &str) -> Result<Self, NotAnMbid> {
                parse_uuid(text).map(Self).ok_or_else(|| NotAnMbid(text.chars().take(80).collect()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }
    };
}

mbid! {
    /// A MusicBrainz release: one edition of an album.
    ReleaseId
}
mbid! {
    /// A MusicBrainz release group: all editions of an album together.
    ReleaseGroupId
}
mbid! {
    /// A MusicBrainz recording: one performance, whatever it was released on.
    RecordingId
}
mbid! {
    /// A MusicBrainz track: one recording at its place on one release.
    TrackId
}
mbid! {
    /// A MusicBrainz artist.
    ArtistId
}
mbid! {
    /// An AcoustID track: a cluster of fingerprints that sound alike.
    AcoustId
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// An album job, numbered from 1 in the order of acceptance.
    JobId(u32)
}
number! {
    /// One search sent to the network, numbered from 1.
    SearchId(u64)
}
number! {
    /// One promise of a byte range by one source, numbered from 1.
    AssignmentId(u64)
}
number! {
    /// One message of ours to somebody, numbered from 1.
    ChatId(u64)
}
number! {
    /// One remote file of one peer, numbered from 0 within its track.
    SourceId(u32)
}

/// One track job: the job and the track's place in the target, counted from 0 over all media.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct TrackKey {
    /// The album job.
    pub job: JobId,
    /// Index into [`crate::Target::tracks`].
    pub index: u16,
}

impl fmt::Display for TrackKey {
    /// `job/number` with the number counted from 1, as people count tracks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, u32::from(self.index) + 1)
    }
}

/// Someone who can give us files. The network is part of the identity: the same name on another
/// network is someone else.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerId {
    /// A Soulseek user name.
    Soulseek(String),
    /// The key of a node of the mesh, as text.
    Mesh(String),
}

/// How a peer gives bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// From an offset to the end, once it is our turn, until we end it.
    Stream,
    /// Any range, one after the other.
    Ranges,
}

impl PeerId {
    /// The name without its network.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Soulseek(user) => user,
            Self::Mesh(key) => key,
        }
    }

    /// How it gives bytes.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Soulseek(_) => Transport::Stream,
            Self::Mesh(_) => Transport::Ranges,
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soulseek(user) => write!(f, "slsk:{user}"),
            Self::Mesh(key) => write!(f, "mesh:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mbid_prints_as_it_was_written() {
        let text = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";
        assert_eq!(text.parse::<ReleaseId>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_mbid_is_refused_with_the_text() {
        for bad in [
            "",
            "0b1c7a52",
            "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e1g",
            "0b1c7a5206f0e-4a54-9c0c-3d9a6c1f2e11",
        ] {
            assert_eq!(bad.parse::<ReleaseId>(), Err(NotAnMbid(bad.into())));
        }
    }
}
