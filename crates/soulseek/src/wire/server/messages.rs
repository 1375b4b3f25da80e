//! What the server sends: one row a code. What it answers is in [`super::requests`]. SOULSEEK.md 2.2.

use std::net::Ipv4Addr;

use super::super::init::ConnectionKind;
use super::super::pack::Raw;
use super::super::table::messages;
use super::records::{
    LoginAnswer, ParentCandidate, Recommendation, RoomOwnership, SimilarUser, Ticker, UserState,
    UserStats,
};

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
        /// Something said in a room.
        13 => RoomMessage { room: String, user: String, text: String }
        /// Lets us into a room: who is there, in lists beside each other.
        14 => JoinedRoom {
            room: String, users: Vec<String>, statuses: Vec<u32>, stats: Vec<UserStats>,
            slots_full: Vec<u32>, countries: Vec<String>, ownership: Option<RoomOwnership>,
        }
        /// We are no longer in a room.
        15 => LeftRoom { room: String }
        /// Somebody came into a room.
        16 => UserJoinedRoom {
            room: String, user: String, status: u32, stats: UserStats, slots_full: u32,
            country: Option<String>,
        }
        /// Somebody left a room.
        17 => UserLeftRoom { room: String, user: String }
        /// A user asks us to connect to them and to name this token.
        18 => ConnectToPeer {
            user: String, kind: ConnectionKind, ip: Ipv4Addr, port: u32, token: u32,
            privileged: bool, obfuscation: u32, obfuscated_port: u32,
        }
        /// Something a user said to us: sent at each login until code 23 answers it. `at` is in
        /// seconds since 1970; `is_new` is false for one that waited.
        22 => PrivateMessage {
            id: u32, at: u32, user: String, text: String, is_new: Option<bool>,
        }
        /// A search within a room or of this user alone.
        26 => FileSearch { user: String, token: u32, query: String }
        /// An answer to a ping, from servers that still send it.
        32 => Ping {}
        /// Answers code 36.
        36 => UserStats { user: String, stats: UserStats }
        /// Someone logged in with this name; the server closes this session.
        41 => Relogged {}
        /// Answers code 54.
        54 => Recommendations {
            recommended: Vec<Recommendation>, discouraged: Vec<Recommendation>,
        }
        /// Answers code 55.
        55 => OwnInterests { likes: Vec<String> }
        /// Answers code 56.
        56 => GlobalRecommendations {
            recommended: Vec<Recommendation>, discouraged: Vec<Recommendation>,
        }
        /// Answers code 57.
        57 => UserInterests { user: String, likes: Vec<String>, dislikes: Vec<String> }
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
        /// Answers code 110.
        110 => SimilarUsers { users: Vec<SimilarUser> }
        /// Answers code 111.
        111 => ThingRecommendations { thing: String, recommended: Vec<Recommendation> }
        /// Answers code 112.
        112 => ThingSimilarUsers { thing: String, users: Vec<String> }
        /// The lines on a room's wall; comes with code 14.
        113 => Tickers { room: String, tickers: Vec<Ticker> }
        /// Somebody put a line on a room's wall.
        114 => TickerAdded { room: String, user: String, ticker: String }
        /// Somebody took a line from a room's wall.
        115 => TickerRemoved { room: String, user: String }
        /// Answers code 122.
        122 => UserPrivileges { user: String, privileged: bool }
        /// Leave the distributed network and start over.
        130 => ResetDistributed {}
        /// Who may enter a private room of ours.
        133 => RoomMembers { room: String, users: Vec<String> }
        /// Somebody may enter a private room from now on.
        134 => RoomMemberAdded { room: String, user: String }
        /// Somebody may not enter a private room any more.
        135 => RoomMemberRemoved { room: String, user: String }
        /// We may enter a private room from now on.
        139 => MembershipGranted { room: String }
        /// We may not enter a private room any more.
        140 => MembershipRevoked { room: String }
        /// Answers code 141.
        141 => RoomInvitations { enabled: bool }
        /// Answers code 142.
        142 => PasswordChanged { password: String }
        /// Somebody operates a private room from now on.
        143 => RoomOperatorAdded { room: String, user: String }
        /// Somebody does not operate a private room any more.
        144 => RoomOperatorRemoved { room: String, user: String }
        /// We operate a private room from now on.
        145 => OperatorshipGranted { room: String }
        /// We do not operate a private room any more.
        146 => OperatorshipRevoked { room: String }
        /// Who operates a private room.
        148 => RoomOperators { room: String, users: Vec<String> }
        /// Something said in a public room; comes after code 150.
        152 => GlobalRoomMessage { room: String, user: String, text: String }
        /// Answers code 153.
        153 => RelatedSearches { query: String, searches: Vec<String> }
        /// Phrases that no search answer may contain.
        160 => ExcludedPhrases { phrases: Vec<String> }
        /// The connection we asked for with code 18 failed at the other end.
        1001 => CantConnectToPeer { token: u32 }
        /// A private room that we asked for cannot be made.
        1003 => CannotCreateRoom { room: String }
    }
}
