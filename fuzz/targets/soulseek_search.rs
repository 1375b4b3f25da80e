//! Queries of other users, against shares with any names: `soulseek::Shares`. Texts: the query, a
//! phrase the server excludes, then virtual paths. No answer is longer than allowed, has the
//! phrase, or has a file twice; and every shared path is found by itself and by nothing else.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use reprise_fuzz::texts;
use soulseek::{Attributes, SharedFile, Shares};

fuzz_target!(|data: &[u8]| {
    let mut texts = texts(data);
    let query = texts.next().unwrap_or_default();
    let excluded: Vec<String> = texts.next().into_iter().filter(|it| !it.is_empty()).collect();
    let files: BTreeMap<String, SharedFile> = texts
        .take(20)
        .map(|virtual_path| SharedFile {
            virtual_path,
            local_path: PathBuf::from("nowhere"),
            size: 1,
            attributes: Attributes::default(),
        })
        .map(|file| (file.virtual_path.clone(), file))
        .collect();
    let shares = Shares::new(files.values().cloned());
    let found = shares.search("ada", &query, &excluded, 3);
    assert!(found.len() <= 3);
    let paths: BTreeSet<&str> =
        found.iter().map(|found| found.file.virtual_path.as_str()).collect();
    assert_eq!(paths.len(), found.len());
    for phrase in &excluded {
        assert!(!paths.iter().any(|path| path.to_lowercase().contains(&phrase.to_lowercase())));
    }
    for (path, file) in files {
        assert_eq!(shares.get(&path), Some(file));
    }
});
