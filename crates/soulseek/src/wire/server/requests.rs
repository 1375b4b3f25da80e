//! What a client sends to the server: one row a code. What comes back is in [`super::messages`].
//! SOULSEEK.md 2.2.

use super::super::init::ConnectionKind;
use super::super::table::messages;
use super::records::Obfuscation;

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
        /// Says something to everyone in a room.
        13 => SayInRoom { room: String, text: String }
        /// Enters a room, which is made if there is none; 1 makes a private one.
        14 => JoinRoom { room: String, private: Option<u32> }
        /// Leaves a room.
        15 => LeaveRoom { room: String }
        /// Asks a user, through the server, to connect to us and to name this token.
        18 => ConnectToPeer { token: u32, user: String, kind: ConnectionKind }
        /// Says something to one user.
        22 => PrivateMessage { user: String, text: String }
        /// The message with this number arrived and need not be sent again.
        23 => AcknowledgeMessage { id: u32 }
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
        /// Likes a thing.
        51 => AddInterest { thing: String }
        /// Ends code 51.
        52 => RemoveInterest { thing: String }
        /// Asks for things that go with ours.
        54 => Recommendations {}
        /// Asks for our own likes.
        55 => OwnInterests {}
        /// Asks for what everybody likes.
        56 => GlobalRecommendations {}
        /// Asks what a user likes and dislikes.
        57 => UserInterests { user: String }
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
        /// Asks for users whose likes are like ours.
        110 => SimilarUsers {}
        /// Asks for things that go with a thing.
        111 => ThingRecommendations { thing: String }
        /// Asks for users who like a thing.
        112 => ThingSimilarUsers { thing: String }
        /// Puts a line of ours on a room's wall; an empty one takes it away.
        116 => SetTicker { room: String, ticker: String }
        /// Dislikes a thing.
        117 => AddDislike { thing: String }
        /// Ends code 117.
        118 => RemoveDislike { thing: String }
        /// Searches everyone in a room.
        120 => RoomSearch { room: String, token: u32, query: String }
        /// Speed of an upload that just ended, in bytes per second.
        121 => SendUploadSpeed { speed: u32 }
        /// Asks whether a user has privileges.
        122 => GetUserPrivileges { user: String }
        /// Gives days of our own privileges to a user.
        123 => GivePrivileges { user: String, days: u32 }
        /// Distance from the branch root.
        126 => BranchLevel { level: u32 }
        /// Name of the branch root.
        127 => BranchRoot { user: String }
        /// How many levels are below this client in the distributed network.
        129 => ChildDepth { depth: u32 }
        /// Lets a user into our private room.
        134 => AddRoomMember { room: String, user: String }
        /// Puts a user out of our private room.
        135 => RemoveRoomMember { room: String, user: String }
        /// Leaves the members of a private room.
        136 => DropMembership { room: String }
        /// Gives up a private room of ours.
        137 => DropOwnership { room: String }
        /// Whether room invitations are welcome.
        141 => EnableRoomInvitations { enable: bool }
        /// Changes our password.
        142 => ChangePassword { password: String }
        /// Makes a member an operator of our private room.
        143 => AddRoomOperator { room: String, user: String }
        /// Ends code 143.
        144 => RemoveRoomOperator { room: String, user: String }
        /// Says the same to several users.
        149 => MessageUsers { users: Vec<String>, text: String }
        /// Asks for what is said in all public rooms.
        150 => JoinGlobalRoom {}
        /// Ends code 150.
        151 => LeaveGlobalRoom {}
        /// Asks for searches that go with a query.
        153 => RelatedSearches { query: String }
        /// Tells a user, through the server, that the connection asked for by code 18 failed.
        1001 => CantConnectToPeer { token: u32, user: String }
    }
}
