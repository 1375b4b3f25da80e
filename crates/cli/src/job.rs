//! `reprise job`: albums of a running node, over its API.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use domain::render::is_obeyed;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::Failure;
use crate::paste::quoted;
use crate::progress::Progress;

/// How often a watched job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(150);

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Complete the album that a MusicBrainz release link or ID names
    Add {
        /// Such as https://musicbrainz.org/release/ID
        reference: String,
    },
    /// List all jobs
    List,
    /// Show a job with its tracks, sources and refused files
    Show {
        /// The job's number
        id: u32,
        /// As it was after this event
        #[arg(long, value_name = "EVENT")]
        at: Option<u64>,
    },
    /// Follow a job until it is over; exit code 0 when its album is complete
    Watch {
        /// The job's number
        id: u32,
    },
    /// Stop a job; what it has published stays
    Cancel {
        /// The job's number
        id: u32,
    },
    /// Try again at once whatever a job waits for or failed at
    Retry {
        /// The job's number
        id: u32,
    },
    /// Write a job's history to one file that replays on any machine
    ExportHistory {
        /// The job's number
        id: u32,
        /// The file; job-ID.replay when absent
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Leave user names, paths and their words in; without it others stand for them
        #[arg(long)]
        include_identities: bool,
    },
}

/// A job, as the API describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) next_action: Option<String>,
    pub(crate) title: String,
    pub(crate) artist: String,
    pub(crate) tracks_total: u32,
    pub(crate) tracks_completed: u32,
    #[serde(default)]
    pub(crate) tracks: Vec<Track>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Track {
    pub(crate) medium: u32,
    pub(crate) place: u32,
    pub(crate) title: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) next_action: Option<String>,
    #[serde(deserialize_with = "bytes")]
    pub(crate) bytes_held: u64,
    #[serde(deserialize_with = "maybe_bytes")]
    pub(crate) size: Option<u64>,
    pub(crate) path: Option<String>,
    pub(crate) takeovers: u32,
    pub(crate) sources: Vec<Source>,
    pub(crate) refused: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    pub(crate) peer: String,
    pub(crate) path: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    #[serde(deserialize_with = "bytes")]
    pub(crate) bytes_accepted: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) peers: Vec<String>,
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn maybe_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

impl Job {
    /// True when nothing more happens without a command.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "COMPLETED" | "FAILED" | "CANCELLED")
    }
}

const HEAD: &str = "id state reason nextAction title artist tracksTotal tracksCompleted";
const TRACKS: &str = "tracks { medium place title state reason nextAction bytesHeld size path \
                      takeovers sources { peer path state reason bytesAccepted } \
                      refused { reason peers } }";

pub(crate) async fn run(api: SocketAddr, command: Command) -> anyhow::Result<()> {
    let mut client = Client::new(api)?;
    if let Command::ExportHistory { .. } | Command::Show { at: Some(_), .. } = &command {
        client = client.patient();
    }
    match command {
        Command::Add { reference } => {
            let Added { id, .. } = add(&client, &reference).await?;
            println!("job {id} was added; follow it with `reprise job watch {id}`");
            Ok(())
        }
        Command::List => list(&client).await,
        Command::Show { id, at } => {
            print(&get(&client, id, Asked { min_seq: None, at }).await?);
            Ok(())
        }
        Command::Watch { id } => {
            let job = watch(&client, id, None).await?;
            if job.state == "COMPLETED" {
                let title = printable(&title(&job));
                println!("{title}: {} of {} tracks", job.tracks_completed, job.tracks_total);
                return Ok(());
            }
            Err(Failure::unverified(printable(&format!("job {id} is {}", standing(&job)))))
        }
        Command::Cancel { id } => command_job(&client, "cancelJob", id, "was cancelled").await,
        Command::Retry { id } => command_job(&client, "retryJob", id, "tries again").await,
        Command::ExportHistory { id, output, include_identities } => {
            let output = output.unwrap_or_else(|| PathBuf::from(format!("job-{id}.replay")));
            export_history(&client, id, &output, include_identities).await?;
            let file = quoted(&output);
            println!("wrote {}; check it with `reprise replay verify {file}`", output.display());
            Ok(())
        }
    }
}

/// A job that was added.
pub(crate) struct Added {
    pub(crate) id: u32,
    /// What shows it is as of this position.
    pub(crate) seq: String,
}

/// Adds a job.
pub(crate) async fn add(client: &Client, reference: &str) -> anyhow::Result<Added> {
    let answer: Value = client
        .ask(
            "mutation($reference: String!) { addJob(reference: $reference) { __typename \
             ... on JobReceipt { seq job } ... on UserError { code message hint } } }",
            json!({ "reference": reference }),
        )
        .await?;
    let result = &answer["addJob"];
    match (result["job"].as_str(), result["seq"].as_str()) {
        (Some(id), Some(seq)) => {
            Ok(Added { id: id.parse().context("a job's ID is its number")?, seq: seq.to_owned() })
        }
        _ => Err(refusal(result)),
    }
}

fn refusal(result: &Value) -> anyhow::Error {
    let mut words = result["message"].as_str().unwrap_or("refused").to_owned();
    if let Some(hint) = result["hint"].as_str() {
        words = format!("{words}\n  hint: {hint}");
    }
    // The same exit code as where such a job is only looked for.
    if result["code"] == "UNKNOWN_JOB" {
        Failure::not_found(words)
    } else {
        Failure::refused(words)
    }
}

async fn command_job(client: &Client, name: &str, id: u32, done: &str) -> anyhow::Result<()> {
    let answer: Value = client
        .ask(
            &format!(
                "mutation($id: ID!) {{ {name}(id: $id) {{ __typename ... on JobReceipt {{ job }} \
                 ... on UserError {{ code message hint }} }} }}"
            ),
            json!({ "id": id.to_string() }),
        )
        .await?;
    if answer[name]["job"].is_null() {
        return Err(refusal(&answer[name]));
    }
    println!("job {id} {done}");
    Ok(())
}

/// As of which event a job is looked at.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// Of this one at least.
    min_seq: Option<&'a str>,
    /// As it was after this one.
    at: Option<u64>,
}

/// A job with everything.
async fn get(client: &Client, id: u32, asked: Asked<'_>) -> anyhow::Result<Job> {
    #[derive(Deserialize)]
    struct Answer {
        job: Option<Job>,
    }
    let answer: Answer = client
        .ask(
            &format!(
                "query($id: ID!, $minSeq: Seq, $asOf: Seq) {{ job(id: $id, minSeq: $minSeq, asOf: $asOf) \
                 {{ {HEAD} {TRACKS} }} }}"
            ),
            json!({
                "id": id.to_string(),
                "minSeq": asked.min_seq,
                "asOf": asked.at.map(|at| at.to_string()),
            }),
        )
        .await?;
    answer.job.ok_or_else(|| {
        let then = asked.at.map_or(String::new(), |at| format!(" at event {at}"));
        Failure::not_found(format!("there is no job {id}{then}"))
    })
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let mut after = Value::Null;
    let mut any = false;
    loop {
        let answer: Value = client
            .ask(
                &format!(
                    "query($after: String) {{ jobs(first: 100, after: $after) {{ nodes {{ {HEAD} }} \
                     pageInfo {{ hasNextPage endCursor }} }} }}"
                ),
                json!({ "after": after }),
            )
            .await?;
        let jobs: Vec<Job> = serde_json::from_value(answer["jobs"]["nodes"].clone())?;
        for job in &jobs {
            any = true;
            let line = format!("{:>4}  {:<40}  {}", job.id, title(job), standing(job));
            println!("{}", printable(&line));
        }
        let page = &answer["jobs"]["pageInfo"];
        if page["hasNextPage"] != json!(true) {
            break;
        }
        after = page["endCursor"].clone();
    }
    if !any {
        println!("no jobs yet; add one with `reprise job add <MusicBrainz release link>`");
    }
    Ok(())
}

/// Follows a job until it is over, with bars on a terminal and lines elsewhere. It is looked at as of
/// `min_seq` at least.
pub(crate) async fn watch(client: &Client, id: u32, min_seq: Option<&str>) -> anyhow::Result<Job> {
    let mut progress = Progress::new(std::io::stderr().is_terminal());
    loop {
        let job = get(client, id, Asked { min_seq, at: None }).await?;
        progress.show(&job);
        if job.is_over() {
            progress.finish();
            return Ok(job);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(crate) async fn export_history(
    client: &Client,
    id: u32,
    output: &std::path::Path,
    include_identities: bool,
) -> anyhow::Result<()> {
    let identities = if include_identities { "?identities=included" } else { "" };
    let bytes = client.download(&format!("/api/v0/jobs/{id}/history{identities}")).await?;
    tokio::fs::write(output, bytes)
        .await
        .with_context(|| format!("cannot write {}", output.display()))
}

fn title(job: &Job) -> String {
    if job.title.is_empty() {
        format!("job {}", job.id)
    } else {
        format!("{} – {}", job.artist, job.title)
    }
}

/// `8/11 tracks, downloading`, with the reason and the next action where there are some.
fn standing(job: &Job) -> String {
    let mut text =
        format!("{}/{} tracks, {}", job.tracks_completed, job.tracks_total, words(&job.state));
    for more in [&job.reason, &job.next_action].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

/// Text of others without what a terminal would obey: names and paths are whatever a peer says.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `LOOKING_UP` as people write it.
pub(crate) fn words(state: &str) -> String {
    state.to_ascii_lowercase().replace('_', " ")
}

fn print(job: &Job) {
    for line in lines(job) {
        println!("{}", printable(&line));
    }
}

/// A job with its tracks, sources and refused files.
fn lines(job: &Job) -> Vec<String> {
    let mut lines = vec![format!("job {}: {}", job.id, title(job)), standing(job)];
    for track in &job.tracks {
        let size = track.size.map_or(String::new(), |size| {
            format!(" {}%", (track.bytes_held * 100).checked_div(size).unwrap_or(0))
        });
        lines.push(format!(
            "  {}-{:02} {} [{}{size}]{}",
            track.medium,
            track.place,
            track.title,
            words(&track.state),
            track.path.as_ref().map_or(String::new(), |path| format!(" {path}")),
        ));
        for more in [&track.reason, &track.next_action].into_iter().flatten() {
            lines.push(format!("       {more}"));
        }
        for source in &track.sources {
            lines.push(format!(
                "       {:<20} {:<10} {:>10} B  {}{}",
                source.peer,
                words(&source.state),
                source.bytes_accepted,
                source.path,
                source.reason.as_ref().map_or(String::new(), |reason| format!("  ({reason})")),
            ));
        }
        for refusal in &track.refused {
            let peers = refusal.peers.join(", ");
            lines.push(format!("       refused from {peers}: {}", refusal.reason));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_peer() {
        let hostile = "a\u{1b}[2Jb\r\n\u{9b}31m\u{7}c – ö";
        assert_eq!(printable(hostile), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}31m\u{fffd}c – ö");
    }
}
