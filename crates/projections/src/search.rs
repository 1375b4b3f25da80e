//! Finds jobs, tracks, offered files and finished files by words. What a query means is in `query`, which
//! hits come first in `rank`, what can be found in `document`. The index (`index`, on the disk as tantivy
//! keeps it) is folded from the log by the fold of the [`crate::jobs`], row by row, so it says of a state
//! what they say; it is never asked what to do.
//!
//! It answers with what is committed and, over it, the rows that are not yet: whoever waits for
//! [`View::position`] finds what was written.

use std::path::Path;

use eventlog::{Record, Signal};

use crate::jobs::fold;
use crate::projection::{ApplyError, Projection};
use crate::rows::Standing as _;
use crate::table::{AsOf, TableError};

mod ask;
mod document;
mod folders;
mod index;
mod matching;
mod opened;
mod payload;
mod query;
mod rank;
mod stored;
mod words;

pub use document::{Hit, Kind};
pub use index::Index;
pub use query::{Query, QueryError};
pub use rank::{Cursor, NotACursor};

#[cfg(fuzzing)]
pub(crate) use matching::finds_itself;

use document::Place;
use folders::Folders;
use index::Face;
use rank::Rank;

/// The search being folded.
pub struct Search {
    index: Index,
}

impl Search {
    /// Opens the index in `dir`, which no one else may use, and a view on it. One that cannot be read or
    /// has another form is begun anew; [`crate::Status`] says so.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(dir: &Path) -> Result<(Self, View), TableError> {
        let index = Index::open(dir, Self::NAME, Self::VERSION)?;
        let face = index.face();
        Ok((Self { index }, View { face }))
    }

    /// Removes the search in `dir`, which nobody has open, with all that it remembers. What else is in
    /// there stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(dir: &Path) -> std::io::Result<()> {
        Folders::remove_all(dir)
    }
}

impl Projection for Search {
    const NAME: &'static str = "search";
    const VERSION: u32 = 1;
    const READABLE_SINCE: u32 = 1;

    type Rows = Index;

    fn rows(&self) -> &Index {
        &self.index
    }

    fn over(&self, index: Index) -> Self {
        Self { index }
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError> {
        self.index.apply(batch, fold::fold)
    }
}

/// Some hits, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Each with what to go on after it.
    pub hits: Vec<(Cursor, Hit)>,
    /// Whether there are more.
    pub more: bool,
}

/// Asks the search. Cheap to clone.
#[derive(Clone)]
pub struct View {
    face: Face,
}

impl View {
    /// The last event folded in, and ways to wait for later ones.
    #[must_use]
    pub fn position(&self) -> &Signal {
        self.face.position()
    }

    /// The best hits after a cursor, at most `limit`; of one kind, or of all.
    ///
    /// # Errors
    /// When the index fails.
    pub fn search(
        &self,
        query: &Query,
        kind: Option<Kind>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<AsOf<Page>, TableError> {
        let live = self.face.read();
        let (columns, after) = (&self.face.columns, after.map(|cursor| cursor.0));
        // One more than asked for says whether there are more.
        let most = limit.saturating_add(1);
        let is_hidden = |place: Place| live.waiting.contains_key(&place.key());
        let found = ask::ask(columns, &live.searcher, (query, kind), (after, most), is_hidden)?;
        let mut found: Vec<(Rank, Source<'_>)> =
            found.into_iter().map(|(rank, at)| (rank, Source::Stored(at))).collect();
        for waiting in live.waiting.values() {
            let Some(row) = &waiting.row else { continue };
            for document in &waiting.documents {
                let place = document.place;
                if kind.is_some_and(|kind| kind != place.kind) {
                    continue;
                }
                let Some(score) = matching::matched(query, document) else { continue };
                let rank =
                    Rank { score: std::cmp::Reverse(score), length: document.length(), place };
                if after.is_none_or(|after| rank > after) {
                    found.push((rank, Source::Waiting(row)));
                }
            }
        }
        found.sort_unstable_by_key(|(rank, _)| *rank);
        let more = found.len() > limit;
        found.truncate(limit);
        let mut hits = Vec::with_capacity(found.len());
        for (rank, source) in found {
            let row = match source {
                Source::Stored(at) => &live.row(columns, at)?,
                Source::Waiting(row) => row,
            };
            hits.extend(document::hit(rank.place, row)?.map(|hit| (Cursor(rank), hit)));
        }
        Ok(AsOf { seq: live.seq(), value: Page { hits, more } })
    }
}

/// Where the row of a hit lies.
enum Source<'a> {
    Stored(tantivy::DocAddress),
    Waiting(&'a [u8]),
}
