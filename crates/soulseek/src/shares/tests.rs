//! The index against a naive scan of the same files, in memory and in a file, and what a damaged file
//! is worth.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::words::{split, words};
use super::*;
use crate::wire::PeerMessage;

fn file(path: &str) -> SharedFile {
    SharedFile {
        virtual_path: path.to_owned(),
        local_path: PathBuf::from("/nowhere"),
        size: 1,
        attributes: Attributes::default(),
    }
}

fn shares(paths: &[&str]) -> Shares {
    Shares::new(paths.iter().map(|path| file(path)))
}

fn found(shares: &Shares, query: &str) -> Vec<String> {
    let found = shares.search("ada", query, &[], 10);
    found.into_iter().map(|found| found.file.virtual_path).collect()
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
fn a_path_is_looked_up_and_never_resolved() {
    let shares = shares(&[SOON]);
    assert!(shares.get(SOON).is_some());
    assert!(shares.get(r"Music\My Bloody Valentine\..\..\secret").is_none());
}

#[test]
fn a_folder_lists_itself_and_what_is_below() {
    let shares = shares(&[r"a\b\1.mp3", r"a\b\c\2.mp3", r"a\bc\3.mp3", r"a\b!\4.mp3"]);
    let folders = shares.folder_for("ada", r"a\b");
    let paths: Vec<&str> = folders.iter().map(|folder| folder.path.as_str()).collect();
    assert_eq!(paths, [r"a\b", r"a\b\c"]);
    assert_eq!(folders[0].files[0].name, "1.mp3");
    assert_eq!(shares.folder_count(), 4);
}

#[test]
fn one_folder_of_very_many_files_is_cut_off() {
    let shares = Shares::new((0..30_000).map(|number| file(&format!("a\\{number}.mp3"))));
    let files: usize = shares.folder_for("ada", "a").iter().map(|it| it.files.len()).sum();
    assert!((10_000..20_000).contains(&files), "{files}");
}

#[test]
fn a_damaged_or_foreign_file_is_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut builder = Builder::new(folder.path());
    for (number, path) in [SOMETIMES, SOON, MONEY].into_iter().enumerate() {
        builder.add(&file(path), number as u64, Audience::Everyone).unwrap();
    }
    drop(builder.finish(&path).unwrap());
    assert_eq!(Shares::open(&path).unwrap().known(MONEY).unwrap().1, 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(Shares::open(&path), Err(OpenError::Damaged(_))), "byte {at}");
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(Shares::open(&path), Err(OpenError::Damaged(_))), "{length} bytes");
    }
    assert!(matches!(Shares::open(&folder.path().join("none")), Err(OpenError::Read(_))));
}

/// What the index should find, found by looking at everything.
fn naive(
    files: &BTreeMap<String, (SharedFile, Audience)>,
    query: &str,
    excluded: &[String],
    buddy: bool,
) -> BTreeSet<String> {
    let terms: Vec<&str> = query.split_whitespace().collect();
    let asks = terms.iter().any(|term| !term.starts_with('-') && words(term).next().is_some());
    if query.trim().chars().count() < 3 || !asks {
        return BTreeSet::new();
    }
    let fits = |path: &str| {
        let of_path: Vec<String> = words(path).collect();
        let has = |word: &String| of_path.contains(word);
        terms.iter().all(|term| match term.as_bytes()[0] {
            b'-' => !words(&term[1..]).any(|word| has(&word)),
            b'*' => words(&term[1..]).enumerate().all(|(at, word)| match at {
                0 => of_path.iter().any(|other| other.ends_with(&word)),
                _ => has(&word),
            }),
            _ => words(term).all(|word| has(&word)),
        }) && !excluded.iter().any(|it| path.to_lowercase().contains(&it.to_lowercase()))
    };
    let seen = files.iter().filter(|(_, (_, audience))| buddy || *audience == Audience::Everyone);
    seen.map(|(path, _)| path.clone()).filter(|path| fits(path)).collect()
}

/// Few words, so that they meet; a few strange ones, so that nothing is taken for granted.
fn path() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => "[ab]{1,2}", 2 => "(honey|Money|GELD|straße|ÉTÉ|mp3)", 1 => "\\PC{0,3}", 1 => "[\0\u{1}/]",
    ];
    let part = prop::collection::vec(word, 1..3).prop_map(|words| words.join(" "));
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("\\"))
}

fn query() -> impl Strategy<Value = String> {
    let word =
        prop_oneof![4 => "[ab]{1,2}", 2 => "(honey|oney|geld|Straße|mp3|été)", 1 => "\\PC{0,3}"];
    let term = ("(|||-|\\*)", prop::collection::vec(word, 1..3))
        .prop_map(|(sign, words)| format!("{sign}{}", words.join("-")));
    prop::collection::vec(term, 1..4).prop_map(|terms| terms.join(" "))
}

fn any_file() -> impl Strategy<Value = (SharedFile, u64, Audience)> {
    let local = prop_oneof!["[a-z/]{0,8}", Just("/music/".to_owned())];
    let number = || prop::option::of(any::<u32>());
    let attributes = (number(), number(), number(), number(), number()).prop_map(
        |(bitrate_kbps, duration_s, vbr, sample_rate_hz, bit_depth)| Attributes {
            bitrate_kbps,
            duration_s,
            vbr,
            sample_rate_hz,
            bit_depth,
        },
    );
    // No disk has a larger file, and larger sizes are read as those of an old client: `FileEntry`.
    (path(), local, (0..1u64 << 56, any::<u64>(), any::<bool>()), attributes).prop_map(
        |(virtual_path, mut local, (size, modified, everyone), attributes)| {
            if local == "/music/" {
                local += &virtual_path.replace('\\', "/");
            }
            let local_path = PathBuf::from(local);
            let audience = if everyone { Audience::Everyone } else { Audience::Buddies };
            (SharedFile { virtual_path, local_path, size, attributes }, modified, audience)
        },
    )
}

type Folders = BTreeMap<String, BTreeMap<String, u64>>;

fn told(folders: Vec<FolderEntry>) -> Folders {
    let count = folders.len();
    let files = |files: Vec<FileEntry>| files.into_iter().map(|it| (it.name, it.size)).collect();
    let told: Folders = folders.into_iter().map(|it| (it.path, files(it.files))).collect();
    assert_eq!(told.len(), count, "a folder is told of once");
    told
}

fn list(shares: &Shares, user: &str) -> [Folders; 2] {
    let (mut stored, mut body) = (shares.list_for(user), Vec::new());
    while stored.length() > 0 {
        body.extend(stored.take().unwrap());
    }
    match PeerMessage::decode(5, &body).unwrap() {
        PeerMessage::ShareList { list } => [told(list.folders), told(list.private_folders)],
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn it_answers_as_looking_at_every_file_would(
        given in prop::collection::vec(any_file(), 0..120),
        queries in prop::collection::vec(query(), 1..8),
        excluded in prop::collection::vec("[abé]{1,2}", 0..2),
        limit in 0usize..8,
        on_disk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut builder =
            if on_disk { Builder::new(folder.path()) } else { Builder::in_memory() };
        let mut files = BTreeMap::new();
        for (file, modified, audience) in given {
            builder.add(&file, modified, audience).unwrap();
            files.insert(file.virtual_path.clone(), (file, modified, audience));
        }
        let shares = if on_disk {
            builder.finish(&folder.path().join("index")).unwrap()
        } else {
            builder.finish_in_memory().unwrap()
        };
        let shares = shares.with_buddies(["bo".to_owned()]);
        let mut lists = [Folders::new(), Folders::new()];
        for (path, (file, modified, audience)) in &files {
            let public = *audience == Audience::Everyone;
            prop_assert_eq!(shares.known(path), Some((file.clone(), *modified)));
            prop_assert_eq!(shares.get(path).is_some(), public);
            prop_assert_eq!(shares.get_for("ada", path).is_some(), public);
            prop_assert_eq!(shares.get_for("bo", path), Some(file.clone()));
            let (folder, name) = split(path);
            let of_audience = &mut lists[usize::from(!public)];
            of_audience.entry(folder.to_owned()).or_default().insert(name.to_owned(), file.size);
        }
        // Two names that differ by a separator in front look alike in a list.
        if !files.keys().any(|path| path.starts_with('\\')) {
            prop_assert_eq!(shares.folder_count(), lists[0].len() as u64);
            prop_assert_eq!(&list(&shares, "bo"), &lists);
            lists[1].clear();
            prop_assert_eq!(&list(&shares, "ada"), &lists);
        }
        prop_assert!(shares.known("nothing such").is_none());
        let naive_files =
            files.into_iter().map(|(path, (file, _, audience))| (path, (file, audience))).collect();
        for query in &queries {
            for user in ["ada", "bo"] {
                let expected = naive(&naive_files, query, &excluded, user == "bo");
                let all = shares.search(user, query, &excluded, 1_000);
                for found in &all {
                    let (file, audience) = &naive_files[&found.file.virtual_path];
                    prop_assert_eq!(&found.file, file);
                    prop_assert_eq!(found.private, *audience == Audience::Buddies);
                }
                let paths: BTreeSet<String> =
                    all.iter().map(|found| found.file.virtual_path.clone()).collect();
                prop_assert_eq!(paths.len(), all.len());
                prop_assert_eq!(&paths, &expected, "{} of {}", query, user);
                let first = shares.search(user, query, &excluded, limit);
                prop_assert_eq!(&first[..], &all[..limit.min(all.len())]);
            }
        }
    }

    #[test]
    fn no_query_panics(query: String, path: String) {
        let _ = shares(&[&path, SOON]).search("ada", &query, &[], 10);
    }
}
