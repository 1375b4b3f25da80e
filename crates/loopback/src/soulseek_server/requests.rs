//! What the server does about each request. Codes it has no use for are ignored, as servers do.

use soulseek::wire::distributed::SEARCH_MARK;
use soulseek::wire::pack::Raw;
use soulseek::wire::{DistributedMessage, ServerMessage, ServerRequest};

use super::online::{State, Visit, World};
use super::tree;

/// Code of a search among the distributed messages.
const DISTRIBUTED_SEARCH: u8 = 3;
/// Longest query in bytes. SOULSEEK.md 2.8.
const LONGEST_QUERY: usize = 256;

pub(super) fn act(world: &World, visit: &Visit, request: ServerRequest) {
    let mut state = world.state();
    let user = &visit.user;
    let Some(visitor) = state.visitor(visit) else { return };
    match request {
        ServerRequest::SetWaitPort { port, obfuscation } => {
            visitor.port = port;
            if let Some(obfuscation) = obfuscation {
                visitor.obfuscation = obfuscation.kind;
                visitor.obfuscated_port = obfuscation.port;
            }
        }
        ServerRequest::SetStatus { status } => {
            visitor.status = u32::try_from(status).unwrap_or(0);
            state.tell_watchers(user);
        }
        ServerRequest::SharedFoldersFiles { folders, files } => {
            (visitor.stats.folders, visitor.stats.files) = (folders, files);
        }
        ServerRequest::SendUploadSpeed { speed } => state.upload_ended(user, speed),
        ServerRequest::HaveNoParent { .. }
        | ServerRequest::AcceptChildren { .. }
        | ServerRequest::BranchLevel { .. }
        | ServerRequest::BranchRoot { .. } => {
            if let Some(broken) = tree::note(visitor, request) {
                state.violations.push(format!("{user} {broken}"));
            }
        }
        ServerRequest::WatchUser { user: watched } => {
            visitor.watching.insert(watched.clone());
            let exists = state.knows(&watched);
            let told = exists.then(|| state.user_state(&watched));
            state.send(user, ServerMessage::WatchedUser { user: watched, exists, state: told });
        }
        ServerRequest::UnwatchUser { user: watched } => {
            visitor.watching.remove(&watched);
        }
        ServerRequest::GetUserStatus { user: asked } => state.send(user, state.status_of(&asked)),
        ServerRequest::GetUserStats { user: asked } => {
            let stats = state.user_state(&asked).stats;
            state.send(user, ServerMessage::UserStats { user: asked, stats });
        }
        ServerRequest::GetPeerAddress { user: asked } => state.send(user, address(&state, asked)),
        ServerRequest::ConnectToPeer { token, user: asked, kind } => {
            let relayed = ServerMessage::ConnectToPeer {
                user: user.clone(),
                kind,
                ip: visitor.ip,
                port: visitor.port,
                token,
                privileged: false,
                obfuscation: visitor.obfuscation,
                obfuscated_port: visitor.obfuscated_port,
            };
            state.send(&asked, relayed);
        }
        ServerRequest::CantConnectToPeer { token, user: asked } => {
            state.send(&asked, ServerMessage::CantConnectToPeer { token });
        }
        ServerRequest::FileSearch { token, query }
        | ServerRequest::WishlistSearch { token, query } => {
            if query.len() <= LONGEST_QUERY {
                spread_search(&state, user, token, &query);
            }
        }
        ServerRequest::UserSearch { user: asked, token, query } => {
            state.send(&asked, ServerMessage::FileSearch { user: user.clone(), token, query });
        }
        ServerRequest::PrivateMessage { user: to, text } => state.say(user, &[to], &text),
        ServerRequest::MessageUsers { users, text } => state.say(user, &users, &text),
        ServerRequest::AcknowledgeMessage { id } => state.acknowledged(user, id),
        ServerRequest::CheckPrivileges {} => {
            visitor.send(ServerMessage::CheckPrivileges { seconds: 0 });
        }
        ServerRequest::RoomList {}
        | ServerRequest::RoomSearch { .. }
        | ServerRequest::Ping {}
        | ServerRequest::EnableRoomInvitations { .. }
        | ServerRequest::Login { .. }
        | ServerRequest::Unknown { .. }
        // Rooms, interests and privileges are not kept here.
        | ServerRequest::SayInRoom { .. }
        | ServerRequest::JoinRoom { .. }
        | ServerRequest::LeaveRoom { .. }
        | ServerRequest::AddInterest { .. }
        | ServerRequest::RemoveInterest { .. }
        | ServerRequest::Recommendations {}
        | ServerRequest::OwnInterests {}
        | ServerRequest::GlobalRecommendations {}
        | ServerRequest::UserInterests { .. }
        | ServerRequest::SimilarUsers {}
        | ServerRequest::ThingRecommendations { .. }
        | ServerRequest::ThingSimilarUsers { .. }
        | ServerRequest::SetTicker { .. }
        | ServerRequest::AddDislike { .. }
        | ServerRequest::RemoveDislike { .. }
        | ServerRequest::GetUserPrivileges { .. }
        | ServerRequest::GivePrivileges { .. }
        | ServerRequest::ChildDepth { .. }
        | ServerRequest::AddRoomMember { .. }
        | ServerRequest::RemoveRoomMember { .. }
        | ServerRequest::DropMembership { .. }
        | ServerRequest::DropOwnership { .. }
        | ServerRequest::ChangePassword { .. }
        | ServerRequest::AddRoomOperator { .. }
        | ServerRequest::RemoveRoomOperator { .. }
        | ServerRequest::JoinGlobalRoom {}
        | ServerRequest::LeaveGlobalRoom {}
        | ServerRequest::RelatedSearches { .. } => {}
    }
}

/// Message 3; all zero for a user who is not online.
fn address(state: &State, user: String) -> ServerMessage {
    let online = state.online.get(&user);
    ServerMessage::PeerAddress {
        ip: online.map_or(std::net::Ipv4Addr::UNSPECIFIED, |online| online.ip),
        port: online.map_or(0, |online| online.port),
        obfuscation: online.map_or(0, |online| online.obfuscation),
        obfuscated_port: online
            .and_then(|online| u16::try_from(online.obfuscated_port).ok())
            .unwrap_or(0),
        user,
    }
}

/// Message 93 to everyone without a parent: each of them is the root of a branch, however small.
fn spread_search(state: &State, user: &str, token: u32, query: &str) {
    let search = DistributedMessage::Search {
        mark: SEARCH_MARK,
        user: user.to_owned(),
        token,
        query: query.to_owned(),
    };
    // An embedded message is the distributed one without its length and code.
    let body = search.encode_body();
    // The one who searches gets it, too: it may be the root of others.
    for online in state.online.values().filter(|online| online.branch.without_parent) {
        online.send(ServerMessage::EmbeddedMessage {
            code: DISTRIBUTED_SEARCH,
            body: Raw(body.clone()),
        });
    }
}
