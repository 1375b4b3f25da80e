//! A peer that wants to do harm, against a client of ours in a process of its own: whatever it does,
//! somebody else is served meanwhile, and the client's memory stays bounded. What is merely strange
//! is in [`super::strangers`].

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::stranger::{Stranger, offering, take};
use super::*;

/// Where the victim logs in; without it, that test has nothing to do.
const SERVER: &str = "REPRISE_TEST_SERVER";
/// Begins every line that the victim says; the test harness says some, too.
const SAYS: &str = "the victim says ";
/// What the victim may take at its most beyond what it took before, in KiB.
const MEMORY_KIB: u64 = 64 << 10;

/// The body of the victim: a client that shares two files, searches once, and lives until nobody
/// listens to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Ok(server) = std::env::var(SERVER) else { return };
    let folder = Folder::new().with(SONG, SIZE).with(ONE, 1);
    let ours =
        ClientConfig { upload_slots: 2, ..ClientConfig::new(&server, "bo", "secret", address(3)) };
    let (client, events) = Client::login(ours, folder.shares()).await.unwrap();
    drop(events);
    let mut search = client.search("anything").await.unwrap();
    tokio::spawn(async move { while search.next().await.is_some() {} });
    println!("\n{SAYS}{}", client.listen_addr());
    tokio::task::block_in_place(|| {
        for _ in std::io::stdin().lines() {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            println!("\n{SAYS}{}", most.trim().trim_end_matches(" kB"));
        }
    });
}

/// The victim as the tests see it, with somebody who fetches from it.
struct Victim {
    server: SoulseekServer,
    stranger: Stranger,
    ada: Client,
    process: Child,
    asked: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    /// Number of its search.
    token: u32,
    before_kib: u64,
}

impl Victim {
    async fn new() -> Victim {
        let server = server().await;
        let stranger = Stranger::log_in(&server, "mallory", 9).await;
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "soulseek_server::tests::hostile::victim", "--nocapture"])
            .env(SERVER, server.addr().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let asked = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let (ada, events) = log_in(&server, "ada", 2).await;
        drop(events);
        let (address, token, before_kib) = (server.addr(), 0, 0);
        let mut victim =
            Victim { server, stranger, ada, process, asked, said, address, token, before_kib };
        victim.address = victim.says().await.parse().unwrap();
        let ServerMessage::EmbeddedMessage { body, .. } = victim.stranger.server_says(93).await
        else {
            panic!("a search");
        };
        let Ok(soulseek::wire::DistributedMessage::Search { token, .. }) =
            soulseek::wire::DistributedMessage::decode(3, &body.0)
        else {
            panic!("a search");
        };
        victim.token = token;
        victim.serves().await;
        victim.before_kib = victim.memory_kib().await;
        victim
    }

    async fn says(&mut self) -> String {
        loop {
            let line =
                timeout(LIMIT, self.said.next_line()).await.expect("a word in time").unwrap();
            if let Some(words) = line.expect("it lives").strip_prefix(SAYS) {
                return words.to_owned();
            }
        }
    }

    async fn memory_kib(&mut self) -> u64 {
        self.asked.write_all(b"memory\n").await.unwrap();
        self.says().await.parse().unwrap()
    }

    /// Somebody who asks in between gets the whole file.
    async fn serves(&self) {
        assert!(fetch(&self.ada, "bo", SONG, 0).await == content(SIZE));
    }

    /// A newcomer, who has no connection yet, gets it as well; and so the victim is left.
    async fn survives(mut self) {
        self.serves().await;
        let (newcomer, _events) = log_in(&self.server, "newcomer", 5).await;
        assert!(fetch(&newcomer, "bo", SONG, 0).await == content(SIZE));
        let took = self.memory_kib().await.saturating_sub(self.before_kib);
        assert!(took < MEMORY_KIB, "{took} KiB more than before");
        drop(self.asked);
        assert!(timeout(LIMIT, self.process.wait()).await.expect("an end").unwrap().success());
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection of this kind by somebody who calls themselves so.
    async fn call(&self, user: &str, kind: ConnectionKind) -> TcpStream {
        let mut stream = self.connect().await;
        let hello = PeerInit::Hello { user: user.to_owned(), kind, number: 0 };
        // It may be turned away while it speaks.
        let _ = stream.write_all(&hello.encode()).await;
        stream
    }
}

/// Writes what may meet a closed connection.
async fn throw(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = timeout(Duration::from_secs(5), stream.write_all(bytes)).await;
}

/// Message 9 with everything but its end: `claimed` zeroes that are never all sent.
fn endless_answer(user: &str, token: u32, claimed: u32) -> Vec<u8> {
    let mut head = (claimed + 4).to_le_bytes().to_vec();
    head.extend(9u32.to_le_bytes());
    let answer = PeerMessage::SearchAnswer {
        answer: soulseek::wire::peer::SearchAnswer {
            user: user.to_owned(),
            token,
            files: Vec::new(),
            free_slot: true,
            speed: 1,
            queue_length: 0,
            private_files: Vec::new(),
        },
    };
    head.extend(answer.encode_body());
    head.resize(8 + claimed as usize - 1, 0);
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_never_speak_keep_nobody_out() {
    let victim = Victim::new().await;
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = victim.connect().await;
        // Half of them begin to introduce themselves.
        if number % 2 == 0 {
            throw(&mut stream, &[30, 0, 0, 0, 1]).await;
        }
        silent.push(stream);
        if number % 100 == 99 {
            victim.serves().await;
        }
    }
    // They are held while a newcomer is served.
    victim.survives().await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_only_introduce_themselves_keep_nobody_out() {
    let victim = Victim::new().await;
    let mut idle = Vec::new();
    for number in 0..800 {
        let kind = if number % 5 == 0 { ConnectionKind::File } else { ConnectionKind::Peer };
        // Some in the name of whoever is served.
        let user = if number % 50 == 0 { "newcomer" } else { &format!("mallory{}", number / 7) };
        idle.push(victim.call(user, kind).await);
    }
    victim.survives().await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_never_end_and_lengths_beyond_all_measure_fill_no_memory() {
    let victim = Victim::new().await;
    for code in [4u32, 5, 9, 16, 37, 40, 43, 9_999] {
        for length in [u32::MAX, 1 << 31, 448 << 20, 3, 0] {
            let mut stream = victim.call("mallory", ConnectionKind::Peer).await;
            throw(&mut stream, &[length.to_le_bytes(), code.to_le_bytes()].concat()).await;
        }
    }
    victim.serves().await;
    let mut open = Vec::new();
    for number in 0..600 {
        let user = format!("mallory{}", number / 7);
        let mut stream = victim.call(&user, ConnectionKind::Peer).await;
        throw(&mut stream, &endless_answer(&user, victim.token, 250 << 10)).await;
        open.push(stream);
    }
    victim.serves().await;
    for number in 0..600 {
        let mut stream = victim.call(&format!("m{}", number / 7), ConnectionKind::Peer).await;
        let mut message = vec![0; 60 << 10];
        message[..4].copy_from_slice(&(63u32 << 10).to_le_bytes());
        message[4] = 43;
        throw(&mut stream, &message).await;
        open.push(stream);
    }
    victim.survives().await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_that_answers_our_search_is_not_unpacked_to_its_end() {
    let victim = Victim::new().await;
    let file = soulseek::wire::peer::FileEntry {
        mark: 1,
        name: String::new(),
        size: 1,
        extension: String::new(),
        attributes: Vec::new(),
    };
    let bomb = |user: &str| PeerMessage::SearchAnswer {
        answer: soulseek::wire::peer::SearchAnswer {
            user: user.to_owned(),
            token: victim.token,
            files: vec![file.clone(); 1_500_000],
            free_slot: true,
            speed: 1,
            queue_length: 0,
            private_files: Vec::new(),
        },
    };
    let packed = bomb("mallory").encode();
    assert!(packed.len() < 250 << 10, "{}", packed.len());
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = victim.call("mallory", ConnectionKind::Peer).await;
        throw(&mut stream, &packed).await;
        open.push(stream);
    }
    victim.survives().await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_past_the_end_free_the_slot_at_once() {
    let victim = Victim::new().await;
    for offset in [u64::MAX, SIZE as u64 + 1, 1 << 63, u64::from(u32::MAX)] {
        let mut file = take(&victim.stranger, "mallory", victim.address, SONG).await;
        file.write_u64_le(offset).await.unwrap();
        let mut bytes = Vec::new();
        let _ = timeout(LIMIT, file.read_to_end(&mut bytes)).await.expect("it lets go");
        assert_eq!(bytes, b"");
    }
    victim.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_lead_elsewhere_or_are_no_text_lead_nowhere() {
    let victim = Victim::new().await;
    let mut peer = victim.call("mallory", ConnectionKind::Peer).await;
    let paths: [&[u8]; 8] = [
        b"..\\..\\..\\etc\\passwd",
        b"/etc/passwd",
        b"C:\\Windows\\win.ini",
        b"Music\\..\\..\\secret",
        b"\xff\xfe\xfd",
        b"Music\\\x00\x80\xc3",
        b"",
        &[0xc3; 2_000],
    ];
    for path in paths {
        let length = u32::try_from(path.len()).unwrap().to_le_bytes();
        let body = [&length[..], path].concat();
        for code in [43, 51, 46, 44] {
            throw(&mut peer, &PeerMessage::Unknown { code, body: body.clone() }.encode()).await;
        }
        let folder = [&7u32.to_le_bytes()[..], &body].concat();
        throw(&mut peer, &PeerMessage::Unknown { code: 36, body: folder }.encode()).await;
    }
    // Longer than any path is: read over.
    let endless = PeerMessage::QueueUpload { path: "..\\".repeat(20_000) };
    throw(&mut peer, &endless.encode()).await;
    let (mut denied, mut folders) = (0, 0);
    while (denied, folders) != (paths.len(), paths.len()) {
        let frame = timeout(LIMIT, read_frame(&mut peer, Channel::PeerAsked, LIMIT)).await;
        let frame = frame.expect("an answer in time").unwrap();
        match PeerMessage::decode(frame.code, &frame.body).unwrap() {
            PeerMessage::UploadDenied { reason, .. } if reason == "File not shared." => denied += 1,
            PeerMessage::Folder { contents } => {
                assert_eq!(contents.folders, []);
                folders += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    victim.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_come_twice_or_were_never_given_out_bring_nothing() {
    let victim = Victim::new().await;
    let mut open = Vec::new();
    for token in [1, 1, 2, u32::MAX, 0, victim.token] {
        let mut peer = victim.call("trudy", ConnectionKind::Peer).await;
        throw(&mut peer, &[offering(SONG, token, 10), offering(ONE, token, 1)].concat()).await;
        let verdict = Verdict::Accepted { size: Some(1) };
        throw(&mut peer, &PeerMessage::TransferResponse { token, verdict }.encode()).await;
        let mut file = victim.call("trudy", ConnectionKind::File).await;
        throw(&mut file, &token.to_le_bytes()).await;
        let mut pierced = victim.connect().await;
        throw(&mut pierced, &PeerInit::PierceFirewall { token }.encode()).await;
        open.extend([peer, file, pierced]);
    }
    // The same upload accepted twice over, and its token used for two connections.
    drop(take(&victim.stranger, "mallory", victim.address, ONE).await);
    victim.survives().await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_searches_leaves_room_for_the_search_of_another() {
    let victim = Victim::new().await;
    // Its own listener takes the calls and never says a word, so every answer has to wait.
    for token in 0..5_000 {
        let query = "loveless soon".to_owned();
        victim.stranger.tell_server(&ServerRequest::FileSearch { token, query }).await;
    }
    let mut search = victim.ada.search("loveless").await.unwrap();
    let answer = timeout(LIMIT, search.next()).await.expect("an answer in time").unwrap();
    assert_eq!((answer.user.as_str(), answer.files.len()), ("bo", 2));
    victim.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_everything_and_reads_nothing_fills_no_memory() {
    let victim = Victim::new().await;
    let ask = [
        PeerMessage::GetShareList {}.encode(),
        PeerMessage::GetUserInfo {}.encode(),
        PeerMessage::QueueUpload { path: "nothing".repeat(2_000) }.encode(),
    ]
    .concat();
    let mut open = Vec::new();
    for number in 0..40 {
        let mut peer = victim.call(&format!("mallory{number}"), ConnectionKind::Peer).await;
        let flood = async {
            for _ in 0..300 {
                peer.write_all(&ask).await?;
            }
            std::io::Result::Ok(())
        };
        let _ = timeout(Duration::from_millis(300), flood).await;
        open.push(peer);
    }
    victim.survives().await;
    drop(open);
}
