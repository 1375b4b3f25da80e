//! The one way in: a bounded queue of inputs. Whoever fills it waits when the engine is behind, so a
//! flood outside slows the flood and not the node.

use api::Receipt;
use domain::{Input, Observation};
use tokio::sync::{mpsc, oneshot};

/// Inputs that may wait.
const CAPACITY: usize = 1024;

/// One input on its way in.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) input: Input,
    /// Told once the input and what it led to are durable.
    pub(crate) reply: Option<oneshot::Sender<Receipt>>,
}

/// Where adapters report to. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(mpsc::Sender<Entry>);

pub(crate) fn channel() -> (Inbox, mpsc::Receiver<Entry>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Inbox(sender), receiver)
}

impl Inbox {
    /// Reports what was seen. When the node is stopping the news is lost, as in a crash; restart
    /// asks again for whatever has no answer.
    pub(crate) async fn report(&self, seen: Observation) {
        let entry = Entry { input: Input::Observation(seen), reply: None };
        let _ = self.0.send(entry).await;
    }

    /// Passes on what a person asked.
    pub(crate) async fn ask(&self, asked: api::Asked) {
        let entry = Entry { input: Input::Command(asked.command), reply: Some(asked.reply) };
        let _ = self.0.send(entry).await;
    }
}
