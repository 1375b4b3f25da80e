//! A served API over a log and views in a temporary folder. Commands are answered by a function of
//! the test, which stands where the engine would; what happens is appended by the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{ApiState, Asked, Inbox, Receipt};
use domain::{Command, Decision, Envelope, Event, Input, Seq, Timestamp};
use eventlog::{Log, LogId, Reader, Step};
use projections::jobs::Jobs;
use projections::trace::Trace;
use projections::{ApplyError, Checkpoint, Follower, Projection, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A running API; it ends when dropped.
pub struct Node {
    pub address: String,
    log: Arc<Mutex<Log>>,
    _running: oneshot::Sender<()>,
    _followers: [Follower; 2],
    _dir: tempfile::TempDir,
}

/// An answer as it came over the socket.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// The body before it was taken for text.
    pub raw_body: Vec<u8>,
}

impl Node {
    pub async fn start(decide: fn(&Command) -> Vec<Decision>) -> Self {
        Self::start_late(decide, Duration::ZERO).await
    }

    /// A node whose views are `late` with whatever happens.
    pub async fn start_late(decide: fn(&Command) -> Vec<Decision>, late: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (log, reader) = Log::open(&dir.path().join("log")).unwrap();
        let log = Arc::new(Mutex::new(log));
        let (commands, mut asked) = mpsc::channel::<Asked>(8);
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Some(Asked { command, reply }) = asked.recv().await {
                let decisions = decide(&command);
                let seq = append(&written, Input::Command(command), &decisions);
                let _ = reply.send(Receipt { seq, decisions });
            }
        });
        let (state, followers) = views(dir.path(), reader, Inbox::new(commands), late);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(api::serve(listener, state, async {
            let _ = ended.await;
        }));
        Self { address, log, _running: running, _followers: followers, _dir: dir }
    }

    /// Records an input and what was concluded from it; the position of the last of these events.
    pub fn happens(&self, input: Input, decisions: &[Decision]) -> Seq {
        append(&self.log, input, decisions)
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

/// A read model that takes its time.
struct Late<P>(P, Duration);

impl<P: Projection> Projection for Late<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: u32 = P::VERSION;

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ApplyError> {
        self.0.checkpoint()
    }

    fn reset(&mut self, log: LogId) -> Result<(), ApplyError> {
        self.0.reset(log)
    }

    fn apply(&mut self, batch: &[Envelope]) -> Result<(), ApplyError> {
        std::thread::sleep(self.1);
        self.0.apply(batch)
    }
}

/// What an API is given, over a log in the same folder.
pub fn views(
    dir: &std::path::Path,
    reader: Reader,
    inbox: Inbox,
    late: Duration,
) -> (ApiState, [Follower; 2]) {
    let store = Store::open(&dir.join("views")).unwrap();
    let (jobs, jobs_view) = Jobs::open(&store).unwrap();
    let (trace, trace_view) = Trace::open(&store, reader.clone()).unwrap();
    let followers = [
        Follower::start(Late(jobs, late), reader.clone(), |error| panic!("{error}")).unwrap(),
        Follower::start(Late(trace, late), reader.clone(), |error| panic!("{error}")).unwrap(),
    ];
    let state = ApiState {
        inbox,
        log: reader,
        jobs: jobs_view,
        trace: trace_view,
        engine: 7,
        hosts: vec!["music.example".into()],
    };
    (state, followers)
}

fn append(log: &Mutex<Log>, input: Input, decisions: &[Decision]) -> Seq {
    let events: Vec<Event> = std::iter::once(Event::Input(input))
        .chain(decisions.iter().cloned().map(Event::Decision))
        .collect();
    let step = Step::new(Timestamp(1_000_000), &events);
    let positions = log.lock().unwrap().append(&[step]).unwrap();
    Seq(positions.end.0 - 1)
}

/// Reads an answer to the end of the connection.
pub async fn read(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = (head.to_ascii_lowercase(), body.to_owned());
    Answer { status, raw_body: bytes.split_off(head.len() + 4), head, body }
}
