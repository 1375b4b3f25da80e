//! Faults as text: one a line, the input it comes after, its name, and its numbers.

use std::fmt;

use super::{CrashPoint, Fault, Misfortune};

/// Why a list of faults was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no fault: {:?}", self.line, self.text)
    }
}

impl std::error::Error for ParseError {}

/// The list as text, as [`parse`] reads it.
#[must_use]
pub fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// Reads a list; empty lines and what follows a `#` are for people.
///
/// # Errors
/// The first line that is no fault.
pub fn parse(text: &str) -> Result<Vec<Fault>, ParseError> {
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> =
            line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let wrong = || ParseError { line: number, text: line.to_owned() };
        faults.push(fault(&words).ok_or_else(wrong)?);
    }
    faults.sort();
    Ok(faults)
}

fn fault(words: &[&str]) -> Option<Fault> {
    let (at, words) = words.split_first()?;
    Some(Fault { at: at.parse().ok()?, what: misfortune(words)? })
}

fn misfortune(words: &[&str]) -> Option<Misfortune> {
    let peer = |number: &str| number.parse::<u8>().ok();
    let long = |number: &str| number.parse::<u64>().ok();
    Some(match *words {
        ["peer-dies", of, after] => Misfortune::PeerDies { peer: peer(of)?, after: long(after)? },
        ["peer-stalls", of, after] => {
            Misfortune::PeerStalls { peer: peer(of)?, after: long(after)? }
        }
        ["peer-lies", of] => Misfortune::PeerLies { peer: peer(of)? },
        ["peer-denies", of] => Misfortune::PeerDenies { peer: peer(of)? },
        ["peer-changes-size", of] => Misfortune::PeerChangesSize { peer: peer(of)? },
        ["peer-queues", of] => Misfortune::PeerQueues { peer: peer(of)? },
        ["peer-leaves", of] => Misfortune::PeerLeaves { peer: peer(of)? },
        ["peer-returns", of] => Misfortune::PeerReturns { peer: peer(of)? },
        ["session-lost", ms] => Misfortune::SessionLost { for_ms: long(ms)? },
        ["service-busy", ms] => Misfortune::ServiceBusy { retry_after_ms: long(ms)? },
        ["service-unreachable"] => Misfortune::ServiceUnreachable,
        ["release-missing"] => Misfortune::ReleaseMissing,
        ["key-refused"] => Misfortune::KeyRefused,
        ["disk-full"] => Misfortune::DiskFull,
        ["staging-lost"] => Misfortune::StagingLost,
        ["crash", "before-append"] => Misfortune::Crash(CrashPoint::BeforeAppend),
        ["crash", "after-effects", number] => {
            Misfortune::Crash(CrashPoint::AfterEffects(number.parse().ok()?))
        }
        ["clock-back", ms] => Misfortune::ClockBack { ms: long(ms)? },
        ["clock-forward", ms] => Misfortune::ClockForward { ms: long(ms)? },
        ["answer-twice", ms] => Misfortune::AnswerTwice { after_ms: long(ms)? },
        ["answer-late", ms] => Misfortune::AnswerLate { by_ms: long(ms)? },
        ["answer-lost"] => Misfortune::AnswerLost,
        ["person-retries"] => Misfortune::PersonRetries,
        ["person-changes-mind"] => Misfortune::PersonChangesMind,
        _ => return None,
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.what)
    }
}

impl fmt::Display for Misfortune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerDies { peer, after } => write!(f, "peer-dies {peer} {after}"),
            Self::PeerStalls { peer, after } => write!(f, "peer-stalls {peer} {after}"),
            Self::PeerLies { peer } => write!(f, "peer-lies {peer}"),
            Self::PeerDenies { peer } => write!(f, "peer-denies {peer}"),
            Self::PeerChangesSize { peer } => write!(f, "peer-changes-size {peer}"),
            Self::PeerQueues { peer } => write!(f, "peer-queues {peer}"),
            Self::PeerLeaves { peer } => write!(f, "peer-leaves {peer}"),
            Self::PeerReturns { peer } => write!(f, "peer-returns {peer}"),
            Self::SessionLost { for_ms } => write!(f, "session-lost {for_ms}"),
            Self::ServiceBusy { retry_after_ms } => write!(f, "service-busy {retry_after_ms}"),
            Self::ServiceUnreachable => f.write_str("service-unreachable"),
            Self::ReleaseMissing => f.write_str("release-missing"),
            Self::KeyRefused => f.write_str("key-refused"),
            Self::DiskFull => f.write_str("disk-full"),
            Self::StagingLost => f.write_str("staging-lost"),
            Self::Crash(CrashPoint::BeforeAppend) => f.write_str("crash before-append"),
            Self::Crash(CrashPoint::AfterEffects(number)) => {
                write!(f, "crash after-effects {number}")
            }
            Self::ClockBack { ms } => write!(f, "clock-back {ms}"),
            Self::ClockForward { ms } => write!(f, "clock-forward {ms}"),
            Self::AnswerTwice { after_ms } => write!(f, "answer-twice {after_ms}"),
            Self::AnswerLate { by_ms } => write!(f, "answer-late {by_ms}"),
            Self::AnswerLost => f.write_str("answer-lost"),
            Self::PersonRetries => f.write_str("person-retries"),
            Self::PersonChangesMind => f.write_str("person-changes-mind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::drawn;

    #[test]
    fn what_is_written_is_read_again() {
        for seed in 0..200 {
            let faults = drawn(seed);
            assert_eq!(parse(&listed(&faults)).unwrap(), faults);
        }
    }

    #[test]
    fn a_line_that_says_nothing_known_is_named() {
        let text = "# of a bad night\n\n3 crash after-effects 0\n4 earthquake\n";
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), "line 4 is no fault: \"4 earthquake\"");
    }
}
