//! A read model as it was: folded from the first event up to one, by the same fold into a store that lasts
//! as long as somebody reads it. So what was shown then is shown again, word for word. It costs the way
//! there each time; who wants to know what the engine knew enters a history by `replay::timeline`.

use domain::Seq;
use eventlog::Reader;

use crate::follow::FollowError;
use crate::jobs::{Jobs, View};
use crate::projection::{ApplyError, Projection};
use crate::refold::advance;
use crate::table::Store;

/// The jobs as they were once an event had been folded in, or the last durable one before it.
///
/// # Errors
/// When the log cannot be read or there is no place for the rows.
pub fn jobs(reader: &Reader, at: Seq) -> Result<View, FollowError> {
    let failed = |source: ApplyError| FollowError::Apply { view: Jobs::NAME, source };
    let store = Store::temporary().map_err(|error| failed(error.into()))?;
    let (mut jobs, view) = Jobs::open(&store).map_err(|error| failed(error.into()))?;
    jobs.reset(reader.identity()).map_err(failed)?;
    while advance(&mut jobs, reader, at)? > 0 {}
    Ok(view)
}
