//! Users made of bare sockets: one whose requests a test writes, and one who stands outside the tree,
//! searches, and counts the answers.

use std::collections::BTreeMap;

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;

/// Somebody made of bare sockets who is logged in.
pub(super) struct Bare {
    server: OwnedWriteHalf,
    listener: TcpListener,
    /// What the server says is read, and forgotten.
    _reading: JoinSet<()>,
}

impl Bare {
    pub(super) async fn log_in(server: &SoulseekServer, user: &str, password: &str) -> Bare {
        // The server sees the plain loopback address, so that is where it must listen.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(server.addr()).await.unwrap();
        let (mut reading, writing) = stream.into_split();
        let mut bare = Bare { server: writing, listener, _reading: JoinSet::new() };
        let port = u32::from(bare.listener.local_addr().unwrap().port());
        bare.say(ServerRequest::Login {
            user: user.to_owned(),
            password: password.to_owned(),
            major: 177,
            digest: soulseek::md5_hex(&format!("{user}{password}")),
            minor: 1,
        })
        .await;
        bare.say(ServerRequest::SetWaitPort { port, obfuscation: None }).await;
        // Comes back, and by then everything before it is known to the server.
        bare.say(ServerRequest::GetPeerAddress { user: user.to_owned() }).await;
        while read_frame(&mut reading, Channel::FromServer, LIMIT).await.unwrap().code != 3 {}
        bare._reading.spawn(async move {
            while read_frame(&mut reading, Channel::FromServer, LIMIT).await.is_ok() {}
        });
        bare
    }

    pub(super) async fn say(&mut self, request: ServerRequest) {
        write_all(&mut self.server, &request.encode()).await.unwrap();
    }

    /// The next distributed connection that somebody opens to us.
    pub(super) async fn child(&self) -> TcpStream {
        let accepting = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let hello = read_frame(&mut stream, Channel::Init, LIMIT).await.unwrap();
            let hello = PeerInit::decode(hello.code, &hello.body).unwrap();
            let kind = ConnectionKind::Distributed;
            assert!(matches!(hello, PeerInit::Hello { kind: wanted, .. } if wanted == kind));
            stream
        };
        timeout(LIMIT, accepting).await.expect("a child in time")
    }
}

/// Lets the server know how fast a user uploads, as an earlier session of that user would have.
pub(super) async fn remember_speed(
    server: &SoulseekServer,
    user: &str,
    password: &str,
    speed: u32,
) {
    let mut earlier = Bare::log_in(server, user, password).await;
    earlier.say(ServerRequest::SendUploadSpeed { speed }).await;
    drop(earlier);
    until(|| server.branches().iter().all(|branch| branch.user != user)).await;
}

/// Somebody who stands outside the tree, searches, and counts the answers.
pub(super) struct Searcher {
    bare: OwnedWriteHalf,
    token: u32,
    answers: mpsc::UnboundedReceiver<(u32, String)>,
    heard: BTreeMap<u32, Vec<String>>,
    _tasks: JoinSet<()>,
}

impl Searcher {
    pub(super) async fn log_in(server: &SoulseekServer) -> Searcher {
        let mut bare = Bare::log_in(server, "searcher", "x").await;
        bare.say(ServerRequest::HaveNoParent { without: false }).await;
        let (tell, answers) = mpsc::unbounded_channel();
        let Bare { server: bare, listener, _reading: mut tasks } = bare;
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                peers.spawn(async move {
                    if read_frame(&mut stream, Channel::Init, LIMIT).await.is_err() {
                        return;
                    }
                    while let Ok(frame) = read_frame(&mut stream, Channel::Peer, LIMIT).await {
                        if let Ok(PeerMessage::SearchAnswer { answer }) =
                            PeerMessage::decode(frame.code, &frame.body)
                        {
                            let _ = tell.send((answer.token, answer.user));
                        }
                    }
                });
            }
        });
        Searcher { bare, token: 0, answers, heard: BTreeMap::new(), _tasks: tasks }
    }

    /// Searches; the token is returned.
    pub(super) async fn search(&mut self) -> u32 {
        self.token += 1;
        let query = "loveless".to_owned();
        let request = ServerRequest::FileSearch { token: self.token, query };
        write_all(&mut self.bare, &request.encode()).await.unwrap();
        self.token
    }

    /// Searches until the tree is as it should be: a client knows its parent by its first search.
    pub(super) async fn search_until(&mut self, done: impl Fn() -> bool) {
        let searching = async {
            while !done() {
                self.search().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(LIMIT, searching).await.is_err() {
            panic!("the tree does not become what it should");
        }
    }

    /// Who answers a search, sorted, once for each answer.
    pub(super) async fn answerers(&mut self, count: usize) -> Vec<String> {
        let first = self.search().await;
        self.wait_for(first, count).await;
        // A copy on another way would have come before the answers to the next search.
        let second = self.search().await;
        self.wait_for(second, count).await;
        let mut users = self.heard[&first].clone();
        users.sort();
        users
    }

    async fn wait_for(&mut self, token: u32, count: usize) {
        while self.heard.get(&token).map_or(0, Vec::len) < count {
            let (token, user) =
                timeout(LIMIT, self.answers.recv()).await.expect("an answer in time").unwrap();
            self.heard.entry(token).or_default().push(user);
        }
    }
}

/// Polls until something is so.
pub(super) async fn until(done: impl Fn() -> bool) {
    let polling = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, polling).await.expect("it becomes so in time");
}
