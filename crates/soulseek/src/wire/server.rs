//! The server connection: one table of what a client sends, one of what a server sends.

use std::net::Ipv4Addr;

use super::init::ConnectionKind;
use super::pack::{DecodeError, Field, Raw, Reader};
use super::table::{messages, record};

messages! {
    /// What a client asks the server.
    ServerRequest: u32 {
        /// Opens the session. `digest` is the md5 hex of user and password together.
        1 => Login { user: String, password: String, major: u32, digest: String, minor: u32 }
        /// Where this client listens.
        2 => SetWaitPort { port: u32, obfuscation: Option<Obfuscation> }
        /// Asks where a user listens.
        3 => GetPeerAddress { user: String }
        /// Asks for a user's state now and at every change.
        5 => WatchUser { user: String }
        /// Ends code 5.
        6 => UnwatchUser { user: String }
        /// Asks for a user's status once.
        7 => GetUserStatus { user: String }
        /// Asks a user, through the server, to connect to us and to name this token.
        18 => ConnectToPeer { token: u32, user: String, kind: ConnectionKind }
        /// Searches everywhere.
        26 => FileSearch { token: u32, query: String }
        /// 1 away, 2 online.
        28 => SetStatus { status: i32 }
        /// Keeps the connection alive; not answered.
        32 => Ping {}
        /// How much this client shares.
        35 => SharedFoldersFiles { folders: u32, files: u32 }
        /// Asks for a user's numbers.
        36 => GetUserStats { user: String }
        /// Searches one user.
        42 => UserSearch { user: String, token: u32, query: String }
        /// Asks for the list of rooms.
        64 => RoomList {}
        /// Whether this client wants a parent in the distributed network.
        71 => HaveNoParent { without: bool }
        /// Asks how many seconds of privileges are left.
        92 => CheckPrivileges {}
        /// Whether this client takes children in the distributed network.
        100 => AcceptChildren { accept: bool }
        /// A search the server counts against the wishlist interval.
        103 => WishlistSearch { token: u32, query: String }
        /// Searches everyone in a room.
        120 => RoomSearch { room: String, token: u32, query: String }
        /// Speed of an upload that just ended, in bytes per second.
        121 => SendUploadSpeed { speed: u32 }
        /// Distance from the branch root.
        126 => BranchLevel { level: u32 }
        /// Name of the branch root.
        127 => BranchRoot { user: String }
        /// Whether room invitations are welcome.
        141 => EnableRoomInvitations { enable: bool }
        /// Tells a user, through the server, that the connection asked for by code 18 failed.
        1001 => CantConnectToPeer { token: u32, user: String }
    }
}

messages! {
    /// What the server tells a client.
    ServerMessage: u32 {
        /// Answers the login.
        1 => Login { answer: LoginAnswer }
        /// Answers code 3; all zero means offline.
        3 => PeerAddress {
            user: String, ip: Ipv4Addr, port: u32, obfuscation: u32, obfuscated_port: u16,
        }
        /// Answers code 5; `state` is there when the user exists.
        5 => WatchedUser { user: String, exists: bool, state: Option<UserState> }
        /// A user's status: 0 offline, 1 away, 2 online.
        7 => UserStatus { user: String, status: u32, privileged: bool }
        /// A user asks us to connect to them and to name this token.
        18 => ConnectToPeer {
            user: String, kind: ConnectionKind, ip: Ipv4Addr, port: u32, token: u32,
            privileged: bool, obfuscation: u32, obfuscated_port: u32,
        }
        /// A search within a room or of this user alone.
        26 => FileSearch { user: String, token: u32, query: String }
        /// An answer to a ping, from servers that still send it.
        32 => Ping {}
        /// Answers code 36.
        36 => UserStats { user: String, stats: UserStats }
        /// Someone logged in with this name; the server closes this session.
        41 => Relogged {}
        /// The rooms: names beside their numbers of users, in three groups, then the operated ones.
        64 => RoomList {
            rooms: Vec<String>, users: Vec<u32>,
            owned: Vec<String>, owned_users: Vec<u32>,
            private: Vec<String>, private_users: Vec<u32>,
            operated: Vec<String>,
        }
        /// A text from the people who run the server.
        66 => AdminMessage { text: String }
        /// Who has privileges.
        69 => PrivilegedUsers { users: Vec<String> }
        /// Least upload speed of a parent, in KiB per second.
        83 => ParentMinSpeed { speed: u32 }
        /// Divides upload speed into a number of children.
        84 => ParentSpeedRatio { ratio: u32 }
        /// Seconds of privileges left.
        92 => CheckPrivileges { seconds: u32 }
        /// A distributed message handed straight to a branch root.
        93 => EmbeddedMessage { code: u8, body: Raw }
        /// Candidates for a parent.
        102 => PossibleParents { candidates: Vec<ParentCandidate> }
        /// Seconds between two wishlist searches.
        104 => WishlistInterval { seconds: u32 }
        /// Leave the distributed network and start over.
        130 => ResetDistributed {}
        /// Phrases that no search answer may contain.
        160 => ExcludedPhrases { phrases: Vec<String> }
        /// The connection we asked for with code 18 failed at the other end.
        1001 => CantConnectToPeer { token: u32 }
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::Channel;

    mod requests {
        use super::*;
        table_tests!(ServerRequest, Channel::ToServer);
    }

    mod messages {
        use super::*;
        table_tests!(ServerMessage, Channel::FromServer);
    }

    #[test]
    fn an_unknown_code_keeps_its_bytes() {
        let message = ServerMessage::decode(9_999, &[1, 2, 3]).unwrap();
        assert_eq!(message, ServerMessage::Unknown { code: 9_999, body: vec![1, 2, 3] });
        assert_eq!(message.encode(), [7, 0, 0, 0, 0x0f, 0x27, 0, 0, 1, 2, 3]);
    }
}
