//! Pins how every event is stored. `schema/events.lock` has a line per event; a line that changes
//! means that logs written by an older program no longer mean what they said.

use std::fmt::Write;
use std::path::Path;

use domain::{Envelope, Seq, Timestamp};
use eventlog::history::{Header, write_history};

use crate::samples;

fn lock() -> String {
    let mut text = String::from(
        "# BLAKE3 (first 16 digits) and length of the stored bytes of one sample per event.\n\
         # Rewritten by: UPDATE_SCHEMA=1 cargo test -p eventlog --test it encoding\n",
    );
    let mut line = |name: &str, bytes: &[u8]| {
        let hash = blake3::hash(bytes).to_hex();
        writeln!(text, "{} {:>5} {name}", &hash[..16], bytes.len()).unwrap();
    };
    let samples = samples::all();
    for (name, event) in &samples {
        line(name, &eventlog::encode(event).unwrap());
    }
    // A history is made of the log's frames, so this pins both.
    let (seq, at, cause) = (Seq(2), Timestamp(3), Seq(1));
    let envelope = Envelope { seq, at, cause, event: samples[0].1.clone() };
    let mut file = Vec::new();
    let events = [Ok::<_, std::convert::Infallible>(envelope)];
    write_history(&mut file, Header { engine: 1, job: None }, events).unwrap();
    line("frame and history file", &file);
    text
}

#[test]
fn encodings_are_as_locked() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/events.lock");
    let now = lock();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
        return;
    }
    let locked = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> =
        now.lines().filter(|line| !locked.lines().any(|old| old == *line)).collect();
    let gone: Vec<_> = locked.lines().filter(|line| !now.lines().any(|new| new == *line)).collect();
    assert!(
        changed.is_empty() && gone.is_empty(),
        "an event's encoding changed; existing logs would be misread or refused.\n\
         Locked: {gone:#?}\nNow:    {changed:#?}\n\
         If that is meant, keep reading the old form, raise the frame version, and run\n\
         UPDATE_SCHEMA=1 cargo test -p eventlog --test it encoding",
    );
}

#[test]
fn an_event_is_always_stored_as_the_same_bytes() {
    // Compared after other allocations, so that bytes nobody wrote would show.
    let first: Vec<_> =
        samples::all().iter().map(|(_, it)| eventlog::encode(it).unwrap()).collect();
    let noise: Vec<_> = (1..200).map(|size| vec![0xa5u8; size * 7]).collect();
    drop(noise);
    for (bytes, (name, event)) in first.iter().zip(samples::all()) {
        assert_eq!(*bytes, eventlog::encode(&event).unwrap(), "{name}");
    }
}
