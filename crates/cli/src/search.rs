//! `reprise search`: what a running node finds by words, over its API; one line a hit.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::job::{printable, words};

/// What to search for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Albums that were asked for
    Job,
    /// Their tracks
    Track,
    /// Files that somebody offers for a track
    Source,
    /// Files in the library
    File,
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Words that all have to be there; of the last one the beginning is enough. Also "words in a row",
    /// title: artist: path: user: state: before a word, and MusicBrainz IDs
    #[arg(required = true)]
    words: Vec<String>,
    /// Only this
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// How many hits at most
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    first: u32,
}

/// A hit, as the API describes it.
#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum Hit {
    #[serde(rename = "FoundJob", rename_all = "camelCase")]
    Job { job: String, artist: String, title: String, job_state: String },
    #[serde(rename = "FoundTrack", rename_all = "camelCase")]
    Track { job: String, number: u32, artist: String, title: String, track_state: String },
    #[serde(rename = "FoundSource", rename_all = "camelCase")]
    Source {
        job: String,
        track: u32,
        peer: String,
        path: String,
        size: String,
        source_state: String,
    },
    #[serde(rename = "FoundFile")]
    File { job: String, track: u32, path: String },
}

// Three kinds of state cannot share a name in one answer.
const ASKED: &str = "query($text: String!, $kind: SearchKind, $first: Int) {
    search(text: $text, kind: $kind, first: $first) {
        indexedPosition
        pageInfo { hasNextPage }
        nodes {
            __typename
            ... on FoundJob { job artist title jobState: state }
            ... on FoundTrack { job number artist title trackState: state }
            ... on FoundSource { job track peer path size sourceState: state }
            ... on FoundFile { job track path }
        }
    }
}";

pub(crate) async fn run(api: SocketAddr, options: Options) -> anyhow::Result<()> {
    let client = Client::new(api)?;
    let kind = options.kind.map(|kind| match kind {
        Kind::Job => "JOB",
        Kind::Track => "TRACK",
        Kind::Source => "SOURCE",
        Kind::File => "FILE",
    });
    let text = text(&options.words);
    let variables = json!({ "text": text, "kind": kind, "first": options.first });
    let answer: Value = client.ask(ASKED, variables).await?;
    let found = &answer["search"];
    let hits: Vec<Hit> = serde_json::from_value(found["nodes"].clone())?;
    for hit in &hits {
        println!("{}", printable(&line(hit)));
    }
    let position = found["indexedPosition"].as_str().unwrap_or_default();
    if hits.is_empty() {
        eprintln!("nothing found up to event {position}");
    }
    if found["pageInfo"]["hasNextPage"] == true {
        eprintln!("there are more; ask for more with --first, or for less with another word");
    }
    Ok(())
}

/// What the shell took apart, put together again: an argument with spaces was in quotation marks.
fn text(words: &[String]) -> String {
    let word = |word: &String| match word.contains(' ') && !word.contains('"') && words.len() > 1 {
        true => format!("\"{word}\""),
        false => word.clone(),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn line(hit: &Hit) -> String {
    match hit {
        Hit::Job { job, artist, title, job_state } => {
            format!("job {job:<8}  {artist} - {title}  ({})", words(job_state))
        }
        Hit::Track { job, number, artist, title, track_state } => {
            let track = format!("{job}/{number}");
            format!("track {track:<6}  {artist} - {title}  ({})", words(track_state))
        }
        Hit::Source { job, track, peer, path, size, source_state } => {
            let track = format!("{job}/{track}");
            format!("source {track:<5}  {peer}  {path}  {size} bytes  ({})", words(source_state))
        }
        Hit::File { job, track, path } => {
            let track = format!("{job}/{track}");
            format!("file {track:<7}  {path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_with_spaces_is_a_phrase_beside_others() {
        let text =
            |words: &[&str]| text(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["my", "bloody"]), "my bloody");
        assert_eq!(text(&["only shallow"]), "only shallow");
        assert_eq!(text(&["only shallow", "flac"]), "\"only shallow\" flac");
        assert_eq!(text(&["title:\"only shallow\"", "x"]), "title:\"only shallow\" x");
    }

    #[test]
    fn a_hit_is_told_on_one_line() {
        let hit: Hit = serde_json::from_value(json!({
            "__typename": "FoundSource", "job": "1", "track": 2, "peer": "slsk:ada",
            "path": "Music\\02.flac", "size": "7", "sourceState": "SET_ASIDE",
        }))
        .unwrap();
        let told = "source 1/2    slsk:ada  Music\\02.flac  7 bytes  (set aside)";
        assert_eq!(line(&hit), told);
    }
}
