//! The distributed search network on real sockets: clients of ours that form a tree, and neighbours
//! made of bare sockets as no honest client would be.

use soulseek::wire::DistributedMessage;
use soulseek::wire::distributed::SEARCH_MARK;
use tokio::net::TcpSocket;

use super::bare::{Bare, Searcher, remember_speed, until};
use super::*;

/// The upload speed for which the loopback server allows one child.
pub(super) const ONE_CHILD: u32 = 5 * 1_024;

/// Level and root of a user, while they have a parent or are alone.
fn place(server: &SoulseekServer, user: &str) -> (bool, u32, String) {
    let branches = server.branches();
    let branch = branches.iter().find(|branch| branch.user == user).expect("online");
    (branch.without_parent, branch.level, branch.root.clone())
}

fn is_root(server: &SoulseekServer, user: &str) -> bool {
    place(server, user) == (true, 0, user.to_owned())
}

/// A client that may have this many children and shares what the searcher wants.
pub(super) async fn member(
    server: &SoulseekServer,
    user: &str,
    last: u8,
    children: u32,
) -> (Client, EventReceiver) {
    remember_speed(server, user, &format!("{user}'s secret"), ONE_CHILD * children).await;
    let folder = Folder::new().with(SONG, 10);
    Client::login(config(server, user, last), folder.shares()).await.unwrap()
}

/// Root, middle and leaf, wherever they ended up.
pub(super) fn is_chain(server: &SoulseekServer, users: &[&str]) -> bool {
    let mut levels: Vec<_> = users.iter().map(|user| place(server, user)).collect();
    levels.sort_by_key(|(_, level, _)| *level);
    levels.iter().enumerate().all(|(depth, (without, level, root))| {
        *without == (depth == 0) && *level == depth as u32 && root == users[0]
    })
}

#[tokio::test]
async fn three_clients_form_a_tree_and_every_search_reaches_each_of_them_once() {
    let server = server().await;
    let _members = (
        member(&server, "ada", 2, 1).await,
        member(&server, "bo", 3, 1).await,
        member(&server, "cy", 4, 1).await,
    );
    let mut searcher = Searcher::log_in(&server).await;
    searcher.search_until(|| is_chain(&server, &["ada", "bo", "cy"])).await;
    assert_eq!(searcher.answerers(3).await, ["ada", "bo", "cy"]);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn who_loses_its_parent_becomes_a_root_and_keeps_its_children() {
    let server = server().await;
    let (ada, _events) = member(&server, "ada", 2, 1).await;
    let _others = (member(&server, "bo", 3, 1).await, member(&server, "cy", 4, 1).await);
    let mut searcher = Searcher::log_in(&server).await;
    searcher.search_until(|| is_chain(&server, &["ada", "bo", "cy"])).await;
    let middle = if place(&server, "bo").1 == 1 { "bo" } else { "cy" };
    let leaf = if middle == "bo" { "cy" } else { "bo" };
    ada.close().await;
    until(|| is_chain(&server, &[middle, leaf])).await;
    assert_eq!(searcher.answerers(2).await, ["bo", "cy"]);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn who_loses_its_parent_finds_another() {
    let server = server().await;
    let _root = member(&server, "ada", 2, 1).await;
    let (bo, _events) = member(&server, "bo", 3, 1).await;
    let mut searcher = Searcher::log_in(&server).await;
    searcher.search_until(|| is_chain(&server, &["ada", "bo"])).await;
    let _leaf = member(&server, "cy", 4, 1).await;
    searcher.search_until(|| is_chain(&server, &["ada", "bo", "cy"])).await;
    bo.close().await;
    searcher.search_until(|| is_chain(&server, &["ada", "cy"])).await;
    assert_eq!(searcher.answerers(2).await, ["ada", "cy"]);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn after_a_reset_everybody_is_a_root_and_the_tree_grows_again() {
    let server = server().await;
    let _members = (member(&server, "ada", 2, 1).await, member(&server, "bo", 3, 1).await);
    let mut searcher = Searcher::log_in(&server).await;
    for _ in 0..2 {
        searcher.search_until(|| is_chain(&server, &["ada", "bo"])).await;
        server.reset_distributed();
        until(|| {
            let mut branches = server.branches().into_iter();
            branches.all(|branch| !branch.accepts_children)
                && is_root(&server, "ada")
                && is_root(&server, "bo")
        })
        .await;
        assert_eq!(searcher.answerers(2).await, ["ada", "bo"]);
    }
}

#[tokio::test]
async fn who_may_have_no_children_takes_none() {
    let server = server().await;
    let _slow = member(&server, "ada", 2, 0).await;
    let (bo, _events) = member(&server, "bo", 3, 1).await;
    let mut searcher = Searcher::log_in(&server).await;
    let accepts = |user: &str| {
        server.branches().iter().any(|branch| branch.user == user && branch.accepts_children)
    };
    searcher.search_until(|| accepts("bo")).await;
    assert!(!accepts("ada"));
    // One more than it may have is turned away, and the first one stays.
    let mut first = below(bo.listen_addr(), "cy").await;
    assert_eq!(next(&mut first).await, DistributedMessage::BranchLevel { level: 0 });
    let mut second = below(bo.listen_addr(), "di").await;
    assert!(gone(&mut second).await);
    assert_eq!(next(&mut first).await, DistributedMessage::BranchRoot { user: "bo".to_owned() });
}

/// A connection to a parent that we would be a child of.
async fn below(parent: SocketAddr, user: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // What a parent writes soon has nowhere to go.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(parent).await.unwrap();
    let kind = ConnectionKind::Distributed;
    let hello = PeerInit::Hello { user: user.to_owned(), kind, number: 0 };
    write_all(&mut stream, &hello.encode()).await.unwrap();
    stream
}

async fn next(stream: &mut TcpStream) -> DistributedMessage {
    let frame = read_frame(stream, Channel::Distributed, LIMIT).await.unwrap();
    DistributedMessage::decode(frame.code, &frame.body).unwrap()
}

/// Whether the other side closes without another word.
async fn gone(stream: &mut TcpStream) -> bool {
    let mut said = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut said)).await.expect("it lets go");
    said.is_empty()
}

fn search(token: u32, query: &str) -> Vec<u8> {
    let (mark, user, query) = (SEARCH_MARK, "zoe".to_owned(), query.to_owned());
    DistributedMessage::Search { mark, user, token, query }.encode()
}

fn level(level: i32) -> Vec<u8> {
    DistributedMessage::BranchLevel { level }.encode()
}

fn root(user: &str) -> Vec<u8> {
    DistributedMessage::BranchRoot { user: user.to_owned() }.encode()
}

/// Somebody the server offers as a parent.
async fn offered(server: &SoulseekServer, user: &str) -> Bare {
    let mut bare = Bare::log_in(server, user, "x").await;
    bare.say(ServerRequest::SendUploadSpeed { speed: 1 << 20 }).await;
    bare.say(ServerRequest::AcceptChildren { accept: true }).await;
    bare
}

#[tokio::test]
async fn a_parent_without_manners_is_left() {
    let server = server().await;
    let mallory = offered(&server, "mallory").await;
    let _bo = member(&server, "bo", 3, 1).await;
    let pings = DistributedMessage::Ping {}.encode().repeat(1_000);
    let oversize = [&[0xff; 4][..], &[3]].concat();
    let strange = [
        oversize.clone(),
        pings.clone(),
        level(-1),
        level(i32::MAX),
        [level(1), root("bo")].concat(),
    ];
    for manners in &strange {
        let mut child = mallory.child().await;
        let _ = child.write_all(manners).await;
        assert!(gone(&mut child).await);
        assert!(is_root(&server, "bo"));
    }
    // The same once it is the parent.
    for (token, manners) in (1..).zip(&strange) {
        let mut child = mallory.child().await;
        write_all(&mut child, &[level(0), search(token, "x")].concat()).await.unwrap();
        until(|| place(&server, "bo") == (false, 1, "mallory".to_owned())).await;
        let _ = child.write_all(manners).await;
        assert!(gone(&mut child).await);
        until(|| is_root(&server, "bo")).await;
    }
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_child_that_does_not_read_is_left_and_the_others_miss_nothing() {
    let server = server().await;
    let parent = offered(&server, "parent").await;
    let (bo, _events) = member(&server, "bo", 3, 2).await;
    let mut parent = parent.child().await;
    write_all(&mut parent, &[level(0), search(0, "x")].concat()).await.unwrap();
    until(|| server.branches().iter().any(|branch| branch.user == "bo" && branch.accepts_children))
        .await;

    let mut honest = below(bo.listen_addr(), "honest").await;
    assert_eq!(next(&mut honest).await, DistributedMessage::BranchLevel { level: 1 });
    let mut idle = below(bo.listen_addr(), "idle").await;
    assert_eq!(next(&mut idle).await, DistributedMessage::BranchLevel { level: 1 });
    let parents = DistributedMessage::BranchRoot { user: "parent".to_owned() };
    assert_eq!(next(&mut honest).await, parents);
    let full = || {
        let branches = server.branches();
        branches.iter().any(|branch| branch.user == "bo" && !branch.accepts_children)
    };
    until(full).await;

    let long = "x".repeat(900);
    let mut token = 0;
    let feeding = async {
        // Until there is room for another child.
        while full() {
            for _ in 0..100 {
                token += 1;
                let frame = search(token, &long);
                write_all(&mut parent, &frame).await.unwrap();
                let passed_on = read_frame(&mut honest, Channel::Distributed, LIMIT).await.unwrap();
                let same = [&(frame.len() as u32 - 4).to_le_bytes()[..], &[3], &passed_on.body];
                assert_eq!(same.concat(), frame, "the very bytes");
            }
        }
    };
    timeout(LIMIT, feeding).await.expect("the one that does not read is left");
    let mut other = below(bo.listen_addr(), "other").await;
    assert_eq!(next(&mut other).await, DistributedMessage::BranchLevel { level: 1 });
}

#[tokio::test]
async fn the_server_notices_who_breaks_the_rules() {
    let server = server().await;
    let mut mallory = Bare::log_in(&server, "mallory", "x").await;
    for request in [
        ServerRequest::BranchLevel { level: 1 },
        ServerRequest::BranchRoot { user: "mallory".to_owned() },
        ServerRequest::SendUploadSpeed { speed: 1_023 },
        ServerRequest::AcceptChildren { accept: true },
    ] {
        mallory.say(request).await;
    }
    until(|| server.violations().len() == 2).await;
    assert_eq!(
        server.violations(),
        ["mallory is its own ancestor", "mallory takes children without the speed for it"]
    );
}
