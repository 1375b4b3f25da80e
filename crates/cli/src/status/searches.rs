//! `reprise node searches`: what is searched for on the networks, and what waits for its turn.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::job::printable;

const ASKED: &str = "{ networkSearches { at loggedIn sent most windowSeconds runningMost waitingCount \
                     running { job track query } waiting { job track query notBefore } } }";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "networkSearches")]
    searches: Searches,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searches {
    at: String,
    logged_in: bool,
    sent: u32,
    most: u32,
    window_seconds: u32,
    running_most: u32,
    waiting_count: usize,
    running: Vec<Search>,
    waiting: Vec<Search>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    job: String,
    track: Option<u32>,
    query: String,
    not_before: Option<String>,
}

pub(super) async fn show(api: SocketAddr) -> anyhow::Result<()> {
    let answer: Answer = Client::new(api)?.ask(ASKED, json!({})).await?;
    let lines = lines(&answer.searches);
    print!("{}", lines.iter().map(|line| printable(line) + "\n").collect::<String>());
    Ok(())
}

fn lines(searches: &Searches) -> Vec<String> {
    let mut head = format!(
        "{} of {} searches sent in the last {} s, {} of {} running, {} waiting",
        searches.sent,
        searches.most,
        searches.window_seconds,
        searches.running.len(),
        searches.running_most,
        searches.waiting_count
    );
    if !searches.logged_in {
        head += "; nothing is sent while the node is not logged in";
    }
    let running = searches.running.iter().map(|search| line(search, "running".to_owned()));
    let waiting = searches.waiting.iter().map(|search| line(search, wait(search, &searches.at)));
    let mut lines: Vec<_> = std::iter::once(head).chain(running).chain(waiting).collect();
    let unlisted = searches.waiting_count.saturating_sub(searches.waiting.len());
    if unlisted > 0 {
        lines.push(format!("and {unlisted} more"));
    }
    lines
}

fn line(search: &Search, state: String) -> String {
    let track = search.track.map_or(String::new(), |track| format!("/{track}"));
    format!("{state:<14} job {}{track}: {}", search.job, search.query)
}

/// How long it waits at least.
fn wait(search: &Search, now: &str) -> String {
    let micros = |text: &str| text.parse::<u64>().unwrap_or(0);
    let until = search.not_before.as_deref().map_or(0, micros);
    match until.saturating_sub(micros(now)).div_ceil(1_000_000) {
        0 => "next".to_owned(),
        seconds => format!("in {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_search_has_a_line_with_its_wait() {
        let answer = json!({
            "at": "9000000", "loggedIn": false, "sent": 33, "most": 34, "windowSeconds": 220,
            "runningMost": 2, "waitingCount": 6,
            "running": [{ "job": "3", "track": null, "query": "ada engine" }],
            "waiting": [
                { "job": "3", "track": 2, "query": "ada loops", "notBefore": "9000000" },
                { "job": "3", "track": 3, "query": "ada cards", "notBefore": "10000001" },
            ],
        });
        let expected = "33 of 34 searches sent in the last 220 s, 1 of 2 running, 6 waiting; nothing is \
                        sent while the node is not logged in\n\
                        running        job 3: ada engine\n\
                        next           job 3/2: ada loops\n\
                        in 2 s         job 3/3: ada cards\n\
                        and 4 more";
        assert_eq!(lines(&serde_json::from_value(answer).unwrap()).join("\n"), expected);
    }
}
