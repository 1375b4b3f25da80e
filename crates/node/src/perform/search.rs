//! Searches Soulseek and passes the answers on while they come, in bounded portions. Which of the
//! files fit is the engine's decision.

use std::time::Duration;

use domain::media::Codec;
use domain::observation::{Observation, RemoteFile};
use domain::{JobId, PeerId, SearchId};
use soulseek::{Client, SearchAnswer};
use tokio::time::{Instant, timeout_at};

use super::Tools;

/// Files and bytes of text in one observation; a longer answer becomes several.
const FILES_PER_EVENT: usize = 100;
const TEXT_PER_EVENT: usize = 16 * 1024;
/// Files of one answer and answers of one search that are looked at.
const FILES_PER_ANSWER: usize = 1000;
const ANSWERS: usize = 500;
/// Longest path that is taken seriously, in bytes.
const LONGEST_PATH: usize = 1024;

pub(super) async fn run(tools: &Tools, job: JobId, search: SearchId, query: &str, open_ms: u64) {
    let mut session = tools.session.clone();
    // A session that is down comes back; the search waits for it rather than come to nothing.
    let client = session.wait_for(Option::is_some).await.ok().and_then(|client| client.clone());
    if let Some(client) = client {
        let until = Instant::now() + Duration::from_millis(open_ms);
        collect(tools, &client, job, search, query, until).await;
    }
    tools.inbox.report(Observation::SearchEnded { job, search }).await;
}

async fn collect(
    tools: &Tools,
    client: &Client,
    job: JobId,
    search: SearchId,
    query: &str,
    until: Instant,
) {
    let mut answers = match client.search(query).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(query, %error, "cannot search");
            return;
        }
    };
    for _ in 0..ANSWERS {
        let Ok(Some(answer)) = timeout_at(until, answers.next()).await else { return };
        for seen in portions(job, search, answer) {
            tools.inbox.report(seen).await;
        }
    }
}

/// The audio files of an answer, in portions small enough for the log.
fn portions(job: JobId, search: SearchId, answer: SearchAnswer) -> Vec<Observation> {
    let mut portions: Vec<(usize, Vec<RemoteFile>)> = Vec::new();
    let audio = answer
        .files
        .into_iter()
        .filter(|file| file.path.len() <= LONGEST_PATH && is_audio(&file.path))
        .take(FILES_PER_ANSWER);
    for file in audio {
        let full = portions.last().is_none_or(|(text, files)| {
            files.len() >= FILES_PER_EVENT || text + file.path.len() > TEXT_PER_EVENT
        });
        if full {
            portions.push((0, Vec::new()));
        }
        if let Some((text, files)) = portions.last_mut() {
            *text += file.path.len();
            files.push(RemoteFile {
                path: file.path,
                size: file.size,
                bitrate_kbps: file.attributes.bitrate_kbps,
                duration_s: file.attributes.duration_s,
            });
        }
    }
    let (peer, slot_free) = (PeerId::Soulseek(answer.user), answer.free_slot);
    portions
        .into_iter()
        .map(|(_, files)| Observation::SearchAnswered {
            job,
            search,
            peer: peer.clone(),
            slot_free,
            speed_bytes_per_s: answer.speed,
            queue_length: answer.queue_length,
            files,
        })
        .collect()
}

fn is_audio(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| Codec::from_extension(end).is_some())
}
