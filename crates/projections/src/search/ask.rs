//! Asks the documents on the disk. The form in which they are written is here too, because both have to
//! agree; what is not on the disk yet is compared in `matching`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use domain::{JobId, TrackKey};
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EnableScoring, InvertedIndexRangeQuery,
    PhraseQuery, Query as Ask, TermQuery,
};
use tantivy::schema::{
    BytesOptions, FAST, Field as Column, IndexRecordOption, STORED, STRING, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::{DocAddress, DocSet as _, Searcher, TERMINATED, TantivyDocument, TantivyError, Term};

use super::document::{Document, Kind, Place};
use super::matching::{ID_SCORE, fields, score};
use super::query::{Clause, Field, Query};
use super::rank::Rank;
use super::words;
use crate::jobs::Jobs;
use crate::projection::Projection as _;

/// The columns of the index.
#[derive(Clone)]
pub(super) struct Columns {
    pub(super) schema: Schema,
    /// Key of the row that a document is made of, and the row.
    pub(super) key: Column,
    pub(super) row: Column,
    /// Words, in the order of [`Field::ALL`].
    words: [Column; 4],
    id: Column,
    state: Column,
    kind: Column,
}

const LENGTH: &str = "length";
const TRACK: &str = "track";
const ITEM: &str = "item";

impl Columns {
    pub(super) fn new() -> Self {
        let mut schema = Schema::builder();
        let key = schema.add_bytes_field("key", BytesOptions::default().set_indexed().set_stored());
        let row = schema.add_bytes_field("row", STORED);
        // They come as words already; see `words`.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
            .set_fieldnorms(false);
        let text = TextOptions::default().set_indexing_options(indexing);
        let words = ["title", "artist", "path", "user"];
        let words = words.map(|name| schema.add_text_field(name, text.clone()));
        let [id, state, kind] =
            ["id", "state", "kind"].map(|name| schema.add_text_field(name, STRING));
        for name in [LENGTH, TRACK, ITEM] {
            schema.add_u64_field(name, FAST);
        }
        Self { schema: schema.build(), key, row, words, id, state, kind }
    }

    /// Stands for the form of what is written: another number, another form.
    pub(super) fn form(&self) -> u64 {
        // Documents hold rows of the jobs, and words as this build makes them.
        let columns: Vec<_> = self.schema.fields().map(|(_, column)| column).collect();
        let form = format!("{columns:?} {} {}", Jobs::VERSION, words::VERSION);
        let hash = blake3::hash(form.as_bytes());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// A document as it is written; none of a row that nobody looks for.
    pub(super) fn written(
        &self,
        key: &[u8],
        row: &[u8],
        document: Option<&Document>,
    ) -> TantivyDocument {
        let mut written = TantivyDocument::new();
        written.add_bytes(self.key, key);
        written.add_bytes(self.row, row);
        let Some(document) = document else { return written };
        for field in Field::ALL {
            let words = document.words_of(field);
            if !words.is_empty() {
                written.add_text(self.words[field as usize], words.join(" "));
            }
        }
        if let Some(id) = document.id {
            written.add_text(self.id, hex(&id));
        }
        if let Some(state) = document.state {
            written.add_text(self.state, state);
        }
        let Place { track, kind, item } = document.place;
        written.add_text(self.kind, kind.name());
        written.add_u64(self.schema.get_field(LENGTH).expect("it was added"), document.length());
        let number = u64::from(track.job.0) << 16 | u64::from(track.index);
        written.add_u64(self.schema.get_field(TRACK).expect("it was added"), number);
        let number = u64::from(item) << 2 | kind as u64;
        written.add_u64(self.schema.get_field(ITEM).expect("it was added"), number);
        written
    }

    fn query(&self, query: &Query, kind: Option<Kind>) -> BooleanQuery {
        let mut all: Vec<Box<dyn Ask>> =
            query.clauses.iter().map(|clause| self.clause(clause)).collect();
        if let Some(kind) = kind {
            all.push(constant(exactly(self.kind, kind.name()), 0));
        }
        BooleanQuery::intersection(all)
    }

    fn clause(&self, clause: &Clause) -> Box<dyn Ask> {
        match clause {
            Clause::Words(field, asked) => best(fields(*field).map(|field| {
                let column = self.words[field as usize];
                constant(in_a_row(column, asked), score(field, true))
            })),
            Clause::Beginning(field, asked) => best(fields(*field).flat_map(|field| {
                let column = self.words[field as usize];
                let begun = InvertedIndexRangeQuery::new(
                    Bound::Included(Term::from_field_text(column, asked)),
                    Bound::Excluded(Term::from_field_text(column, &(asked.clone() + "\u{10ffff}"))),
                );
                [
                    constant(exactly(column, asked), score(field, true)),
                    constant(Box::new(begun), score(field, false)),
                ]
            })),
            Clause::Id(id) => constant(exactly(self.id, &hex(id)), ID_SCORE),
            Clause::State(state) => constant(exactly(self.state, state), 0),
        }
    }
}

fn best(of: impl Iterator<Item = Box<dyn Ask>>) -> Box<dyn Ask> {
    Box::new(DisjunctionMaxQuery::new(of.collect()))
}

// Small whole numbers, which floats add up exactly.
fn constant(query: Box<dyn Ask>, score: u32) -> Box<dyn Ask> {
    Box::new(ConstScoreQuery::new(query, score as f32))
}

fn exactly(column: Column, text: &str) -> Box<dyn Ask> {
    Box::new(TermQuery::new(Term::from_field_text(column, text), IndexRecordOption::Basic))
}

fn in_a_row(column: Column, words: &[String]) -> Box<dyn Ask> {
    match words {
        [word] => exactly(column, word),
        words => {
            let terms = words.iter().map(|word| Term::from_field_text(column, word));
            Box::new(PhraseQuery::new(terms.collect()))
        }
    }
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

/// The best documents after `after`, best first, at most `limit`. Those of hidden rows are left out.
pub(super) fn ask(
    columns: &Columns,
    searcher: &Searcher,
    (query, kind): (&Query, Option<Kind>),
    (after, limit): (Option<Rank>, usize),
    is_hidden: impl Fn(Place) -> bool,
) -> Result<Vec<(Rank, DocAddress)>, TantivyError> {
    let weight =
        columns.query(query, kind).weight(EnableScoring::enabled_from_searcher(searcher))?;
    // The worst of those kept is on top.
    let mut kept: BinaryHeap<(Rank, DocAddress)> = BinaryHeap::with_capacity(limit + 1);
    for (ordinal, segment) in (0u32..).zip(searcher.segment_readers()) {
        let column = |name| segment.fast_fields().column_first_or_default::<u64>(name);
        let (lengths, tracks, items) = (column(LENGTH)?, column(TRACK)?, column(ITEM)?);
        let mut scorer = weight.scorer(segment, 1.0)?;
        let mut doc = scorer.doc();
        while doc != TERMINATED {
            let score = Reverse(scorer.score() as u32);
            let is_full = kept.len() == limit;
            let may_be_kept =
                !is_full || kept.peek().is_some_and(|(worst, _)| score <= worst.score);
            if may_be_kept && !segment.is_deleted(doc) {
                let (track, item) = (tracks.get_val(doc), items.get_val(doc));
                let rank = Rank { score, length: lengths.get_val(doc), place: place(track, item) };
                let is_better = !is_full || kept.peek().is_some_and(|(worst, _)| rank < *worst);
                if is_better && after.is_none_or(|after| rank > after) && !is_hidden(rank.place) {
                    kept.push((rank, DocAddress::new(ordinal, doc)));
                    if is_full {
                        kept.pop();
                    }
                }
            }
            doc = scorer.advance();
        }
    }
    Ok(kept.into_sorted_vec())
}

fn place(track: u64, item: u64) -> Place {
    // What `written` has put together.
    let track = TrackKey { job: JobId((track >> 16) as u32), index: track as u16 };
    Place { track, kind: Kind::ALL[(item & 3) as usize], item: (item >> 2) as u32 }
}
