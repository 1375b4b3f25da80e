//! The one way from the API to the engine: a bounded queue of commands with their receipts, and one of
//! questions. The node holds the other ends; nothing here knows what a command does.

use domain::{Command, Decision, SearchQueue, Seq};
use eventlog::CommandId;
use tokio::sync::{mpsc, oneshot};

/// A command and where its receipt is awaited.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub command: Command,
    /// The client's name for it.
    pub id: Option<CommandId>,
    /// Where the receipt goes, once the command and its decisions are durable. A command that was taken
    /// before under the same name is not taken again and gets the receipt it got then.
    pub reply: oneshot::Sender<Result<Receipt, Reused>>,
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

/// What only the engine knows, because it follows from the time as much as from events; a question
/// changes nothing and is not recorded.
#[derive(Debug)]
pub enum Question {
    /// How things stand with searches.
    Searches(oneshot::Sender<SearchQueue>),
}

/// Takes questions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Questions(mpsc::Sender<Question>);

impl Questions {
    /// A queue in front of `questions`.
    #[must_use]
    pub fn new(questions: mpsc::Sender<Question>) -> Self {
        Self(questions)
    }

    /// How things stand with searches; `None` when the node is stopping.
    pub async fn searches(&self) -> Option<SearchQueue> {
        let (reply, told) = oneshot::channel();
        self.0.send(Question::Searches(reply)).await.ok()?;
        told.await.ok()
    }
}

/// The name was given to another command before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the command ID was used for another command before, event {0}; each has an ID of its own")]
pub struct Reused(pub Seq);

/// Why there is no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The node takes no commands any more. One that was handed over before may still have been
    /// followed.
    #[error("the node is stopping and takes no commands")]
    Closed,
    /// Nothing was done.
    #[error(transparent)]
    Reused(#[from] Reused),
}

impl Inbox {
    /// An inbox in front of `commands`.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Asked>) -> Self {
        Self(commands)
    }

    /// Hands a command over and waits until what it caused is durable. Whoever stops waiting does not
    /// undo the command; asked again under the same name it is not done again.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, command: Command, id: Option<CommandId>) -> Result<Receipt, AskError> {
        let (reply, receipt) = oneshot::channel();
        self.0.send(Asked { command, id, reply }).await.map_err(|_| AskError::Closed)?;
        Ok(receipt.await.map_err(|_| AskError::Closed)??)
    }
}
