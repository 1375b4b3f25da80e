//! Pins how every event is stored. `schema/events.lock` has a line per event; a line that changes
//! means that logs written by an older program no longer mean what they said.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use domain::{Envelope, Seq, Timestamp};
use eventlog::history::{Header, HistoryReader, write_envelopes};

use crate::samples;

fn lock() -> String {
    let mut text = String::from(
        "# Number of the type, version of its fields, BLAKE3 (first 16 digits) and length of the\n\
         # stored bytes, of one sample per event.\n\
         # Rewritten by: UPDATE_SCHEMA=1 cargo test -p eventlog --test it encoding\n",
    );
    let mut line = |what: &str, name: &str, bytes: &[u8]| {
        let hash = blake3::hash(bytes).to_hex();
        writeln!(text, "{what:>5} {} {:>5} {name}", &hash[..16], bytes.len()).unwrap();
    };
    let samples = samples::all();
    for (name, event) in &samples {
        let (schema, payload) = eventlog::encode(event).unwrap();
        line(&format!("{}.{}", schema.kind, schema.version), name, &payload);
    }
    // A history is made of the log's frames, so this pins both; how well they deflate is not pinned.
    let (seq, at, cause) = (Seq(2), Timestamp(3), Seq(1));
    let envelope = Envelope { seq, at, cause, event: samples[0].1.clone() };
    let mut file = Vec::new();
    write_envelopes(&mut file, &Header::default(), [(&envelope, None)]).unwrap();
    let header_end = 16 + u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize + 32;
    let (header, block) = file.split_at(header_end);
    let mut frames = block[..4].to_vec();
    flate2::read::DeflateDecoder::new(&block[40..]).read_to_end(&mut frames).unwrap();
    line("-", "header of a history", header);
    line("-", "frames of a history", &frames);
    text
}

/// Names, paths and titles come from strangers; a history is read in terminals.
#[test]
fn no_text_of_an_event_reaches_the_terminal() {
    for (name, event) in samples::all_ending_with("\n\u{1b}[2J\u{9b}\u{202e}") {
        let (seq, at, cause) = (Seq(2), Timestamp(3), Seq(1));
        let line = domain::render::line(&Envelope { seq, at, cause, event });
        let obeyed = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!line.contains(obeyed), "{name}: {line:?}");
    }
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
         If that is meant, keep the old form in eventlog's schema, add the new one as the next\n\
         version with the conversion from the old, and run\n\
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

fn golden_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/events");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.retain(|path: &PathBuf| {
        path.extension().is_some_and(|end| end == "history" || end == "replay")
    });
    files.sort();
    files
}

/// Every type and version ever written stands in one of the files of `fixtures/events`, and reads as
/// it did when the file was made. A file is never changed: what no file of today's form has goes into
/// the next.
#[test]
fn whatever_was_ever_written_is_read() {
    let mut kept = BTreeSet::new();
    for path in golden_files() {
        let records: Vec<_> =
            HistoryReader::open(&path).unwrap().records().collect::<Result<_, _>>().unwrap();
        let lines: String = records
            .iter()
            .map(|record| format!("{}\n", domain::render::line(&record.envelope().unwrap())))
            .collect();
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(lines, expected, "{}", path.display());
        if path.extension().is_some_and(|end| end == "replay") {
            kept.extend(records.iter().map(|record| record.schema));
        }
    }
    let (seq, at, cause) = (Seq(1), Timestamp(1_700_000_000_000_000), Seq(1));
    let mut missing: Vec<_> = samples::all()
        .into_iter()
        .filter(|(_, event)| !kept.contains(&eventlog::encode(event).unwrap().0))
        .map(|(_, event)| Envelope { seq, at, cause, event })
        .collect();
    if std::env::var_os("UPDATE_SCHEMA").is_some() && !missing.is_empty() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/events");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{:04}.replay", golden_files().len() + 1));
        for (seq, envelope) in (1..).zip(&mut missing) {
            (envelope.seq, envelope.cause) = (Seq(seq), Seq(seq));
        }
        let file = std::fs::File::create_new(&path).unwrap();
        let events = missing.iter().map(|envelope| (envelope, None));
        write_envelopes(file, &Header::default(), events).unwrap();
        let lines: String =
            missing.iter().map(|it| format!("{}\n", domain::render::line(it))).collect();
        std::fs::write(path.with_extension("txt"), lines).unwrap();
        return;
    }
    assert!(
        missing.is_empty(),
        "no file of fixtures/events has these: {:?}\n\
         UPDATE_SCHEMA=1 cargo test -p eventlog --test it encoding makes the next one",
        missing.iter().map(|it| eventlog::encode(&it.event).unwrap().0).collect::<Vec<_>>()
    );
}
