//! The binary `reprise`, as `tests/run` built it beside the tests, and processes of it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A command that runs it.
pub(crate) fn reprise() -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    // target/<profile>/deps/all-… → target/<profile>/reprise
    path.pop();
    path.pop();
    path.push("reprise");
    assert!(path.exists(), "run tests/run, which builds it: {}", path.display());
    Command::new(path)
}

/// A running process; it does not outlive the test.
pub(crate) struct Process(Child);

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Sends a signal by its name and waits for the exit code.
    pub(crate) fn end_with(mut self, signal: &str) -> Option<i32> {
        let kill = format!("kill -{signal} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }

    /// Waits for its end: the exit code and what it still said.
    pub(crate) fn end(mut self, said: Said) -> (Option<i32>, String) {
        let said = said.map(Result::unwrap).collect::<Vec<_>>().join("\n");
        (self.0.wait().unwrap().code(), said)
    }
}

/// The lines of a process.
pub(crate) type Said = std::io::Lines<BufReader<Box<dyn Read + Send>>>;

/// Runs a demo until it says `words` and then where its API is; what it says next can be read on.
pub(crate) fn demo(arguments: &[&str], words: &str) -> (Process, SocketAddr, Said) {
    let mut demo = reprise();
    demo.arg("demo").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = demo.spawn().unwrap();
    let mut said = lines(child.stdout.take().unwrap());
    let api = address(&mut said, words);
    (Process(child), api, said)
}

/// Runs a node until its API listens.
pub(crate) fn serve(config: &Path) -> (Process, SocketAddr) {
    let mut serve = reprise();
    serve.args(["serve", "--config"]).arg(config).stderr(Stdio::piped());
    let mut child = serve.spawn().unwrap();
    let mut said = lines(child.stderr.take().unwrap());
    let api = address(&mut said, "listens at");
    // Read on, so that the node never waits for a reader.
    std::thread::spawn(move || said.for_each(drop));
    (Process(child), api)
}

fn lines(from: impl Read + Send + 'static) -> Said {
    BufReader::new(Box::new(from) as Box<dyn Read + Send>).lines()
}

/// The address behind the first `<words> http://`.
fn address(said: &mut Said, words: &str) -> SocketAddr {
    let begin = format!("{words} http://");
    loop {
        let line = said.next().expect("it ended before it listened").unwrap();
        if let Some(rest) = line.split(&begin).nth(1) {
            return rest.split('/').next().unwrap().parse().unwrap();
        }
    }
}
