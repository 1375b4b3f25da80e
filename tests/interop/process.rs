//! A real client as a child process: started, listened to, ended. It never outlives the test, and
//! what it wrote is shown when the test fails. What it does is in the scripts next to this file.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The longest that a client may take to say its next word.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a client's log that are worth reading after a failure.
const LINES_SHOWN: usize = 400;

/// The clients we test against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Aioslsk,
    Nicotine,
}

/// A running client.
pub(super) struct Process {
    user: String,
    child: Child,
    /// It serves until this closes.
    leash: Option<ChildStdin>,
    said: mpsc::UnboundedReceiver<String>,
    log: Arc<Mutex<Vec<String>>>,
}

/// A file that a client fetched.
pub(super) struct Fetched {
    pub(super) remote: String,
    pub(super) local: PathBuf,
}

/// Starts a client that shares a folder, and returns once others can find it.
pub(super) async fn share(kind: Kind, server: SocketAddr, user: &str, folder: &Path) -> Process {
    let mut process = Process::start(kind, "share", server, user, |command| {
        command.arg("--dir").arg(folder);
    });
    assert_eq!(process.next().await.as_deref(), Some("READY"));
    process
}

/// Lets a client search and fetch as many files as it should find at `source`.
pub(super) async fn fetch(
    kind: Kind,
    server: SocketAddr,
    user: &str,
    (query, count, source): (&str, usize, &str),
    folder: &Path,
) -> Vec<Fetched> {
    let mut process = Process::start(kind, "fetch", server, user, |command| {
        command.args(["--query", query, "--count", &count.to_string(), "--from", source]);
        command.arg("--out").arg(folder);
    });
    let mut fetched = Vec::new();
    while let Some(line) = process.next().await {
        let (remote, local) = line.strip_prefix("DONE ").unwrap().split_once('\t').unwrap();
        fetched.push(Fetched { remote: remote.to_owned(), local: local.into() });
    }
    process.ended_well().await;
    fetched
}

impl Process {
    fn start(
        kind: Kind,
        subcommand: &str,
        server: SocketAddr,
        user: &str,
        add: impl FnOnce(&mut Command),
    ) -> Self {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/interop/bin/python");
        assert!(Path::new(python).exists(), "no {python}: run tests/run, which installs it");
        let script = match kind {
            Kind::Aioslsk => "aioslsk_peer.py",
            Kind::Nicotine => "nicotine_peer.py",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(script);
        let mut command = Command::new(python);
        // A process group of its own, because a client may have children, too.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(script).args(["--verbose", subcommand]);
        command.args(["--server", &server.to_string(), "--user", user, "--password", "secret"]);
        command.args(["--listen", &free_address().to_string()]);
        add(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::default();
        let (tell, said) = mpsc::unbounded_channel();
        listen(child.stdout.take().unwrap(), Arc::clone(&log), Some(tell));
        listen(child.stderr.take().unwrap(), Arc::clone(&log), None);
        let leash = child.stdin.take();
        Self { user: user.to_owned(), child, leash, said, log }
    }

    /// The next line it says; `None` when it has said all.
    async fn next(&mut self) -> Option<String> {
        timeout(PATIENCE, self.said.recv()).await.expect("a client with something to say")
    }

    /// Tells it that it is no longer needed, and waits.
    pub(super) async fn stop(mut self) {
        self.leash = None;
        self.ended_well().await;
    }

    async fn ended_well(&mut self) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("an end").unwrap();
        assert!(status.success(), "{} ended with {status}", self.user);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.child.id() {
            let _ = std::process::Command::new("sh")
                .args(["-c", &format!("kill -s KILL -- -{group}")])
                .status();
        }
        if std::thread::panicking() {
            // Its last words may still be on their way.
            std::thread::sleep(Duration::from_millis(200));
            let log = self.log.lock().unwrap();
            let from = log.len().saturating_sub(LINES_SHOWN);
            eprintln!("-- what {} wrote:\n{}", self.user, log[from..].join("\n"));
        }
    }
}

fn listen(
    stream: impl AsyncRead + Unpin + Send + 'static,
    log: Arc<Mutex<Vec<String>>>,
    tell: Option<mpsc::UnboundedSender<String>>,
) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            log.lock().unwrap().push(line.clone());
            if let Some(tell) = &tell {
                let _ = tell.send(line);
            }
        }
    });
}

/// An address of its own and a port that is free on every address, because not every client can
/// bind one. Below the ports that the system gives to those who ask for any: none of them can take
/// it before the client does.
fn free_address() -> SocketAddr {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 500).unwrap() * 20;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (first + number) % 10_000;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            let [_, last] = number.to_be_bytes();
            return SocketAddr::from(([127, 0, 4, last.max(1)], port));
        }
    }
}
