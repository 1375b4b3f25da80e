//! Whether a document in memory matches, and how well. What is on the disk is asked by `ask`, which has to
//! come to the same scores: a word counts for the field where it counts most, a whole word for one more
//! than a beginning.

use super::document::Document;
use super::query::{Clause, Field, Query};

/// What an ID counts for.
pub(super) const ID_SCORE: u32 = 2 * Field::Title.weight();

/// What a word counts for in a field.
pub(super) const fn score(field: Field, is_whole: bool) -> u32 {
    2 * field.weight() - if is_whole { 0 } else { 1 }
}

/// The fields that a clause looks at.
pub(super) fn fields(field: Option<Field>) -> impl Iterator<Item = Field> {
    Field::ALL.into_iter().filter(move |it| field.is_none_or(|field| field == *it))
}

/// How well a document matches; `None` when it does not.
pub(super) fn matched(query: &Query, document: &Document) -> Option<u32> {
    query.clauses.iter().map(|clause| clause_matched(clause, document)).sum()
}

fn clause_matched(clause: &Clause, document: &Document) -> Option<u32> {
    match clause {
        Clause::Words(field, asked) => {
            let has = |it: &Field| {
                document.words_of(*it).windows(asked.len()).any(|some| some == asked.as_slice())
            };
            fields(*field).filter(has).map(|it| score(it, true)).max()
        }
        Clause::Beginning(field, asked) => {
            let best = |it: Field| {
                let words = document.words_of(it).iter();
                let begun = words.filter(|word| word.starts_with(asked.as_str()));
                begun.map(|word| score(it, word == asked)).max()
            };
            fields(*field).filter_map(best).max()
        }
        Clause::Id(id) => (document.id == Some(*id)).then_some(ID_SCORE),
        Clause::State(state) => (document.state == Some(*state)).then_some(0),
    }
}

/// Asks a text of a thing that is called so: whatever is taken without a field finds it.
#[cfg(any(test, fuzzing))]
pub(crate) fn finds_itself(text: &str) {
    use domain::{JobId, TrackKey};

    use super::document::{Kind, Place};
    use super::words::words;

    let Ok(query) = Query::parse(text) else { return };
    assert!((1..=16).contains(&query.clauses.len()), "{query:?}");
    let is_plain = query
        .clauses
        .iter()
        .all(|clause| matches!(clause, Clause::Words(None, _) | Clause::Beginning(None, _)));
    let track = TrackKey { job: JobId(1), index: 0 };
    let document = Document {
        place: Place { track, kind: Kind::Track, item: 0 },
        words: [words(text), Vec::new(), Vec::new(), Vec::new()],
        id: None,
        state: None,
    };
    assert!(!is_plain || matched(&query, &document).is_some(), "{query:?}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_called_like_a_text_is_found_by_it(text in r#"([a-zé椎ßİ"' :/.]){0,40}"#) {
            finds_itself(&text);
        }
    }
}
