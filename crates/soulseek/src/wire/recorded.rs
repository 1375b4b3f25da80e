//! Every row of every table against frames that real clients made: what they wrote, we read as they
//! meant it, and write the same.
//!
//! The frames are in `fixtures/soulseek/frames.json`, written by `record.py` beside it. A row added to
//! a table makes `every_row_has_a_frame` fail until there is a frame with its code: add one `row(…)`
//! to `record.py`, in the function named like the connection, and run it as it says at its top.
//! Nothing has to be added here, unless neither client can write the message; then its code and the
//! reason go into [`UNRECORDED`].

use std::collections::BTreeSet;

use serde_json::Value;

use super::file::{decode_offset, decode_token, encode_offset, encode_token};
use super::frame::split;
use super::inflate::inflate;
use super::{Channel, DistributedMessage, PeerInit, PeerMessage, ServerMessage, ServerRequest};

const FRAMES: &str = include_str!("../../../../fixtures/soulseek/frames.json");

/// Rows no client at hand can write: connection, code, why.
const UNRECORDED: [(&str, u32, &str); 0] = [];

/// One frame as a real client made it.
struct Recorded {
    connection: String,
    code: u32,
    client: String,
    /// The values it was made from, as `{:?}` prints our message with them.
    values: String,
    /// We understand it and write it differently.
    reads_only: bool,
    bytes: Vec<u8>,
}

#[test]
fn frames_are_read_as_meant_and_written_alike() {
    for frame in recorded() {
        if frame.connection == "file" {
            assert_eq!(file_round_trip(&frame), frame.bytes, "{} {}", frame.client, frame.values);
            continue;
        }
        let channel = match frame.connection.as_str() {
            "init" => Channel::Init,
            "distributed" => Channel::Distributed,
            _ => Channel::Peer,
        };
        let (code, body) = split(&frame.bytes, channel).expect("a whole frame");
        let what = format!("{} {code} of {}", frame.connection, frame.client);
        let (values, written) = round_trip(&frame.connection, code, body);
        assert_eq!((code, &values), (frame.code, &frame.values), "{what}");
        if frame.reads_only {
            assert_ne!(written, frame.bytes, "{what} is written alike after all");
        } else if is_packed(&frame) {
            // The codes and what is behind the zlib; two compressors may differ in how they pack it.
            let (_, ours) = split(&written, channel).expect("our own frame is well formed");
            assert_eq!(written[4..8], frame.bytes[4..8], "{what}");
            assert_eq!(inflate(ours, 1 << 20), inflate(body, 1 << 20), "{what}");
        } else {
            assert_eq!(written, frame.bytes, "{what}");
        }
    }
}

#[test]
fn every_row_has_a_frame() {
    let frames = recorded();
    for (connection, codes) in [
        ("to server", ServerRequest::CODES),
        ("from server", ServerMessage::CODES),
        ("init", PeerInit::CODES),
        ("peer", PeerMessage::CODES),
        ("distributed", DistributedMessage::CODES),
    ] {
        let recorded: BTreeSet<u32> = frames
            .iter()
            .filter(|frame| frame.connection == connection && !frame.reads_only)
            .map(|frame| frame.code)
            .collect();
        let excused = UNRECORDED.iter().filter(|(of, ..)| *of == connection);
        let excused: BTreeSet<u32> = excused.map(|(_, code, _)| *code).collect();
        assert!(recorded.is_disjoint(&excused), "{connection}: excused and recorded");
        let known: BTreeSet<u32> = recorded.union(&excused).copied().collect();
        let rows: BTreeSet<u32> = codes.iter().copied().collect();
        assert_eq!(rows, known, "{connection}: rows beside recorded or excused codes");
    }
    for kind in ["Token", "Offset"] {
        let found = frames.iter().any(|it| it.connection == "file" && it.values.starts_with(kind));
        assert!(found, "no {kind} of a file connection");
    }
}

fn round_trip(connection: &str, code: u32, body: &[u8]) -> (String, Vec<u8>) {
    macro_rules! through {
        ($table:ident) => {{
            let message = $table::decode(code, body).expect("a real client wrote it");
            (format!("{message:?}"), message.encode())
        }};
    }
    match connection {
        "to server" => through!(ServerRequest),
        "from server" => through!(ServerMessage),
        "init" => through!(PeerInit),
        "peer" => through!(PeerMessage),
        "distributed" => through!(DistributedMessage),
        other => panic!("no table is called {other}"),
    }
}

fn file_round_trip(frame: &Recorded) -> Vec<u8> {
    if let Ok(bytes) = frame.bytes[..].try_into() {
        let token = decode_token(bytes);
        assert_eq!(format!("Token {{ token: {token} }}"), frame.values);
        return encode_token(token).to_vec();
    }
    let offset = decode_offset(frame.bytes[..].try_into().expect("a token or an offset"));
    assert_eq!(format!("Offset {{ offset: {offset} }}"), frame.values);
    encode_offset(offset).to_vec()
}

fn is_packed(frame: &Recorded) -> bool {
    frame.connection == "peer" && [5, 9, 37].contains(&frame.code)
}

fn recorded() -> Vec<Recorded> {
    let frames: Vec<Value> = serde_json::from_str(FRAMES).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    frames
        .iter()
        .map(|frame| Recorded {
            connection: text(&frame["connection"]),
            code: u32::try_from(frame["code"].as_u64().unwrap()).unwrap(),
            client: text(&frame["client"]),
            values: text(&frame["values"]),
            reads_only: frame["reads_only"].as_bool().unwrap(),
            bytes: unhex(frame["hex"].as_str().unwrap()),
        })
        .collect()
}

/// Bytes from two hex digits each.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
