//! The search beside SQLite's FTS5, in one run on one disk: making documents searchable, and answering.
//! Prints tables in Markdown. The search is measured as the node uses it, events in and hits out; FTS5 is
//! given the same words as rows.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml --bin search -- [folder] [jobs]`; a job is 526
//! documents.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::id::TrackId;
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    Command, Decision, Event, Input, JobId, Observation, PeerId, RecordingId, ReleaseId, Seq,
    SourceId, Target, Timestamp, Track, TrackKey,
};
use eventlog::{LogId, Record, Stream};
use projections::search::{Kind, Query, Search};
use projections::{Projection, Rows};

type Failure = Box<dyn std::error::Error>;

const TRACKS: u16 = 25;
const SOURCES: u32 = 20;
const BATCH: usize = 512;
const QUERIES: u32 = 500;

/// A small generator of numbers: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    /// One of 20,000 words, the first far more often than the last.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "ba", "lo", "mer", "shal", "ti", "gan", "ro", "ske", "dun", "vi", "chor", "na", "pel",
            "u", "wen", "fy",
        ];
        let most = 1 + self.below(20_000);
        let mut number = self.below(most);
        let mut word = String::new();
        loop {
            word += SYLLABLES[(number % 16) as usize];
            number /= 16;
            if number == 0 {
                return word;
            }
        }
    }

    fn words(&mut self, count: u64) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

/// A row as FTS5 gets it.
struct Row {
    title: String,
    artist: String,
    path: String,
    user: String,
    id: String,
}

/// The events of a job, and the rows that they amount to.
fn job(number: u32, dice: &mut Dice) -> (Vec<Event>, Vec<Row>) {
    let (job, album) = (JobId(number), dice.words(2));
    let credit = Credit { name: dice.words(2), artists: vec![] };
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let none = String::new;
    let row = |title: &str, id: String| Row {
        title: title.into(),
        artist: credit.name.clone(),
        path: none(),
        user: none(),
        id,
    };
    let tracks: Vec<Track> = (0..TRACKS)
        .map(|index| {
            let mut recording = id;
            recording[14..].copy_from_slice(&index.to_be_bytes());
            Track {
                id: TrackId(recording),
                recording: RecordingId(recording),
                medium: 1,
                position: index + 1,
                title: dice.words(3),
                credit: credit.clone(),
                duration_ms: None,
                isrcs: vec![],
            }
        })
        .collect();
    let mut rows = vec![row(&album, ReleaseId(id).to_string())];
    rows.extend(tracks.iter().map(|track| row(&track.title, track.recording.to_string())));
    let mut events = vec![
        Event::Input(Input::Command(Command::AddJob { release: ReleaseId(id) })),
        Event::Decision(Decision::JobAdded { job, release: ReleaseId(id) }),
    ];
    let titles: Vec<String> = tracks.iter().map(|track| track.title.clone()).collect();
    let target = Target {
        release: ReleaseId(id),
        group: None,
        title: album.clone(),
        credit: credit.clone(),
        date: none(),
        country: none(),
        label: none(),
        barcode: none(),
        media: 1,
        tracks,
    };
    events.push(Event::Input(Input::Observation(Observation::ReleaseFetched { job, target })));
    for (index, title) in (0u16..).zip(&titles) {
        for source in 0..SOURCES {
            let user = format!("{}{}", dice.word(), dice.below(1000));
            let folder = dice.word();
            let path = format!(r"{folder}\{}\{album}\{index:02} {title}.flac", credit.name);
            let [title, artist, id] = [none(), none(), none()];
            rows.push(Row { title, artist, path: path.clone(), user: user.clone(), id });
            events.push(Event::Decision(Decision::SourceFound {
                track: TrackKey { job, index },
                source: SourceId(source),
                peer: PeerId::Soulseek(user),
                path,
                size: 30_000_000,
                likeness: Ppm(900_000),
            }));
        }
    }
    (events, rows)
}

fn record(seq: u64, event: &Event) -> Result<Record, Failure> {
    let (schema, payload) = eventlog::encode(event)?;
    Ok(Record {
        seq: Seq(seq),
        at: Timestamp(seq),
        cause: Seq(seq),
        correlation: Seq(seq),
        stream: Stream::of(event),
        revision: seq,
        schema,
        digest: None,
        command: None,
        payload,
    })
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let jobs: u32 = arguments.next().map_or(Ok(1_900), |text| text.parse())?;
    let dir = base.join(format!("reprise-search-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let measured = measure(&dir, jobs);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path, jobs: u32) -> Result<(), Failure> {
    let (mut search, view) = Search::open(&dir.join("search"))?;
    search.reset(LogId([1; 16]))?;
    let fts = rusqlite::Connection::open(dir.join("fts.db"))?;
    fts.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE VIRTUAL TABLE found USING fts5(title, artist, path, user);
         CREATE TABLE ids(id TEXT, found INTEGER); CREATE INDEX by_id ON ids(id);",
    )?;
    let mut dice = Dice(7);
    let (mut seq, mut documents) = (0, 0u64);
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    // Both in turns, so that a busy minute of the machine hits both.
    for chunk in (1..=jobs).collect::<Vec<_>>().chunks(95) {
        let mut records = Vec::new();
        let mut rows = Vec::new();
        for number in chunk {
            let (events, of_job) = job(*number, &mut dice);
            for event in &events {
                seq += 1;
                records.push(record(seq, event)?);
            }
            rows.extend(of_job);
        }
        let begun = Instant::now();
        for batch in records.chunks(BATCH) {
            search.apply(batch)?;
        }
        ours += begun.elapsed();
        let begun = Instant::now();
        fts.execute_batch("BEGIN")?;
        {
            let mut insert = fts.prepare_cached("INSERT INTO found VALUES (?, ?, ?, ?)")?;
            let mut insert_id = fts.prepare_cached("INSERT INTO ids VALUES (?, ?)")?;
            for row in &rows {
                insert.execute([&row.title, &row.artist, &row.path, &row.user])?;
                if !row.id.is_empty() {
                    insert_id.execute((&row.id, fts.last_insert_rowid()))?;
                }
            }
        }
        fts.execute_batch("COMMIT")?;
        theirs += begun.elapsed();
        documents += rows.len() as u64;
    }
    let begun = Instant::now();
    search.rows().settle()?;
    ours += begun.elapsed();
    println!("| {documents} documents | documents/s | bytes per document |");
    println!("|---|---|---|");
    for (name, took, place) in [("search", ours, "search"), ("FTS5", theirs, "fts.db")] {
        let rate = documents as f64 / took.as_secs_f64();
        let size = size_of(&dir.join(place))? / documents;
        println!("| {name} | {rate:.0} | {size} |");
    }

    println!("\n| query | search p50 | p99 | FTS5 p50 | p99 |");
    println!("|---|---|---|---|---|");
    let ids: Vec<String> = (0..QUERIES)
        .map(|number| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&(1 + number % jobs).to_be_bytes());
            ReleaseId(id).to_string()
        })
        .collect();
    let kinds: [(&str, fn(&mut Dice) -> String, fn(&str) -> String); 4] = [
        ("one word and the beginning of another", |dice| dice.words(2), |text| format!("{text}*")),
        ("three whole words", |dice| dice.words(3) + " ", str::to_owned),
        (
            "the first four letters",
            |dice| {
                let word = dice.words(2).replace(' ', "");
                word[..word.floor_char_boundary(4)].to_owned()
            },
            |text| format!("{text}*"),
        ),
        ("two words in a row", |dice| format!("\"{}\"", dice.words(2)), str::to_owned),
    ];
    for (name, asked, matched) in kinds {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut select = fts.prepare(
            "SELECT title, artist, path, user FROM found WHERE found MATCH ? ORDER BY rank LIMIT 25",
        )?;
        for _ in 0..QUERIES {
            let text = asked(&mut dice);
            let begun = Instant::now();
            let query = Query::parse(&text)?;
            std::hint::black_box(view.search(&query, None::<Kind>, None, 25)?);
            ours.push(begun.elapsed());
            let begun = Instant::now();
            let mut rows = select.query([matched(&text)])?;
            while let Some(row) = rows.next()? {
                std::hint::black_box(row.get::<_, String>(2)?);
            }
            theirs.push(begun.elapsed());
        }
        tell(name, ours, theirs);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut select =
        fts.prepare("SELECT title FROM found WHERE rowid IN (SELECT found FROM ids WHERE id = ?)")?;
    for id in &ids {
        let begun = Instant::now();
        std::hint::black_box(view.search(&Query::parse(id)?, None, None, 25)?);
        ours.push(begun.elapsed());
        let begun = Instant::now();
        let mut rows = select.query([id])?;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get::<_, String>(0)?);
        }
        theirs.push(begun.elapsed());
    }
    tell("a MusicBrainz ID", ours, theirs);
    Ok(())
}

fn tell(name: &str, mut ours: Vec<Duration>, mut theirs: Vec<Duration>) {
    ours.sort_unstable();
    theirs.sort_unstable();
    let us = |took: &[Duration], percent: usize| took[took.len() * percent / 100].as_micros();
    println!(
        "| {name} | {} us | {} us | {} us | {} us |",
        us(&ours, 50),
        us(&ours, 99),
        us(&theirs, 50),
        us(&theirs, 99)
    );
}

fn size_of(path: &Path) -> Result<u64, Failure> {
    let about = path.metadata()?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    std::fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum()
}
