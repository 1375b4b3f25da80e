//! A served API over a log and views in a temporary folder. Commands are answered by a function of
//! the test, which stands where the engine would; what happens is appended by the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{ApiState, Asked, Inbox, Question, Questions, Receipt};
use domain::search_queue::QueuedSearch;
use domain::{Command, Decision, Event, Input, JobId, SearchQueue, Seq, Timestamp, TrackKey};
use eventlog::{Log, Reader, Record, Step};
use projections::chat::Chat;
use projections::jobs::Jobs;
use projections::search::Search;
use projections::trace::Trace;
use projections::{ApplyError, Follower, Projection, Store};
use replay::shadow::Board;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A running API; it ends when dropped.
pub struct Node {
    pub address: String,
    log: Arc<Mutex<Log>>,
    _running: oneshot::Sender<()>,
    _followers: [Follower; 4],
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
        Self::start_odd(decide, Odd { late, ..Odd::default() }).await
    }

    /// A node whose views do not know the type of one event.
    pub async fn start_without(decide: fn(&Command) -> Vec<Decision>, unknown: u64) -> Self {
        let unknown = Some(Seq(unknown));
        Self::start_odd(decide, Odd { unknown, ..Odd::default() }).await
    }

    async fn start_odd(decide: fn(&Command) -> Vec<Decision>, odd: Odd) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (log, reader) = Log::open(&dir.path().join("log")).unwrap();
        let log = Arc::new(Mutex::new(log));
        let (commands, mut asked) = mpsc::channel::<Asked>(8);
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Some(Asked { command, reply, .. }) = asked.recv().await {
                let decisions = decide(&command);
                let seq = append(&written, Input::Command(command), &decisions);
                let _ = reply.send(Ok(Receipt { seq, decisions }));
            }
        });
        let (state, followers) = views(dir.path(), reader, Inbox::new(commands), odd);
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

/// What is odd about a node's views.
#[derive(Clone, Copy, Default)]
pub struct Odd {
    /// Each batch takes that long.
    late: Duration,
    /// An event as a newer program would write it.
    unknown: Option<Seq>,
}

/// A read model that is odd.
struct Oddly<P>(P, Odd);

impl<P: Projection> Projection for Oddly<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: u32 = P::VERSION;
    const READABLE_SINCE: u32 = P::READABLE_SINCE;

    type Rows = P::Rows;

    fn rows(&self) -> &P::Rows {
        self.0.rows()
    }

    fn over(&self, rows: P::Rows) -> Self {
        Self(self.0.over(rows), self.1)
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError> {
        std::thread::sleep(self.1.late);
        let mut batch = batch.to_vec();
        for record in batch.iter_mut().filter(|record| Some(record.seq) == self.1.unknown) {
            record.schema.kind = 999;
        }
        self.0.apply(&batch)
    }
}

/// Questions, answered by the test, which stands where the engine would.
fn questions() -> Questions {
    let (questions, mut asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Question::Searches(reply)) = asked.recv().await {
            let track = TrackKey { job: JobId(3), index: 1 };
            let search = |track, query: &str, not_before| QueuedSearch {
                job: JobId(3),
                track,
                query: query.into(),
                not_before,
            };
            let queue = SearchQueue {
                at: Timestamp(9_000_000),
                session: true,
                sent: 33,
                most: 34,
                window_ms: 220_000,
                open_most: 2,
                open: vec![search(None, "ada engine", None)],
                waiting: vec![search(Some(track), "ada loops", Some(Timestamp(10_000_000)))],
                unlisted: 4,
            };
            let _ = reply.send(queue);
        }
    });
    Questions::new(questions)
}

/// What an API is given, over a log in the same folder.
pub fn views(
    dir: &std::path::Path,
    reader: Reader,
    inbox: Inbox,
    odd: Odd,
) -> (ApiState, [Follower; 4]) {
    let store = Store::open(&dir.join("views")).unwrap();
    let (jobs, jobs_view) = Jobs::open(&store).unwrap();
    let (trace, trace_view) = Trace::open(&store, reader.clone()).unwrap();
    let (chat, chat_view) = Chat::open(&store).unwrap();
    let (search, search_view) = Search::open(&dir.join("search")).unwrap();
    let followers = [
        Follower::start(Oddly(jobs, odd), reader.clone(), |error| panic!("{error}")).unwrap(),
        Follower::start(Oddly(trace, odd), reader.clone(), |error| panic!("{error}")).unwrap(),
        Follower::start(Oddly(chat, odd), reader.clone(), |error| panic!("{error}")).unwrap(),
        Follower::start(Oddly(search, odd), reader.clone(), |error| panic!("{error}")).unwrap(),
    ];
    let state = ApiState {
        inbox,
        questions: questions(),
        log: reader,
        jobs: jobs_view,
        trace: trace_view,
        chat: chat_view,
        search: search_view,
        followers: followers.iter().map(Follower::control).collect(),
        shadow: Board::default(),
        engine: 7,
        build: "test build".into(),
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
