//! `reprise log forget`: tells the log of a node that is not running anew, with other names for some
//! peers. That the node would have decided the same is proved on the way, see [`replay::redact`]; why
//! this is what erasure is stands in docs/decisions/0019.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ::replay::redact::Redaction;
use anyhow::Context;
use domain::{Command, Event, Input, Observation, PeerId, Seq, Timestamp};
use eventlog::{Log, Reader, Step};

use crate::exit::Failure;

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Whom {
    /// A peer to forget, such as `slsk:somebody`; may be given again
    #[arg(long, value_name = "PEER", value_parser = peer)]
    peer: Vec<PeerId>,
    /// Forget everyone of whom nothing was heard for so many days
    #[arg(long, value_name = "DAYS")]
    unheard_days: Option<u64>,
}

fn peer(text: &str) -> Result<PeerId, String> {
    match text.split_once(':') {
        Some(("slsk", name)) if !name.is_empty() => Ok(PeerId::Soulseek(name.to_owned())),
        Some(("mesh", key)) if !key.is_empty() => Ok(PeerId::Mesh(key.to_owned())),
        _ => Err("a peer is written as slsk:NAME or mesh:KEY".to_owned()),
    }
}

/// Forgets in the log that `reader` has open, in `dir`.
pub(crate) fn run(reader: &Reader, dir: &Path, whom: &Whom) -> anyhow::Result<()> {
    let peers = chosen(reader, whom)?;
    if peers.is_empty() {
        println!("nobody is to be forgotten; the log stays as it is");
        return Ok(());
    }
    let unfinished = beside(dir)?;
    if unfinished.exists() {
        // Of a time that this was cut off: either it was not done yet, or what is left is the old log.
        fs::remove_dir_all(&unfinished)?;
    }
    let retold = retell(reader, &unfinished, &peers);
    if retold.is_err() {
        // It holds nothing that the log has not.
        let _ = fs::remove_dir_all(&unfinished);
    }
    let last = retold?;
    eventlog::replace::exchange(dir, &unfinished).context("the new log could not take over")?;
    fs::remove_dir_all(&unfinished)
        .with_context(|| format!("the old log is still there: remove {}", unfinished.display()))?;
    // As it was named: a log may lie elsewhere than its data folder says.
    let data = std::path::absolute(dir)?.parent().map(Path::to_owned).unwrap_or_default();
    node::views::remove(&data).with_context(|| {
        format!(
            "names are still in the views of {}: remove them, they are made anew",
            data.display()
        )
    })?;
    println!(
        "{} peers are forgotten; the log has {last} events, and all that these rules decided came out \
         the same.\n\
         Views are made anew when the node starts. Exported histories and copies of the log that were \
         made before still have the names.",
        peers.len()
    );
    Ok(())
}

/// Writes the log anew into an empty folder; its last event.
fn retell(reader: &Reader, to: &Path, peers: &BTreeSet<PeerId>) -> anyhow::Result<Seq> {
    let old = reader.verify().map_err(|error| crate::log::damaged(&error))?;
    let all = || reader.records(Seq(1)..=reader.durable());
    let drawn = format!("{:016x}", RandomState::new().build_hasher().finish());
    let redaction = Redaction::of_peers(peers.clone(), &drawn, all())?;
    let imported = eventlog::import::import(to, redaction.records(all()))?;
    anyhow::ensure!(imported.last == reader.durable(), "event {} is missing", imported.last.0 + 1);
    let (mut log, retold) = Log::open(to)?;
    let told = Observation::PeersForgotten {
        peers: u32::try_from(peers.len()).unwrap_or(u32::MAX),
        identity: reader.identity().0,
        last: reader.durable(),
        head: domain::chunk::Digest(old.head),
    };
    let history = retold.range(Seq(1)..=retold.durable());
    let next = ::replay::next(history, Input::Observation(told))?;
    log.append(&[Step { digest: Some(next.digest), ..Step::new(next.at, &next.events) }])?;
    Ok(retold.durable())
}

/// Those who are meant and of whom the log tells.
fn chosen(reader: &Reader, whom: &Whom) -> anyhow::Result<BTreeSet<PeerId>> {
    let mut heard: BTreeMap<PeerId, Timestamp> = BTreeMap::new();
    for envelope in reader.range(Seq(1)..=reader.durable()) {
        let envelope = envelope.map_err(|error| crate::log::damaged(&error))?;
        if let Event::Input(
            Input::Observation(
                Observation::SearchAnswered { peer, .. }
                | Observation::UploadEnded { peer, .. }
                | Observation::ChatReceived { peer, .. }
                | Observation::HoldingTold { peer, .. },
            )
            | Input::Command(Command::SendChat { peer, .. }),
        ) = envelope.event
        {
            heard.insert(peer, envelope.at);
        }
    }
    if let Some(stranger) = whom.peer.iter().find(|peer| !heard.contains_key(peer)) {
        return Err(Failure::not_found(format!("the log tells of no peer {stranger}")));
    }
    let mut peers: BTreeSet<PeerId> = whom.peer.iter().cloned().collect();
    if let Some(days) = whom.unheard_days {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let before = now.saturating_sub(u128::from(days) * 86_400_000_000);
        peers.extend(heard.into_iter().filter(|(_, at)| u128::from(at.0) < before).map(|it| it.0));
    }
    Ok(peers)
}

/// Where the new log is made: on the same file system, so that it can take over at once.
fn beside(dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = dir.canonicalize()?;
    let name = dir.file_name().context("the root of a file system is no log")?.to_string_lossy();
    Ok(dir.with_file_name(format!("{name}.retold")))
}
