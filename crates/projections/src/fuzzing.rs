//! Doors for the targets in `fuzz/targets`: what is otherwise asked of an index only.
//! Compiled for them and for nobody else.

/// Asks a text of a thing that is called so.
///
/// # Panics
/// When a text that is taken has too many words, or does not find its own words.
pub fn search(text: &str) {
    crate::search::finds_itself(text);
}
