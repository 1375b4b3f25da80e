//! What can be asked for. A mutation turns its arguments into a [`Command`] and its receipt into an
//! answer; what the engine refuses is an answer too. An answer is given once what was asked is durable
//! and whoever reads next sees it. To fold a view anew is no command: it changes nothing that is known.

use async_graphql::{Context, ID, Object, Result};
use domain::decision::CommandRefusal;
use domain::{Command, Decision, JobId, PeerId, chat};

use crate::error::{bad_input, internal, not_ready};
use crate::inbox::{AskError, Receipt};
use crate::object::{
    AddJobResult, ChatReceipt, ChatRefused, CommandRefused, Duplicate, InvalidReference,
    JobCommandResult, JobReceipt, Projection, SendChatResult,
};
use crate::scalar::{CommandId, Seq};
use crate::state::{Advances, ApiState, reach, read};

/// What can be asked for.
pub(crate) struct Mutation;

/// What can be asked for.
#[Object]
impl Mutation {
    /// Completes the release that a MusicBrainz link or ID names.
    async fn add_job(
        &self,
        context: &Context<'_>,
        reference: String,
        command_id: Option<CommandId>,
    ) -> Result<AddJobResult> {
        let release = match domain::reference::parse_release(&reference) {
            Ok(release) => release,
            Err(error) => return Ok(AddJobResult::InvalidReference(InvalidReference::new(&error))),
        };
        let receipt = ask(context, Command::AddJob { release }, command_id).await?;
        for decision in &receipt.decisions {
            match decision {
                Decision::JobAdded { job, .. } => {
                    return Ok(AddJobResult::Receipt(JobReceipt::new(receipt.seq, *job)));
                }
                Decision::CommandRefused { reason: reason @ CommandRefusal::Duplicate(job) } => {
                    return Ok(AddJobResult::Duplicate(Duplicate::new(*job, *reason)));
                }
                _ => {}
            }
        }
        Err(internal(&Unanswered))
    }

    /// Stops a job; what it has published stays.
    async fn cancel_job(
        &self,
        context: &Context<'_>,
        id: ID,
        command_id: Option<CommandId>,
    ) -> Result<JobCommandResult> {
        let job = job_id(&id)?;
        Ok(outcome(job, &ask(context, Command::CancelJob { job }, command_id).await?))
    }

    /// Tries again at once whatever a job waits for or failed at.
    async fn retry_job(
        &self,
        context: &Context<'_>,
        id: ID,
        command_id: Option<CommandId>,
    ) -> Result<JobCommandResult> {
        let job = job_id(&id)?;
        Ok(outcome(job, &ask(context, Command::RetryJob { job }, command_id).await?))
    }

    /// Says something to a Soulseek user. The server keeps it for one who is not logged in.
    async fn send_chat(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "To whom.")] user: String,
        #[graphql(desc = "One line of at most 2,048 bytes.")] text: String,
        command_id: Option<CommandId>,
    ) -> Result<SendChatResult> {
        let suitable = chat::check_user(&user).and_then(|()| chat::check_text(&text));
        if let Err(reason) = suitable {
            return Ok(SendChatResult::Refused(ChatRefused::unsuitable(reason)));
        }
        let command = Command::SendChat { peer: PeerId::Soulseek(user), text };
        let receipt = ask(context, command, command_id).await?;
        Ok(match refusal(&receipt) {
            Some(reason) => SendChatResult::Refused(ChatRefused::new(reason)),
            None => SendChatResult::Receipt(ChatReceipt { seq: receipt.seq.into() }),
        })
    }

    /// Marks what a user said, up to a message, as read.
    async fn mark_chat_read(
        &self,
        context: &Context<'_>,
        user: String,
        #[graphql(desc = "Position of the last message that was read.")] through: Seq,
    ) -> Result<ChatReceipt> {
        let (peer, through) = (PeerId::Soulseek(user), through.into());
        let receipt = ask(context, Command::MarkChatRead { peer, through }, None).await?;
        Ok(ChatReceipt { seq: receipt.seq.into() })
    }

    /// Folds a read model anew from the first event on, and so tries its dead letters again. What is
    /// there answers until that is done; see its state.
    async fn rebuild_projection(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The read model's name.")] name: String,
    ) -> Result<Projection> {
        let follower = context.data::<ApiState>()?.follower(&name)?;
        follower.rebuild();
        Ok(read(move || follower.status()).await?.into())
    }

    /// Leaves it at that a read model went on without an event.
    async fn skip_dead_letter(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The read model's name.")] projection: String,
        #[graphql(desc = "The event's position.")] seq: Seq,
    ) -> Result<Projection> {
        let follower = context.data::<ApiState>()?.follower(&projection)?;
        let (letters, event) = (follower.letters(), seq.into());
        if !read(move || letters.has(event)).await? {
            return Err(bad_input(format!("event {} is no dead letter of {projection}", seq.0)));
        }
        ask(context, Command::SkipDeadLetter { view: projection, event }, None).await?;
        Ok(read(move || follower.status()).await?.into())
    }
}

/// The engine accepted neither and refused neither, which it never does.
#[derive(Debug, thiserror::Error)]
#[error("a command to add a job was neither followed nor refused")]
struct Unanswered;

/// A job's number as it is written in an ID.
pub(crate) fn job_id(id: &ID) -> Result<JobId> {
    // Strictly, so that one job has one ID.
    let number = id.parse::<u32>().ok().filter(|number| number.to_string() == id.as_str());
    number.map(JobId).ok_or_else(|| bad_input("a job's ID is its number, such as \"1\""))
}

async fn ask(context: &Context<'_>, command: Command, id: Option<CommandId>) -> Result<Receipt> {
    let state = context.data::<ApiState>()?;
    let asked = state.inbox.ask(command, id.map(|CommandId(id)| id)).await;
    let receipt = asked.map_err(|error| match error {
        AskError::Closed => not_ready(error.to_string()),
        AskError::Reused(_) => bad_input(error.to_string()),
    })?;
    let Advances { jobs, trace, chat, search } = context.data::<Advances>()?;
    // A view that is too late takes nothing back: the command was followed.
    let seq = receipt.seq;
    let _ = tokio::join!(reach(jobs, seq), reach(trace, seq), reach(chat, seq), reach(search, seq));
    Ok(receipt)
}

fn refusal(receipt: &Receipt) -> Option<CommandRefusal> {
    receipt.decisions.iter().find_map(|decision| match decision {
        Decision::CommandRefused { reason } => Some(*reason),
        _ => None,
    })
}

fn outcome(job: JobId, receipt: &Receipt) -> JobCommandResult {
    match refusal(receipt) {
        Some(reason) => JobCommandResult::Refused(CommandRefused::new(job, reason)),
        None => JobCommandResult::Receipt(JobReceipt::new(receipt.seq, job)),
    }
}
