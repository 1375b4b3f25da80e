//! A peer made of bare sockets, and what it says and hears on them. What it is up to is in
//! [`super::strangers`], [`super::manners`] and [`super::hostile`].

use super::*;

/// A peer made of bare sockets, for what no honest client does.
pub(super) struct Stranger {
    server: tokio::sync::Mutex<TcpStream>,
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
        Stranger { server: tokio::sync::Mutex::new(stream), listener }
    }

    pub(super) async fn tell_server(&self, request: &ServerRequest) {
        write_all(&mut *self.server.lock().await, &request.encode()).await.unwrap();
    }

    /// Reads on until the server says something of this kind.
    pub(super) async fn server_says(&self, code: u32) -> ServerMessage {
        let mut server = self.server.lock().await;
        loop {
            let frame = read_frame(&mut *server, Channel::FromServer, LIMIT).await.unwrap();
            if frame.code == code {
                return ServerMessage::decode(frame.code, &frame.body).unwrap();
            }
        }
    }

    pub(super) async fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        read_frame(&mut stream, Channel::Init, LIMIT).await.unwrap();
        stream
    }

    /// The same, past message connections: a failure before may be told on one of its own.
    pub(super) async fn accept_file(&self) -> TcpStream {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let frame = read_frame(&mut stream, Channel::Init, LIMIT).await.unwrap();
            match PeerInit::decode(frame.code, &frame.body).unwrap() {
                PeerInit::Hello { kind: ConnectionKind::File, .. } => return stream,
                other => drop((other, stream)),
            }
        }
    }

    /// Offers a file to whoever asks, and opens the file connection to `downloader`.
    pub(super) async fn offer(&self, user: &str, downloader: SocketAddr, size: u64) -> TcpStream {
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

/// Message 40 for `path`.
pub(super) fn offering(path: &str, token: u32, size: u64) -> Vec<u8> {
    let (direction, path) = (DIRECTION_UPLOAD, path.to_owned());
    PeerMessage::TransferRequest { direction, token, path, size: Some(size) }.encode()
}

/// Reads on until the offer `token` is answered.
pub(super) async fn verdict_on(peer: &mut TcpStream, wanted: u32) -> Verdict {
    loop {
        match timeout(LIMIT, read_peer(peer)).await.expect("an answer in time") {
            PeerMessage::TransferResponse { token, verdict } if token == wanted => return verdict,
            _ => {}
        }
    }
}

/// Asks `uploader` for a file and follows the protocol up to its file connection and token.
pub(super) async fn take(
    stranger: &Stranger,
    user: &str,
    uploader: SocketAddr,
    path: &str,
) -> TcpStream {
    let mut peer = TcpStream::connect(uploader).await.unwrap();
    let hello = PeerInit::Hello { user: user.to_owned(), kind: ConnectionKind::Peer, number: 0 };
    let ask = PeerMessage::QueueUpload { path: path.to_owned() };
    write_all(&mut peer, &[hello.encode(), ask.encode()].concat()).await.unwrap();
    let token = loop {
        match timeout(LIMIT, read_peer(&mut peer)).await.expect("an offer in time") {
            PeerMessage::TransferRequest { token, .. } => break token,
            // Of the file before.
            PeerMessage::UploadFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    let verdict = Verdict::Accepted { size: None };
    let accept = PeerMessage::TransferResponse { token, verdict };
    write_all(&mut peer, &accept.encode()).await.unwrap();
    let mut file = stranger.accept_file().await;
    assert_eq!(file.read_u32_le().await.unwrap(), token);
    file
}
