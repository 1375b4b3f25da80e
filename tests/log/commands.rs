//! `reprise log`: what each command says and its exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use domain::{Event, Input, JobId, Observation, PeerId, Timestamp};
use eventlog::{Limits, Log, Step};

use super::{somewhere, text};
use crate::binary::reprise;

fn run(arguments: &[&str]) -> Output {
    reprise().arg("log").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[track_caller]
fn expect(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let output = run(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    said
}

/// Thirty events in three volumes, about two jobs and a peer.
fn fill(dir: &Path) {
    let limits = Limits { volume_events: 10, volume_bytes: u64::MAX };
    let (mut log, _reader) = Log::open_with(dir, limits).unwrap();
    for number in 0..10u32 {
        let (peer, path) = (PeerId::Soulseek("ada".into()), "x".repeat(100));
        let sent = Observation::UploadEnded { peer, path, sent_bytes: 1, complete: true };
        let retry = domain::Command::RetryJob { job: JobId(number % 2 + 1) };
        let (sent, retry) =
            ([Event::Input(Input::Observation(sent))], [Event::Input(Input::Command(retry))]);
        let at = Timestamp(1_700_000_000_000_000 + u64::from(number));
        log.append(&[Step::new(at, &sent), Step::new(at, &retry), Step::new(at, &sent)]).unwrap();
    }
}

fn volume(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("volumes/{first:020}.vol"))
}

#[test]
fn a_whole_log_is_verified_counted_exported_copied_and_put_back() {
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&at.path().join(name)).to_owned();
    let (log, copy, again) = (path("log"), path("copy"), path("again"));
    fill(&at.path().join("log"));
    let verified =
        expect(&["verify", "--dir", &log], 0, &["all 30 events in 10 blocks of 3 volumes"]);
    expect(&["stats", "--dir", &log], 0, &["events   30", "streams  3", "Command::RetryJob (3.1)"]);
    expect(&["backup", "--dir", &log, "--to", &copy], 0, &["copied and checked 30 events"]);
    expect(&["backup", "--dir", &log, "--to", &copy], 1, &["is not empty"]);
    expect(&["restore", "--from", &copy, "--dir", &again], 0, &["has 30 events"]);
    // A copy is the same log: its last hash stands for all of it.
    assert_eq!(head(&verified), head(&expect(&["verify", "--dir", &again], 0, &["all 30 events"])));
    assert_eq!(head(&verified), head(&expect(&["verify", "--dir", &copy], 0, &["all 30 events"])));

    let (whole, job) = (path("whole.replay"), path("job.replay"));
    expect(&["export", "--dir", &log, "--out", &whole], 0, &["wrote 30 events"]);
    expect(&["export", "--dir", &log, "--out", &whole], 1, &["cannot make"]);
    let only = ["export", "--dir", &log, "--out", &job, "--job", "2", "--from", "7"];
    expect(&only, 0, &["wrote 4 events"]);
    let new = path("new");
    expect(&["import", &whole, "--dir", &new], 0, &["has 30 events"]);
    expect(&["import", &whole, "--dir", &new], 1, &["there is a log already"]);
    assert_eq!(
        expect(&["dump", "--dir", &log], 0, &["29 "]),
        expect(&["dump", "--dir", &new], 0, &["29 "])
    );
    let holed = path("holed");
    expect(&["import", &job, "--dir", &holed], 0, &["has 0 events", "event 1 is missing"]);
}

fn head(said: &str) -> &str {
    said.lines().find_map(|line| line.strip_prefix("head ")).unwrap()
}

#[test]
fn damage_is_named_and_what_it_spared_is_got_out() {
    let at = tempfile::tempdir().unwrap();
    let dir = at.path().join("log");
    fill(&dir);
    let mut bytes = fs::read(volume(&dir, 13)).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(volume(&dir, 13), bytes).unwrap();
    let hint = "reprise log salvage";
    let said = expect(&["verify", "--dir", text(&dir)], 5, &["event 1", "checksum", hint]);
    assert!(said.contains("event 1"), "{said}");
    let out = at.path().join("out.replay");
    let salvage = ["salvage", "--dir", text(&dir), "--out", text(&out)];
    expect(&salvage, 5, &["29 events came out", "is damaged and lost", "event 30"]);
    expect(&salvage, 1, &["cannot make"]);
    // A replay needs them all, and says which one it misses.
    let new = at.path().join("new");
    expect(&["import", text(&out), "--dir", text(&new)], 0, &["is missing", "left out"]);
}

#[test]
fn whoever_is_forgotten_is_in_no_file() {
    let at = tempfile::tempdir().unwrap();
    let dir = at.path().join("log");
    let log = text(&dir).to_owned();
    fill(&dir);
    // Views are known by what is in them; what is called so and is something else is left alone.
    for (folder, mark) in [("views", "conf"), ("search", "other")] {
        fs::create_dir(at.path().join(folder)).unwrap();
        fs::write(at.path().join(folder).join(mark), if folder == "views" { "ada" } else { "" })
            .unwrap();
    }
    let before = expect(&["verify", "--dir", &log], 0, &["all 30 events"]);
    assert!(somewhere(at.path(), b"ada") && somewhere(&dir, &[b'x'; 100]));
    expect(&["forget", "--dir", &log, "--peer", "slsk:eve"], 3, &["tells of no peer slsk:eve"]);
    expect(&["forget", "--dir", &log, "--peer", "ada"], 2, &["slsk:NAME"]);
    expect(&["forget", "--dir", &log], 2, &["--peer"]);
    expect(&["forget", "--dir", &log, "--peer", "slsk:ada"], 0, &["1 peers are forgotten"]);
    assert!(!somewhere(at.path(), b"ada") && !somewhere(&dir, &[b'x'; 100]));
    let left = fs::read_dir(at.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["log", "search"], "and nothing of the old log");
    // Whoever kept the head of the old log finds it in the new one.
    expect(&["verify", "--dir", &log], 0, &["all 31 events"]);
    let data = at.path().join("out.replay");
    expect(&["export", "--dir", &log, "--out", text(&data)], 0, &["wrote 31 events"]);
    let shown = reprise().args(["replay", "show", text(&data)]).output().unwrap();
    let told = said(&shown);
    assert!(told.contains("PeersForgotten") && told.contains("last=30"), "{told}");
    assert!(told.contains(&head(&before)[..16]), "{told}");
    expect(&["forget", "--dir", &log, "--unheard-days", "1"], 0, &["1 peers are forgotten"]);
    expect(&["forget", "--dir", &log, "--unheard-days", "9999"], 0, &["nobody is to be"]);
}

#[test]
fn what_is_no_log_or_is_in_use_is_told() {
    let at = tempfile::tempdir().unwrap();
    let nothing = at.path().join("nothing");
    for command in ["verify", "stats", "dump"] {
        expect(&[command, "--dir", text(&nothing)], 3, &["there is no event log"]);
    }
    assert!(!nothing.exists());
    let dir = at.path().join("log");
    let _open = Log::open(&dir).unwrap();
    expect(&["verify", "--dir", text(&dir)], 1, &["stop the node", "in use"]);
}
