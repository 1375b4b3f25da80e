//! A peer that sends more than it promised. It is spoken by hand, from sockets and messages: no client
//! of ours can be made to do so.

use std::net::SocketAddr;
use std::time::Duration;

use loopback::peer::Offer;
use soulseek::conn::{read_frame, write_all};
use soulseek::wire::peer::{Attribute, DIRECTION_UPLOAD, FileEntry, SearchAnswer, attribute};
use soulseek::wire::{
    Channel, ConnectionKind, DistributedMessage, PeerInit, PeerMessage, ServerMessage,
    ServerRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

const USER: &str = "generous";
const TOKEN: u32 = 77;
/// What it adds to every file.
static SURPLUS: [u8; 64 * 1024] = [0xA5; 64 * 1024];
const LIMIT: Duration = Duration::from_secs(60);

/// Logs in and serves one file in a task of its own. It ends with the runtime.
pub(crate) async fn join(server: SocketAddr, offer: Offer) {
    let home = SocketAddr::from(([127, 0, 6, 1], 0));
    let listener = TcpListener::bind(home).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(home).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let port = listener.local_addr().unwrap().port().into();
    for request in [
        ServerRequest::Login {
            user: USER.into(),
            password: "x".into(),
            major: 177,
            digest: soulseek::md5_hex(&format!("{USER}x")),
            minor: 1,
        },
        ServerRequest::SetWaitPort { port, obfuscation: None },
        // Searches come to whoever has no parent to bring them.
        ServerRequest::HaveNoParent { without: true },
        // Comes back, and by then the server has taken in what was before it.
        ServerRequest::GetPeerAddress { user: USER.into() },
    ] {
        write_all(&mut stream, &request.encode()).await.unwrap();
    }
    while read_frame(&mut stream, Channel::FromServer, LIMIT).await.unwrap().code != 3 {}
    tokio::spawn(serve(stream, listener, offer));
}

/// Answers every search with the file, at its seeker's own address.
async fn serve(mut server: TcpStream, listener: TcpListener, offer: Offer) {
    let mut talks = JoinSet::new();
    let mut tokens = Vec::new();
    let mut seeker = None;
    loop {
        let frame = tokio::select! {
            frame = read_frame(&mut server, Channel::FromServer, LIMIT) => frame,
            accepted = listener.accept() => {
                let mut stream = accepted.unwrap().0;
                read_frame(&mut stream, Channel::Init, LIMIT).await.unwrap();
                if let Some(seeker) = seeker {
                    talks.spawn(talk(stream, seeker, offer.clone()));
                }
                continue;
            }
        };
        // The world has ended.
        let Ok(frame) = frame else { return };
        match ServerMessage::decode(frame.code, &frame.body).unwrap() {
            ServerMessage::EmbeddedMessage { code, body } => {
                let search = DistributedMessage::decode(code.into(), &body.0).unwrap();
                let DistributedMessage::Search { user, token, .. } = search else { continue };
                tokens.push(token);
                let ask = ServerRequest::GetPeerAddress { user };
                write_all(&mut server, &ask.encode()).await.unwrap();
            }
            ServerMessage::PeerAddress { ip, port, .. } => {
                let address = SocketAddr::from((ip, u16::try_from(port).unwrap()));
                seeker = Some(address);
                for token in tokens.drain(..) {
                    let mut stream = dial(address, ConnectionKind::Peer).await;
                    write_all(&mut stream, &answer(token, &offer)).await.unwrap();
                    talks.spawn(talk(stream, address, offer.clone()));
                }
            }
            _ => {}
        }
    }
}

async fn dial(address: SocketAddr, kind: ConnectionKind) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let hello = PeerInit::Hello { user: USER.into(), kind, number: 0 };
    write_all(&mut stream, &hello.encode()).await.unwrap();
    stream
}

fn answer(token: u32, offer: &Offer) -> Vec<u8> {
    let length = Attribute { code: attribute::DURATION, value: offer.duration_s };
    let file = FileEntry {
        mark: 1,
        name: offer.virtual_path.clone(),
        size: offer.size,
        extension: String::new(),
        attributes: vec![length],
    };
    let answer = SearchAnswer {
        user: USER.into(),
        token,
        files: vec![file],
        free_slot: true,
        // Quicker than all others, so it is asked first.
        speed: 90_000_000,
        queue_length: 0,
        private_files: Vec::new(),
    };
    PeerMessage::SearchAnswer { answer }.encode()
}

/// Offers the file to whoever asks for it, and sends it with the surplus.
async fn talk(mut peer: TcpStream, asker: SocketAddr, offer: Offer) {
    while let Ok(frame) = read_frame(&mut peer, Channel::PeerAsked, LIMIT).await {
        match PeerMessage::decode(frame.code, &frame.body).unwrap() {
            PeerMessage::QueueUpload { path } => {
                let request = PeerMessage::TransferRequest {
                    direction: DIRECTION_UPLOAD,
                    token: TOKEN,
                    path,
                    size: Some(offer.size),
                };
                write_all(&mut peer, &request.encode()).await.unwrap();
            }
            PeerMessage::TransferResponse { token: TOKEN, .. } => {
                let mut file = dial(asker, ConnectionKind::File).await;
                file.write_u32_le(TOKEN).await.unwrap();
                let offset = usize::try_from(file.read_u64_le().await.unwrap()).unwrap();
                let bytes = std::fs::read(&offer.local_path).unwrap();
                file.write_all(&[&bytes[offset..], &SURPLUS].concat()).await.unwrap();
                // Whoever has enough closes.
                let _ = file.read_u8().await;
            }
            _ => {}
        }
    }
}
