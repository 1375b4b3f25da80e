//! What can be said to a user and to whom, as servers take it (SOULSEEK.md 2.2 and 2.8). Asked before a
//! message becomes a command, so that nothing is recorded that cannot be sent.

/// Longest message in bytes.
pub const LONGEST_TEXT: usize = 2_048;
/// Longest user name in bytes.
pub const LONGEST_USER: usize = 30;

/// Why a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// It says nothing.
    #[error("a message needs words")]
    Empty,
    /// It is longer than servers take.
    #[error("a message of {0} bytes is longer than the {LONGEST_TEXT} that servers take")]
    TooLong(usize),
    /// It has a line end or another character that is no text.
    #[error("a message is one line of text")]
    NotOneLine,
    /// Nobody is called so.
    #[error(
        "a user name has 1 to {LONGEST_USER} printable ASCII characters, no space first or last"
    )]
    User,
}

/// Whether a message can be sent.
///
/// # Errors
/// Why not.
pub fn check_text(text: &str) -> Result<(), Unsuitable> {
    if text.trim().is_empty() {
        Err(Unsuitable::Empty)
    } else if text.len() > LONGEST_TEXT {
        Err(Unsuitable::TooLong(text.len()))
    } else if text.chars().any(char::is_control) {
        Err(Unsuitable::NotOneLine)
    } else {
        Ok(())
    }
}

/// Whether somebody can be called so.
///
/// # Errors
/// [`Unsuitable::User`].
pub fn check_user(name: &str) -> Result<(), Unsuitable> {
    let plain = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let fits = !name.is_empty() && name.len() <= LONGEST_USER && name.trim() == name && plain;
    if fits { Ok(()) } else { Err(Unsuitable::User) }
}

/// The first part of a text that is no longer than a message may be.
#[must_use]
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_takes_is_refused_with_the_reason() {
        assert_eq!(check_text("hello"), Ok(()));
        assert_eq!(check_text(&"é".repeat(1_024)), Ok(()));
        assert_eq!(check_text(" "), Err(Unsuitable::Empty));
        assert_eq!(check_text(&"x".repeat(2_049)), Err(Unsuitable::TooLong(2_049)));
        assert_eq!(check_text("one\ntwo"), Err(Unsuitable::NotOneLine));
        assert_eq!(check_user("ada b"), Ok(()));
        for name in ["", " ada", "ada ", "ädä", &"x".repeat(31)] {
            assert_eq!(check_user(name), Err(Unsuitable::User), "{name:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&format!("x{}", "é".repeat(2_000))).len(), LONGEST_TEXT - 1);
    }
}
