//! MusicBrainz and AcoustID: they know everything, and are not always there.

use domain::id::AcoustId;
use domain::observation::{IdentityMatch, Lookup, LookupFault, Observation};
use domain::score::Ppm;
use domain::{Effect, RecordingId, Timestamp};

use super::World;
use crate::fault::Misfortune;
use crate::rng::Rng;

impl World {
    /// Answers what a service is asked.
    pub(super) fn look_up(&mut self, effect: Effect, at: Timestamp) {
        let (lookup, known) = match effect {
            Effect::FetchRelease { job, .. } => (
                Lookup::Release { job },
                Observation::ReleaseFetched { job, target: self.catalogue.target.clone() },
            ),
            Effect::Identify { track, attempt, fingerprint, .. } => {
                let matches = matches(fingerprint.0[0], track.index);
                let lookup = Lookup::Identity { track, attempt };
                (lookup, Observation::RecordingIdentified { track, attempt, matches })
            }
            other => unreachable!("{other:?} is not for a service"),
        };
        let wait = Rng::numbered(self.seed, "service", self.agenda.planned()).within(50, 900);
        let seen = match self.fault_of(&lookup) {
            Some(fault) => Observation::LookupFailed { lookup, fault },
            None => known,
        };
        self.plan(at.plus_ms(wait), seen);
    }

    fn fault_of(&mut self, lookup: &Lookup) -> Option<LookupFault> {
        let own = match lookup {
            Lookup::Release { .. } => Misfortune::ReleaseMissing,
            Lookup::Identity { .. } => Misfortune::KeyRefused,
        };
        let what = self.take(|what| {
            *what == own
                || matches!(what, Misfortune::ServiceBusy { .. } | Misfortune::ServiceUnreachable)
        })?;
        Some(match what {
            Misfortune::ServiceBusy { retry_after_ms } => LookupFault::Busy {
                status: 503,
                retry_after_ms: (retry_after_ms > 0).then_some(retry_after_ms),
            },
            Misfortune::ServiceUnreachable => LookupFault::Unreachable("no route".into()),
            Misfortune::ReleaseMissing => LookupFault::NotFound,
            _ => LookupFault::Refused("invalid API key".into()),
        })
    }
}

/// What a fingerprint sounds like; and, faintly, whatever is hoped for.
fn matches(heard: u32, hoped: u16) -> Vec<IdentityMatch> {
    let found = |number: u8, score| IdentityMatch {
        acoustid: AcoustId([number; 16]),
        score: Ppm(score),
        recordings: vec![RecordingId([number; 16])],
    };
    vec![found(hoped as u8 + 1, 300_000), found(heard as u8, 950_000)]
}
