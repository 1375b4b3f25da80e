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
    let stem = safe.split('.').next().unwrap_or(safe).to_ascii_uppercase();
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
    use super::*;

    #[test]
    fn names_cannot_escape_or_collide_with_devices() {
        assert_eq!(name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(name(".."), "_");
        assert_eq!(name("AC/DC"), "AC-DC");
        assert_eq!(name("nul.flac"), "_nul.flac");
        assert_eq!(name("What?\u{0}"), "What_");
        assert!(name(&"é".repeat(400)).len() <= LONGEST_NAME);
    }
}
