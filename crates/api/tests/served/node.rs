//! A served API over a log in a temporary folder. Commands are answered by a function of the test,
//! which stands where the engine would.

use api::{ApiState, Asked, Inbox, Receipt};
use domain::{Command, Decision, Seq};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A running API; it ends when dropped.
pub struct Node {
    pub address: String,
    _dir: tempfile::TempDir,
    _log: eventlog::Log,
    _running: oneshot::Sender<()>,
}

/// An answer as it came over the socket.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Node {
    pub async fn start(decide: fn(&Command) -> Vec<Decision>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (log, reader) = eventlog::Log::open(dir.path()).unwrap();
        let (commands, mut asked) = mpsc::channel::<Asked>(8);
        tokio::spawn(async move {
            let mut seq = 0;
            while let Some(Asked { command, reply }) = asked.recv().await {
                let decisions = decide(&command);
                seq += 1 + decisions.len() as u64;
                let _ = reply.send(Receipt { seq: Seq(seq), decisions });
            }
        });
        let state = ApiState {
            inbox: Inbox::new(commands),
            log: reader,
            engine: 1,
            hosts: vec!["music.example".into()],
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(api::serve(listener, state, async {
            let _ = ended.await;
        }));
        Self { address, _dir: dir, _log: log, _running: running }
    }

    /// Sends a request whose head is written out, all but length and end of connection.
    pub async fn send(&self, head: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let head = head.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
        let request =
            format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).await.unwrap();
        read(&mut socket).await
    }

    /// Posts a GraphQL document the usual way.
    pub async fn ask(&self, query: &str) -> serde_json::Value {
        let body = serde_json::json!({ "query": query }).to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\nHost: {}\nContent-Type: application/json",
            self.address
        );
        serde_json::from_str(&self.send(&head, &body).await.body).unwrap()
    }
}

/// Reads an answer to the end of the connection.
pub async fn read(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
