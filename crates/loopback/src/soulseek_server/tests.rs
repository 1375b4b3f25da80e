//! Clients meet each other on the loopback server: real sockets, one 127.x address per user.

mod real_clients;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use soulseek::conn::{read_frame, write_all};
use soulseek::wire::peer::{DIRECTION_UPLOAD, Verdict};
use soulseek::wire::{
    Channel, ConnectionKind, PeerInit, PeerMessage, ServerMessage, ServerRequest,
};
use soulseek::{
    Attributes, Client, ClientConfig, ClientError, Download, DownloadEnd, DownloadEvent, Event,
    EventReceiver, FileStream, ListenError, LoginError, SharedFile, Shares, TransferError,
    UploadOutcome,
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
        server: server.addr().to_string(),
        user: user.to_owned(),
        password: format!("{user}'s secret"),
        listen: address(last),
        advertised_port: None,
        upload_slots: 2,
        upload_bytes_per_s: None,
        known_upload_speed: 0,
        description: "a test".to_owned(),
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
        let config = ClientConfig {
            server: server.clone(),
            user: "ada".to_owned(),
            password: "secret".to_owned(),
            listen: address(2),
            advertised_port: None,
            upload_slots: 1,
            upload_bytes_per_s: None,
            known_upload_speed: 0,
            description: String::new(),
        };
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
    bo.close().await;
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

#[tokio::test]
async fn a_request_in_the_old_direction_is_queued_and_served_the_new_way() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut peer = TcpStream::connect(bo.listen_addr()).await.unwrap();
    let hello = PeerInit::Hello { user: "old".to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let request = |token, path: &str| PeerMessage::TransferRequest {
        direction: soulseek::wire::peer::DIRECTION_DOWNLOAD,
        token,
        path: path.to_owned(),
        size: None,
    };
    write_all(&mut peer, &[hello.encode(), request(1, "other").encode()].concat()).await.unwrap();
    let declined = |token, reason: &str| PeerMessage::TransferResponse {
        token,
        verdict: Verdict::Declined { reason: reason.to_owned() },
    };
    assert_eq!(
        timeout(LIMIT, read_peer(&mut peer)).await.unwrap(),
        declined(1, "File not shared.")
    );
    write_all(&mut peer, &request(2, SONG).encode()).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(timeout(LIMIT, read_peer(&mut peer)).await.unwrap());
    }
    assert!(answers.contains(&declined(2, "Queued")));
    assert!(answers.iter().any(|answer| matches!(
        answer,
        PeerMessage::TransferRequest { direction: DIRECTION_UPLOAD, size: Some(10), .. }
    )));
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

/// A peer made of bare sockets, for what no honest client does.
struct Stranger {
    _server: TcpStream,
    listener: TcpListener,
}

impl Stranger {
    async fn log_in(server: &SoulseekServer, user: &str, last: u8) -> Stranger {
        let listener = TcpListener::bind(address(last)).await.unwrap();
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        for request in [
            ServerRequest::Login {
                user: user.to_owned(),
                password: "x".to_owned(),
                major: 177,
                digest: soulseek::md5_hex(&format!("{user}x")),
                minor: 1,
            },
            ServerRequest::SetWaitPort { port, obfuscation: None },
            // Comes back, and by then the port is known to the server.
            ServerRequest::GetPeerAddress { user: user.to_owned() },
        ] {
            write_all(&mut stream, &request.encode()).await.unwrap();
        }
        while read_frame(&mut stream, Channel::FromServer, LIMIT).await.unwrap().code != 3 {}
        // The server sees the plain loopback address, so that is where it must listen.
        let listener =
            TcpListener::bind(("127.0.0.1", listener.local_addr().unwrap().port())).await.unwrap();
        Stranger { _server: stream, listener }
    }

    async fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        read_frame(&mut stream, Channel::Init, LIMIT).await.unwrap();
        stream
    }

    /// Offers a file to whoever asks, and opens the file connection to `downloader`.
    async fn offer(&self, user: &str, downloader: SocketAddr, size: u64) -> TcpStream {
        let mut peer = self.accept().await;
        let PeerMessage::QueueUpload { path } = read_peer(&mut peer).await else {
            panic!("the first message asks for the file");
        };
        let request = PeerMessage::TransferRequest {
            direction: DIRECTION_UPLOAD,
            token: 77,
            path,
            size: Some(size),
        };
        write_all(&mut peer, &request.encode()).await.unwrap();
        loop {
            if let PeerMessage::TransferResponse { token: 77, verdict } = read_peer(&mut peer).await
            {
                assert_eq!(verdict, Verdict::Accepted { size: None });
                break;
            }
        }
        let mut file = TcpStream::connect(downloader).await.unwrap();
        let kind = ConnectionKind::File;
        let hello = PeerInit::Hello { user: user.to_owned(), kind, number: 0 };
        write_all(&mut file, &hello.encode()).await.unwrap();
        file.write_u32_le(77).await.unwrap();
        file.read_u64_le().await.unwrap();
        // Kept open: a closing message connection would be another story.
        tokio::spawn(async move { while peer.read_u8().await.is_ok() {} });
        file
    }
}

async fn read_peer(stream: &mut TcpStream) -> PeerMessage {
    let frame = read_frame(stream, Channel::PeerAsked, LIMIT).await.unwrap();
    PeerMessage::decode(frame.code, &frame.body).unwrap()
}

#[tokio::test]
async fn an_uploader_that_vanishes_leaves_the_bytes_so_far() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let sending = async {
        let mut file = stranger.offer("stranger", ada.listen_addr(), SIZE as u64).await;
        file.write_all(&content(SIZE)[..100_000]).await.unwrap();
        file.shutdown().await.unwrap();
    };
    let receiving = async {
        assert_eq!(granted(&mut download).await, SIZE as u64);
        read_all(&mut download.accept(0, SIZE as u64).await.unwrap()).await
    };
    let ((), (bytes, end)) = tokio::join!(sending, receiving);
    assert!(bytes == content(SIZE)[..100_000]);
    assert!(matches!(end, Err(TransferError::ConnectionCut { received: 100_000 })));
}

#[tokio::test]
async fn a_surplus_is_cut_off_and_reported() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let sending = async {
        let mut file = stranger.offer("stranger", ada.listen_addr(), 10).await;
        file.write_all(&content(5_000)).await.unwrap();
        file
    };
    let receiving = async {
        let size = granted(&mut download).await;
        read_all(&mut download.accept(0, size).await.unwrap()).await
    };
    let (_file, (bytes, end)) = tokio::join!(sending, receiving);
    assert_eq!(bytes, content(5_000)[..10]);
    assert!(matches!(end, Err(TransferError::Surplus)));
}

/// Message 40 for `path`.
fn offering(path: &str, token: u32, size: u64) -> Vec<u8> {
    let (direction, path) = (DIRECTION_UPLOAD, path.to_owned());
    PeerMessage::TransferRequest { direction, token, path, size: Some(size) }.encode()
}

/// Reads on until the offer `token` is answered.
async fn verdict_on(peer: &mut TcpStream, wanted: u32) -> Verdict {
    loop {
        match timeout(LIMIT, read_peer(peer)).await.expect("an answer in time") {
            PeerMessage::TransferResponse { token, verdict } if token == wanted => return verdict,
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_offer_that_changes_its_size_is_refused_before_and_after_it_was_accepted() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let declined = Verdict::Declined { reason: "Cancelled".to_owned() };

    // Both at once: whichever is read when, the caller was told of the first.
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let offering_twice = async {
        let mut peer = stranger.accept().await;
        let offers = [offering(SONG, 1, 10), offering(SONG, 2, 5_000)].concat();
        write_all(&mut peer, &offers).await.unwrap();
        assert_eq!(verdict_on(&mut peer, 2).await, declined);
        peer
    };
    let receiving = async {
        assert_eq!(granted(&mut download).await, 10);
        download.accept(0, 10).await
    };
    let (mut peer, end) = tokio::join!(offering_twice, receiving);
    assert!(matches!(end, Err(TransferError::SizeChanged { size: 5_000 })), "{end:?}");
    drop(download);

    // One after the other: the second once the first was accepted.
    let mut download = ada.download("stranger", ONE).await.unwrap();
    let changing = async {
        write_all(&mut peer, &offering(ONE, 3, 10)).await.unwrap();
        assert_eq!(verdict_on(&mut peer, 3).await, Verdict::Accepted { size: None });
        write_all(&mut peer, &offering(ONE, 4, 9)).await.unwrap();
        assert_eq!(verdict_on(&mut peer, 4).await, declined);
    };
    let receiving = async {
        assert_eq!(granted(&mut download).await, 10);
        download.accept(0, 10).await
    };
    let ((), end) = tokio::join!(changing, receiving);
    assert!(matches!(end, Err(TransferError::SizeChanged { size: 9 })), "{end:?}");
    assert_eq!(ended(&mut download).await, DownloadEnd::UploadFailed);
}

#[tokio::test]
async fn a_stranger_with_bad_manners_does_no_harm() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());

    let hello =
        PeerInit::Hello { user: "mallory".to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let oversize = [[0xff; 4], 43u32.to_le_bytes()].concat();
    for manners in [
        // An introduction of four gigabytes, an empty one, and half of one.
        oversize.clone(),
        vec![0; 4],
        hello.encode()[..9].to_vec(),
        // After a proper introduction: too much, half a message, nonsense in a proper frame.
        [hello.encode(), oversize].concat(),
        [hello.encode(), PeerMessage::QueueUpload { path: SONG.to_owned() }.encode()[..12].into()]
            .concat(),
        [hello.encode(), PeerMessage::Unknown { code: 9, body: vec![1, 2, 3] }.encode()].concat(),
    ] {
        let mut stream = TcpStream::connect(bo.listen_addr()).await.unwrap();
        stream.write_all(&manners).await.unwrap();
        stream.shutdown().await.unwrap();
        // It may answer nothing and must let go.
        let mut answer = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it lets go");
        assert_eq!(answer, b"");
    }
    // The server stands it as well.
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&[0xff; 8]).await.unwrap();
    let _ = timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await.expect("it lets go");
    assert!(fetch(&ada, "bo", SONG, 0).await == content(SIZE));
}

/// Asks `uploader` for a file and follows the protocol up to its file connection and token.
async fn take(stranger: &Stranger, user: &str, uploader: SocketAddr, path: &str) -> TcpStream {
    let mut peer = TcpStream::connect(uploader).await.unwrap();
    let hello = PeerInit::Hello { user: user.to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let ask = PeerMessage::QueueUpload { path: path.to_owned() };
    write_all(&mut peer, &[hello.encode(), ask.encode()].concat()).await.unwrap();
    let PeerMessage::TransferRequest { token, .. } = read_peer(&mut peer).await else {
        panic!("an offer");
    };
    let verdict = Verdict::Accepted { size: None };
    let accept = PeerMessage::TransferResponse { token, verdict };
    write_all(&mut peer, &accept.encode()).await.unwrap();
    let mut file = stranger.accept().await;
    assert_eq!(file.read_u32_le().await.unwrap(), token);
    file
}

#[tokio::test]
async fn a_downloader_may_close_at_once_only_on_an_empty_file() {
    let server = server().await;
    let folder = Folder::new().with(EMPTY, 0).with(SONG, 10);
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    for (path, expected) in [(EMPTY, UploadOutcome::Completed), (SONG, UploadOutcome::Cut)] {
        drop(take(&stranger, "stranger", bo.listen_addr(), path).await);
        let end = event(&mut uploads, is_upload_end).await;
        assert!(matches!(end, Event::UploadEnded { outcome, .. } if outcome == expected));
    }
}

#[tokio::test]
async fn an_offset_behind_the_end_is_no_transfer() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let (bo, mut uploads) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut file = take(&stranger, "stranger", bo.listen_addr(), SONG).await;
    file.write_u64_le(u64::MAX).await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(LIMIT, file.read_to_end(&mut bytes)).await.expect("it lets go");
    assert_eq!(bytes, b"");
    let end = event(&mut uploads, is_upload_end).await;
    assert!(matches!(end, Event::UploadEnded { outcome: UploadOutcome::Cut, .. }));
}

#[tokio::test]
async fn an_offer_nobody_asked_for_is_declined() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let mut peer = TcpStream::connect(ada.listen_addr()).await.unwrap();
    let hello =
        PeerInit::Hello { user: "mallory".to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let offer = PeerMessage::TransferRequest {
        direction: DIRECTION_UPLOAD,
        token: 5,
        path: SONG.to_owned(),
        size: Some(10),
    };
    write_all(&mut peer, &[hello.encode(), offer.encode()].concat()).await.unwrap();
    let verdict = Verdict::Declined { reason: "Cancelled".to_owned() };
    let declined = PeerMessage::TransferResponse { token: 5, verdict };
    assert_eq!(timeout(LIMIT, read_peer(&mut peer)).await.unwrap(), declined);
    // A file connection with a token nobody gave out is closed.
    let mut file = TcpStream::connect(ada.listen_addr()).await.unwrap();
    let kind = ConnectionKind::File;
    let hello = PeerInit::Hello { user: "mallory".to_owned(), kind, number: 0 };
    write_all(&mut file, &hello.encode()).await.unwrap();
    file.write_u32_le(5).await.unwrap();
    assert!(timeout(LIMIT, file.read_u64_le()).await.unwrap().is_err());
}

#[tokio::test]
async fn answers_nobody_asked_for_are_read_over_and_the_connection_goes_on() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let mut peer = TcpStream::connect(ada.listen_addr()).await.unwrap();
    let hello =
        PeerInit::Hello { user: "mallory".to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let mut messages = hello.encode();
    for code in [5, 9, 16, 37] {
        messages.extend(PeerMessage::Unknown { code, body: vec![0; 60_000] }.encode());
    }
    messages.extend(PeerMessage::QueueUpload { path: SONG.to_owned() }.encode());
    write_all(&mut peer, &messages).await.unwrap();
    let reason = "File not shared.".to_owned();
    assert_eq!(
        timeout(LIMIT, read_peer(&mut peer)).await.unwrap(),
        PeerMessage::UploadDenied { path: SONG.to_owned(), reason }
    );
}

#[tokio::test]
async fn places_nobody_asked_for_are_no_news() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let telling = async {
        let mut peer = stranger.accept().await;
        let place = |place| PeerMessage::PlaceInQueue { path: SONG.to_owned(), place }.encode();
        let asked = PeerMessage::GetPlaceInQueue { path: SONG.to_owned() };
        write_all(&mut peer, &(1..10).flat_map(place).collect::<Vec<_>>()).await.unwrap();
        while timeout(LIMIT, read_peer(&mut peer)).await.unwrap() != asked {}
        write_all(&mut peer, &(10..20).flat_map(place).collect::<Vec<_>>()).await.unwrap();
        write_all(&mut peer, &offering(SONG, 1, 10)).await.unwrap();
        peer
    };
    let hearing = async {
        let mut news = Vec::new();
        while news.last() != Some(&DownloadEvent::Granted { size: 10 }) {
            news.push(timeout(LIMIT, download.next()).await.unwrap());
        }
        news
    };
    let (_peer, news) = tokio::join!(telling, hearing);
    let granted = DownloadEvent::Granted { size: 10 };
    assert_eq!(news, [DownloadEvent::Queued, DownloadEvent::Place(10), granted]);
}

#[tokio::test]
async fn a_denial_of_many_words_is_cut_short() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let denying = async {
        let mut peer = stranger.accept().await;
        let denied =
            PeerMessage::UploadDenied { path: SONG.to_owned(), reason: "é".repeat(5_000) };
        write_all(&mut peer, &denied.encode()).await.unwrap();
        peer
    };
    let (_peer, end) = tokio::join!(denying, ended(&mut download));
    assert_eq!(end, DownloadEnd::Denied("é".repeat(200)));
}

#[tokio::test]
async fn file_connections_that_say_nothing_are_limited_in_number() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let kind = ConnectionKind::File;
    let hello = PeerInit::Hello { user: "mallory".to_owned(), kind, number: 0 }.encode();
    let mut silent = tokio::task::JoinSet::new();
    for _ in 0..160 {
        let mut stream = TcpStream::connect(ada.listen_addr()).await.unwrap();
        write_all(&mut stream, &hello).await.unwrap();
        silent.spawn(async move { stream.read_u8().await.is_err() });
    }
    // Those that are waited for have twice this long.
    let turned_away = async {
        for _ in 128..160 {
            assert!(silent.join_next().await.unwrap().unwrap());
        }
    };
    timeout(Duration::from_secs(5), turned_away).await.expect("the rest is turned away at once");
}

#[tokio::test]
async fn a_share_list_and_a_folder_can_be_browsed() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10).with(r"Music\Other\1.mp3", 1);
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut peer = TcpStream::connect(bo.listen_addr()).await.unwrap();
    let hello = PeerInit::Hello { user: "ada".to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let ask = PeerMessage::GetShareList {};
    write_all(&mut peer, &[hello.encode(), ask.encode()].concat()).await.unwrap();
    let PeerMessage::ShareList { list } = timeout(LIMIT, read_peer(&mut peer)).await.unwrap()
    else {
        panic!("a share list");
    };
    assert_eq!(list.folders.len(), 2);
    let ask = PeerMessage::GetFolder { token: 4, folder: r"Music\Other".to_owned() };
    write_all(&mut peer, &ask.encode()).await.unwrap();
    let PeerMessage::Folder { contents } = timeout(LIMIT, read_peer(&mut peer)).await.unwrap()
    else {
        panic!("a folder");
    };
    assert_eq!((contents.token, contents.folders[0].files[0].name.as_str()), (4, "1.mp3"));
}
