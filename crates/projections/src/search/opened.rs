//! Opens an index, or makes it anew: whatever is wrong with one costs a folding and nothing else. Every
//! file is read once to see that it is what was written, because what is read later is trusted.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tantivy::indexer::IndexWriterOptions;
use tantivy::{IndexWriter, TantivyError};

use super::ask::Columns;
use super::payload::Payload;
use crate::table::TableError;

/// Memory that a writer collects documents in.
const WRITER_BYTES: usize = 32 * 1024 * 1024;

pub(super) struct Opened {
    pub(super) index: tantivy::Index,
    /// How far it is; `None` when it was begun just now.
    pub(super) payload: Option<Payload>,
    /// Why what was there could not be used.
    pub(super) given_up: Option<String>,
}

/// Opens the index in a folder, which is made when it is not there.
pub(super) fn open(path: &Path, columns: &Columns) -> Result<Opened, TableError> {
    let given_up = if path.join("meta.json").exists() {
        // Damage can make the library panic, and that is as good as an error here.
        match catch_unwind(AssertUnwindSafe(|| found(path, columns))) {
            Ok(Ok(Ok((index, payload)))) => {
                return Ok(Opened { index, payload: Some(payload), given_up: None });
            }
            Ok(Ok(Err(why))) => Some(why.to_owned()),
            Ok(Err(error)) => Some(format!("the index found is damaged ({error})")),
            Err(_) => Some("the index found is damaged".to_owned()),
        }
    } else {
        None
    };
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(path)?,
    }
    let index = tantivy::Index::create_in_dir(path, columns.schema.clone())?;
    Ok(Opened { index, payload: None, given_up })
}

type Found = Result<(tantivy::Index, Payload), &'static str>;

fn found(path: &Path, columns: &Columns) -> Result<Found, TantivyError> {
    let index = tantivy::Index::open_in_dir(path)?;
    let payload = index.load_metas()?.payload;
    let Some(payload) = payload.as_deref().and_then(Payload::read) else {
        return Ok(Err("the index found does not say how far it is"));
    };
    if payload.schema != columns.form() || index.schema() != columns.schema {
        return Ok(Err("the index found has another form"));
    }
    if !index.validate_checksum()?.is_empty() {
        return Ok(Err("the index found is damaged"));
    }
    // Opens every segment.
    let reader = index.reader()?;
    for segment in reader.searcher().segment_readers() {
        let counted = segment.doc_ids_alive().count();
        if counted != segment.num_docs() as usize {
            return Ok(Err("the index found is damaged"));
        }
    }
    Ok(Ok((index, payload)))
}

/// The one that writes to an index.
pub(super) fn write_to(index: &tantivy::Index) -> Result<IndexWriter, TantivyError> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .memory_budget_per_thread(WRITER_BYTES)
        .num_merge_threads(1)
        .build();
    index.writer_with_options(options)
}
