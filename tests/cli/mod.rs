//! The command line as a person or a script meets it: what it prints and its exit codes.

mod chat;
mod fork;
mod replay;
mod sched;
mod searches;
mod shadow;
mod simulate;
mod views;

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use domain::{Decision, Envelope, Event};
use eventlog::Log;
use eventlog::history::{Header, HistoryReader, write_envelopes};
use loopback::album;
use loopback::metadata_server::Faults;
use loopback::world::World;
use serde_json::json;
use tempfile::TempDir;

use crate::album::support::{PATIENCE, ask, config, discs, honest, refusing};
use crate::binary::{self, reprise, serve};

fn run(arguments: &[&str]) -> Output {
    reprise().args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A demo, run once: the folder it has filled and what it said.
fn demo_run() -> &'static (TempDir, String) {
    static DEMO: OnceLock<(TempDir, String)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let output = run(&["demo", "--dir", text(dir.path())]);
        assert_eq!(code(&output), 0, "{}", errors(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for part in ["9 of 9 verified", "takeovers", "refused", "replay verify"] {
            assert!(said.contains(part), "{said}");
        }
        (dir, said)
    })
}

fn demo() -> &'static Path {
    demo_run().0.path()
}

fn history() -> Vec<Envelope> {
    let reader = HistoryReader::open(&demo().join("job-1.replay")).unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_demo_leaves_music_and_a_history_that_replays() {
    let album = demo().join("music/The Tin Orchard/Harbour Lights (1999)");
    assert_eq!(std::fs::read_dir(album).unwrap().count(), 9);
    for source in ["job-1.replay", "data"] {
        let output = run(&["replay", "verify", text(&demo().join(source))]);
        assert_eq!(code(&output), 0, "{}", errors(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("byte for byte the same"));
    }
    let output = run(&["replay", "show", text(&demo().join("job-1.replay"))]);
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(lines, history().len());
}

/// A history as lines.
fn shown(history: &Path) -> String {
    let output = run(&["replay", "show", text(history)]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    said(&output)
}

#[test]
fn the_demo_s_history_names_nobody_and_is_as_long_as_the_log() {
    let exported = shown(&demo().join("job-1.replay"));
    let log = shown(&demo().join("data"));
    for name in ["juniper", "marlow", "oskar", "pinch", "violet", "wren"] {
        assert!(log.contains(name), "{name}");
        assert!(!exported.contains(name), "{name}");
    }
    let kinds = |shown: &str| -> Vec<String> {
        let names = shown.lines().filter_map(|line| line[18..].split_whitespace().nth(1));
        names.map(str::to_owned).collect()
    };
    let (exported, log) = (kinds(&exported), kinds(&log));
    assert_eq!(exported, log[..exported.len()]);
    let output = run(&["replay", "verify", text(&demo().join("job-1.replay"))]);
    assert!(said(&output).contains("job 1, other names stand for people"), "{}", said(&output));
    assert!(said(&output).contains("every step asked for the same"), "{}", said(&output));
}

#[test]
fn histories_of_the_form_before_are_read() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/events/0001.history");
    let expected = std::fs::read_to_string(old.with_extension("txt")).unwrap();
    assert_eq!(shown(&old), expected);
}

/// The names of what a demo's summary tells, in order.
fn told(summary: &str) -> Vec<&str> {
    let indented = summary.lines().filter_map(|line| line.strip_prefix("  "));
    let names = indented.filter_map(|line| line.split("  ").next());
    names.skip_while(|name| *name != "tracks").take_while(|name| !name.contains(' ')).collect()
}

#[test]
fn the_readme_shows_what_the_demo_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let shown = told(&readme);
    assert_eq!(shown.len(), 6, "{shown:?}");
    assert_eq!(shown, told(&demo_run().1));
}

#[test]
fn a_decision_that_would_not_be_made_again_is_shown_and_exits_6() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.replay");
    let reader = HistoryReader::open(&demo().join("job-1.replay")).unwrap();
    let header = reader.header();
    let mut changed = None;
    let mut envelopes = history();
    for envelope in &mut envelopes {
        if let Event::Decision(Decision::RangeAssigned { overlap, .. }) = &mut envelope.event
            && changed.is_none()
        {
            *overlap += 1;
            changed = Some(envelope.seq);
        }
    }
    let events = envelopes.iter().map(|envelope| (envelope, None));
    write_envelopes(BufWriter::new(File::create(&path).unwrap()), header, events).unwrap();
    let output = run(&["replay", "verify", text(&path)]);
    assert_eq!(code(&output), 6);
    let said = errors(&output);
    for part in
        ["expected", "actual", "job ", "before", "cause", "overlap", &changed.unwrap().to_string()]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_damaged_history_is_an_error_that_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.replay");
    let mut bytes = std::fs::read(demo().join("job-1.replay")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = run(&["replay", "verify", text(&path)]);
    assert_eq!(code(&output), 1);
    assert!(errors(&output).contains("because"), "{}", errors(&output));
}

/// Any single byte of the journal may rot: the log is refused with a reason and a way out.
#[test]
fn a_damaged_log_is_refused_and_never_misread() {
    const JOURNAL: &str = "volumes/00000000000000000001.wal";
    let before = history();
    let log = demo().join("data/log");
    let journal = std::fs::read(log.join(JOURNAL)).unwrap();
    let end = journal.len() - journal.iter().rev().take_while(|byte| **byte == 0).count();
    for part in 0..24 {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("log");
        std::fs::create_dir_all(copy.join("volumes")).unwrap();
        std::fs::copy(log.join("mark"), copy.join("mark")).unwrap();
        let mut bytes = journal.clone();
        let at = end * part / 24;
        bytes[at] ^= 0x10;
        std::fs::write(copy.join(JOURNAL), bytes).unwrap();
        let output = run(&["replay", "show", text(dir.path())]);
        assert_eq!(code(&output), 5, "byte {at}: {}", errors(&output));
        assert!(errors(&output).contains("reprise log salvage"), "byte {at}");
    }
    // As it was, it reads without its store.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("log/volumes")).unwrap();
    std::fs::write(dir.path().join("log").join(JOURNAL), journal).unwrap();
    let output = run(&["replay", "show", text(dir.path())]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).lines().count() >= before.len());
}

/// Nothing is what every program agrees with.
#[test]
fn a_history_without_events_is_no_history_and_nothing_is_made_to_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("data/log"));
    std::fs::create_dir_all(&log).unwrap();
    let empty = dir.path().join("empty.replay");
    write_envelopes(File::create(&empty).unwrap(), &Header::default(), []).unwrap();
    // A node that never came to record anything.
    let unborn = dir.path().join("unborn");
    drop(Log::open(&unborn.join("log")).unwrap());
    for (source, words) in
        [(&data, "holds no event log"), (&empty, "no events"), (&unborn, "no events")]
    {
        for command in ["verify", "show"] {
            let output = run(&["replay", command, text(source)]);
            assert_eq!(code(&output), 3, "{command} {}", source.display());
            assert!(errors(&output).contains(words), "{}", errors(&output));
            assert!(output.stdout.is_empty(), "{output:?}");
        }
    }
    assert_eq!(std::fs::read_dir(log).unwrap().count(), 0);
}

#[test]
fn a_node_that_runs_is_suspected_only_where_the_log_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let open = Log::open(&dir.path().join("log")).unwrap();
    let output = run(&["replay", "verify", text(dir.path())]);
    assert_eq!(code(&output), 1);
    assert!(errors(&output).contains("still running?"), "{}", errors(&output));
    drop(open);
    // The end of the log is missing: its mark is that of a longer one.
    std::fs::copy(demo().join("data/log/mark"), dir.path().join("log/mark")).unwrap();
    let output = run(&["replay", "verify", text(dir.path())]);
    assert_eq!(code(&output), 5);
    let said = errors(&output);
    assert!(said.contains("the log is damaged") && !said.contains("running"), "{said}");
}

#[test]
fn a_mistake_in_the_configuration_is_shown_at_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yml");
    std::fs::write(&path, "data: d\nmusic: m\nsoulseek:\n  user: ada\n  pasword: x\n").unwrap();
    let output = run(&["serve", "--config", text(&path)]);
    assert_eq!(code(&output), 2);
    let said = errors(&output);
    assert!(said.contains("pasword") && said.contains("5"), "{said}");

    let account = "soulseek:\n  user: ada\n  password: x\n";
    let service = "musicbrainz:\n  url: musicbrainz.org\n";
    std::fs::write(&path, format!("data: d\nmusic: m\n{account}{service}")).unwrap();
    let output = run(&["serve", "--config", text(&path)]);
    assert_eq!(code(&output), 2);
    let said = errors(&output);
    assert!(said.contains("url: musicbrainz.org") && said.contains("https address"), "{said}");

    let output = run(&["serve", "--config", text(&dir.path().join("none.yml"))]);
    assert_eq!(code(&output), 2);
    assert!(errors(&output).contains("config.example.yml"), "{}", errors(&output));
}

#[test]
fn scripts_can_tell_failures_apart_by_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (_taken, nobody) = refusing();
    let output = run(&["job", "--api", &nobody.to_string(), "list"]);
    assert_eq!(code(&output), 4, "{}", errors(&output));
    assert!(errors(&output).contains("reprise serve"), "{}", errors(&output));
    assert_eq!(code(&run(&["replay", "verify", text(&dir.path().join("none"))])), 3);
    assert_eq!(code(&run(&["replay", "verify", text(dir.path())])), 3);
    assert_eq!(code(&run(&["no-such-command"])), 2);
}

#[test]
fn the_demo_never_empties_a_folder_of_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "mine").unwrap();
    let output = run(&["demo", "--dir", text(dir.path())]);
    assert_eq!(code(&output), 2);
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine");
}

#[test]
fn a_second_demo_in_a_folder_leaves_the_first_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mark, precious) = (dir.path().join(".reprise-demo"), dir.path().join("precious"));
    std::fs::write(&precious, "of the first").unwrap();
    let first = File::create(&mark).unwrap();
    first.lock().unwrap();
    let output = run(&["demo", "--dir", text(dir.path())]);
    assert_eq!(code(&output), 2);
    assert!(errors(&output).contains("another demo is running"), "{}", errors(&output));
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "of the first");
}

#[test]
fn an_api_for_everybody_is_wrong_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yml");
    let account = "soulseek:\n  user: ada\n  password: x\n";
    let api = "api:\n  listen: 0.0.0.0:0\n";
    std::fs::write(&path, format!("data: d\nmusic: m\n{account}{api}")).unwrap();
    let output = run(&["serve", "--config", text(&path)]);
    assert_eq!(code(&output), 2, "{}", errors(&output));
    assert!(errors(&output).contains("only loopback"), "{}", errors(&output));
    assert!(!dir.path().join("d").exists());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `reprise job` against a node: its exit code, and what it said either way.
fn job(api: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let output = run(&[&["job", "--api", &api.to_string()], arguments].concat());
    (code(&output), said(&output) + &errors(&output))
}

/// A finished job, as it was when nothing of it was known and when it was looked up.
fn assert_then(api: SocketAddr) {
    let before =
        (1..50u64).take_while(|at| job(api, &["show", "1", "--at", &at.to_string()]).0 == 3);
    let before = before.count() as u64;
    assert_job(api, &["show", "1", "--at", &before.to_string()], 3, "there is no job 1 at event");
    assert_job(api, &["show", "1", "--at", &(before + 1).to_string()], 0, "0/0 tracks");
    assert_job(api, &["show", "1", "--at", "999999"], 1, "is not recorded yet");
}

fn assert_job(api: SocketAddr, arguments: &[&str], code: i32, words: &str) {
    let (exited, said) = job(api, arguments);
    assert!(exited == code && said.contains(words), "{arguments:?}: exit code {exited}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_command_says_by_its_exit_code_what_became_of_it() {
    let mut world = World::empty(discs()).await.unwrap();
    let (manner, offers) = honest("ada", 50_000_000);
    world.join(manner, offers).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (node, api) = serve(&config(dir.path(), &world, "127.0.3.2:0"));

    assert_job(api, &["list"], 0, "no jobs yet");
    for command in ["show", "watch", "cancel", "retry"] {
        assert_job(api, &[command, "1"], 3, "there is no job 1");
    }
    assert_job(api, &["export-history", "1"], 3, "no such thing");
    assert_job(api, &["add", "hello"], 7, "neither a MusicBrainz release link");
    let artist = "https://musicbrainz.org/artist/0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";
    assert_job(api, &["add", artist], 7, "links to a MusicBrainz artist");

    let link = format!("https://musicbrainz.org/release/{}", album::RELEASE);
    assert_job(api, &["add", &link], 0, "job 1 was added");
    assert_job(api, &["show", "1"], 0, "job 1");
    assert_job(api, &["add", &link], 7, "job 1 already has this release");
    assert_job(api, &["watch", "1"], 0, "Harbour Lights: 9 of 9 tracks");
    assert_job(api, &["list"], 0, "9/9 tracks, completed");
    assert_job(api, &["show", "1"], 0, "01 - ");
    assert_then(api);
    assert_job(api, &["cancel", "1"], 7, "job 1 is over");
    assert_job(api, &["retry", "1"], 7, "hint");
    let history = dir.path().join("one history");
    assert_job(api, &["export-history", "1", "-o", text(&history)], 0, "one history'`");
    assert_eq!(code(&run(&["replay", "verify", text(&history)])), 0);
    assert!(!shown(&history).contains("slsk:ada"));
    let named = dir.path().join("named.replay");
    let export = ["export-history", "1", "--include-identities", "-o", text(&named)];
    assert_job(api, &export, 0, "named.replay");
    assert_eq!(code(&run(&["replay", "verify", text(&named)])), 0);
    assert!(shown(&named).contains("slsk:ada"));

    // A release that MusicBrainz does not know.
    assert_job(api, &["add", "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11"], 0, "job 2 was added");
    assert_job(api, &["watch", "2"], 6, "knows no release");
    // When it is asked again it has no time, so the job waits, and is nothing but waiting.
    world.metadata().set_faults(Faults {
        release_status: vec![503; 9],
        retry_after_s: Some(60),
        ..Faults::default()
    });
    assert_job(api, &["retry", "2"], 0, "job 2 tries again");
    assert_job(api, &["show", "2"], 0, "looking up");
    assert_job(api, &["cancel", "2"], 0, "job 2 was cancelled");
    assert_job(api, &["watch", "2"], 6, "cancelled");
    assert_eq!(node.end_with("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_kept_answers_until_it_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, api, _said) =
        binary::demo(&["--keep", "--dir", text(dir.path())], "The node goes on at");
    let data = ask(api, "{ node { session } jobs { nodes { state } } }", json!({})).await;
    assert_eq!(data["node"]["session"], "OPEN", "{data}");
    assert_eq!(data["jobs"]["nodes"], json!([{ "state": "COMPLETED" }]));
    assert_job(api, &["watch", "1"], 0, "9 of 9 tracks");
    assert_eq!(demo.end_with("INT"), Some(0));
}

/// Whoever cancels the demo's job is the only one who can keep its album from being complete.
#[test]
fn a_demo_whose_album_is_not_verified_exits_6() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, api, said) = binary::demo(&["--dir", text(dir.path())], "GraphQL is at");
    let start = std::time::Instant::now();
    while !job(api, &["list"]).1.contains("/9 tracks") {
        assert!(start.elapsed() < PATIENCE, "{:?}", job(api, &["list"]));
    }
    assert_job(api, &["cancel", "1"], 0, "was cancelled");
    let (code, said) = demo.end(said);
    assert!(said.contains(" of 9 verified") && !said.contains("9 of 9"), "{said}");
    assert_eq!(code, Some(6));
}

#[test]
fn a_tool_whose_reader_has_gone_ends_without_a_word() {
    let mut tool = reprise();
    tool.arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = tool.spawn().unwrap();
    drop(tool.stdout.take());
    let output = tool.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
