//! What a client owes others and what others may not have of it: limits, farewells, lists of those
//! who are kept away. What is no client at all is in [`super::strangers`] and [`super::hostile`].

use super::stranger::{Stranger, offering, read_peer, verdict_on};
use super::*;

fn with(manners: Manners, config: ClientConfig) -> ClientConfig {
    ClientConfig { manners, ..config }
}

fn list(entries: &[&str]) -> Blocklist {
    Blocklist::parse(entries).unwrap()
}

/// A message connection to a client, introduced as `user`.
async fn call(to: SocketAddr, user: &str) -> TcpStream {
    let mut peer = TcpStream::connect(to).await.unwrap();
    let hello = PeerInit::Hello { user: user.to_owned(), kind: ConnectionKind::Peer, number: 0 };
    write_all(&mut peer, &hello.encode()).await.unwrap();
    peer
}

async fn say(peer: &mut TcpStream, message: PeerMessage) {
    write_all(peer, &message.encode()).await.unwrap();
}

async fn heard(peer: &mut TcpStream) -> PeerMessage {
    timeout(LIMIT, read_peer(peer)).await.expect("an answer in time")
}

fn ask(path: &str) -> PeerMessage {
    PeerMessage::QueueUpload { path: path.to_owned() }
}

fn denied(path: &str, reason: &str) -> PeerMessage {
    PeerMessage::UploadDenied { path: path.to_owned(), reason: reason.to_owned() }
}

#[tokio::test]
async fn whoever_has_too_much_waiting_is_told_to_ask_later_in_the_words_clients_know() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 600).with(ONE, 600).with(EMPTY, 0);
    for (files, bytes, reason) in [(2, 1 << 30, "Too many files"), (9, 1_000, "Too many megabytes")]
    {
        let manners = Manners {
            waiting_files_per_user: files,
            waiting_bytes_per_user: bytes,
            ..Manners::default()
        };
        let full = ClientConfig { upload_slots: 0, ..config(&server, "bo", 3) };
        let (bo, _bo) = Client::login(with(manners, full), folder.shares()).await.unwrap();
        let mut peer = call(bo.listen_addr(), "greedy").await;
        for path in [SONG, ONE, EMPTY] {
            say(&mut peer, ask(path)).await;
        }
        assert_eq!(heard(&mut peer).await, denied(EMPTY, reason));
        // Others are not the worse for it.
        let mut other = call(bo.listen_addr(), "other").await;
        say(&mut other, ask(EMPTY)).await;
        say(&mut other, PeerMessage::GetPlaceInQueue { path: EMPTY.to_owned() }).await;
        let place = PeerMessage::PlaceInQueue { path: EMPTY.to_owned(), place: 2 };
        assert_eq!(heard(&mut other).await, place);
        bo.close().await;
    }
}

#[tokio::test]
async fn those_who_wait_hear_that_we_leave() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10).with(ONE, 1);
    let full = ClientConfig { upload_slots: 0, ..config(&server, "bo", 3) };
    let (bo, _bo) = Client::login(full, folder.shares()).await.unwrap();
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let mut downloads = Vec::new();
    for path in [SONG, ONE] {
        let mut download = ada.download("bo", path).await.unwrap();
        // The place is told to those who are in the queue.
        while timeout(LIMIT, download.next()).await.unwrap() == DownloadEvent::Queued {}
        downloads.push(download);
    }
    bo.close().await;
    for download in &mut downloads {
        assert_eq!(ended(download).await, DownloadEnd::PeerLeaving);
    }
}

#[tokio::test]
async fn a_banned_user_is_told_what_is_said_of_files_that_are_not_shared() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let manners = Manners { banned: list(&["mallory"]), ..Manners::default() };
    let (bo, _bo) =
        Client::login(with(manners, config(&server, "bo", 3)), folder.shares()).await.unwrap();
    let mut peer = call(bo.listen_addr(), "mallory").await;
    say(&mut peer, ask(SONG)).await;
    assert_eq!(heard(&mut peer).await, denied(SONG, "File not shared."));
    say(&mut peer, PeerMessage::GetShareList {}).await;
    let PeerMessage::ShareList { list } = heard(&mut peer).await else { panic!("a share list") };
    assert_eq!(list.folders, []);

    let (mallory, _m) = log_in(&server, "mallory", 4).await;
    let (ada, _a) = log_in(&server, "ada", 2).await;
    let mut of_mallory = mallory.search("loveless").await.unwrap();
    let mut of_ada = ada.search("loveless").await.unwrap();
    assert_eq!(timeout(LIMIT, of_ada.next()).await.unwrap().unwrap().user, "bo");
    // Searches come in order, so there has been time for an answer, and this one comes as well.
    let shares = Folder::new().with(r"Music\Loveless\other.mp3", 1);
    ada.set_shares(shares.shares());
    let mut again = mallory.search("loveless other").await.unwrap();
    assert_eq!(timeout(LIMIT, again.next()).await.unwrap().unwrap().user, "ada");
    assert!(timeout(Duration::ZERO, of_mallory.next()).await.is_err(), "nothing from bo");
    assert_eq!(fetch(&ada, "bo", SONG, 0).await, content(10));
}

#[tokio::test]
async fn no_connection_is_made_with_a_banned_address_in_either_direction() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    // Clients of ours dial from where they listen.
    let range = address(4).ip().to_string() + "/32";
    let manners = Manners { banned: list(&[&range]), ..Manners::default() };
    let (bo, _bo) =
        Client::login(with(manners, config(&server, "bo", 3)), folder.shares()).await.unwrap();
    let (mallory, _m) =
        Client::login(config(&server, "mallory", 4), folder.shares()).await.unwrap();
    let mut download = mallory.download("bo", SONG).await.unwrap();
    assert_eq!(ended(&mut download).await, DownloadEnd::CannotConnect);
    let mut download = bo.download("mallory", SONG).await.unwrap();
    assert_eq!(ended(&mut download).await, DownloadEnd::CannotConnect);
    let (ada, _a) = log_in(&server, "ada", 5).await;
    assert_eq!(fetch(&ada, "bo", SONG, 0).await, content(10));
}

#[tokio::test]
async fn answers_of_an_ignored_user_are_not_seen() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 10);
    let manners = Manners { ignored: list(&["mallory"]), ..Manners::default() };
    let (ada, _a) =
        Client::login(with(manners, config(&server, "ada", 2)), Shares::default()).await.unwrap();
    let (mallory, _m) = log_in(&server, "mallory", 4).await;
    mallory.set_shares(folder.shares());
    let mut search = ada.search("loveless").await.unwrap();
    // By then mallory has answered: its message connection is where the file comes from.
    assert_eq!(fetch(&ada, "mallory", SONG, 0).await, content(10));
    let (bo, _b) = log_in(&server, "bo", 3).await;
    bo.set_shares(folder.shares());
    let mut again = ada.search("loveless soon").await.unwrap();
    assert_eq!(timeout(LIMIT, again.next()).await.unwrap().unwrap().user, "bo");
    assert!(timeout(Duration::ZERO, search.next()).await.is_err());
}

#[tokio::test]
async fn a_file_that_vanished_or_shrank_is_a_read_error_and_not_asked_for_again_and_again() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 400_000).with(ONE, 10);
    let slow = ClientConfig { upload_bytes_per_s: Some(200_000), ..config(&server, "bo", 3) };
    let (_bo, mut uploads) = Client::login(slow, folder.shares()).await.unwrap();
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let read_error = DownloadEnd::Denied("File read error.".to_owned());

    std::fs::remove_file(&folder.files[1].local_path).unwrap();
    let mut download = ada.download("bo", ONE).await.unwrap();
    assert_eq!(ended(&mut download).await, read_error);

    let mut download = ada.download("bo", SONG).await.unwrap();
    let size = granted(&mut download).await;
    let mut stream = download.accept(0, size).await.unwrap();
    stream.read(&mut [0; 100]).await.unwrap();
    let file = std::fs::File::options().write(true).open(&folder.files[0].local_path).unwrap();
    file.set_len(200_000).unwrap();
    let (_, end) = read_all(&mut stream).await;
    assert!(matches!(end, Err(TransferError::ConnectionCut { .. })), "{end:?}");
    assert_eq!(ended(&mut download).await, read_error);
    for _ in 0..2 {
        let end = event(&mut uploads, is_upload_end).await;
        assert!(matches!(end, Event::UploadEnded { outcome: UploadOutcome::ReadError, .. }));
    }
}

#[tokio::test]
async fn an_offer_and_its_file_may_come_on_connections_we_did_not_open() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let mut download = ada.download("stranger", SONG).await.unwrap();
    let sending = async {
        let mut asked = stranger.accept().await;
        assert_eq!(read_peer(&mut asked).await, ask(SONG));
        let mut other = call(ada.listen_addr(), "stranger").await;
        write_all(&mut other, &offering(SONG, 5, 10)).await.unwrap();
        assert_eq!(verdict_on(&mut other, 5).await, Verdict::Accepted { size: None });
        // The file comes the other way round: as a call that ada returns.
        let ours = ServerRequest::ConnectToPeer {
            token: 6,
            user: "ada".to_owned(),
            kind: ConnectionKind::File,
        };
        stranger.tell_server(&ours).await;
        let mut file = stranger.accept().await;
        file.write_u32_le(5).await.unwrap();
        assert_eq!(file.read_u64_le().await.unwrap(), 3);
        file.write_all(&content(10)[3..]).await.unwrap();
        (asked, other, file)
    };
    let receiving = async {
        let size = granted(&mut download).await;
        read_all(&mut download.accept(3, size).await.unwrap()).await
    };
    let (_kept, (bytes, end)) = tokio::join!(sending, receiving);
    end.unwrap();
    assert_eq!(bytes, content(10)[3..]);
}

#[tokio::test]
async fn downloads_keep_to_their_rate_together() {
    let server = server().await;
    let folder = Folder::new().with(SONG, 200_000).with(ONE, 200_000);
    let manners = Manners { download_bytes_per_s: Some(200_000), ..Manners::default() };
    let (ada, _ada) =
        Client::login(with(manners, config(&server, "ada", 2)), Shares::default()).await.unwrap();
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    let (cy, _cy) = log_in(&server, "cy", 4).await;
    bo.set_shares(folder.shares());
    cy.set_shares(folder.shares());
    let begun = std::time::Instant::now();
    let (one, two) = tokio::join!(fetch(&ada, "bo", SONG, 0), fetch(&ada, "cy", ONE, 0));
    assert!(one == content(200_000) && two == content(200_000));
    // Less would be more than was allowed; how much more time a busy machine takes is its affair.
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}
