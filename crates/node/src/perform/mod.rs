//! Does what effects ask for: one file per family. Each ends in an observation; failures are news,
//! not exceptions. Everything here may run twice for one effect without harm.

mod chat;
mod examine;
mod lookup;
mod publish;
mod search;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use domain::{AssignmentId, Effect, Observation, TrackKey};
use metadata::{AcoustId, MusicBrainz, Throttle};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::inbox::Inbox;
use crate::session::Present;
use crate::shares::Shelf;
use crate::staging::Staging;

/// Files decoded at the same time.
const DECODERS: usize = 2;

/// What every effect is performed with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) inbox: Inbox,
    pub(crate) session: Present,
    pub(crate) staging: Staging,
    pub(crate) music: PathBuf,
    pub(crate) share_finished: bool,
    pub(crate) shelf: Shelf,
    pub(crate) musicbrainz: Arc<MusicBrainz>,
    /// Turns to ask MusicBrainz, one request after another as its rules ask.
    pub(crate) musicbrainz_turns: Arc<Throttle>,
    pub(crate) acoustid: Arc<AcoustId>,
    /// Turns to ask AcoustID.
    pub(crate) acoustid_turns: Arc<Throttle>,
}

/// Starts effects and remembers what may have to be cancelled.
pub(crate) struct Performer {
    tools: Tools,
    decoders: Arc<Semaphore>,
    transfers: HashMap<AssignmentId, watch::Sender<bool>>,
    /// One transfer at a time writes a track's staged file: the next waits for the last byte of the
    /// one before.
    writers: HashMap<TrackKey, Arc<Mutex<()>>>,
    examining: UnderWay,
    publishing: UnderWay,
}

/// Attempts that are being worked on. The engine may ask twice for what takes long; one answer is for
/// both.
#[derive(Clone, Default)]
struct UnderWay(Arc<std::sync::Mutex<HashSet<(TrackKey, u16)>>>);

/// Work on one attempt; over when dropped. That comes before the answer is reported, because an engine
/// that has the answer may ask anew.
struct Work {
    of: UnderWay,
    attempt: (TrackKey, u16),
}

impl UnderWay {
    /// Begins; `None` when this attempt is being worked on already.
    fn begin(&self, track: TrackKey, attempt: u16) -> Option<Work> {
        let attempt = (track, attempt);
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt);
        begun.then(|| Work { of: self.clone(), attempt })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
    }
}

impl Performer {
    pub(crate) fn new(tools: Tools) -> Self {
        Self {
            tools,
            decoders: Arc::new(Semaphore::new(DECODERS)),
            transfers: HashMap::new(),
            writers: HashMap::new(),
            examining: UnderWay::default(),
            publishing: UnderWay::default(),
        }
    }

    /// Starts an effect; returns at once.
    pub(crate) fn perform(&mut self, effect: Effect) {
        let tools = self.tools.clone();
        match effect {
            Effect::FetchRelease { job, release } => {
                spawn(tools, |tools| async move { lookup::release(&tools, job, release).await });
            }
            Effect::Identify { track, attempt, duration_ms, fingerprint } => {
                spawn(tools, move |tools| async move {
                    lookup::identity(&tools, track, attempt, duration_ms, &fingerprint).await
                });
            }
            Effect::Search { job, search, query, open_ms } => {
                tokio::spawn(async move {
                    search::run(&tools, job, search, &query, open_ms).await;
                });
            }
            Effect::FetchRange { .. } => self.fetch(effect),
            Effect::CancelTransfer { assignment } => {
                if let Some(cancel) = self.transfers.remove(&assignment) {
                    cancel.send_replace(true);
                }
            }
            // Of parts only, and nobody here describes the content that they would be checked against.
            Effect::BeginAt { .. } | Effect::MoveEnd { .. } => {}
            Effect::Examine { track, attempt, size } => {
                let Some(work) = self.examining.begin(track, attempt) else { return };
                let decoders = Arc::clone(&self.decoders);
                tokio::spawn(async move {
                    let turn = decoders.acquire_owned().await;
                    let seen = examine::run(&tools, track, attempt, size).await;
                    drop((turn, work));
                    tools.inbox.report(seen).await;
                });
            }
            Effect::Publish { track, attempt, digest, path, tags } => {
                let Some(work) = self.publishing.begin(track, attempt) else { return };
                let writer = self.writer(track);
                tokio::spawn(async move {
                    let last_byte = writer.lock().await;
                    let seen = publish::run(&tools, track, attempt, digest, path, tags).await;
                    drop((last_byte, work));
                    tools.inbox.report(seen).await;
                });
            }
            Effect::Discard { track, attempt } => {
                let writer = self.writer(track);
                tokio::spawn(async move {
                    let _last_byte = writer.lock().await;
                    let staging = tools.staging.clone();
                    let done = blocking(move || staging.discard(track, attempt)).await;
                    match done {
                        Ok(()) => {
                            tools.inbox.report(Observation::FileDiscarded { track, attempt }).await;
                        }
                        // It is tried again at the next start.
                        Err(error) => tracing::warn!(%track, %error, "cannot delete a staged file"),
                    }
                });
            }
            Effect::Share { path } if tools.share_finished => tools.shelf.add(&path),
            Effect::Share { .. } => {}
            Effect::SendChat { chat, peer, text } => {
                let seen = chat::send(&tools, chat, &peer, &text);
                tokio::spawn(async move { tools.inbox.report(seen).await });
            }
            Effect::AcknowledgeChat { id } => chat::acknowledge(&tools, id),
        }
    }

    fn fetch(&mut self, effect: Effect) {
        let Effect::FetchRange {
            track,
            attempt,
            assignment,
            peer,
            path,
            size,
            range,
            overlap,
            content: _,
        } = effect
        else {
            return;
        };
        self.transfers.retain(|_, cancel| !cancel.is_closed());
        let (cancel, cancelled) = watch::channel(false);
        self.transfers.insert(assignment, cancel);
        let writer = self.writer(track);
        let request =
            transfer::Request { track, attempt, assignment, peer, path, size, range, overlap };
        let tools = self.tools.clone();
        tokio::spawn(async move {
            let _last_byte = writer.lock().await;
            transfer::run(&tools, &request, cancelled).await;
        });
    }

    fn writer(&mut self, track: TrackKey) -> Arc<Mutex<()>> {
        self.writers.retain(|key, writer| *key == track || Arc::strong_count(writer) > 1);
        Arc::clone(self.writers.entry(track).or_default())
    }
}

fn spawn<F>(tools: Tools, work: impl FnOnce(Tools) -> F)
where
    F: Future<Output = Observation> + Send + 'static,
{
    let inbox = tools.inbox.clone();
    let seen = work(tools);
    tokio::spawn(async move { inbox.report(seen.await).await });
}

/// Runs work that blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
