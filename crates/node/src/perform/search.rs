//! Searches Soulseek and passes the answers on while they come, in bounded portions. Which of the
//! files fit is the engine's decision. A search that loses its session is sent again in the next one:
//! silence is an answer only from a network that was there.

use std::collections::HashSet;
use std::time::Duration;

use domain::media::Codec;
use domain::observation::{Observation, RemoteFile};
use domain::{JobId, PeerId, SearchId};
use soulseek::{Client, ClientError, SearchAnswer};
use tokio::time::{Instant, timeout, timeout_at};

use super::Tools;

/// Files and bytes of text in one observation; a longer answer becomes several.
const FILES_PER_EVENT: usize = 100;
const TEXT_PER_EVENT: usize = 16 * 1024;
/// Files of one answer and answers of one search that are looked at.
const FILES_PER_ANSWER: usize = 1000;
const ANSWERS: usize = 500;
/// Files and bytes of text of one search: every answer is recorded, and anybody may answer.
const FILES_PER_SEARCH: usize = 5000;
const TEXT_PER_SEARCH: usize = 1024 * 1024;
/// Longest path that is taken seriously, in bytes.
const LONGEST_PATH: usize = 1024;

/// How one session dealt with a search.
enum Pass {
    /// Everybody had the time they were given.
    Over,
    /// The session ended before the time was up.
    SessionEnded,
    /// The session was too busy to take it.
    NotTaken,
}

pub(super) async fn run(tools: &Tools, job: JobId, search: SearchId, query: &str, open_ms: u64) {
    let mut session = tools.session.clone();
    let mut heard = Heard::default();
    loop {
        // A session that is down comes back; the search waits for it rather than come to nothing.
        let Ok(client) = session.wait_for(Option::is_some).await.map(|client| client.clone())
        else {
            // The node is stopping; the next start searches again.
            return;
        };
        let Some(client) = client else { continue };
        let open = Duration::from_millis(open_ms);
        match collect(tools, &client, job, search, query, open, &mut heard).await {
            Pass::Over => break,
            Pass::NotTaken => {}
            // Its end may not have been told yet.
            Pass::SessionEnded => {
                if session.changed().await.is_err() {
                    return;
                }
            }
        }
    }
    tools.inbox.report(Observation::SearchEnded { job, search }).await;
}

async fn collect(
    tools: &Tools,
    client: &Client,
    job: JobId,
    search: SearchId,
    query: &str,
    open: Duration,
    heard: &mut Heard,
) -> Pass {
    let mut answers = match timeout(open, client.search(query)).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(ClientError::SessionEnded)) => return Pass::SessionEnded,
        Ok(Err(error)) => {
            tracing::warn!(query, %error, "cannot search");
            return Pass::Over;
        }
        Err(_) => return Pass::NotTaken,
    };
    let until = Instant::now() + open;
    while !heard.is_enough() {
        match timeout_at(until, answers.next()).await {
            Err(_) => return Pass::Over,
            Ok(None) => return Pass::SessionEnded,
            Ok(Some(answer)) => {
                for seen in heard.portions(job, search, answer) {
                    tools.inbox.report(seen).await;
                }
            }
        }
    }
    Pass::Over
}

/// What one search has brought so far, in all sessions.
#[derive(Default)]
struct Heard {
    users: HashSet<String>,
    files: usize,
    text: usize,
}

impl Heard {
    fn is_enough(&self) -> bool {
        self.users.len() >= ANSWERS || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.files >= FILES_PER_SEARCH || self.text + LONGEST_PATH > TEXT_PER_SEARCH
    }

    /// The audio files of a user's first answer, in portions small enough for the log. Honest clients
    /// answer once; only the session in which they do may differ.
    fn portions(&mut self, job: JobId, search: SearchId, answer: SearchAnswer) -> Vec<Observation> {
        if !self.users.insert(answer.user.clone()) {
            return Vec::new();
        }
        let mut portions: Vec<(usize, Vec<RemoteFile>)> = Vec::new();
        let audio = answer
            .files
            .into_iter()
            .filter(|file| file.path.len() <= LONGEST_PATH && is_audio(&file.path))
            .take(FILES_PER_ANSWER);
        for file in audio {
            if self.is_full() {
                break;
            }
            self.files += 1;
            self.text += file.path.len();
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
}

fn is_audio(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| Codec::from_extension(end).is_some())
}

#[cfg(test)]
mod tests {
    use soulseek::{Attributes, RemoteFile as Offered};

    use super::*;

    fn answer(user: &str, files: usize, path: &str) -> SearchAnswer {
        let file = |number| Offered {
            path: format!("{number:04}{path}.flac"),
            size: 1,
            extension: "flac".into(),
            attributes: Attributes::default(),
        };
        SearchAnswer {
            user: user.into(),
            files: (0..files).map(file).collect(),
            private_files: Vec::new(),
            free_slot: true,
            speed: 1,
            queue_length: 0,
        }
    }

    /// Files and bytes of text that were passed on.
    fn taken(seen: &[Observation]) -> (usize, usize) {
        let files = seen.iter().flat_map(|seen| match seen {
            Observation::SearchAnswered { files, .. } => files.as_slice(),
            _ => &[],
        });
        files.fold((0, 0), |(count, text), file| (count + 1, text + file.path.len()))
    }

    #[test]
    fn nobody_answers_a_search_twice_or_without_end() {
        let mut heard = Heard::default();
        let mut portions = |answer| heard.portions(JobId(1), SearchId(1), answer);
        assert_eq!(taken(&portions(answer("ada", 3, ""))).0, 3);
        assert_eq!(taken(&portions(answer("ada", 3, ""))).0, 0);
        let rest: usize =
            (0..9).map(|user| taken(&portions(answer(&user.to_string(), 2_000, ""))).0).sum();
        assert_eq!(rest, FILES_PER_SEARCH - 3);
        assert!(heard.is_enough());
    }

    #[test]
    fn long_paths_use_up_the_text_of_a_search() {
        let mut heard = Heard::default();
        let long = "x".repeat(900);
        let text: usize = (0..9)
            .map(|user| answer(&user.to_string(), 2_000, &long))
            .map(|answer| taken(&heard.portions(JobId(1), SearchId(1), answer)).1)
            .sum();
        assert!(text <= TEXT_PER_SEARCH && text > TEXT_PER_SEARCH - 2 * LONGEST_PATH, "{text}");
        assert!(heard.is_enough());
    }
}
