//! Groups of fields that travel together in messages of [`super::messages`] and [`super::requests`].

use std::net::Ipv4Addr;

use super::super::pack::{DecodeError, Field, Reader};
use super::super::table::record;

record! {
    /// Where a client listens for obfuscated connections.
    Obfuscation {
        /// 1 is the only kind in use.
        kind: u32,
        /// The second listening port.
        port: u32,
    }
}

record! {
    /// What a user shares and has uploaded.
    UserStats {
        /// Average upload speed in bytes per second.
        speed: u32,
        /// Number of uploads.
        uploads: u32,
        /// Always zero.
        reserved: u32,
        /// Shared files.
        files: u32,
        /// Shared folders.
        folders: u32,
    }
}

record! {
    /// State of a watched user.
    UserState {
        /// 0 offline, 1 away, 2 online.
        status: u32,
        /// What the user shares.
        stats: UserStats,
        /// Two letters, while the user is online.
        country: Option<String>,
    }
}

record! {
    /// One candidate of message 102.
    ParentCandidate {
        /// Name.
        user: String,
        /// Address.
        ip: Ipv4Addr,
        /// Listening port.
        port: u32,
    }
}

record! {
    /// One line on a room's wall.
    Ticker {
        /// Whose it is.
        user: String,
        /// The line.
        ticker: String,
    }
}

record! {
    /// Whose a private room is.
    RoomOwnership {
        /// Who made it.
        owner: String,
        /// Who may let others in.
        operators: Option<Vec<String>>,
    }
}

record! {
    /// A thing that somebody may like.
    Recommendation {
        /// The thing.
        thing: String,
        /// How many speak for it; below zero against it.
        score: i32,
    }
}

record! {
    /// Somebody whose likes are like ours.
    SimilarUser {
        /// Name.
        user: String,
        /// How alike.
        score: u32,
    }
}

/// The server's answer to a login.
#[derive(Debug, Clone, PartialEq)]
pub enum LoginAnswer {
    /// Welcome.
    Accepted {
        /// Text to show.
        greeting: String,
        /// Our address as the server sees it.
        ip: Ipv4Addr,
        /// md5 hex of the password.
        digest: String,
        /// Whether this account ever bought privileges.
        supporter: bool,
    },
    /// Refused.
    Refused {
        /// `INVALIDPASS` and its siblings.
        reason: String,
        /// More words, with `INVALIDUSERNAME`.
        detail: Option<String>,
    },
}

impl Field for LoginAnswer {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if !bool::read(reader)? {
            return Ok(LoginAnswer::Refused {
                reason: String::read(reader)?,
                detail: Field::read(reader)?,
            });
        }
        Ok(LoginAnswer::Accepted {
            greeting: String::read(reader)?,
            ip: Ipv4Addr::read(reader)?,
            // Servers older than these two fields leave them out.
            digest: Option::<String>::read(reader)?.unwrap_or_default(),
            supporter: Option::<bool>::read(reader)?.unwrap_or_default(),
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            LoginAnswer::Accepted { greeting, ip, digest, supporter } => {
                true.write(out);
                greeting.write(out);
                ip.write(out);
                digest.write(out);
                supporter.write(out);
            }
            LoginAnswer::Refused { reason, detail } => {
                false.write(out);
                reason.write(out);
                detail.write(out);
            }
        }
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        prop_oneof![
            (any::<String>(), any::<Ipv4Addr>(), any::<String>(), any::<bool>()).prop_map(
                |(greeting, ip, digest, supporter)| LoginAnswer::Accepted {
                    greeting,
                    ip,
                    digest,
                    supporter
                }
            ),
            any::<(String, Option<String>)>()
                .prop_map(|(reason, detail)| LoginAnswer::Refused { reason, detail }),
        ]
        .boxed()
    }
}
