//! The one way in: a bounded queue of inputs. Whoever fills it waits when the engine is behind, so a
//! flood outside slows the flood and not the node.

use api::{Receipt, Reused};
use domain::{Input, Observation};
use eventlog::CommandId;
use tokio::sync::{mpsc, oneshot};

/// Inputs that may wait.
const CAPACITY: usize = 1024;

/// One input on its way in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) input: Input,
    /// The asker's name for a command.
    pub(crate) command: Option<CommandId>,
    /// Told once the input and what it led to are durable.
    pub(crate) reply: Option<oneshot::Sender<Result<Receipt, Reused>>>,
}

/// Where adapters report to. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(mpsc::Sender<Entry>);

pub(crate) fn channel() -> (Inbox, mpsc::Receiver<Entry>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Inbox(sender), receiver)
}

impl From<Observation> for Entry {
    fn from(seen: Observation) -> Self {
        Self { input: Input::Observation(seen), command: None, reply: None }
    }
}

impl Inbox {
    /// Reports what was seen. When the node is stopping the news is lost, as in a crash; restart
    /// asks again for whatever has no answer.
    pub(crate) async fn report(&self, seen: Observation) {
        let _ = self.0.send(seen.into()).await;
    }

    /// Passes on what a person asked.
    pub(crate) async fn ask(&self, asked: api::Asked) {
        let api::Asked { command, id, reply } = asked;
        let entry = Entry { input: Input::Command(command), command: id, reply: Some(reply) };
        let _ = self.0.send(entry).await;
    }
}
