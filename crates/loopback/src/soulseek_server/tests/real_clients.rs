//! Our client against real ones, both ways, file by file. The other side of these tests are the
//! scripts in `tests/interop`; `tests/run` installs what they need. Whole albums are in there, too.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::bare::{Searcher, remember_speed, until};
use super::tree::{ONE_CHILD, is_chain, member};
use super::*;

mod patience;

const AIOSLSK: &str = "aioslsk_peer.py";
const NICOTINE: &str = "nicotine_peer.py";

fn peer(script: &str, command: &str, server: &SoulseekServer, rest: &[&str]) -> Child {
    peer_called("real", script, command, server, rest)
}

fn peer_called(
    user: &str,
    script: &str,
    command: &str,
    server: &SoulseekServer,
    rest: &[&str],
) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/interop/bin/python");
    assert!(python.exists(), "no {}: run tests/run, which installs it", python.display());
    let port = free_port();
    Command::new(python)
        .arg(root.join("tests/interop").join(script))
        .arg(command)
        .args(["--server", &server.addr().to_string(), "--user", user, "--password", "secret"])
        // A machine of its own, for those clients that can have one.
        .args(["--listen", &format!("127.0.{}.{}:{}", 40, 1 + port % 250, port)])
        .args(rest)
        // Names need not be ASCII, and the sources stay clean.
        .env("PYTHONUTF8", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits until a client has said all that it had to say and ended well. In this order: to wait for it is
/// to let go of its leash, and one that is still saying goodbye would break off.
async fn ended_well(mut real: Child, mut lines: Lines<BufReader<ChildStdout>>) {
    assert_eq!(timeout(LIMIT, lines.next_line()).await.unwrap().unwrap(), None);
    assert!(real.wait().await.unwrap().success());
}

/// A port that is free on every address, because aioslsk listens on all of them. Below the ports that
/// the system gives to those who ask for any: none of them can take it before the client does.
fn free_port() -> u16 {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 500).unwrap() * 20;
    loop {
        let port = 10_000 + (first + NUMBER.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

#[tokio::test]
async fn we_download_from_aioslsk() {
    download_from(AIOSLSK, None).await;
}

#[tokio::test]
async fn we_download_from_aioslsk_behind_a_dead_port() {
    download_from(AIOSLSK, Some(DEAD_PORT)).await;
}

#[tokio::test]
async fn we_download_from_aioslsk_on_obfuscated_ports() {
    download_with(AIOSLSK, obfuscating(), &["--obfuscated", &free_port().to_string()]).await;
}

#[tokio::test]
async fn we_download_from_nicotine() {
    download_from(NICOTINE, None).await;
}

#[tokio::test]
async fn we_download_from_nicotine_behind_a_dead_port() {
    download_from(NICOTINE, Some(DEAD_PORT)).await;
}

/// Reached on the obfuscated port or not at all.
fn obfuscating() -> impl Fn(ClientConfig) -> ClientConfig {
    let (advertised_port, obfuscated_port) = (Some(DEAD_PORT), Some(0));
    move |config| ClientConfig { advertised_port, obfuscated_port, ..config }
}

async fn download_from(script: &str, advertised_port: Option<u16>) {
    download_with(script, |config| ClientConfig { advertised_port, ..config }, &[]).await;
}

async fn download_with(script: &str, ours: impl Fn(ClientConfig) -> ClientConfig, theirs: &[&str]) {
    let server = server().await;
    let shared = tempfile::tempdir().unwrap();
    let album = shared.path().join("Loveless");
    std::fs::create_dir(&album).unwrap();
    let sizes = [
        ("01 Soon.flac", SIZE),
        ("02 Soon ひとつ.mp3", 1),
        ("03 Soon empty.txt", 0),
        ("04 Soon Jóga.mp3", 100_000),
    ];
    for (name, size) in sizes {
        std::fs::write(album.join(name), content(size)).unwrap();
    }
    let folder = shared.path().to_str().unwrap();
    let mut real = peer(script, "share", &server, &[&["--dir", folder], theirs].concat());
    let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
    let ready = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(ready.as_deref(), Some("READY"));

    let ours = ours(config(&server, "ada", 2));
    let (ada, _events) = Client::login(ours, Shares::default()).await.unwrap();
    let mut search = ada.search("loveless soon").await.unwrap();
    let answer = timeout(LIMIT, search.next()).await.unwrap().unwrap();
    assert_eq!((answer.user.as_str(), answer.files.len()), ("real", sizes.len()));
    for (name, size) in sizes {
        let file = answer.files.iter().find(|file| file.path.ends_with(name)).unwrap();
        assert_eq!(file.size, size as u64);
        assert!(fetch(&ada, "real", &file.path, 0).await == content(size), "{name}");
    }
    let song = answer.files.iter().find(|file| file.size == SIZE as u64).unwrap();
    assert!(fetch(&ada, "real", &song.path, 1_000_000).await == content(SIZE)[1_000_000..]);
    let folders = browse::read_list(&mut ada.browse("real").await.unwrap()).await.unwrap();
    let (album, listed) = folders.iter().find(|(_, files)| !files.is_empty()).unwrap();
    assert_eq!(listed.len(), sizes.len());
    assert!(answer.files.iter().all(|file| listed.contains(&file.path)), "{folders:?}");
    let folder = ada.folder("real", album).await.unwrap();
    assert_eq!((folder[0].path.as_str(), folder[0].files.len()), (album.as_str(), sizes.len()));
    assert!(ada.user_info("real").await.unwrap().upload_slots > 0);
    let mut download = ada.download("real", r"Loveless\nothing.mp3").await.unwrap();
    assert!(matches!(ended(&mut download).await, DownloadEnd::Denied(_)));
    drop(real.stdin.take());
    real.wait().await.unwrap();
}

#[tokio::test]
async fn aioslsk_downloads_from_us() {
    real_client_downloads(AIOSLSK, None).await;
}

#[tokio::test]
async fn aioslsk_downloads_from_us_behind_a_dead_port() {
    real_client_downloads(AIOSLSK, Some(DEAD_PORT)).await;
}

#[tokio::test]
async fn aioslsk_downloads_from_us_on_obfuscated_ports() {
    let theirs = ["--obfuscated", &free_port().to_string()];
    real_client_downloads_with(AIOSLSK, obfuscating(), &theirs).await;
}

#[tokio::test]
async fn nicotine_downloads_from_us() {
    real_client_downloads(NICOTINE, None).await;
}

#[tokio::test]
async fn nicotine_downloads_from_us_behind_a_dead_port() {
    real_client_downloads(NICOTINE, Some(DEAD_PORT)).await;
}

async fn real_client_downloads(script: &str, advertised_port: Option<u16>) {
    let ours = |config| ClientConfig { advertised_port, ..config };
    real_client_downloads_with(script, ours, &[]).await;
}

async fn real_client_downloads_with(
    script: &str,
    ours: impl Fn(ClientConfig) -> ClientConfig,
    theirs: &[&str],
) {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE).with(EMPTY, 0).with(ONE, 1);
    let ours = ours(config(&server, "ada", 2));
    let (_ada, mut uploads) = Client::login(ours, folder.shares()).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let folder_out = out.path().to_str().unwrap();
    let rest = ["--query", "loveless valentine", "--count", "3", "--from", "ada"];
    let rest = [&rest[..], &["--out", folder_out], theirs].concat();
    let mut real = peer(script, "fetch", &server, &rest);
    let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
    let mut done = 0;
    while let Some(line) = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap() {
        let (remote, local) = line.strip_prefix("DONE ").unwrap().split_once('\t').unwrap();
        let size = match remote {
            SONG => SIZE,
            ONE => 1,
            EMPTY => 0,
            other => panic!("{other}"),
        };
        assert!(std::fs::read(local).unwrap() == content(size), "{remote}");
        let end = event(&mut uploads, is_upload_end).await;
        let completed = UploadOutcome::Completed;
        assert!(matches!(end, Event::UploadEnded { outcome, .. } if outcome == completed));
        done += 1;
    }
    assert!(real.wait().await.unwrap().success());
    assert_eq!(done, 3);
}

#[tokio::test]
async fn a_search_passes_from_aioslsk_through_us_to_nicotine() {
    tree_of_three(AIOSLSK, NICOTINE).await;
}

#[tokio::test]
async fn a_search_passes_from_nicotine_through_us_to_aioslsk() {
    tree_of_three(NICOTINE, AIOSLSK).await;
}

/// One real client is our parent, the other our child. Each may have one child, so that the server can
/// only put us in the middle.
async fn tree_of_three(above: &str, below: &str) {
    let server = server().await;
    let shared = tempfile::tempdir().unwrap();
    let album = shared.path().join("Loveless");
    std::fs::create_dir(&album).unwrap();
    std::fs::write(album.join("01 Soon.flac"), content(10)).unwrap();
    let start = async |user: &str, script: &str| {
        let folder = ["--dir", shared.path().to_str().unwrap()];
        let mut real = peer_called(user, script, "share", &server, &folder);
        let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
        let ready = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(ready.as_deref(), Some("READY"));
        (real, lines)
    };
    remember_speed(&server, "above", "secret", ONE_CHILD).await;
    let mut searcher = Searcher::log_in(&server).await;
    let (mut above, _above_lines) = start("above", above).await;
    let (_ours, _events) = member(&server, "ours", 2, 1).await;
    searcher.search_until(|| is_chain(&server, &["above", "ours"])).await;
    let (mut below, _below_lines) = start("below", below).await;
    searcher.search_until(|| is_chain(&server, &["above", "ours", "below"])).await;
    assert_eq!(searcher.answerers(3).await, ["above", "below", "ours"]);
    assert_eq!(server.violations(), [""; 0]);
    // Without its parent the rest stays together. aioslsk does not tell the server where it is then.
    drop(above.stdin.take());
    above.wait().await.unwrap();
    until(|| is_chain(&server, &["ours"])).await;
    assert_eq!(searcher.answerers(2).await, ["below", "ours"]);
    drop(below.stdin.take());
    below.wait().await.unwrap();
}

#[tokio::test]
async fn we_chat_with_aioslsk_and_keep_what_it_said_while_we_were_away() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    ada.close().await;
    let rest = ["--to", "ada", "--text", "are you there? ひとつ", "--count", "2"];
    let mut real = peer(AIOSLSK, "chat", &server, &rest);
    let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
    // Logged in again and again, as it is not known when it has said it.
    let (ada, said) = loop {
        let (ada, mut heard) = log_in(&server, "ada", 2).await;
        let next = event(&mut heard, |event| matches!(event, Event::PrivateMessage { .. }));
        if let Ok(Event::PrivateMessage { id, user, text, .. }) =
            timeout(Duration::from_secs(1), next).await
        {
            ada.acknowledge_message(id);
            break (ada, (user, text));
        }
        ada.close().await;
    };
    assert_eq!(said, ("real".to_owned(), "are you there? ひとつ".to_owned()));
    for text in ["yes", "ふたつ"] {
        ada.send_message("real", text).unwrap();
        let line = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(line, Some(format!("HEARD ada\t{text}")));
    }
    ended_well(real, lines).await;
}
