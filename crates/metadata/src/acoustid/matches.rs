//! Reads AcoustID's JSON: matches, or AcoustID's reason for giving none. Asks nobody; the request is
//! in [`super`].

use std::cmp::Reverse;

use domain::observation::{IdentityMatch, LookupFault};
use domain::score::Ppm;
use serde::Deserialize;

use crate::http::{Answer, shortened};

/// Why an answer holds no matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// AcoustID reports an error.
    Trouble(Trouble),
    /// It is not what AcoustID documents; the first thing that is not.
    NotAsDocumented(String),
}

/// An error in AcoustID's own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trouble {
    /// AcoustID's number for it.
    #[serde(default)]
    pub code: u32,
    /// Its words.
    #[serde(default)]
    pub message: String,
}

impl Trouble {
    /// The numbers are those of AcoustID's server. A few are of the file that was asked about: it
    /// cannot be found, and that says nothing of the next file. All others mean a request that stays
    /// wrong whatever file it is for, such as one with a bad key.
    pub(crate) fn fault(&self, answer: &Answer) -> LookupFault {
        const INVALID_FINGERPRINT: u32 = 3;
        const INTERNAL: u32 = 5;
        const INVALID_DURATION: u32 = 8;
        const UNAVAILABLE: u32 = 13;
        const TOO_MANY_REQUESTS: u32 = 14;
        const FINGERPRINT_NOT_FOUND: u32 = 18;
        let busy = |usual| LookupFault::Busy {
            status: if answer.is_success() { usual } else { answer.status },
            retry_after_ms: answer.retry_after_ms,
        };
        match self.code {
            TOO_MANY_REQUESTS => busy(429),
            INTERNAL => busy(500),
            UNAVAILABLE => busy(503),
            INVALID_FINGERPRINT | INVALID_DURATION | FINGERPRINT_NOT_FOUND => LookupFault::NotFound,
            _ if matches!(answer.status, 429 | 500..) => busy(answer.status),
            code => LookupFault::Refused(shortened(&format!(
                "{} (AcoustID error {code})",
                self.message
            ))),
        }
    }
}

/// Reads an answer to `lookup` with `meta=recordingids`: best match first, equals by identity.
///
/// # Errors
/// [`Unread`].
pub fn read(json: &[u8]) -> Result<Vec<IdentityMatch>, Unread> {
    let answer: Lookup =
        serde_json::from_slice(json).map_err(|error| Unread::NotAsDocumented(error.to_string()))?;
    match answer {
        Lookup { status: Status::Error, error, .. } => {
            Err(Unread::Trouble(error.unwrap_or(Trouble { code: 0, message: String::new() })))
        }
        Lookup { status: Status::Ok, results, .. } => {
            let mut matches = results
                .ok_or_else(|| {
                    Unread::NotAsDocumented("no results, not even an empty list".into())
                })?
                .into_iter()
                .map(read_match)
                .collect::<Result<Vec<_>, _>>()?;
            matches.sort_by_key(|one| (Reverse(one.score), one.acoustid));
            Ok(matches)
        }
    }
}

#[derive(Deserialize)]
struct Lookup {
    status: Status,
    error: Option<Trouble>,
    results: Option<Vec<Match>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Error,
}

#[derive(Deserialize)]
struct Match {
    id: String,
    score: f64,
    /// Absent where nobody has linked the AcoustID to MusicBrainz yet.
    recordings: Option<Vec<Recording>>,
}

#[derive(Deserialize)]
struct Recording {
    id: Option<String>,
}

fn read_match(found: Match) -> Result<IdentityMatch, Unread> {
    let acoustid = found.id.parse().map_err(|_| {
        Unread::NotAsDocumented(format!("{:?} is not an AcoustID", shortened(&found.id)))
    })?;
    // A link without identity links to nothing; the others of the match still stand.
    let recordings = found
        .recordings
        .unwrap_or_default()
        .into_iter()
        .filter_map(|recording| recording.id?.parse().ok())
        .collect();
    Ok(IdentityMatch { acoustid, score: share(found.score), recordings })
}

/// AcoustID's score between 0 and 1; anything outside, or not a number, is clamped.
fn share(score: f64) -> Ppm {
    // Here a foreign float becomes ours, for the core has none; `as` maps NaN to zero.
    Ppm((score.clamp(0.0, 1.0) * f64::from(Ppm::ONE.0)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_outside_its_range_is_clamped() {
        let shares = [0.0, 0.983_412, 1.0, 17.5, -0.5, f64::INFINITY, f64::NAN].map(share);
        assert_eq!(
            shares.map(|share| share.0),
            [0, 983_412, 1_000_000, 1_000_000, 0, 1_000_000, 0]
        );
    }
}
