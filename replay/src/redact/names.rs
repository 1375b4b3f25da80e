//! What stands for what. User names become numbered ones in the same order, because maps are walked by
//! them. In paths every word is replaced but those that say which track a file may be, which are
//! MusicBrainz' and not a person's: see [`engine::likeness`]. Other words are kept when all of them are
//! of the few that programs use and no user is called by one of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::media::Codec;
use domain::{Event, Input, Observation};
use engine::likeness::{telling_words, words};

use super::places::{self, Place};

/// Words that clients, servers and this program use of transfers, files and services. A text of nobody
/// else's words tells of nobody.
const USUAL: [&str; 62] = [
    "a",
    "an",
    "and",
    "api",
    "at",
    "b",
    "bad",
    "banned",
    "bytes",
    "cancelled",
    "complete",
    "connect",
    "connection",
    "cut",
    "denied",
    "disallowed",
    "disk",
    "error",
    "exceeded",
    "extension",
    "file",
    "files",
    "for",
    "frame",
    "full",
    "gone",
    "in",
    "invalid",
    "is",
    "it",
    "key",
    "left",
    "limit",
    "lost",
    "many",
    "megabytes",
    "no",
    "not",
    "of",
    "offline",
    "or",
    "pending",
    "place",
    "queue",
    "queued",
    "read",
    "refused",
    "remotely",
    "reset",
    "route",
    "shared",
    "silence",
    "slot",
    "space",
    "the",
    "timed",
    "to",
    "too",
    "two",
    "upload",
    "user",
    "zeros",
];

/// Longest number that says where a track stands, how many there are of something, or a year.
const SHORT_NUMBER: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Names {
    /// User names, with their rank once all were heard.
    peers: BTreeMap<String, usize>,
    /// What user names become, before their number.
    prefix_of_peers: String,
    digits: usize,
    /// Usual words that are somebody's name.
    borne: BTreeSet<String>,
    /// Words of paths that are kept.
    telling: BTreeSet<String>,
    /// Library paths made of MusicBrainz' words.
    planned: BTreeSet<String>,
    /// What no kept word begins with.
    prefix: String,
    /// Words and numbers of paths that were replaced, by their order of appearance.
    words: BTreeMap<String, usize>,
    /// Texts that were replaced, likewise.
    texts: BTreeMap<String, usize>,
}

impl Names {
    /// No names yet; those of peers will begin with `prefix_of_peers`.
    pub(super) fn new(prefix_of_peers: impl Into<String>) -> Self {
        Self {
            peers: BTreeMap::new(),
            prefix_of_peers: prefix_of_peers.into(),
            digits: 0,
            telling: BTreeSet::new(),
            planned: BTreeSet::new(),
            prefix: String::new(),
            words: BTreeMap::new(),
            texts: BTreeMap::new(),
            borne: BTreeSet::new(),
        }
    }

    /// Takes note of whom an event tells of.
    pub(super) fn hear(&mut self, mut event: Event) {
        if let Event::Input(Input::Observation(Observation::ReleaseFetched { target, .. })) = &event
        {
            self.telling.extend(telling_words(target));
        }
        places::each(&mut event, &mut |place| match place {
            Place::Peer(name) => {
                self.peers.insert(std::mem::take(name), 0);
            }
            Place::Planned(path) => {
                self.planned.insert(path.to_owned());
            }
            Place::Path(_) | Place::Library(_) | Place::Private(_) | Place::Words(_) => {}
        });
    }

    /// Everybody was heard.
    pub(super) fn close(&mut self) {
        for (rank, number) in (1..).zip(self.peers.values_mut()) {
            *number = rank;
        }
        let usual = self.peers.keys().map(|name| bare(name)).filter(|name| is_usual(name));
        self.borne = usual.collect();
        self.digits = self.peers.len().to_string().len();
        "word".clone_into(&mut self.prefix);
        while self.telling.iter().any(|word| word.starts_with(&self.prefix)) {
            self.prefix.push('x');
        }
    }

    /// The event with all names replaced.
    pub(super) fn replace(&mut self, mut event: Event) -> Event {
        places::each(&mut event, &mut |place| match place {
            Place::Peer(name) => {
                let rank = self.peers.get(name).copied().unwrap_or_default();
                *name = format!("{}{rank:0width$}", self.prefix_of_peers, width = self.digits);
            }
            Place::Path(path) => *path = self.path(path),
            Place::Library(path) => {
                if !self.planned.contains(path) && !self.planned.contains(&unnumbered(path)) {
                    *path = self.path(path);
                }
            }
            Place::Planned(_) => {}
            // Also where every word of it is usual: what was said is nobody else's business.
            Place::Private(text) => {
                let number = numbered(&mut self.texts, text);
                *text = format!("text {number}");
            }
            Place::Words(text) => {
                if !text.split(' ').map(bare).all(|word| self.tells_of_nobody(&word)) {
                    let number = numbered(&mut self.texts, text);
                    *text = format!("text {number}");
                }
            }
        });
        event
    }

    fn tells_of_nobody(&self, word: &str) -> bool {
        is_usual(word) && !self.borne.contains(word)
    }

    fn path(&mut self, path: &str) -> String {
        let name_at = path.rfind(['\\', '/']).map_or(0, |at| at + 1);
        let ending_at = path[name_at..].rfind('.').map_or(path.len(), |at| name_at + at + 1);
        let mut out = String::with_capacity(path.len());
        let mut rest = path;
        while let Some(first) = rest.chars().next() {
            let at = path.len() - rest.len();
            let is_word = in_word(first);
            let run = rest.find(|c| in_word(c) != is_word).map_or(rest, |end| &rest[..end]);
            rest = &rest[run.len()..];
            let is_ending = at == ending_at && rest.is_empty();
            if !is_word || (is_ending && Codec::from_extension(run).is_some()) {
                out.push_str(run);
            } else {
                self.word(&mut out, run, at >= name_at);
            }
        }
        out
    }

    fn word(&mut self, out: &mut String, run: &str, in_name: bool) {
        let plain = words(run);
        // Apostrophes are no part of a number.
        let number = plain.iter().find(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let is_short_number = number.is_some_and(|number| number.len() <= SHORT_NUMBER);
        let is_number = number.is_some();
        if plain.iter().all(|word| self.telling.contains(word)) || (in_name && is_short_number) {
            out.push_str(run);
            return;
        }
        let mut number = numbered(&mut self.words, run);
        if in_name && is_number {
            // Numbers stay numbers, longer than any that is kept.
            number += 10_usize.pow(SHORT_NUMBER as u32 + 4);
            while self.telling.contains(&number.to_string()) {
                number *= 10;
            }
            out.push_str(&number.to_string());
        } else {
            out.push_str(&self.prefix);
            out.push_str(&number.to_string());
        }
    }
}

/// The number of a text: how many others came before it.
fn numbered(known: &mut BTreeMap<String, usize>, text: &str) -> usize {
    let next = known.len() + 1;
    *known.entry(text.to_owned()).or_insert(next)
}

/// Whether a character belongs to a word as [`words`] takes it.
fn in_word(c: char) -> bool {
    let is_joined = matches!(c, '\'' | '’' | '`') || ('\u{300}'..='\u{36f}').contains(&c);
    is_joined || c.to_lowercase().any(char::is_alphanumeric)
}

/// A word of a text as [`USUAL`] has it.
fn bare(word: &str) -> String {
    word.trim_end_matches(['.', ',']).to_ascii_lowercase()
}

/// Whether a bare word is one that programs use. A longer number may be a name or a telephone.
fn is_usual(word: &str) -> bool {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && word.len() <= SHORT_NUMBER) || USUAL.binary_search(&word).is_ok()
}

/// A library path without the number that tells it from another of the same name.
fn unnumbered(path: &str) -> String {
    let Some((before, rest)) = path.rsplit_once(" (") else { return path.to_owned() };
    match rest.split_once(')') {
        Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{before}{after}")
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names {
            telling: ["harbour", "lights", "tin", "wordy", "dont", "live", "1999"]
                .map(str::to_owned)
                .into(),
            planned: ["A/B (1999)/01 - C.flac".to_owned()].into(),
            ..Names::new("peer")
        };
        for name in ["zoe", "ada", "bob"] {
            names.peers.insert(name.to_owned(), 0);
        }
        names.close();
        names
    }

    #[test]
    fn usual_words_are_in_order() {
        assert!(USUAL.is_sorted());
    }

    #[test]
    fn a_text_is_kept_when_it_tells_of_nobody() {
        let mut names = names();
        for name in ["Queue", "4711"] {
            names.peers.insert(name.to_owned(), 0);
        }
        names.close();
        let mut said = |text: &str| {
            let reason = domain::observation::SessionEnd::Lost(text.to_owned());
            let event = Event::Input(Input::Observation(Observation::SessionClosed { reason }));
            names.replace(event.clone()) == event
        };
        for kept in ["File not shared.", "3 of 17 B left", "bytes", "disk  full", "4712 files"] {
            assert!(said(kept), "{kept}");
        }
        for replaced in [
            "ada says no",
            "10.0.0.7:2234",
            "/home/x",
            "queue full",
            "queue, full",
            "user 4711 is offline",
            "user 015550123.",
        ] {
            assert!(!said(replaced), "{replaced}");
        }
    }

    #[test]
    fn of_a_path_only_what_tells_of_a_track_is_left() {
        let mut names = names();
        for (path, left) in [
            (
                r"@@zoe\My Music\Tin Harbour Lights (1999)\01 - Don't Harbour (Live).FLAC",
                r"@@wordx1\wordx2 wordx3\Tin Harbour Lights (1999)\01 - Don't Harbour (Live).FLAC",
            ),
            (r"2004\20040512 Lights.mp3", r"wordx4\100000005 Lights.mp3"),
            (r"MY music\a.b\zoe.txt", r"wordx6 wordx7\wordx8.wordx9\wordx1.wordx10"),
            ("flac", "wordx11"),
            (r"\'07 Lights.mp3", r"\'07 Lights.mp3"),
            ("", ""),
        ] {
            assert_eq!(names.path(path), left);
            assert_eq!(names.path(path), left, "the same again");
        }
    }

    #[test]
    fn names_keep_their_order_and_our_own_paths_their_words() {
        let mut names = names();
        let ranks: Vec<_> = names.peers.iter().map(|(name, rank)| (name.as_str(), *rank)).collect();
        assert_eq!(ranks, [("ada", 1), ("bob", 2), ("zoe", 3)]);
        let completed = |path: &str| {
            let track = domain::TrackKey { job: domain::JobId(1), index: 0 };
            let path = path.to_owned();
            Event::Decision(domain::Decision::TrackCompleted { track, attempt: 0, path })
        };
        for ours in ["A/B (1999)/01 - C.flac", "A/B (1999)/01 - C (2).flac"] {
            assert_eq!(names.replace(completed(ours)), completed(ours));
        }
        let theirs = names.replace(completed("home/zoe/C.flac"));
        assert_eq!(theirs, completed("wordx1/wordx2/wordx3.flac"));
    }
}
