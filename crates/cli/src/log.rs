//! `reprise log`: looks after the event log of a node that is not running. Only a copy is also taken of
//! the log of a running one, through its API: see [`crate::backup`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::{JobId, Seq};
use eventlog::history::{Header, HistoryReader, write_history};
use eventlog::stats::Count;
use eventlog::{Damage, Log, OpenError, Reader, Stream};

use crate::exit::Failure;
use crate::serve::build;
use crate::{backup, forget, soak};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check every block, link, checksum and event: exit code 5 where the first damage is
    Verify(Folder),
    /// Get everything out of a damaged log that is still there, as a history
    Salvage {
        #[command(flatten)]
        folder: Folder,
        /// Where to write what comes out
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write a range, a job or all of it as a history, with the names of people; `job export-history`
    /// writes one without
    Export {
        #[command(flatten)]
        folder: Folder,
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The first event
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// The last event
        #[arg(long)]
        to: Option<u64>,
        /// Only the events of this job
        #[arg(long)]
        job: Option<u32>,
    },
    /// Make a new log of a history
    Import {
        /// The history
        history: PathBuf,
        #[command(flatten)]
        folder: Folder,
    },
    /// Copy the log to a new folder, checking everything on the way; that of a running node, where no
    /// folder is named
    Backup {
        /// The folder of the log of a node that is not running
        #[arg(long, value_name = "DIR", conflicts_with = "api")]
        dir: Option<PathBuf>,
        /// The running node's API
        #[arg(long, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        /// The new folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put a copy back as a log in a new folder
    Restore {
        /// The copy
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        #[command(flatten)]
        folder: Folder,
    },
    /// Give some peers other names everywhere in the log, and prove that it decides the same
    Forget {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        whom: forget::Whom,
    },
    /// Count what the log consists of
    Stats(Folder),
    /// Append for ever and say what is durable: for tests from outside that stop it in any way
    Soak {
        #[command(flatten)]
        folder: Folder,
        /// Threads that append at the same time
        #[arg(long, default_value_t = 4)]
        writers: u32,
        /// Begin a volume after so many events, to see many of them in a short time
        #[arg(long, value_name = "EVENTS")]
        volume_events: Option<u64>,
    },
    /// Print `<number> <hash>` of every event in order, from 0, as `soak` counts them
    Dump(Folder),
}

#[derive(clap::Args)]
pub(crate) struct Folder {
    /// The folder of the log: `log` in a node's data folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Verify(folder) => verify(&folder.dir),
        Command::Salvage { folder, out } => salvage(&folder.dir, out),
        Command::Export { folder, out, from, to, job } => {
            let range =
                (*from > 1 || to.is_some()).then_some((Seq(*from), Seq(to.unwrap_or(u64::MAX))));
            export(&folder.dir, out, range, job.map(JobId))
        }
        Command::Import { history, folder } => import(history, &folder.dir),
        Command::Backup { dir: Some(dir), to, .. } => {
            copied(eventlog::backup::backup(&open(dir)?, to)?, to)
        }
        Command::Backup { dir: None, api, to } => copied(backup::take(*api, to)?, to),
        Command::Restore { from, folder } => restore(from, &folder.dir),
        Command::Forget { folder, whom } => forget::run(&open(&folder.dir)?, &folder.dir, whom),
        Command::Stats(folder) => stats(&folder.dir),
        Command::Soak { folder, writers, volume_events } => {
            soak::run(&folder.dir, *writers, *volume_events)
        }
        Command::Dump(folder) => dump(&folder.dir),
    }
}

/// Opens a log, or a copy of one, to read it.
fn open(dir: &Path) -> anyhow::Result<Reader> {
    Log::read(dir).map_err(|error| match error {
        OpenError::NotALog => {
            Failure::not_found(format!("there is no event log in {}", dir.display()))
        }
        OpenError::InUse => anyhow::Error::from(error)
            .context(format!("stop the node that uses {} first", dir.display())),
        // A file that may not be read is not damaged, nor is what a newer program wrote.
        OpenError::Damaged(eventlog::ReadError::Io(_))
        | OpenError::Damaged(eventlog::ReadError::Volume { damage: Damage::Version(_), .. }) => {
            error.into()
        }
        OpenError::Damaged(_) | OpenError::Store(_) => damaged(&error),
        error => error.into(),
    })
}

/// The failure that damage is, whoever finds it.
pub(crate) fn damaged(error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    Failure::damaged(format!(
        "{}\n`reprise log salvage` gets out what is still there",
        chain(error)
    ))
}

fn verify(dir: &Path) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let verified = open(dir)?.verify().map_err(|error| damaged(&error))?;
    let seconds = started.elapsed().as_secs_f64().max(1e-6);
    println!(
        "all {} events in {} blocks of {} volumes are as they were written ({:.0} MB/s)",
        verified.events,
        verified.blocks,
        verified.volumes,
        verified.bytes as f64 / 1e6 / seconds
    );
    if verified.unknown > 0 {
        println!("{} of them are of types that this program does not know", verified.unknown);
    }
    println!("head {}", hex(&verified.head));
    Ok(())
}

fn salvage(dir: &Path, out: &Path) -> anyhow::Result<()> {
    let file = create(out)?;
    let salvaged = eventlog::salvage::salvage(dir, BufWriter::new(file))?;
    println!("{salvaged}\nwritten to {}", out.display());
    if salvaged.is_whole() { Ok(()) } else { Err(Failure::damaged("not everything came out")) }
}

fn export(
    dir: &Path,
    out: &Path,
    range: Option<(Seq, Seq)>,
    job: Option<JobId>,
) -> anyhow::Result<()> {
    let reader = open(dir)?;
    let (first, last) = range.unwrap_or((Seq(1), Seq(u64::MAX)));
    let records = reader.records(first..=last).filter(|record| match (record, job) {
        (Ok(record), Some(job)) => record.stream == Stream::Job(job),
        _ => true,
    });
    let (build, engine) = (build(), ::replay::ENGINE_VERSION);
    let header = Header { build, engine, job, range, ..Header::default() };
    let events = write_history(BufWriter::new(create(out)?), &header, records)?;
    println!("wrote {events} events to {}", out.display());
    Ok(())
}

fn import(history: &Path, dir: &Path) -> anyhow::Result<()> {
    let reader = HistoryReader::open(history)
        .with_context(|| format!("{} is not a history", history.display()))?;
    let imported = eventlog::import::import(dir, reader.records())?;
    println!("the log in {} has {} events", dir.display(), imported.last);
    if let Some(hole) = imported.hole {
        println!("event {hole} is missing; what comes after it cannot be replayed and is left out");
    }
    Ok(())
}

fn copied(last: Seq, to: &Path) -> anyhow::Result<()> {
    println!("copied and checked {last} events to {}", to.display());
    Ok(())
}

fn restore(from: &Path, dir: &Path) -> anyhow::Result<()> {
    let last = eventlog::backup::restore(from, dir)?;
    println!("the log in {} has {last} events", dir.display());
    Ok(())
}

fn stats(dir: &Path) -> anyhow::Result<()> {
    let reader = open(dir)?;
    let stats = reader.stats()?;
    println!("log      {}", reader.identity());
    println!("events   {}", stats.last);
    if let Some((first, last)) = stats.times {
        println!("from     {}\nto       {}", first.rfc3339(), last.rfc3339());
    }
    println!("streams  {}", stats.by_stream.len());
    for volume in &stats.volumes {
        let form = if volume.is_sealed { "sealed" } else { "store" };
        println!("volume   from event {}, {form}, {} B", volume.first, volume.bytes);
    }
    println!("{:>10} {:>12}  type", "events", "bytes");
    let mut kinds: Vec<_> = stats.by_schema.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(count.bytes));
    for (schema, Count { events, bytes }) in kinds {
        let name = schema.name().unwrap_or("unknown");
        println!("{events:>10} {bytes:>12}  {name} ({}.{})", schema.kind, schema.version);
    }
    Ok(())
}

fn dump(dir: &Path) -> anyhow::Result<()> {
    let reader = open(dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for record in reader.records(Seq(1)..=reader.durable()) {
        let record = record?;
        writeln!(out, "{} {}", record.seq.0 - 1, hex(&record.payload_hash()))?;
    }
    Ok(out.flush()?)
}

/// Makes a file that is not there: an earlier history is never written over.
fn create(path: &Path) -> anyhow::Result<File> {
    File::create_new(path).with_context(|| format!("cannot make {}", path.display()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error with what caused it, in one line each.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
