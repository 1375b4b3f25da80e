//! The one way from the API into the engine: a bounded queue of commands with their receipts. The
//! node holds the other end; nothing here knows what a command does.

use domain::{Command, Decision, Seq};
use tokio::sync::{mpsc, oneshot};

/// A command and where its receipt is awaited.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub command: Command,
    /// Where the receipt goes, once the command and its decisions are durable.
    pub reply: oneshot::Sender<Receipt>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Position of the last event that the command caused. A view that has reached it shows what
    /// the command did.
    pub seq: Seq,
    /// What was concluded from it.
    pub decisions: Vec<Decision>,
}

/// Takes commands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<Asked>);

/// The node takes no commands any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping and takes no commands")]
pub struct Closed;

impl Inbox {
    /// An inbox in front of `commands`.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Asked>) -> Self {
        Self(commands)
    }

    /// Hands a command over and waits until what it caused is durable. Whoever stops waiting does not
    /// undo the command.
    ///
    /// # Errors
    /// [`Closed`]. A command that was handed over before may still have been followed.
    pub async fn ask(&self, command: Command) -> Result<Receipt, Closed> {
        let (reply, receipt) = oneshot::channel();
        self.0.send(Asked { command, reply }).await.map_err(|_| Closed)?;
        receipt.await.map_err(|_| Closed)
    }
}
