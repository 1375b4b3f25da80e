//! What no honest client does, and what one may ask that ours does not: peers made of bare sockets. What
//! clients of ours do among themselves is in the module above.

use super::*;

/// A peer made of bare sockets, for what no honest client does.
pub(super) struct Stranger {
    _server: TcpStream,
    listener: TcpListener,
}

impl Stranger {
    pub(super) async fn log_in(server: &SoulseekServer, user: &str, last: u8) -> Stranger {
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

    pub(super) async fn accept(&self) -> TcpStream {
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

pub(super) async fn read_peer(stream: &mut TcpStream) -> PeerMessage {
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
