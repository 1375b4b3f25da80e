//! What can be read. Everything comes from views, which say up to which event they reach; nothing is
//! decided here.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, ID, Object, Result};
use domain::{JobId, PeerId};
use projections::{Control, past, search};
use tokio::time::timeout;

use crate::error::{bad_input, not_ready};
use crate::mutation::job_id;
use crate::object::{
    Chat, ChatMessage, DeadLetter, Event, InvalidReference, Job, JobSummary, ListPosition,
    NetworkSearches, NodeStatus, Projection, ReleaseReference, SearchHit, SearchKind,
    SearchPosition, Target,
};
use crate::scalar::Seq;
use crate::state::{Advances, ApiState, PastTurn, reach, read};

/// Entries of a list where nothing else is asked for.
const USUAL_FIRST: i32 = 25;

/// Most entries of a list.
const MOST_FIRST: i32 = 100;

/// Longest time a question to the engine waits for its answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// What can be read.
pub(crate) struct Query;

/// What can be read.
#[Object]
impl Query {
    /// A job; null when there is none of this number.
    async fn job(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "Wait up to 2 s until this event is taken into account.")] min_seq: Option<
            Seq,
        >,
        #[graphql(desc = "As it was after this event. Costs the way there.")] as_of: Option<Seq>,
    ) -> Result<Option<Job>> {
        let job = job_id(&id)?;
        if let Some(at) = as_of {
            return past_job(context, job, at.into()).await;
        }
        if let Some(least) = min_seq {
            reach(&context.data::<Advances>()?.jobs, least.into()).await?;
        }
        let view = context.data::<ApiState>()?.jobs.clone();
        let found = read(move || view.get(job)).await?;
        Ok(found.value.map(|job| Job::new(found.seq, job)))
    }

    /// All jobs, in the order of acceptance.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn jobs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
        #[graphql(desc = "Only those after this job.")] after: Option<ID>,
    ) -> Result<Connection<u32, JobSummary, ListPosition, EmptyFields>> {
        let first = checked(first)?;
        let after = after.map_or(Ok(JobId(0)), |id| job_id(&id))?;
        let view = context.data::<ApiState>()?.jobs.clone();
        let found = read(move || view.heads()).await?;
        let mut rest = found.value.into_iter().filter(|head| head.job > after);
        let page: Vec<_> = rest.by_ref().take(first).collect();
        let position = ListPosition { as_of: found.seq.into() };
        let mut list =
            Connection::with_additional_fields(after.0 > 0, rest.next().is_some(), position);
        list.edges.extend(page.into_iter().map(|head| Edge::new(head.job.0, head.into())));
        Ok(list)
    }

    /// What happened in a job, oldest first: the events about it and the inputs that caused them. An
    /// unknown job has none.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The job.")] job: ID,
        #[graphql(desc = "Only events after this position, which is also their cursor.")]
        after: Option<Seq>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
    ) -> Result<Connection<u64, Event, ListPosition, EmptyFields>> {
        let first = checked(first)?;
        let job = job_id(&job)?;
        let after = domain::Seq(after.map_or(0, |seq| seq.0));
        let view = context.data::<ApiState>()?.trace.clone();
        let found = read(move || view.events(job, after, first + 1)).await?;
        let position = ListPosition { as_of: found.seq.into() };
        let more = found.value.len() > first;
        let mut list = Connection::with_additional_fields(after.0 > 0, more, position);
        let page = found.value.iter().take(first);
        list.edges.extend(page.map(|envelope| Edge::new(envelope.seq.0, envelope.into())));
        Ok(list)
    }

    /// What a text finds among jobs, tracks, offered files and files in the library, best first.
    ///
    /// All words have to be there; of the last one the beginning is enough. Words in quotation marks
    /// follow each other. `title:`, `artist:`, `path:` and `user:` before a word say where it has to be,
    /// `state:` what a thing is doing, and a MusicBrainz ID finds what has it.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn search(
        &self,
        context: &Context<'_>,
        text: String,
        #[graphql(desc = "Only this; everything when not told.")] kind: Option<SearchKind>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor of the same search.")] after: Option<
            String,
        >,
        #[graphql(desc = "Wait up to 2 s until this event is taken into account.")]
        min_position: Option<Seq>,
    ) -> Result<Connection<String, SearchHit, SearchPosition, EmptyFields>> {
        let first = checked(first)?;
        let query = search::Query::parse(&text).map_err(|error| bad_input(error.to_string()))?;
        let parsed = after.as_deref().map(str::parse::<search::Cursor>).transpose();
        let cursor = parsed.map_err(|error| bad_input(error.to_string()))?;
        if let Some(least) = min_position {
            reach(&context.data::<Advances>()?.search, least.into()).await?;
        }
        let view = context.data::<ApiState>()?.search.clone();
        let kind = kind.map(search::Kind::from);
        let found = read(move || view.search(&query, kind, cursor, first)).await?;
        let position = SearchPosition { indexed_position: found.seq.into() };
        let search::Page { hits, more } = found.value;
        let mut list = Connection::with_additional_fields(cursor.is_some(), more, position);
        let edges = hits.into_iter().map(|(at, hit)| Edge::new(at.to_string(), hit.into()));
        list.edges.extend(edges);
        Ok(list)
    }

    /// Conversations with Soulseek users, the one with the newest message first. The position of a
    /// conversation's last message is its cursor.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn chats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<Seq>,
    ) -> Result<Connection<u64, Chat, ListPosition, EmptyFields>> {
        let first = checked(first)?;
        let (view, cursor) = (context.data::<ApiState>()?.chat.clone(), after.map(Into::into));
        let found = read(move || view.conversations(cursor, first)).await?;
        let position = ListPosition { as_of: found.seq.into() };
        let page = found.value;
        let mut list = Connection::with_additional_fields(after.is_some(), page.more, position);
        list.edges.extend(page.entries.into_iter().map(|it| Edge::new(it.last.0, it.into())));
        Ok(list)
    }

    /// What was said in the conversation with a Soulseek user, newest first. A message's position is its
    /// cursor. One that there is not has no messages.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn chat(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "With whom.")] user: String,
        #[graphql(desc = "Only what was said before this position.")] before: Option<Seq>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
    ) -> Result<Connection<u64, ChatMessage, ListPosition, EmptyFields>> {
        let first = checked(first)?;
        let view = context.data::<ApiState>()?.chat.clone();
        let (peer, cursor) = (PeerId::Soulseek(user), before.map(Into::into));
        let found = read(move || view.messages(&peer, cursor, first)).await?;
        let position = ListPosition { as_of: found.seq.into() };
        let page = found.value;
        let mut list = Connection::with_additional_fields(before.is_some(), page.more, position);
        let edges = page.entries.into_iter();
        list.edges.extend(edges.map(|(seq, it)| Edge::new(seq.0, ChatMessage::new(seq, it))));
        Ok(list)
    }

    /// The node itself; null before its first start is taken into account.
    async fn node(&self, context: &Context<'_>) -> Result<Option<NodeStatus>> {
        let state = context.data::<ApiState>()?;
        let view = state.jobs.clone();
        let found = read(move || view.node()).await?;
        Ok(found.value.map(|node| NodeStatus::new(found.seq, &state.log, &state.shadow, node)))
    }

    /// Searches on the networks: what runs, what waits and for how long, and what the budget leaves.
    async fn network_searches(&self, context: &Context<'_>) -> Result<NetworkSearches> {
        let questions = &context.data::<ApiState>()?.questions;
        match timeout(ANSWERED_WITHIN, questions.searches()).await {
            Ok(Some(queue)) => Ok(queue.into()),
            Ok(None) => Err(not_ready("the node is stopping")),
            Err(_) => Err(not_ready("the node is busy, or its log waits for space")),
        }
    }

    /// The read models that everything here is answered from.
    async fn projections(&self, context: &Context<'_>) -> Result<Vec<Projection>> {
        let followers = context.data::<ApiState>()?.followers.clone();
        let statuses = read(move || {
            followers.iter().map(Control::status).collect::<std::result::Result<Vec<_>, _>>()
        });
        Ok(statuses.await?.into_iter().map(Projection::from).collect())
    }

    /// Events that a read model could not take in and has gone on without, oldest first. A rebuild
    /// tries them again.
    #[graphql(complexity = "counted(first) * child_complexity")]
    async fn dead_letters(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The read model's name.")] projection: String,
        #[graphql(desc = "Only those after this position.")] after: Option<Seq>,
        #[graphql(desc = "How many, at most 100; 25 when not told.")] first: Option<i32>,
    ) -> Result<Vec<DeadLetter>> {
        let first = checked(first)?;
        let letters = context.data::<ApiState>()?.follower(&projection)?.letters();
        let after = domain::Seq(after.map_or(0, |seq| seq.0));
        let found = read(move || letters.list(after, first)).await?;
        Ok(found.into_iter().map(DeadLetter::from).collect())
    }

    /// Reads a pasted text as the release it names. Asks nobody, so the release need not exist.
    async fn resolve_target(&self, text: String) -> Target {
        match domain::reference::parse_release(&text) {
            Ok(release) => Target::Release(ReleaseReference::new(release)),
            Err(error) => Target::Invalid(InvalidReference::new(&error)),
        }
    }
}

/// A job as it was. One question at a time: each folds everything up to the event anew.
async fn past_job(context: &Context<'_>, job: JobId, at: domain::Seq) -> Result<Option<Job>> {
    let log = context.data::<ApiState>()?.log.clone();
    if at > log.durable() {
        let last = log.durable();
        return Err(bad_input(format!("event {at} is not recorded yet; the last one is {last}")));
    }
    let turn = Arc::clone(&context.data::<PastTurn>()?.0).lock_owned().await;
    let found = read(move || {
        // Taken along: the work goes on when the client does not wait for it.
        let _turn = turn;
        past::jobs(&log, at)
    });
    let found = found.await?;
    let found = read(move || found.get(job)).await?;
    Ok(found.value.map(|job| Job::new(found.seq, job)))
}

fn checked(first: Option<i32>) -> Result<usize> {
    match first.unwrap_or(USUAL_FIRST) {
        first @ 1..=MOST_FIRST => Ok(first.unsigned_abs() as usize),
        _ => Err(bad_input(format!("first is between 1 and {MOST_FIRST}"))),
    }
}

/// Entries that a request counts for before it is known whether they may be asked for.
fn counted(first: Option<i32>) -> usize {
    first.unwrap_or(USUAL_FIRST).clamp(1, MOST_FIRST).unsigned_abs() as usize
}
