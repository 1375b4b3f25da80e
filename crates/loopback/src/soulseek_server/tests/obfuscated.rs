//! Obfuscated connections: between two of ours, and as somebody sees them who has only the sockets.
//! Against a real client they are in [`super::real_clients`].

use soulseek::wire::obfuscated::{KEY_BYTES, KIND, Keystream, obfuscate};
use soulseek::wire::server::Obfuscation;

use super::*;

/// Logs in a user who listens where it says, on bare sockets.
async fn log_in_stranger(server: &SoulseekServer, port: u16, obfuscated: u16) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    for request in [
        ServerRequest::Login {
            user: "stranger".to_owned(),
            password: "x".to_owned(),
            major: 177,
            digest: soulseek::md5_hex("strangerx"),
            minor: 1,
        },
        ServerRequest::SetWaitPort {
            port: port.into(),
            obfuscation: Some(Obfuscation { kind: KIND, port: obfuscated.into() }),
        },
        // Comes back, and by then the ports are known to the server.
        ServerRequest::GetPeerAddress { user: "stranger".to_owned() },
    ] {
        write_all(&mut stream, &request.encode()).await.unwrap();
    }
    while read_frame(&mut stream, Channel::FromServer, LIMIT).await.unwrap().code != 3 {}
    stream
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn obfuscating(server: &SoulseekServer, user: &str, last: u8) -> ClientConfig {
    ClientConfig { obfuscated_port: Some(0), ..config(server, user, last) }
}

/// Reads one message as it lies on the wire: the key, the hidden bytes, and what they mean.
async fn read_hidden(stream: &mut TcpStream) -> (Vec<u8>, Vec<u8>) {
    let mut key = [0; KEY_BYTES];
    stream.read_exact(&mut key).await.unwrap();
    let mut keys = Keystream::new(key);
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.unwrap();
    let mut hidden = length.to_vec();
    keys.apply(&mut length);
    let mut rest = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut rest).await.unwrap();
    hidden.extend_from_slice(&rest);
    keys.apply(&mut rest);
    (hidden, [&length[..], &rest].concat())
}

#[tokio::test]
async fn two_clients_whose_plain_ports_are_dead_meet_on_their_obfuscated_ones() {
    let server = server().await;
    let folder = Folder::new().with(SONG, SIZE);
    let hidden = |user, last| ClientConfig {
        advertised_port: Some(DEAD_PORT),
        ..obfuscating(&server, user, last)
    };
    let (ada, _ada) = Client::login(hidden("ada", 2), Shares::default()).await.unwrap();
    let (_bo, _bo_events) = Client::login(hidden("bo", 3), folder.shares()).await.unwrap();
    let mut search = ada.search("loveless soon").await.unwrap();
    let answer = timeout(LIMIT, search.next()).await.unwrap().unwrap();
    assert_eq!(answer.files[0].path, SONG);
    assert!(fetch(&ada, "bo", SONG, 0).await == content(SIZE));
}

#[tokio::test]
async fn what_is_sent_and_taken_on_an_obfuscated_port_is_hidden() {
    let server = server().await;
    let (obfuscated, port) = listener().await;
    let _stranger = log_in_stranger(&server, DEAD_PORT, port).await;
    let ours = obfuscating(&server, "ada", 2);
    let (ada, _ada) = Client::login(ours, Shares::default()).await.unwrap();
    let mut download = ada.download("stranger", SONG).await.unwrap();

    let (mut peer, _) = timeout(LIMIT, obfuscated.accept()).await.unwrap().unwrap();
    let kind = ConnectionKind::Peer;
    let hello = PeerInit::Hello { user: "ada".to_owned(), kind, number: 0 };
    let queue = PeerMessage::QueueUpload { path: SONG.to_owned() };
    for expected in [hello.encode(), queue.encode()] {
        let (on_the_wire, meant) = read_hidden(&mut peer).await;
        assert_eq!(meant, expected);
        assert_ne!(on_the_wire, expected);
    }
    let reason = "Complete".to_owned();
    let denied = PeerMessage::UploadDenied { path: SONG.to_owned(), reason: reason.clone() };
    peer.write_all(&obfuscate(&denied.encode(), [1, 2, 3, 4])).await.unwrap();
    assert!(matches!(ended(&mut download).await, DownloadEnd::Denied(why) if why == reason));
}

#[tokio::test]
async fn whoever_has_no_obfuscated_port_calls_none() {
    let server = server().await;
    let ((plain, port), (_obfuscated, obfuscated_port)) = (listener().await, listener().await);
    let _stranger = log_in_stranger(&server, port, obfuscated_port).await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let _download = ada.download("stranger", SONG).await.unwrap();
    let (mut peer, _) = timeout(LIMIT, plain.accept()).await.unwrap().unwrap();
    assert_eq!(read_frame(&mut peer, Channel::Init, LIMIT).await.unwrap().code, 1);
}

#[tokio::test]
async fn an_obfuscated_port_that_does_not_answer_is_passed_over() {
    let server = server().await;
    let (plain, port) = listener().await;
    let _stranger = log_in_stranger(&server, port, DEAD_PORT).await;
    let ours = obfuscating(&server, "ada", 2);
    let (ada, _ada) = Client::login(ours, Shares::default()).await.unwrap();
    let _download = ada.download("stranger", SONG).await.unwrap();
    let (mut peer, _) = timeout(LIMIT, plain.accept()).await.unwrap().unwrap();
    assert_eq!(read_frame(&mut peer, Channel::Init, LIMIT).await.unwrap().code, 1);
}
