//! Measures the index of shares: `shares build DIR [FILES]` writes made-up paths, queries and an index of
//! them into DIR, `shares search DIR` answers 200 searches a second for 20 s. Time, memory and
//! bytes on disk are printed. `shares.py` beside it has Nicotine+ do the same with the same paths and
//! queries; results are in docs/BENCHMARKS.md.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use soulseek::wire::PeerMessage;
use soulseek::wire::peer::{FileEntry, SearchAnswer};
use soulseek::{Attributes, Audience, Builder, SharedFile, Shares};

const SEARCHES_PER_S: u32 = 200;
const SECONDS: u32 = 20;
/// As Nicotine+ comes.
const FILES_PER_ANSWER: usize = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (verb, dir) = (words.next().unwrap_or_default(), words.next().ok_or("which folder?")?);
    let dir = Path::new(&dir);
    match verb.as_str() {
        "build" => build(dir, words.next().map_or(Ok(1_000_000), |count| count.parse())?),
        "search" => search(dir),
        _ => Err("build or search?".into()),
    }
}

fn build(dir: &Path, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(dir)?;
    make_up(dir, count)?;
    let (began, used) = (Instant::now(), cpu());
    let mut builder = Builder::new(dir);
    for (number, path) in BufReader::new(File::open(dir.join("paths"))?).lines().enumerate() {
        let virtual_path = path?;
        let local_path = PathBuf::from(format!("/srv/{}", virtual_path.replace('\\', "/")));
        let attributes = Attributes {
            duration_s: Some(60 + number as u32 % 500),
            sample_rate_hz: Some(44_100),
            bit_depth: Some(16),
            ..Attributes::default()
        };
        let file = SharedFile { virtual_path, local_path, size: 30_000_000, attributes };
        builder.add(&file, number as u64, Audience::Everyone)?;
    }
    let shares = builder.finish(&dir.join("index"))?;
    println!(
        "built {} files in {:.1} s, {:.1} s of CPU, at most {} MB in memory; {} MB on disk",
        shares.file_count(),
        began.elapsed().as_secs_f64(),
        (cpu() - used).as_secs_f64(),
        status("VmHWM") / 1024,
        std::fs::metadata(dir.join("index"))?.len() >> 20,
    );
    Ok(())
}

fn search(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let shares = Shares::open(&dir.join("index"))?;
    println!("opened in {} ms", began.elapsed().as_millis());
    let queries: Vec<String> =
        BufReader::new(File::open(dir.join("queries"))?).lines().collect::<Result<_, _>>()?;
    let (began, used) = (Instant::now(), cpu());
    let (mut took, mut answers, mut hits) = (Vec::new(), 0, 0);
    for (number, query) in (0..SEARCHES_PER_S * SECONDS).zip(queries.iter().cycle()) {
        let due = began + Duration::from_secs(1) * number / SEARCHES_PER_S;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let found = shares.search("ada", query, &[], FILES_PER_ANSWER);
        if !found.is_empty() {
            let files = found.into_iter().map(|found| entry(found.file)).collect::<Vec<_>>();
            answers += 1;
            hits += files.len();
            std::hint::black_box(answer(number, files).encode());
        }
        took.push(due.elapsed());
    }
    took.sort_unstable();
    println!(
        "{} searches, {answers} answered with {hits} files: p50 {:.3} ms, p99 {:.3} ms, most {:.1} ms; {:.2} s \
         of CPU, {} MB resident",
        took.len(),
        took[took.len() / 2].as_secs_f64() * 1e3,
        took[took.len() * 99 / 100].as_secs_f64() * 1e3,
        took[took.len() - 1].as_secs_f64() * 1e3,
        (cpu() - used).as_secs_f64(),
        status("VmRSS") / 1024,
    );
    Ok(())
}

fn entry(file: SharedFile) -> FileEntry {
    let extension = String::new();
    FileEntry { mark: 1, name: file.virtual_path, size: file.size, extension, attributes: vec![] }
}

fn answer(token: u32, files: Vec<FileEntry>) -> PeerMessage {
    let (user, private_files) = ("bo".to_owned(), Vec::new());
    let (free_slot, speed, queue_length) = (true, 1, 0);
    PeerMessage::SearchAnswer {
        answer: SearchAnswer { user, token, files, free_slot, speed, queue_length, private_files },
    }
}

/// Artists with albums with tracks, of words of which few are frequent and most are rare; and queries:
/// half of them for something that is there, half for words that never meet.
fn make_up(dir: &Path, count: usize) -> std::io::Result<()> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let vocabulary: Vec<String> = (0..80_000).map(|_| dice.word()).collect();
    let phrase = |dice: &mut Dice, most: u64| {
        let words: Vec<&str> = (0..=dice.below(most))
            .map(|_| {
                // Cubed, so that the first words of the vocabulary come often.
                let share = dice.below(1 << 20) as f64 / f64::from(1 << 20);
                vocabulary[(share.powi(3) * vocabulary.len() as f64) as usize].as_str()
            })
            .collect();
        words.join(" ")
    };
    let mut paths = BufWriter::new(File::create(dir.join("paths"))?);
    let mut queries = BufWriter::new(File::create(dir.join("queries"))?);
    let wanted = (SEARCHES_PER_S * SECONDS) as usize;
    let (mut written, mut asked) = (0, 0);
    while written < count {
        let artist = phrase(&mut dice, 2);
        for _ in 0..=dice.below(6) {
            let album = phrase(&mut dice, 3);
            let year = 1960 + dice.below(66);
            let extension = if dice.below(2) == 0 { "flac" } else { "mp3" };
            for track in 1..=8 + dice.below(10) {
                if written == count {
                    break;
                }
                let title = phrase(&mut dice, 3);
                writeln!(
                    paths,
                    "Music\\{artist}\\{album} ({year})\\{track:02} - {artist} - {title}.{extension}"
                )?;
                written += 1;
                if asked * count < written * wanted {
                    asked += 1;
                    match dice.below(20) {
                        0..6 => writeln!(queries, "{artist} {title}")?,
                        6..8 => writeln!(queries, "{artist} {album}")?,
                        8 => writeln!(queries, "{artist} {album} {extension} -live")?,
                        9 => {
                            let ending: String = title.chars().skip(2).collect();
                            let ending = ending.split(' ').next().unwrap_or_default();
                            writeln!(queries, "{artist} *{ending}")?;
                        }
                        10 => writeln!(queries, "{} {extension}", phrase(&mut dice, 1))?,
                        _ => writeln!(queries, "{}", phrase(&mut dice, 4))?,
                    }
                }
            }
        }
    }
    paths.flush()?;
    queries.flush()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        for _ in 0..=1 + self.below(3) {
            word.push(char::from(b"bcdfghklmnprstvw"[self.below(16) as usize]));
            word.push(char::from(b"aeiouy"[self.below(6) as usize]));
        }
        word
    }
}

/// CPU time of this process, in hundredths of a second as Linux counts it.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
