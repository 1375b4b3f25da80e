//! What can be followed. Both streams are pulled by the socket: each first reads what there is and
//! then sleeps until the view goes on, so nothing is missed in between and nothing is queued.

use std::collections::VecDeque;
use std::time::Duration;

use async_graphql::{Context, ID, Result, Subscription};
use domain::{Envelope, JobId};
use futures_util::{Stream, stream};
use projections::jobs::JobState;
use projections::{jobs, trace};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::error::bad_input;
use crate::mutation::job_id;
use crate::object::{Event, Job};
use crate::scalar::Seq;
use crate::state::{Advances, ApiState, read};

/// Events read at once.
const BATCH: usize = 100;

/// What can be followed.
pub(crate) struct Subscription;

/// What can be followed.
#[Subscription]
impl Subscription {
    /// A job now and whenever it has changed, until it is completed or cancelled. What happens
    /// between two answers is not told one by one; that is what events are for.
    async fn job_progress(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(
            desc = "Least time between two answers in milliseconds: 100 to 60000, or 1000.",
            default = 1000
        )]
        every_ms: u32,
    ) -> Result<impl Stream<Item = Result<Job>>> {
        if !(100..=60_000).contains(&every_ms) {
            return Err(bad_input("everyMs is between 100 and 60000"));
        }
        let progress = Progress {
            view: context.data::<ApiState>()?.jobs.clone(),
            advanced: context.data::<Advances>()?.jobs.clone(),
            job: job_id(&id)?,
            every: Duration::from_millis(every_ms.into()),
            told: None,
            over: false,
        };
        Ok(stream::unfold(Some(progress), |progress| async {
            let mut progress = progress?;
            step(progress.next().await, progress)
        }))
    }

    /// The events of a job after a position, oldest first: those that there are, then each as it
    /// happens. None is left out; to go on later, begin after the last one seen.
    async fn events(
        &self,
        context: &Context<'_>,
        job: ID,
        #[graphql(desc = "The last position known; from the beginning when not told.")]
        after: Option<Seq>,
    ) -> Result<impl Stream<Item = Result<Event>>> {
        let tail = Tail {
            view: context.data::<ApiState>()?.trace.clone(),
            advanced: context.data::<Advances>()?.trace.clone(),
            job: job_id(&job)?,
            after: domain::Seq(after.map_or(0, |seq| seq.0)),
            read: VecDeque::new(),
        };
        Ok(stream::unfold(tail, |mut tail| async { Some((tail.next().await.transpose()?, tail)) }))
    }
}

/// One step of a stream; an error is the last one.
fn step<T, S>(item: Result<Option<T>>, state: S) -> Option<(Result<T>, Option<S>)> {
    match item.transpose()? {
        Ok(item) => Some((Ok(item), Some(state))),
        Err(error) => Some((Err(error), None)),
    }
}

/// Follows one job.
struct Progress {
    view: jobs::View,
    advanced: watch::Receiver<domain::Seq>,
    job: JobId,
    every: Duration,
    /// The last change told, and when the next may be.
    told: Option<(domain::Seq, Instant)>,
    over: bool,
}

impl Progress {
    /// The job once it has changed; `None` when there is nothing more to come.
    async fn next(&mut self) -> Result<Option<Job>> {
        if self.over {
            return Ok(None);
        }
        loop {
            if let Some((_, not_before)) = self.told {
                if self.advanced.changed().await.is_err() {
                    return Ok(None);
                }
                sleep_until(not_before).await;
            }
            // Seen before it is read: what comes while reading is looked at once more.
            self.advanced.borrow_and_update();
            let (view, job) = (self.view.clone(), self.job);
            let found = read(move || view.get(job)).await?;
            let Some(job) = found.value else {
                return Err(bad_input(format!("there is no job {}", self.job)));
            };
            let changed = job.head.changed;
            if self.told.is_none_or(|(told, _)| told != changed) {
                self.told = Some((changed, Instant::now() + self.every));
                self.over = matches!(job.head.state, JobState::Completed | JobState::Cancelled);
                return Ok(Some(Job::new(found.seq, job)));
            }
        }
    }
}

/// Follows the events of one job.
struct Tail {
    view: trace::View,
    advanced: watch::Receiver<domain::Seq>,
    job: JobId,
    after: domain::Seq,
    read: VecDeque<Envelope>,
}

impl Tail {
    /// The next event; `None` when the node stops.
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(envelope) = self.read.pop_front() {
                self.after = envelope.seq;
                return Ok(Some(Event::from(&envelope)));
            }
            // Seen before it is read: what comes while reading is looked at once more.
            self.advanced.borrow_and_update();
            let (view, job, after) = (self.view.clone(), self.job, self.after);
            self.read = read(move || view.events(job, after, BATCH)).await?.value.into();
            if self.read.is_empty() && self.advanced.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}
