//! What we share: an immutable list of files, found by words or by exact virtual path.
//!
//! Nothing here touches the disk. A request names a virtual path, and only a path that is in
//! this list leads to a file; so `..` in a request is simply a name nobody shares.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use crate::attributes::Attributes;
use crate::wire::peer::{FileEntry, FolderEntry};

/// One file others may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFile {
    /// Path as others see it, with `\` between its parts; the first part is the share's name.
    pub virtual_path: String,
    /// Where it lies here; never told to anyone.
    pub local_path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// What is known about the sound.
    pub attributes: Attributes,
}

/// A snapshot of everything shared. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    index: Arc<Index>,
}

#[derive(Debug, Default)]
struct Index {
    files: Vec<SharedFile>,
    by_path: HashMap<String, usize>,
    /// Sorted file numbers for each word.
    by_word: BTreeMap<String, Vec<usize>>,
    /// Each word spelled backwards, for `*ending`.
    backwards: BTreeMap<String, String>,
    folders: usize,
}

/// Shorter queries match half of everything. SOULSEEK.md 2.7.
const SHORTEST_QUERY: usize = 3;

impl Shares {
    /// Indexes `files`. Of two with one virtual path the later one is kept.
    pub fn new(files: impl IntoIterator<Item = SharedFile>) -> Shares {
        let mut by_path = HashMap::new();
        let mut kept: Vec<SharedFile> = Vec::new();
        for file in files {
            match by_path.get(&file.virtual_path) {
                Some(&number) => kept[number] = file,
                None => {
                    by_path.insert(file.virtual_path.clone(), kept.len());
                    kept.push(file);
                }
            }
        }
        let mut by_word: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut folders = std::collections::HashSet::new();
        for (number, file) in kept.iter().enumerate() {
            folders.insert(split(&file.virtual_path).0);
            for word in words(&file.virtual_path) {
                let numbers = by_word.entry(word).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        let folders = folders.len();
        let backwards =
            by_word.keys().map(|word| (word.chars().rev().collect(), word.clone())).collect();
        Shares { index: Arc::new(Index { files: kept, by_path, by_word, backwards, folders }) }
    }

    /// All files, in the order they were given.
    pub fn files(&self) -> &[SharedFile] {
        &self.index.files
    }

    /// Number of folders that hold at least one file.
    pub fn folder_count(&self) -> usize {
        self.index.folders
    }

    /// The file with exactly this virtual path.
    pub fn get(&self, virtual_path: &str) -> Option<&SharedFile> {
        self.index.by_path.get(virtual_path).map(|&number| &self.index.files[number])
    }

    /// Finds at most `limit` files whose path has every word of `query`, none of its `-words`,
    /// and contains none of the `excluded` phrases. SOULSEEK.md 2.7.
    pub fn search(&self, query: &str, excluded: &[String], limit: usize) -> Vec<&SharedFile> {
        if query.trim().chars().count() < SHORTEST_QUERY {
            return Vec::new();
        }
        let mut wanted: Vec<&[usize]> = Vec::new();
        let mut unwanted: Vec<&[usize]> = Vec::new();
        let mut endings: Vec<String> = Vec::new();
        for term in query.split_whitespace() {
            if let Some(excluded) = term.strip_prefix('-') {
                unwanted.extend(words(excluded).filter_map(|word| self.having(&word)));
            } else if let Some(ending) = term.strip_prefix('*') {
                // Only the first word is cut off in front: in `*ve-you` it is `ve`.
                let mut parts = words(ending);
                endings.extend(parts.next());
                wanted.extend(parts.map(|word| self.having(&word).unwrap_or(&[])));
            } else {
                wanted.extend(words(term).map(|word| self.having(&word).unwrap_or(&[])));
            }
        }
        // The rarest word leaves the least to look at. A list is collected for one ending at most,
        // and only when there is no whole word: a query may name dozens that everything ends in.
        let rarest = match (wanted.iter().min_by_key(|list| list.len()), endings.first()) {
            (Some(&rarest), _) => Cow::Borrowed(rarest),
            (None, Some(ending)) => Cow::Owned(self.ending_in(ending)),
            (None, None) => return Vec::new(),
        };
        rarest
            .iter()
            .filter(|number| wanted.iter().all(|list| list.binary_search(number).is_ok()))
            .filter(|number| unwanted.iter().all(|list| list.binary_search(number).is_err()))
            .map(|&number| &self.index.files[number])
            .filter(|file| {
                endings.iter().all(|ending| {
                    words(&file.virtual_path).any(|word| word.ends_with(ending.as_str()))
                })
            })
            .filter(|file| {
                excluded.is_empty() || {
                    let path = file.virtual_path.to_lowercase();
                    !excluded.iter().any(|phrase| path.contains(&phrase.to_lowercase()))
                }
            })
            .take(limit)
            .collect()
    }

    fn having(&self, word: &str) -> Option<&[usize]> {
        self.index.by_word.get(word).map(Vec::as_slice)
    }

    fn ending_in(&self, ending: &str) -> Vec<usize> {
        let start: String = ending.chars().rev().collect();
        let mut numbers: Vec<usize> = self
            .index
            .backwards
            .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
            .take_while(|(word, _)| word.starts_with(&start))
            .flat_map(|(_, word)| self.having(word).unwrap_or(&[]))
            .copied()
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Everything, folder by folder, as message 5 tells it.
    pub(crate) fn listing(&self) -> Vec<FolderEntry> {
        self.folders_where(|_| true)
    }

    /// One folder and those below it, as message 37 tells them.
    pub(crate) fn folder(&self, path: &str) -> Vec<FolderEntry> {
        self.folders_where(|folder| {
            folder
                .strip_prefix(path)
                .is_some_and(|below| below.is_empty() || below.starts_with('\\'))
        })
    }

    fn folders_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<FolderEntry> {
        let mut folders: BTreeMap<&str, Vec<FileEntry>> = BTreeMap::new();
        for file in &self.index.files {
            let (folder, name) = split(&file.virtual_path);
            if wanted(folder) {
                folders.entry(folder).or_default().push(file.entry(name));
            }
        }
        folders
            .into_iter()
            .map(|(path, files)| FolderEntry { path: path.to_owned(), files })
            .collect()
    }
}

impl SharedFile {
    /// Tells of this file under `name`: its whole path or its last part.
    pub(crate) fn entry(&self, name: &str) -> FileEntry {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        FileEntry {
            mark: 1,
            name: name.to_owned(),
            size: self.size,
            // One client shows attributes only beside a known extension. SOULSEEK.md 2.4.
            extension: extension.to_lowercase(),
            attributes: self.attributes.to_wire(),
        }
    }
}

fn split(virtual_path: &str) -> (&str, &str) {
    virtual_path.rsplit_once('\\').unwrap_or(("", virtual_path))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(paths: &[&str]) -> Shares {
        Shares::new(paths.iter().map(|path| SharedFile {
            virtual_path: (*path).to_owned(),
            local_path: PathBuf::from("/nowhere"),
            size: 1,
            attributes: Attributes::default(),
        }))
    }

    fn found<'a>(shares: &'a Shares, query: &str) -> Vec<&'a str> {
        shares.search(query, &[], 10).iter().map(|file| file.virtual_path.as_str()).collect()
    }

    const SOMETIMES: &str = r"Music\My Bloody Valentine\Loveless (1991)\09 Sometimes.flac";
    const SOON: &str = r"Music\My Bloody Valentine\Loveless (1991)\11 Soon.flac";
    const MONEY: &str = r"Music\Pink Floyd\Dark Side\06 Money_live.mp3";

    #[test]
    fn every_word_must_match_somewhere_in_the_path() {
        let shares = shares(&[SOMETIMES, SOON, MONEY]);
        assert_eq!(found(&shares, "loveless VALENTINE"), [SOMETIMES, SOON]);
        assert_eq!(found(&shares, "loveless soon"), [SOON]);
        assert_eq!(found(&shares, "loveless money"), [""; 0]);
        assert_eq!(found(&shares, "love"), [""; 0], "words match whole");
        assert_eq!(found(&shares, "money-live"), [MONEY], "punctuation separates words");
    }

    #[test]
    fn a_minus_excludes_and_a_star_matches_endings() {
        let shares = shares(&[SOMETIMES, SOON, MONEY]);
        assert_eq!(found(&shares, "loveless -soon"), [SOMETIMES]);
        assert_eq!(found(&shares, "*oney"), [MONEY]);
        assert_eq!(found(&shares, "*etimes flac"), [SOMETIMES]);
        assert_eq!(found(&shares, "*oon *lac *ess"), [SOON]);
        assert_eq!(found(&shares, "*ve-sometimes"), [""; 0], "no word before it ends in ve");
        assert_eq!(found(&shares, "-soon"), [""; 0], "exclusion alone asks for nothing");
        assert_eq!(found(&shares, "*"), [""; 0]);
        assert_eq!(found(&shares, "09"), [""; 0], "too short");
    }

    #[test]
    fn excluded_phrases_and_the_limit_hold() {
        let shares = shares(&[SOMETIMES, SOON]);
        assert_eq!(shares.search("loveless", &["11 soon".to_owned()], 10).len(), 1);
        assert_eq!(shares.search("loveless", &[], 1).len(), 1);
    }

    #[test]
    fn a_path_is_looked_up_and_never_resolved() {
        let shares = shares(&[SOON]);
        assert!(shares.get(SOON).is_some());
        assert!(shares.get(r"Music\My Bloody Valentine\..\..\secret").is_none());
    }

    #[test]
    fn a_folder_lists_itself_and_what_is_below() {
        let shares = shares(&[r"a\b\1.mp3", r"a\b\c\2.mp3", r"a\bc\3.mp3"]);
        let folders: Vec<String> =
            shares.folder(r"a\b").into_iter().map(|folder| folder.path).collect();
        assert_eq!(folders, [r"a\b", r"a\b\c"]);
        assert_eq!(shares.listing().len(), shares.folder_count());
        assert_eq!(shares.listing()[0].files[0].name, "1.mp3");
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(query: String, path: String) {
            let _ = shares(&[&path, SOON]).search(&query, &[], 10);
        }
    }
}
