//! How well a remote file's name and length fit a track. Integer arithmetic on words; whether the
//! file really is the recording is proved in [`crate::verify`], after it was fetched.

use std::collections::BTreeSet;

use domain::observation::RemoteFile;
use domain::score::Ppm;
use domain::{Target, Track};

/// Below this a file is not taken for the track.
pub(crate) const LEAST: Ppm = Ppm(600_000);

/// Words that name another version of a song when the title itself does not have them.
const VERSIONS: [&str; 14] = [
    "live",
    "remix",
    "rmx",
    "instrumental",
    "karaoke",
    "acoustic",
    "demo",
    "cover",
    "edit",
    "mix",
    "tribute",
    "acapella",
    "unplugged",
    "reprise",
];

/// Shares of the parts of the score, in percent.
const TITLE: u64 = 45;
const NOTHING_ELSE: u64 = 20;
const ARTIST: u64 = 15;
const ALBUM: u64 = 15;
const POSITION: u64 = 5;

/// Words by which a path is told to be like a track of a release or unlike it; every other word counts
/// for being another one, and numbers for being numbers. Whoever replaces words of paths has to leave
/// these as they are, or other files will seem alike.
#[must_use]
pub fn telling_words(target: &Target) -> BTreeSet<String> {
    let tracks = target.tracks.iter().flat_map(|track| [&track.title, &track.credit.name]);
    let texts = tracks.chain([&target.title]);
    texts.flat_map(|text| words(text)).chain(VERSIONS.map(str::to_owned)).collect()
}

/// Lower-case words: runs of letters and digits, with apostrophes left out so that "don't" is one.
/// Common Latin letters lose their accents, since file names often have.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            match plain(c) {
                Some(plain) => word.push_str(plain),
                None => word.push(c),
            }
        } else if !matches!(c, '\'' | '’' | '`') && !is_combining(c) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Combining diacritical marks, as decomposed names carry them (Unicode block 0300..036F).
fn is_combining(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' | 'ä' => "a",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ł' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ő' | 'ö' => "o",
        'ŕ' | 'ř' => "r",
        'ś' | 'š' | 'ş' => "s",
        'ť' | 'ţ' => "t",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' | 'ü' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
}

/// A track in words: an answer has many files, and each is compared with each track.
pub(crate) struct Wanted {
    medium: u16,
    position: u16,
    duration_ms: Option<u64>,
    title: Vec<String>,
    artist: Vec<String>,
    album: Vec<String>,
}

impl Wanted {
    pub(crate) fn of(target: &Target, track: &Track) -> Self {
        Self {
            medium: track.medium,
            position: track.position,
            duration_ms: track.duration_ms,
            title: words(&track.title),
            artist: words(&track.credit.name),
            album: words(&target.title),
        }
    }
}

/// A remote file in words.
pub(crate) struct Offered {
    duration_s: Option<u32>,
    stem: Vec<String>,
    folders: Vec<String>,
}

impl Offered {
    pub(crate) fn of(file: &RemoteFile) -> Self {
        let (folders, name) = match file.path.rsplit_once(['\\', '/']) {
            Some((folders, name)) => (folders, name),
            None => ("", file.path.as_str()),
        };
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        Self { duration_s: file.duration_s, stem: words(stem), folders: words(folders) }
    }
}

/// The likeness of a file and a track, or `None` when it cannot be the track.
pub(crate) fn of(file: &Offered, track: &Wanted, tolerance_ms: u64) -> Option<Ppm> {
    if let (Some(told), Some(expected)) = (file.duration_s, track.duration_ms) {
        // Peers tell whole seconds, cut or rounded.
        let told = u64::from(told) * 1000;
        if told.abs_diff(expected) > tolerance_ms + 1000 {
            return None;
        }
    }
    let Offered { stem, folders, .. } = file;
    let Wanted { title, artist, album, .. } = track;

    // A number that opens the name is a position, unless the title begins with it.
    let number = stem.first().filter(|word| title.first() != Some(word)).and_then(|w| number(w));
    let at_position = number.is_some_and(|n| {
        n == u32::from(track.position)
            || n == u32::from(track.medium) * 100 + u32::from(track.position)
    });
    let title_share = if title.is_empty() {
        u64::from(at_position)
    } else {
        share(title, |word| stem.contains(word))
    };
    // A missing word of a short title makes another title; long ones lose words to length limits.
    let least = if title.len() < 4 { PERCENT } else { 75 };
    let title_share = if title.is_empty() { title_share * PERCENT } else { title_share };
    if title_share < least {
        return None;
    }
    if stem.iter().any(|word| {
        VERSIONS.contains(&word.as_str())
            && !title.contains(word)
            && !artist.contains(word)
            && !album.contains(word)
    }) {
        return None;
    }
    let explained = stem
        .iter()
        .filter(|word| {
            title.contains(word)
                || artist.contains(word)
                || album.contains(word)
                || number_like(word)
        })
        .count();
    let explained = PERCENT * explained as u64 / stem.len().max(1) as u64;
    let anywhere = |word: &String| folders.contains(word) || stem.contains(word);
    let score = TITLE * title_share
        + NOTHING_ELSE * explained
        + ARTIST * share(artist, anywhere)
        + ALBUM * share(album, anywhere)
        + POSITION * if at_position { PERCENT } else { 0 };
    let likeness = Ppm::ratio(score, PERCENT * PERCENT);
    (likeness >= LEAST).then_some(likeness)
}

const PERCENT: u64 = 100;

/// Percentage of `wanted` that is found; all of nothing is all.
fn share(wanted: &[String], is_found: impl Fn(&String) -> bool) -> u64 {
    if wanted.is_empty() {
        return PERCENT;
    }
    let there = wanted.iter().filter(|word| is_found(word)).count();
    PERCENT * there as u64 / wanted.len() as u64
}

fn number(word: &str) -> Option<u32> {
    (word.len() <= 3 && number_like(word)).then(|| word.parse().ok()).flatten()
}

fn number_like(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::target;

    fn likeness(path: &str, duration_s: Option<u32>) -> Option<u32> {
        let mut target = target(3);
        target.title = "Harbour Lights".into();
        target.credit.name = "The Tin Orchard".into();
        let track = &mut target.tracks[1];
        track.title = "Don't Wake the Café".into();
        track.credit.name = "The Tin Orchard".into();
        track.duration_ms = Some(200_400);
        let track = track.clone();
        let file = RemoteFile { path: path.into(), size: 1, bitrate_kbps: None, duration_s };
        of(&Offered::of(&file), &Wanted::of(&target, &track), 3000).map(|ppm| ppm.0)
    }

    #[test]
    fn the_usual_names_of_a_track_are_known() {
        for (path, least) in [
            (r"Music\The Tin Orchard\Harbour Lights (1999)\02 - Don't Wake the Café.flac", 990_000),
            (r"m\tin orchard - harbour lights [FLAC]\02. dont wake the cafe.flac", 930_000),
            ("x\\The Tin Orchard - 02 - Don’t Wake The Cafe\u{301}.mp3", 800_000),
            (r"Don't Wake the Café.ogg", 600_000),
        ] {
            let found = likeness(path, Some(200));
            assert!(found.is_some_and(|ppm| ppm >= least), "{path}: {found:?}");
        }
    }

    #[test]
    fn other_songs_versions_and_lengths_are_not() {
        let full = r"Music\The Tin Orchard\Harbour Lights\02 - Don't Wake the Café";
        assert_eq!(likeness(&format!("{full} (live).flac"), None), None);
        assert_eq!(likeness(r"Music\The Tin Orchard\Harbour Lights\03 - Other.flac", None), None);
        assert_eq!(likeness(&format!("{full}.flac"), Some(260)), None);
        assert!(likeness(&format!("{full}.flac"), Some(204)).is_some());
    }

    #[test]
    fn scripts_without_case_or_spaces_are_words_too() {
        assert_eq!(words("02 - 愛のうた (Live)"), ["02", "愛のうた", "live"]);
        assert_eq!(words("...?!"), Vec::<String>::new());
    }
}
