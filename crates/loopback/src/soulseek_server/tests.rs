//! Clients meet each other on the loopback server: real sockets, one 127.x address per user.

mod bare;
mod browse;
mod chat;
mod hostile;
mod manners;
mod obfuscated;
mod real_clients;
mod stranger;
mod strangers;
mod tree;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use soulseek::conn::{read_frame, write_all};
use soulseek::wire::peer::{DIRECTION_UPLOAD, Verdict};
use soulseek::wire::{
    Channel, ConnectionKind, PeerInit, PeerMessage, ServerMessage, ServerRequest,
};
use soulseek::{
    Attributes, Blocklist, Client, ClientConfig, ClientError, Download, DownloadEnd, DownloadEvent,
    Event, EventReceiver, FileStream, ListenError, LoginError, Manners, SharedFile, Shares,
    TransferError, UploadOutcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::SoulseekServer;

/// No test needs more than a few seconds; more than this means something hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// A port nobody listens on: dialling it is refused at once.
const DEAD_PORT: u16 = 9;

fn address(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 7, last)), 0)
}

async fn server() -> SoulseekServer {
    SoulseekServer::bind(address(1)).await.unwrap()
}

fn config(server: &SoulseekServer, user: &str, last: u8) -> ClientConfig {
    ClientConfig {
        upload_slots: 2,
        description: "a test".to_owned(),
        ..ClientConfig::new(
            &server.addr().to_string(),
            user,
            &format!("{user}'s secret"),
            address(last),
        )
    }
}

async fn log_in(server: &SoulseekServer, user: &str, last: u8) -> (Client, EventReceiver) {
    Client::login(config(server, user, last), Shares::default()).await.unwrap()
}

/// A folder of shared files with bytes that differ from each other everywhere.
struct Folder {
    folder: tempfile::TempDir,
    files: Vec<SharedFile>,
}

impl Folder {
    fn new() -> Folder {
        Folder { folder: tempfile::tempdir().unwrap(), files: Vec::new() }
    }

    fn with(mut self, virtual_path: &str, size: usize) -> Folder {
        let local_path: PathBuf = self.folder.path().join(self.files.len().to_string());
        std::fs::write(&local_path, content(size)).unwrap();
        self.files.push(SharedFile {
            virtual_path: virtual_path.to_owned(),
            local_path,
            size: size as u64,
            attributes: Attributes {
                bitrate_kbps: Some(320),
                duration_s: Some(200),
                ..Attributes::default()
            },
        });
        self
    }

    fn shares(&self) -> Shares {
        Shares::new(self.files.clone())
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

async fn granted(download: &mut Download) -> u64 {
    loop {
        match timeout(LIMIT, download.next()).await.expect("news in time") {
            DownloadEvent::Granted { size } => return size,
            DownloadEvent::Queued | DownloadEvent::Place(_) => {}
            DownloadEvent::Ended(end) => panic!("ended: {end}"),
        }
    }
}

async fn ended(download: &mut Download) -> DownloadEnd {
    loop {
        match timeout(LIMIT, download.next()).await.expect("news in time") {
            DownloadEvent::Queued | DownloadEvent::Place(_) => {}
            DownloadEvent::Ended(end) => return end,
            DownloadEvent::Granted { .. } => panic!("granted"),
        }
    }
}

/// Reads to the end; what came before an error is kept beside it.
async fn read_all(stream: &mut FileStream) -> (Vec<u8>, Result<(), TransferError>) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match timeout(LIMIT, stream.read(&mut buffer)).await.expect("bytes in time") {
            Ok(0) => return (bytes, Ok(())),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

async fn fetch(client: &Client, user: &str, path: &str, offset: u64) -> Vec<u8> {
    let mut download = client.download(user, path).await.unwrap();
    let size = granted(&mut download).await;
    let mut stream = download.accept(offset, size).await.unwrap();
    assert_eq!(stream.len(), size - offset);
    let (bytes, end) = read_all(&mut stream).await;
    end.unwrap();
    bytes
}

async fn event(events: &mut EventReceiver, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = timeout(LIMIT, events.next()).await.expect("an event in time");
        let event = event.expect("the session goes on");
        if wanted(&event) {
            return event;
        }
    }
}

fn is_upload_end(event: &Event) -> bool {
    matches!(event, Event::UploadEnded { .. })
}

const SONG: &str = r"Music\My Bloody Valentine\Loveless\11 Soon.flac";
const EMPTY: &str = r"Music\My Bloody Valentine\Loveless\empty.log";
const ONE: &str = r"Music\My Bloody Valentine\Loveless\ひとつ.txt";
const SIZE: usize = 3 << 20;

#[tokio::test]
async fn a_login_succeeds_or_says_why_not() {
    let server = server().await;
    let (_ada, _events) = log_in(&server, "ada", 2).await;

    let refused = |config| async { Client::login(config, Shares::default()).await.unwrap_err() };
    let wrong = ClientConfig { password: "guess".to_owned(), ..config(&server, "ada", 3) };
    assert!(matches!(refused(wrong).await, LoginError::WrongPassword));
    let empty = ClientConfig { password: String::new(), ..config(&server, "bo", 3) };
    assert!(matches!(refused(empty).await, LoginError::EmptyPassword));
    let nameless = ClientConfig { user: " bo".to_owned(), ..config(&server, "bo", 3) };
    assert!(matches!(refused(nameless).await, LoginError::InvalidUserName { .. }));
    let nowhere = ClientConfig { server: "127.0.7.1:9".to_owned(), ..config(&server, "bo", 3) };
    assert!(matches!(refused(nowhere).await, LoginError::Unreachable(_)));

    let taken = TcpListener::bind(address(3)).await.unwrap();
    let taken = taken.local_addr().map(|address| (address, taken)).unwrap();
    let in_use = ClientConfig { listen: taken.0, ..config(&server, "bo", 3) };
    let port = taken.0.port();
    match refused(in_use).await {
        LoginError::Listen(ListenError::PortInUse(named)) => assert_eq!(named, port),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_refusal_of_a_server_has_its_own_error() {
    let listener = TcpListener::bind(address(1)).await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    for (reason, expected) in [
        ("SVRFULL", "server is full"),
        ("SVRPRIVATE", "server is private"),
        ("INVALIDVERSION", "server does not accept this client version"),
        ("SOMETHING", "server refused the login: SOMETHING"),
    ] {
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_frame(&mut stream, Channel::ToServer, LIMIT).await.unwrap();
            let answer = soulseek::wire::server::LoginAnswer::Refused {
                reason: reason.to_owned(),
                detail: None,
            };
            write_all(&mut stream, &ServerMessage::Login { answer }.encode()).await.unwrap();
        };
        let config = ClientConfig::new(&server, "ada", "secret", address(2));
        let (refused, ()) = tokio::join!(Client::login(config, Shares::default()), answering);
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_second_login_throws_out_the_first() {
    let server = server().await;
    let (first, mut events) = log_in(&server, "ada", 2).await;
    let (_second, _) = log_in(&server, "ada", 3).await;
    event(&mut events, |event| *event == Event::KickedByOtherLogin).await;
    assert_eq!(event(&mut events, |_| true).await, Event::Ended);
    assert_eq!(events.next().await, None);
    assert!(matches!(first.search("anything").await, Err(ClientError::SessionEnded)));
}

#[tokio::test]
async fn a_lost_server_ends_the_session_and_frees_the_port() {
    let server = server().await;
    let (client, mut events) = log_in(&server, "ada", 2).await;
    let mut search = client.search("anything").await.unwrap();
    drop(server);
    event(&mut events, |event| matches!(event, Event::Disconnected { .. })).await;
    assert_eq!(timeout(LIMIT, search.next()).await.unwrap(), None);
    let port = client.listen_addr();
    client.close().await;
    TcpListener::bind(port).await.expect("the port is free again");
}

#[tokio::test]
async fn a_search_finds_a_shared_file() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 1_000).with(r"Music\Other\song.mp3", 1);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());

    let mut search = ada.search("loveless soon").await.unwrap();
    let answer = timeout(LIMIT, search.next()).await.unwrap().unwrap();
    assert_eq!((answer.user.as_str(), answer.files.len(), answer.free_slot), ("bo", 1, true));
    let file = &answer.files[0];
    assert_eq!((file.path.as_str(), file.size, file.extension.as_str()), (SONG, 1_000, "flac"));
    assert_eq!(file.attributes.bitrate_kbps, Some(320));
    assert_eq!(file.attributes.bit_depth, None);
    assert!(matches!(ada.search("  ").await, Err(ClientError::UnsuitableQuery)));
}

#[tokio::test]
async fn files_of_any_size_arrive_byte_for_byte() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE).with(EMPTY, 0).with(ONE, 1);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    for (path, size) in [(EMPTY, 0), (ONE, 1), (SONG, SIZE)] {
        assert!(fetch(&ada, "bo", path, 0).await == content(size), "{path}");
        let end = event(&mut uploads, is_upload_end).await;
        let expected = Event::UploadEnded {
            user: "ada".to_owned(),
            path: path.to_owned(),
            sent_bytes: size as u64,
            outcome: UploadOutcome::Completed,
        };
        assert_eq!(end, expected);
    }
}

#[tokio::test]
async fn a_download_resumes_where_it_is_told() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let rest = fetch(&ada, "bo", SONG, 1_234_567).await;
    assert!(rest == content(SIZE)[1_234_567..]);
    let started = event(&mut uploads, |event| matches!(event, Event::UploadStarted { .. })).await;
    assert!(matches!(started, Event::UploadStarted { offset: 1_234_567, .. }));

    let mut download = ada.download("bo", SONG).await.unwrap();
    granted(&mut download).await;
    let nothing = download.accept(SIZE as u64, SIZE as u64).await;
    assert!(matches!(nothing, Err(TransferError::NothingLeft { .. })));
}

#[tokio::test]
async fn an_indirect_connection_reaches_an_uploader_behind_a_dead_port() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let hidden = ClientConfig { advertised_port: Some(DEAD_PORT), ..config(&server, "bo", 3) };
    let (_bo, _events) = Client::login(hidden, folder.shares()).await.unwrap();
    assert!(fetch(&ada, "bo", SONG, 0).await == content(SIZE));
}

#[tokio::test]
async fn an_indirect_connection_reaches_a_downloader_behind_a_dead_port() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let hidden = ClientConfig { advertised_port: Some(DEAD_PORT), ..config(&server, "ada", 2) };
    let (ada, _events) = Client::login(hidden, Shares::default()).await.unwrap();
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut search = ada.search("loveless").await.unwrap();
    assert_eq!(timeout(LIMIT, search.next()).await.unwrap().unwrap().user, "bo");
    assert!(fetch(&ada, "bo", SONG, 0).await == content(SIZE));
}

#[tokio::test]
async fn two_dead_ports_cannot_connect_and_an_absent_user_is_offline() {
    let server = server().await;
    let hide = |config| ClientConfig { advertised_port: Some(DEAD_PORT), ..config };
    let (ada, _a) =
        Client::login(hide(config(&server, "ada", 2)), Shares::default()).await.unwrap();
    let (_bo, _b) = Client::login(hide(config(&server, "bo", 3)), Shares::default()).await.unwrap();
    let mut download = ada.download("bo", SONG).await.unwrap();
    assert_eq!(ended(&mut download).await, DownloadEnd::CannotConnect);
    let mut download = ada.download("nobody", SONG).await.unwrap();
    assert_eq!(ended(&mut download).await, DownloadEnd::PeerOffline);
}

#[tokio::test]
async fn what_is_not_shared_is_denied() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    for path in [r"Music\..\..\secret", "/etc/hostname", ""] {
        let mut download = ada.download("bo", path).await.unwrap();
        let denied = DownloadEnd::Denied("File not shared.".to_owned());
        assert_eq!(ended(&mut download).await, denied);
    }
    let _first = ada.download("bo", SONG).await.unwrap();
    assert!(matches!(ada.download("bo", SONG).await, Err(ClientError::AlreadyAsked)));
}

#[tokio::test]
async fn an_uploader_that_leaves_the_network_ends_what_is_queued() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let full = ClientConfig { upload_slots: 0, ..config(&server, "bo", 3) };
    let (bo, _bo) = Client::login(full, folder.shares()).await.unwrap();
    let mut download = ada.download("bo", SONG).await.unwrap();
    assert_eq!(timeout(LIMIT, download.next()).await.unwrap(), DownloadEvent::Queued);
    assert_eq!(timeout(LIMIT, download.next()).await.unwrap(), DownloadEvent::Place(1));
    drop(bo);
    assert_eq!(ended(&mut download).await, DownloadEnd::PeerOffline);
}

/// Follows uploads and returns how many ran at once at most, until `count` have ended.
async fn most_at_once(events: &mut EventReceiver, count: usize) -> usize {
    let (mut running, mut most, mut done) = (0, 0, 0);
    while done < count {
        match timeout(LIMIT, events.next()).await.unwrap().unwrap() {
            Event::UploadStarted { .. } => running += 1,
            Event::UploadEnded { outcome, .. } => {
                assert_eq!(outcome, UploadOutcome::Completed);
                running -= 1;
                done += 1;
            }
            _ => {}
        }
        most = most.max(running);
    }
    most
}

#[tokio::test]
async fn one_user_gets_one_file_at_a_time() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE).with(ONE, SIZE);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let (first, second, most) = tokio::join!(
        fetch(&ada, "bo", SONG, 0),
        fetch(&ada, "bo", ONE, 0),
        most_at_once(&mut uploads, 2)
    );
    assert!(first == content(SIZE) && second == content(SIZE));
    assert_eq!(most, 1, "two slots, but one user");
}

#[tokio::test]
async fn three_users_share_one_slot() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let narrow = ClientConfig { upload_slots: 1, ..config(&server, "bo", 3) };
    let (_bo, mut uploads) = Client::login(narrow, folder.shares()).await.unwrap();
    let (ada, _a) = log_in(&server, "ada", 2).await;
    let (cy, _c) = log_in(&server, "cy", 4).await;
    let (di, _d) = log_in(&server, "di", 5).await;
    let (one, two, three, most) = tokio::join!(
        fetch(&ada, "bo", SONG, 0),
        fetch(&cy, "bo", SONG, 0),
        fetch(&di, "bo", SONG, 0),
        most_at_once(&mut uploads, 3)
    );
    assert!([one, two, three].iter().all(|bytes| *bytes == content(SIZE)));
    assert_eq!(most, 1);
}

#[tokio::test]
async fn dropping_the_stream_cancels_and_frees_the_slot() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 20 << 20).with(ONE, 1);
    let narrow = ClientConfig { upload_slots: 1, ..config(&server, "bo", 3) };
    let (_bo, mut uploads) = Client::login(narrow, folder.shares()).await.unwrap();
    let (ada, _a) = log_in(&server, "ada", 2).await;
    let mut download = ada.download("bo", SONG).await.unwrap();
    granted(&mut download).await;
    let mut stream = download.accept(0, 20 << 20).await.unwrap();
    stream.read(&mut [0; 100]).await.unwrap();
    drop((stream, download));
    let end = event(&mut uploads, is_upload_end).await;
    assert!(matches!(end, Event::UploadEnded { outcome: UploadOutcome::Cut, .. }));
    assert_eq!(fetch(&ada, "bo", ONE, 0).await, content(1));
}

#[tokio::test]
async fn a_dropped_download_declines_a_later_offer() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut download = ada.download("bo", SONG).await.unwrap();
    granted(&mut download).await;
    drop(download);
    let end = event(&mut uploads, is_upload_end).await;
    let declined = UploadOutcome::Declined { reason: "Cancelled".to_owned() };
    assert!(matches!(end, Event::UploadEnded { outcome, .. } if outcome == declined));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_who_take_from_each_other_at_once_lose_nothing() {
    let server = server().await;
    let paths: Vec<String> = (0..40).map(|number| format!(r"Music\Album\{number}.mp3")).collect();
    let folder = paths.iter().fold(Folder::new(), |folder, path| folder.with(path, 3_000));
    let mut clients = Vec::new();
    for (user, last) in [("ada", 2), ("bo", 3), ("cy", 4)] {
        let (client, events) = log_in(&server, user, last).await;
        // Nobody listens, so nothing waits to be told.
        drop(events);
        client.set_shares(folder.shares());
        clients.push((user, client));
    }
    let mut fetching = tokio::task::JoinSet::new();
    for (user, client) in &clients {
        for &(other, _) in clients.iter().filter(|(other, _)| other != user) {
            for path in paths.clone() {
                let client = client.clone();
                fetching.spawn(async move { fetch(&client, other, &path, 0).await });
            }
        }
    }
    let mut count = 0;
    while let Some(fetched) = fetching.join_next().await {
        assert_eq!(fetched.unwrap(), content(3_000));
        count += 1;
    }
    assert_eq!(count, 240);
}

#[tokio::test]
async fn a_cut_download_can_be_asked_for_again_at_once() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 20 << 20);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut held = vec![0; 100_000];
    for _ in 0..3 {
        let mut download = ada.download("bo", SONG).await.unwrap();
        granted(&mut download).await;
        let mut stream = download.accept(0, 20 << 20).await.unwrap();
        let mut count = 0;
        while count < held.len() {
            count += stream.read(&mut held[count..]).await.unwrap();
        }
    }
    let rest = fetch(&ada, "bo", SONG, held.len() as u64).await;
    held.extend_from_slice(&rest);
    assert!(held == content(20 << 20));
}

#[tokio::test]
async fn uploads_keep_to_their_rate() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 300_000);
    let slow = ClientConfig { upload_bytes_per_s: Some(200_000), ..config(&server, "bo", 3) };
    let (_bo, _events) = Client::login(slow, folder.shares()).await.unwrap();
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let begun = std::time::Instant::now();
    assert!(fetch(&ada, "bo", SONG, 0).await == content(300_000));
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn everything_a_caller_waits_for_can_move_between_threads() {
    fn movable<T: Send>(_: &T) {}
    fn check(client: &Client, search: &mut soulseek::Search, download: &mut Download) {
        movable(&client.search(""));
        movable(&client.download("", ""));
        movable(&search.next());
        movable(&download.next());
        movable(&download.accept(0, 0));
        movable(&client.clone().close());
    }
    let _ = check;
}
