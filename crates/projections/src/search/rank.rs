//! In which order hits are shown: first those that match better, then those with fewer words, then by
//! place. It depends on the query and the document alone, and on no statistics of the index, so it is the
//! same whether a document is on the disk yet, and a page goes on exactly where the one before has ended.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use domain::{JobId, TrackKey};

use super::document::{Kind, Place};

/// Where a hit stands; the best is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) score: Reverse<u32>,
    pub(super) length: u64,
    pub(super) place: Place,
}

/// The end of a page, for the next one to go on after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(super) Rank);

/// The text is no cursor that a page gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of a search")]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rank { score: Reverse(score), length, place } = self.0;
        let TrackKey { job, index } = place.track;
        write!(f, "{score}.{length}.{job}.{index}.{}.{}", place.kind as u8, place.item)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        fn number<T: FromStr>(part: Option<&str>) -> Result<T, NotACursor> {
            part.and_then(|part| part.parse().ok()).ok_or(NotACursor)
        }
        let mut parts = text.splitn(6, '.');
        let score = Reverse(number(parts.next())?);
        let length = number(parts.next())?;
        let track = TrackKey { job: JobId(number(parts.next())?), index: number(parts.next())? };
        let kind = number::<usize>(parts.next())?;
        let kind = *Kind::ALL.get(kind).ok_or(NotACursor)?;
        let place = Place { track, kind, item: number(parts.next())? };
        Ok(Self(Rank { score, length, place }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back(
            score: u32, length: u64, job: u32, index: u16, kind in 0usize..4, item: u32,
        ) {
            let track = TrackKey { job: JobId(job), index };
            let place = Place { track, kind: Kind::ALL[kind], item };
            let cursor = Cursor(Rank { score: Reverse(score), length, place });
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in r"[0-9.\-a]{0,40}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
