//! What the API is given by the node, and what it makes of it to wait with.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Result;
use domain::Seq;
use eventlog::{Reader, Signal};
use projections::{Control, chat, jobs, search, trace};
use replay::shadow::Board;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::error::{bad_input, internal, not_ready};
use crate::inbox::{Inbox, Questions};

/// Longest time a question waits for the view to reach the event it names.
const REACH_WITHIN: Duration = Duration::from_secs(2);

/// Everything that the API answers from. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// Takes the commands.
    pub inbox: Inbox,
    /// Takes questions to the engine.
    pub questions: Questions,
    /// The durable events.
    pub log: Reader,
    /// The jobs as they are.
    pub jobs: jobs::View,
    /// What happened in them.
    pub trace: trace::View,
    /// What was said.
    pub chat: chat::View,
    /// Finds all of it by words.
    pub search: search::View,
    /// What keeps each view up to date.
    pub followers: Vec<Control>,
    /// Where the shadow replay tells how it is doing.
    pub shadow: Board,
    /// Version of the decision rules at work; stands in exported histories.
    pub engine: u32,
    /// The build at work; stands there too.
    pub build: String,
    /// Host names this node goes by besides `localhost` and IP addresses: the setting `api.hosts`.
    pub hosts: Vec<String>,
}

impl ApiState {
    /// The follower of the view of this name.
    pub(crate) fn follower(&self, name: &str) -> Result<Control> {
        let found = self.followers.iter().find(|follower| follower.name() == name);
        found.cloned().ok_or_else(|| {
            let names: Vec<_> = self.followers.iter().map(Control::name).collect();
            bad_input(format!("there is no view of this name, only {}", names.join(", ")))
        })
    }
}

/// Whose turn it is to ask how something was.
#[derive(Default)]
pub(crate) struct PastTurn(pub(crate) Arc<Mutex<()>>);

/// How far the views are, for those who wait for them to go on.
pub(crate) struct Advances {
    pub(crate) jobs: watch::Receiver<Seq>,
    pub(crate) trace: watch::Receiver<Seq>,
    pub(crate) chat: watch::Receiver<Seq>,
    pub(crate) search: watch::Receiver<Seq>,
}

impl Advances {
    pub(crate) fn of(state: &ApiState) -> Self {
        Self {
            jobs: watched(state.jobs.position()),
            trace: watched(state.trace.position()),
            chat: watched(state.chat.position()),
            search: watched(state.search.position()),
        }
    }
}

fn watched(signal: &Signal) -> watch::Receiver<Seq> {
    let (position, watched) = watch::channel(signal.position());
    let sender = position.clone();
    signal.on_change(move |seq| sender.send(seq).is_ok());
    // It may have gone on before it was listened to.
    position.send_replace(signal.position());
    watched
}

/// Waits until a view takes `least` into account.
pub(crate) async fn reach(view: &watch::Receiver<Seq>, least: Seq) -> Result<()> {
    let mut waiting = view.clone();
    let reached = timeout(REACH_WITHIN, waiting.wait_for(|seq| *seq >= least)).await;
    if matches!(reached, Ok(Ok(_))) {
        return Ok(());
    }
    let at = *view.borrow();
    Err(not_ready(format!("event {least} is not taken in yet, only up to event {at}")))
}

/// Reads from a view or the log, which may wait for a disk, where it holds nobody else up.
pub(crate) fn read<T: Send + 'static, E: std::error::Error + Send + 'static>(
    reading: impl FnOnce() -> std::result::Result<T, E> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    let reading = tokio::task::spawn_blocking(reading);
    async move {
        match reading.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(internal(&error)),
            Err(error) => Err(internal(&error)),
        }
    }
}
