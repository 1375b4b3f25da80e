//! Writes the seeds in `fixtures/fuzz`: what our own encoders make of one sample each, and the
//! answers in `fixtures`. A fuzzer that begins with them need not find out what a frame or a page
//! is.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds` from the root of the repository.
//! Seeds of other names, kept from a run because nothing else reaches what they reach, are left
//! alone.

#[allow(dead_code, unused_imports, reason = "the samples are those of eventlog's tests")]
#[path = "../../crates/eventlog/tests/it/samples.rs"]
mod samples;
#[allow(dead_code, reason = "the audio is that of audio's tests")]
#[path = "../../crates/audio/src/specimen.rs"]
mod specimen;

use std::fs;
use std::io::Read;
use std::path::Path;

use audio::compress;
use domain::{Envelope, Seq, Timestamp};
use eventlog::history::{Header, write_envelopes};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::ZlibEncoder;
use soulseek::wire::distributed::Embedded;
use soulseek::wire::peer::{
    Attribute, FileEntry, FolderContents, FolderEntry, SearchAnswer, ShareList, UserInfo, Verdict,
};
use soulseek::wire::server::{LoginAnswer, Obfuscation, ParentCandidate, UserState, UserStats};
use soulseek::wire::{
    ConnectionKind, DistributedMessage, PeerInit, PeerMessage, ServerMessage, ServerRequest, pack,
};

fn main() {
    soulseek_messages();
    events();
    answers();
    texts();
    files();
}

/// Writes one seed; its name says what it is.
fn seed(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fuzz").join(target);
    fs::create_dir_all(&folder).expect("the repository is writable");
    fs::write(folder.join(name), bytes).expect("the repository is writable");
}

fn soulseek_messages() {
    let user = || "ada".to_owned();
    let path = || r"music\Tin Orchard\01 Tone.flac".to_owned();
    let entry = FileEntry {
        mark: 1,
        name: path(),
        size: 30_000_000,
        extension: "flac".to_owned(),
        attributes: vec![Attribute { code: 1, value: 215 }, Attribute { code: 4, value: 44_100 }],
    };
    let folder = FolderEntry { path: r"music\x".to_owned(), files: vec![entry.clone()] };
    let stats = UserStats { speed: 9, uploads: 8, reserved: 0, files: 7, folders: 6 };
    let (token, kind, ip) = (7, ConnectionKind::Peer, [127, 0, 2, 3].into());
    let query = || "tin orchard".to_owned();

    let requests = [
        ServerRequest::Login {
            user: user(),
            password: "secret".to_owned(),
            major: 160,
            digest: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            minor: 1,
        },
        ServerRequest::SetWaitPort {
            port: 2234,
            obfuscation: Some(Obfuscation { kind: 1, port: 2235 }),
        },
        ServerRequest::ConnectToPeer { token, user: user(), kind },
        ServerRequest::FileSearch { token, query: query() },
        ServerRequest::RoomSearch { room: "lobby".to_owned(), token, query: query() },
        ServerRequest::SetStatus { status: 2 },
    ];
    for request in &requests {
        server_seed("request", request.code(), &request.encode_body(), &request.encode(), 1);
    }
    let messages = [
        ServerMessage::Login {
            answer: LoginAnswer::Accepted {
                greeting: "hello".to_owned(),
                ip,
                digest: String::new(),
                supporter: true,
            },
        },
        ServerMessage::Login {
            answer: LoginAnswer::Refused { reason: "INVALIDPASS".to_owned(), detail: None },
        },
        ServerMessage::PeerAddress {
            user: user(),
            ip,
            port: 2234,
            obfuscation: 0,
            obfuscated_port: 0,
        },
        ServerMessage::WatchedUser {
            user: user(),
            exists: true,
            state: Some(UserState { status: 2, stats, country: Some("XW".to_owned()) }),
        },
        ServerMessage::ConnectToPeer {
            user: user(),
            kind: ConnectionKind::File,
            ip,
            port: 2234,
            token,
            privileged: false,
            obfuscation: 0,
            obfuscated_port: 0,
        },
        ServerMessage::RoomList {
            rooms: vec!["lobby".to_owned()],
            users: vec![3],
            owned: Vec::new(),
            owned_users: Vec::new(),
            private: vec!["den".to_owned()],
            private_users: vec![1],
            operated: vec!["den".to_owned()],
        },
        ServerMessage::EmbeddedMessage { code: 3, body: pack::Raw(vec![1, 2, 3]) },
        ServerMessage::PossibleParents {
            candidates: vec![ParentCandidate { user: user(), ip, port: 2234 }],
        },
        ServerMessage::ExcludedPhrases { phrases: vec!["tone".to_owned()] },
    ];
    for message in &messages {
        server_seed("message", message.code(), &message.encode_body(), &message.encode(), 0);
    }

    let answer = SearchAnswer {
        user: user(),
        token,
        files: vec![entry.clone()],
        free_slot: true,
        speed: 1_000_000,
        queue_length: 2,
        private_files: vec![entry],
    };
    let list = ShareList { folders: vec![folder.clone()], private_folders: vec![folder.clone()] };
    let contents = FolderContents { token, folder: r"music\x".to_owned(), folders: vec![folder] };
    let info = UserInfo {
        description: "hello".to_owned(),
        picture: Some(vec![0x89, b'P']),
        upload_slots: 2,
        queue_length: 0,
        free_slot: true,
        permission: Some(1),
    };
    let declined = Verdict::Declined { reason: "Queued".to_owned() };
    let between = [
        PeerMessage::ShareList { list },
        PeerMessage::SearchAnswer { answer },
        PeerMessage::UserInfo { info },
        PeerMessage::Folder { contents },
        PeerMessage::GetFolder { token, folder: r"music\x".to_owned() },
        PeerMessage::TransferRequest { direction: 1, token, path: path(), size: Some(5) },
        PeerMessage::TransferResponse { token, verdict: Verdict::Accepted { size: Some(5) } },
        PeerMessage::TransferResponse { token: 8, verdict: declined },
        PeerMessage::QueueUpload { path: path() },
        PeerMessage::PlaceInQueue { path: path(), place: 3 },
        PeerMessage::UploadDenied { path: path(), reason: "File not shared.".to_owned() },
    ];
    for (number, message) in between.iter().enumerate() {
        let (code, body) = (message.code(), message.encode_body());
        let name = format!("{code}-{number}");
        seed("soulseek_peer", &name, &[&[code as u8][..], &body].concat());
        seed("soulseek_stream", &format!("peer-{name}"), &[&[4][..], &message.encode()].concat());
        if let Some(pick) = [5, 9, 37].iter().position(|compressed| *compressed == code) {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&body[..]), &mut plain)
                .expect("we packed it");
            seed("soulseek_unpacked", &name, &[&[pick as u8][..], &plain].concat());
            if code == 5 {
                seed("soulseek_list", "plain", &[&[0, 6][..], &plain].concat());
                seed("soulseek_list", "packed", &[&[1, 6][..], &body].concat());
            }
        }
    }
    // Nothing but zeros, which pack to a thousandth: a list with as many entries as its count says.
    let mut bomb = ZlibEncoder::new(vec![5], Compression::best());
    std::io::Write::write_all(&mut bomb, &[0xFF, 0xFF, 0, 0]).expect("memory");
    std::io::Write::write_all(&mut bomb, &vec![0; 256 << 10]).expect("memory");
    seed("soulseek_peer", "5-bomb", &bomb.finish().expect("memory"));

    let hello = PeerInit::Hello { user: user(), kind, number: 0 };
    let pierce = PeerInit::PierceFirewall { token };
    for message in [hello, pierce] {
        let (name, frame) = (format!("init-{}", message.code()), message.encode());
        seed("soulseek_obfuscated", &name, &[&[3, 1, 2, 3, 4][..], &frame].concat());
        seed("soulseek_init", &name, &frame[4..]);
        seed("soulseek_stream", &name, &[&[2][..], &frame].concat());
    }
    let search = DistributedMessage::Search { mark: 0x31, user: user(), token, query: query() };
    let root = DistributedMessage::BranchRoot { user: user() };
    let embedded = Embedded { code: 3, body: pack::Raw(search.encode_body()) };
    let embedded = DistributedMessage::Embedded { message: embedded };
    for message in [search, root, embedded, DistributedMessage::BranchLevel { level: -1 }] {
        let (name, frame) = (format!("distributed-{}", message.code()), message.encode());
        seed("soulseek_init", &name, &frame[4..]);
        seed("soulseek_stream", &name, &[&[5][..], &frame, &frame].concat());
    }
}

fn server_seed(kind: &str, code: u32, body: &[u8], frame: &[u8], channel: u8) {
    let name = format!("{kind}-{code}-{}", body.len());
    seed("soulseek_server", &name, &[&(code as u16).to_le_bytes()[..], body].concat());
    seed("soulseek_stream", &name, &[&[channel][..], frame, frame].concat());
}

fn events() {
    let events = samples::all().into_iter();
    let mut kept = Vec::new();
    for (name, event) in events {
        let is_outer =
            ["Command::", "Observation::", "Decision::"].iter().any(|it| name.starts_with(it));
        if is_outer && !kept.iter().any(|(other, _)| *other == name) {
            let (schema, fields) = eventlog::encode(&event).expect("small");
            let [low, high] = schema.kind.to_le_bytes();
            let bytes = [&[low, high, schema.version], &fields[..]].concat();
            seed("event", &name.replace("::", "-"), &bytes);
            kept.push((name, event));
        }
    }
    let envelopes = |from: usize, count| {
        let events = kept[from..].iter().take(count);
        let numbered = (1u64..).zip(events);
        numbered.map(|(seq, (_, event))| Envelope {
            seq: Seq(seq),
            at: Timestamp(seq),
            cause: Seq(1),
            event: event.clone(),
        })
    };
    for from in (0..kept.len()).step_by(9) {
        let events: Vec<_> = envelopes(from, 9).collect();
        let frames = frames(&history(&events));
        // The target puts a header and hashes around them, in both forms.
        let text = b"engine 1\njob 7\n\xff";
        seed("history", &format!("samples-{from}"), &[text, &frames[..]].concat());
        seed("history", &format!("frames-{from}"), &[&[0; 24], &frames[..]].concat());
        // A block's frames are a history's; its target puts the rest right.
        let mut block = b"RBLK\x02\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
        block.extend([0; 48]);
        block.extend(&frames);
        seed("block", &format!("samples-{from}"), &block);
    }
    let mut mark = b"RPRSMARK".to_vec();
    mark.extend([9, 0, 0, 0, 0, 0, 0, 0]);
    mark.extend([7; 32]);
    seed("block", "mark", &mark);
    let life = sim::run::run(3, &[]);
    seed("history", "life", &history(&life.log[..40]));
}

fn history(events: &[Envelope]) -> Vec<u8> {
    let mut file = Vec::new();
    let header = Header { build: "seed".into(), engine: 1, ..Header::default() };
    let events = events.iter().map(|envelope| (envelope, None));
    write_envelopes(&mut file, &header, events).expect("memory");
    file
}

/// The frames of a history's first block.
fn frames(file: &[u8]) -> Vec<u8> {
    let length = file[12..16].try_into().expect("four bytes");
    let block = 16 + u32::from_le_bytes(length) as usize + 32;
    let mut frames = Vec::new();
    DeflateDecoder::new(&file[block + 40..])
        .read_to_end(&mut frames)
        .expect("our own file is whole");
    frames
}

fn answers() {
    for (target, folder) in [("musicbrainz", "musicbrainz"), ("acoustid", "acoustid")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
        for entry in fs::read_dir(folder).expect("it is in the repository") {
            let path = entry.expect("it is readable").path();
            if path.extension().is_some_and(|end| end == "json") {
                let name = path.file_name().and_then(|name| name.to_str()).expect("plain");
                seed(target, name, &fs::read(&path).expect("it is readable"));
            }
        }
    }
}

/// A world of one file in which everything that can be said is said.
const WORLD: &str = r#"{"name": "w", "size": 40000, "downlink": [[0, 9000]], "verify_unit": 16384, "peers": [
{"id": "a", "kind": "mesh", "rtt_ms": 9, "connect_ms": 18, "queue_s": 0, "rate": [[0, 5000], [2, 0]],
"appear_s": 0.5, "down": [[3, 4]], "gone_at": 9, "have": [[0, 16384]], "bad": [[5, 6]]},
{"id": "b", "kind": "soulseek", "rtt_ms": 9, "connect_ms": 18, "queue_s": 3, "rate": [[0, 5000]]}]}"#;

fn texts() {
    const ID: &str = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";
    let links = [
        ID.to_owned(),
        format!("https://beta.musicbrainz.org/release/{ID}/disc/2?utm=x#frag"),
        format!("http://user@musicbrainz.org:443/release/{ID}"),
        format!("musicbrainz.org/release-group/{ID}"),
        "https://www.discogs.com/release/1".to_owned(),
    ];
    for (number, link) in links.iter().enumerate() {
        seed("reference", &format!("link-{number}"), link.as_bytes());
    }
    let queries = [
        "loveless some".to_owned(),
        r#"artist:"my bloody" title:only user:ada path:flac "#.to_owned(),
        format!("id:{ID} state:set_aside AC/DC"),
        format!("{ID} \u{e9}dit 12:30 \"a b\""),
    ];
    for (number, query) in queries.iter().enumerate() {
        seed("search_query", &format!("query-{number}"), query.as_bytes());
    }
    seed("scenario", "two-peers", WORLD.as_bytes());
    let words: [&[&str]; 4] = [
        &["The Tin Orchard", "Harbour Lights", "1999-05-01", "Tone One"],
        &["AC/DC", "../../etc", "", "nul.flac"],
        &["..", "...", "????", " . "],
        &["con", "\u{202e}x\u{0}", "19", "What? <\"*\">|:\\"],
    ];
    for (number, words) in words.iter().enumerate() {
        let parts: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let words = parts.join(&0xFF);
        seed("library_path", &format!("words-{number}"), &[&[1, 2][..], &words].concat());
    }
    let paths: &[u8] =
        b"\xFFMusic\\Tin Orchard\\Harbour Lights (1999)\\01 Tone.flac\xFFMusic\\02 T-x.mp3";
    for (number, query) in ["tin tone", "*chard -x", "*ne-flac", "music\u{FFFD}"].iter().enumerate()
    {
        let query = query.replace('\u{FFFD}', " ");
        let excluded: &[u8] = if number % 2 == 0 { b"\xFF" } else { b"\xFFharbour" };
        seed(
            "soulseek_search",
            &format!("query-{number}"),
            &[query.as_bytes(), excluded, paths].concat(),
        );
    }
    let fingerprints: [&[u32]; 4] =
        [&[], &[1, 1, 0], &[1 << 8, u32::MAX, 1 << 31], &[0x1234_5678; 40]];
    for (number, items) in fingerprints.iter().enumerate() {
        seed("fingerprint", &format!("items-{number}"), compress(items).as_bytes());
    }
    for (number, dice) in [3u8, 77, 130, 201].iter().enumerate() {
        let bytes: Vec<u8> =
            (0..600u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ dice).collect();
        seed("engine", &format!("dice-{number}"), &bytes);
    }
}

fn files() {
    let samples = specimen::tune(1, 1);
    let short = &samples[..4_000];
    let all: [(&str, u8, Vec<u8>); 6] = [
        ("flac", 0, specimen::flac(short)),
        ("wav", 1, specimen::wav(&short[..400])),
        ("aiff", 2, specimen::aiff(&short[..400])),
        ("m4a", 3, specimen::m4a(&short[..800])),
        ("vorbis", 4, specimen::vorbis(short)),
        ("mp3", 5, specimen::mp3(4, 6)),
    ];
    for (name, pick, file) in &all {
        seed("sniff", name, &file[..file.len().min(400)]);
        seed("examine", name, file);
        match name {
            _ if *pick < 4 => seed("header", name, &[&[*pick][..], file].concat()),
            &"vorbis" => seed("ogg", name, file),
            _ => {}
        }
    }
    seed("examine", "wav-whole", &whole_wav());
    let frames = specimen::mp3(4, 3);
    let id3v2 = [&b"ID3\x04\0\0\0\0\x01\0"[..], &[0; 128]].concat();
    let id3v1 = [&b"TAG"[..], &[0; 125]].concat();
    let ape = [&b"APETAGEX\xD0\x07\0\0\x20\0\0\0"[..], &[0; 16]].concat();
    seed("sniff", "tagged", &[&id3v2[..], &frames, &ape, &id3v1].concat());
    seed("sniff", "padded", &[&[0; 700][..], &frames].concat());
}

/// A file that gets as far as a fingerprint in few bytes: four seconds of 4,000 samples of 8 bits.
fn whole_wav() -> Vec<u8> {
    const RATE: u32 = 4_000;
    let sounds = specimen::tune(2, 4).into_iter().step_by(22);
    let data: Vec<u8> = sounds.map(|sound| (sound / 256 + 128) as u8).collect();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(RATE.to_le_bytes());
    file.extend(RATE.to_le_bytes());
    file.extend(b"\x01\0\x08\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}
