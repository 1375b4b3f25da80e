//! The words: why something does not go on, and what happens or can be done next. Facts are in the
//! rows; here they become sentences, so that the command line and the API say the same.

use domain::Timestamp;
use domain::decision::{HoldReason, JobFailure};
use domain::observation::{DiskFault, LookupFault};

/// When something is tried again.
pub(super) fn again_at(what: &str, until: Timestamp) -> String {
    format!("{what} at {}", until.rfc3339())
}

/// What follows a hold.
pub(super) fn after_hold(reason: &HoldReason, until: Option<Timestamp>) -> String {
    let remedy = match reason {
        HoldReason::Disk(DiskFault::Full) => "free some disk space",
        HoldReason::Disk(DiskFault::Other(_)) => "see that the music folder can be written to",
        HoldReason::Lookup(fault) => after_lookup(fault),
    };
    match until {
        Some(until) => format!("{remedy}; {}", again_at("the job goes on by itself", until)),
        None => format!("{remedy}, then retry the job"),
    }
}

/// What follows a failure.
pub(super) fn after_failure(reason: &JobFailure) -> String {
    match reason {
        JobFailure::Release(LookupFault::NotFound) => {
            "check the ID on musicbrainz.org; it must be of a release, not of a release group"
                .to_owned()
        }
        JobFailure::Release(fault) => format!("{}, then retry the job", after_lookup(fault)),
        JobFailure::NoTracks => {
            "choose another edition of the album, or complete this one on musicbrainz.org and \
             retry the job"
                .to_owned()
        }
    }
}

fn after_lookup(fault: &LookupFault) -> &'static str {
    match fault {
        LookupFault::NotFound => "check that the service knows the release",
        LookupFault::Busy { .. } => "wait until the service is less busy",
        LookupFault::Unreachable(_) => "check the network connection",
        LookupFault::Malformed(_) => "check that the service's address is right",
        LookupFault::Refused(_) => "check the key of the service in the configuration",
    }
}
