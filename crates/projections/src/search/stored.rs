//! Rows read back from the index: by key for folding on, and all of them to compare two indexes.

use std::collections::BTreeMap;

use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet as _, Searcher, TERMINATED, TantivyDocument, TantivyError};

use super::ask::Columns;
use super::index::bytes;
use crate::draft::Keyed;
use crate::table::TableError;

/// Which keys.
#[derive(Clone, Copy)]
pub(super) enum Stretch<'a> {
    Only(&'a [u8]),
    Begins(&'a [u8]),
}

/// The rows of some keys, by key.
pub(super) fn rows_of(
    searcher: &Searcher,
    columns: &Columns,
    stretch: Stretch<'_>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, TableError> {
    let mut rows = BTreeMap::new();
    for (ordinal, segment) in (0u32..).zip(searcher.segment_readers()) {
        let inverted = segment.inverted_index(columns.key)?;
        let mut terms = Vec::new();
        match stretch {
            Stretch::Only(key) => {
                terms.extend(inverted.terms().get(key).map_err(TantivyError::from)?);
            }
            Stretch::Begins(prefix) => {
                let stream = inverted.terms().range().ge(prefix).into_stream();
                let mut stream = stream.map_err(TantivyError::from)?;
                while stream.advance() && stream.key().starts_with(prefix) {
                    terms.push(stream.value().clone());
                }
            }
        }
        for term in terms {
            let postings = inverted.read_postings_from_terminfo(&term, IndexRecordOption::Basic);
            let mut postings = postings.map_err(TantivyError::from)?;
            let mut doc = postings.doc();
            while doc != TERMINATED {
                if !segment.is_deleted(doc) {
                    let at = DocAddress::new(ordinal, doc);
                    let document: TantivyDocument = searcher.doc(at)?;
                    let (key, row) = whole(&document, columns)?;
                    rows.insert(key, row);
                    // A row can be several documents, which all have it.
                    break;
                }
                doc = postings.advance();
            }
        }
    }
    Ok(rows)
}

/// The row of a document.
pub(super) fn row_at(
    searcher: &Searcher,
    columns: &Columns,
    at: DocAddress,
) -> Result<Vec<u8>, TableError> {
    let document: TantivyDocument = searcher.doc(at)?;
    Ok(whole(&document, columns)?.1)
}

fn whole(document: &TantivyDocument, columns: &Columns) -> Result<Keyed, TantivyError> {
    let fields = bytes(document, columns.key).zip(bytes(document, columns.row));
    fields.ok_or_else(|| TantivyError::InternalError("a document has no row".to_owned()))
}

/// The first key whose documents differ, or none. Reads everything once; what it keeps meanwhile is two
/// numbers, or a hash of each row when there is a difference.
pub(super) fn first_difference(
    columns: &Columns,
    ours: &Searcher,
    theirs: &Searcher,
) -> Result<Option<Vec<u8>>, TableError> {
    if digest(columns, ours)? == digest(columns, theirs)? {
        return Ok(None);
    }
    let mut left = BTreeMap::new();
    each(columns, ours, |key, hash| {
        let (count, sum) = left.entry(key).or_insert((0i64, 0u128));
        (*count, *sum) = (*count + 1, sum.wrapping_add(hash));
    })?;
    each(columns, theirs, |key, hash| {
        let (count, sum) = left.entry(key).or_insert((0, 0));
        (*count, *sum) = (*count - 1, sum.wrapping_sub(hash));
    })?;
    Ok(left.into_iter().find(|(_, it)| *it != (0, 0)).map(|(key, _)| key))
}

/// The number of documents, and a sum that does not depend on their order.
fn digest(columns: &Columns, searcher: &Searcher) -> Result<(u64, u128), TableError> {
    let mut digest = (0, 0u128);
    each(columns, searcher, |_, hash| digest = (digest.0 + 1, digest.1.wrapping_add(hash)))?;
    Ok(digest)
}

fn each(
    columns: &Columns,
    searcher: &Searcher,
    mut take: impl FnMut(Vec<u8>, u128),
) -> Result<(), TableError> {
    for segment in searcher.segment_readers() {
        let store = segment.get_store_reader(1).map_err(TantivyError::from)?;
        for document in store.iter::<TantivyDocument>(segment.alive_bitset()) {
            let (key, row) = whole(&document?, columns)?;
            let mut hasher = blake3::Hasher::new();
            hasher.update(&(key.len() as u64).to_le_bytes());
            hasher.update(&key);
            hasher.update(&row);
            let hash = hasher.finalize();
            let half = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
            take(key, u128::from_le_bytes(*half));
        }
    }
    Ok(())
}
