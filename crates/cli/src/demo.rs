//! `reprise demo`: the main job in a world of our own on loopback. Everything between the node and
//! that world is real: sockets, files, encodings, fingerprints, HTTP.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::Policy;
use loopback::album;
use loopback::discs::Discs;
use loopback::world::World;
use node::{Account, Manners, Node, Settings, Sharing, StopReason};

use crate::client::Client;
use crate::exit::Failure;
use crate::job::{self, Added, Job, printable};
use crate::paste::{self, quoted};
use crate::serve::build;

/// A folder with this file in it was made by a demo and may be made anew.
const MARK: &str = ".reprise-demo";
/// The demo gives up after this long.
const LONGEST: Duration = Duration::from_secs(120);
/// How long a node that answers no more may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Keep everything it makes in this folder; the finished music is in DIR/music
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the node, its API and the peers running afterwards for a look
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let dir = options.dir.unwrap_or_else(|| std::env::temp_dir().join("reprise-demo"));
    let _ours = prepare(&dir)?;
    println!(
        "Composing and encoding an album, starting a Soulseek server, six peers and MusicBrainz …"
    );
    let peers = dir.join("peers");
    let discs = tokio::task::spawn_blocking(move || Discs::press(&peers)).await??;
    let world = World::demo(&discs).await?;
    let mut node = Node::start(settings(&dir, &world)).await?;
    let client = Client::new(node.api())?;
    let link = format!("https://musicbrainz.org/release/{}", album::RELEASE);
    println!("GraphQL is at http://{}/graphql; asking for\n  {link}", node.api());

    let asked = Instant::now();
    let asking = async {
        let Added { id, seq } = job::add(&client, &link).await?;
        let job = tokio::time::timeout(LONGEST, job::watch(&client, id, Some(&seq)))
            .await
            .map_err(|_| Failure::unverified("the album did not complete in time"))??;
        let history = dir.join(format!("job-{id}.replay"));
        job::export_history(&client, id, &history, false).await?;
        anyhow::Ok((job, history))
    };
    let done = tokio::select! {
        stopped = node.stopped() => return Err(early(stopped)),
        done = asking => done,
    };
    let (job, history) = match done {
        Ok(done) => done,
        // Whoever asks sees only that nobody answers; a node that stops says why a little later.
        Err(error) => match tokio::time::timeout(LAST_WORDS, node.stopped()).await {
            Ok(stopped) => return Err(early(stopped)),
            Err(_) => return Err(error),
        },
    };
    summary(&job, &dir, asked.elapsed(), started.elapsed());
    println!("\nReplay every decision:\n  {} replay verify {}", this_program(), quoted(&history));
    if options.keep {
        println!("\nThe node goes on at http://{}/graphql; stop it with Ctrl-C", node.api());
        tokio::select! {
            stopped = node.stopped() => return Err(early(stopped)),
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    }
    node.stop().await?;
    if job.state == "COMPLETED" && job.tracks_completed == job.tracks_total {
        Ok(())
    } else {
        Err(Failure::unverified(format!("the album is {}", job::words(&job.state))))
    }
}

/// What to type to run this program again.
fn this_program() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("reprise"));
    paste::program(&path, &here)
}

/// Why the node stopped while it was needed.
fn early(stopped: Result<(), StopReason>) -> anyhow::Error {
    match stopped {
        Ok(()) => anyhow::anyhow!("the node stopped before the demo was over"),
        Err(reason) => reason.into(),
    }
}

/// Empties a folder of an earlier demo; never touches anything else. The folder is ours for as long as
/// the file lives that is returned.
fn prepare(dir: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mark = dir.join(MARK);
    let ours = if mark.exists() {
        // Only read: a folder that many may write to may hold a link by this name.
        File::open(&mark)?
    } else if std::fs::read_dir(dir)?.next().is_none() {
        let mut mark = File::create_new(&mark)?;
        mark.write_all(b"Made by `reprise demo`, which may delete what is in this folder.\n")?;
        mark
    } else {
        return Err(Failure::usage(format!(
            "{} is not empty and was not made by a demo; name another with --dir",
            dir.display()
        )));
    };
    match ours.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Failure::usage(format!(
                "another demo is running in {}; name another folder with --dir",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // The mark stays, so that the folder is locked all the while.
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    Ok(ours)
}

fn settings(dir: &Path, world: &World) -> Settings {
    let services = world.metadata().url();
    Settings {
        data: dir.join("data"),
        music: dir.join("music"),
        account: Account {
            server: world.soulseek().to_string(),
            user: "you".into(),
            password: "loopback".into(),
            listen: SocketAddr::from(([127, 0, 0, 10], 0)),
            advertised_port: None,
            obfuscated_port: None,
            upload_slots: 2,
            upload_bytes_per_s: None,
            description: String::new(),
            manners: Manners::default(),
        },
        share_finished: true,
        sharing: Sharing::default(),
        musicbrainz_url: services.clone(),
        acoustid_url: services,
        acoustid_key: Some("demo".into()),
        user_agent: format!("Reprise/{} ( demo )", env!("CARGO_PKG_VERSION")),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        api_hosts: Vec::new(),
        policy: Policy {
            // Everybody is on this machine, so nobody has to be waited for.
            search_open_ms: 1500,
            gather_ms: 300,
            stall_after_ms: 5000,
            peer_rest_ms: 2000,
            ..Policy::default()
        },
        build: build(),
    }
}

fn summary(job: &Job, dir: &Path, took: Duration, in_all: Duration) {
    let tracks = &job.tracks;
    let gave: BTreeSet<&str> = tracks
        .iter()
        .flat_map(|track| &track.sources)
        .filter(|source| source.bytes_accepted > 0)
        .map(|source| source.peer.as_str())
        .collect();
    let takeovers: u32 = tracks.iter().map(|track| track.takeovers).sum();
    let bytes: u64 = tracks.iter().flat_map(|t| &t.sources).map(|s| s.bytes_accepted).sum();
    println!("\n{}", printable(&format!("{} – {}", job.artist, job.title)));
    println!("  tracks     {} of {} verified and tagged", job.tracks_completed, job.tracks_total);
    let peers = format!("{} ({})", gave.len(), Vec::from_iter(gave).join(", "));
    println!("  peers      {}", printable(&peers));
    println!("  takeovers  {takeovers}");
    for track in tracks {
        for refusal in &track.refused {
            let line = format!(
                "  refused    {:02} {} from {}: {}",
                track.place,
                track.title,
                refusal.peers.join(", "),
                refusal.reason
            );
            println!("{}", printable(&line));
        }
    }
    println!(
        "  time       {:.1} s for {:.1} MB ({:.1} s with making the world)",
        took.as_secs_f64(),
        bytes as f64 / 1e6,
        in_all.as_secs_f64()
    );
    println!("  music      {}", dir.join("music").display());
}
