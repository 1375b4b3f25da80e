//! Where a finished track belongs, relative to the music folder. Pure: whether the place is taken is
//! asked at the edge.

use crate::target::{Target, Track};

/// Longest folder or file name in bytes; file systems allow 255, and the edge may add ` (2)`.
const LONGEST_NAME: usize = 180;

/// `Album Artist/Album (Year)/[medium-]NN - Title.ext`, each part safe on every common file system.
#[must_use]
pub fn of(target: &Target, track: &Track, extension: &str) -> String {
    let album = match target.year() {
        Some(year) => format!("{} ({year})", target.title),
        None => target.title.clone(),
    };
    let number = if target.media > 1 {
        format!("{}-{:02}", track.medium, track.position)
    } else {
        format!("{:02}", track.position)
    };
    let extension: String =
        extension.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
    format!(
        "{}/{}/{}.{}",
        name(&target.credit.name),
        name(&album),
        name(&format!("{number} - {}", track.title)),
        extension.to_ascii_lowercase()
    )
}

/// One safe name: no separators, no control characters, none of the characters Windows forbids, no
/// leading or trailing dots and spaces, no reserved device name, never empty.
fn name(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        let c = match c {
            '/' | '\\' | '|' => '-',
            ':' => '∶',
            '"' => '\'',
            '<' | '>' | '?' | '*' => '_',
            c if c.is_control() => ' ',
            c => c,
        };
        if safe.len() + c.len_utf8() > LONGEST_NAME {
            break;
        }
        safe.push(c);
    }
    let safe = safe.trim_matches(|c| c == '.' || c == ' ');
    // Windows takes `NUL .flac` for the device too.
    let stem = safe.split('.').next().unwrap_or(safe).trim_end().to_ascii_uppercase();
    let reserved = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    match safe {
        "" => "_".to_owned(),
        safe if reserved => format!("_{safe}"),
        safe => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{RecordingId, ReleaseId, TrackId};
    use crate::target::Credit;

    fn path(artist: &str, title: &str, date: &str, track: &str, media: u16) -> String {
        let credit = Credit { name: artist.to_owned(), artists: Vec::new() };
        let track = Track {
            id: TrackId([0; 16]),
            recording: RecordingId([0; 16]),
            medium: media,
            position: 3,
            title: track.to_owned(),
            credit: credit.clone(),
            duration_ms: None,
            isrcs: Vec::new(),
        };
        let target = Target {
            release: ReleaseId([0; 16]),
            group: None,
            title: title.to_owned(),
            credit,
            date: date.to_owned(),
            country: String::new(),
            label: String::new(),
            barcode: String::new(),
            media,
            tracks: vec![track.clone()],
        };
        of(&target, &track, "flac")
    }

    #[test]
    fn names_cannot_escape_or_collide_with_devices() {
        assert_eq!(name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(name(".."), "_");
        assert_eq!(name("AC/DC"), "AC-DC");
        assert_eq!(name("nul.flac"), "_nul.flac");
        assert_eq!(name("aux .flac"), "_aux .flac");
        assert_eq!(name("What?\u{0}"), "What_");
        assert!(name(&"é".repeat(400)).len() <= LONGEST_NAME);
    }
    /// Words with what is meant to lead astray.
    fn words() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            r#"[a-z./\\:*?"<>| \x00-\x1f]{0,20}"#,
            "(CON|prn|Aux|nul|com[0-9]|LPT1)[. ]{0,2}[a-z]{0,3}",
            "\\PC{150,300}",
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_words_the_path_stays_where_it_belongs(
            artist in words(), title in words(), date in words(), track in words(), media in 0u16..3,
        ) {
            let path = path(&artist, &title, &date, &track, media);
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(parts.len(), 3, "{}", path);
            for part in parts {
                prop_assert!(!part.is_empty() && part.len() <= LONGEST_NAME + 9, "{path:?}");
                prop_assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']), "{path:?}");
                let forbidden = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
                prop_assert!(!part.contains(forbidden), "{path:?}");
                let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
                let devices = ["con", "prn", "aux", "nul", "com1", "lpt1"];
                prop_assert!(!devices.contains(&stem.trim_end()), "{path:?}");
            }
        }
    }
}
