//! Nobody is waited for in vain: while a source keeps us in its queue for want of others, others are looked
//! for.

use std::collections::{BTreeMap, BTreeSet};

use domain::decision::Decision;
use domain::{AssignmentId, Envelope, Event, Timestamp, TrackKey};

use super::{Broken, Law, each};

/// Patience: between two extensions of a wait the track is searched for, or it is told when it will be.
///
/// # Errors
/// The first violation.
pub fn keeps_looking(log: &[Envelope]) -> Result<(), Broken> {
    let mut extended: BTreeMap<AssignmentId, Timestamp> = BTreeMap::new();
    let mut searched: BTreeMap<TrackKey, Timestamp> = BTreeMap::new();
    let mut waiting: BTreeMap<TrackKey, Timestamp> = BTreeMap::new();
    // Files that come in parts are waited for by nobody in particular.
    let mut parts: BTreeSet<TrackKey> = BTreeSet::new();
    each(Law::Patience, log, |Envelope { at, event, .. }| {
        match event {
            Event::Decision(Decision::SearchPlanned { track: Some(track), .. }) => {
                searched.insert(*track, *at);
            }
            Event::Decision(Decision::TrackWaiting { track, until }) => {
                waiting.insert(*track, *until);
            }
            Event::Decision(Decision::ContentAdopted { track, .. }) => {
                parts.insert(*track);
            }
            Event::Decision(
                Decision::AttemptDropped { track, .. } | Decision::TrackRefused { track, .. },
            ) => {
                parts.remove(track);
            }
            Event::Decision(Decision::WaitExtended { track, assignment, .. }) => {
                let Some(before) = extended.insert(*assignment, *at) else { return Ok(()) };
                let is_searched = searched.get(track).is_some_and(|sent| *sent >= before);
                let will_be = waiting.get(track).is_some_and(|until| until > at);
                if !is_searched && !will_be && !parts.contains(track) {
                    return Err(format!("{track} waits in a queue and nobody else is looked for"));
                }
            }
            _ => {}
        }
        Ok(())
    })
}
