//! What counts as a word, for what is written down and for what is asked: a run of letters and digits of
//! any script, in small letters, without the marks that ASCII lacks. Scripts that leave no space between
//! words have their runs found by how they begin.

use std::cell::RefCell;

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, SimpleTokenizer, TextAnalyzer};

/// Goes into the form of the index: raised whenever the same text has other words.
pub(super) const VERSION: u32 = 1;

thread_local! {
    static ANALYZER: RefCell<TextAnalyzer> = RefCell::new(
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(LowerCaser)
            .filter(AsciiFoldingFilter)
            .build(),
    );
}

/// The words of a text, in order.
pub(super) fn words(text: &str) -> Vec<String> {
    ANALYZER.with_borrow_mut(|analyzer| {
        let mut words = Vec::new();
        analyzer.token_stream(text).process(&mut |token| words.push(token.text.clone()));
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_marks_and_punctuation() {
        assert_eq!(
            words(r"@@ada\Bjöрk\01 - Hyper-Ballad (Édit).flac"),
            ["ada", "bjoрk", "01", "hyper", "ballad", "edit", "flac"]
        );
        assert_eq!(words("椎名林檎 — 無罪"), ["椎名林檎", "無罪"]);
        assert_eq!(words("!!! …"), Vec::<String>::new());
    }
}
