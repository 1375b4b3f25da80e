//! What a person asks for, parsed once. All clauses have to hold:
//!
//! ```text
//! loveless sometimes        both words, anywhere; of the last one the beginning is enough
//! "only shallow"            these words, one after the other
//! artist:valentine          the word in one field: title, artist, path, user
//! state:downloading         the state
//! 0b1c7a52-6f0e-…           what has this MusicBrainz ID; also as id:…
//! ```
//! A space at the end says that the last word is complete. How a clause is compared is in `matching`,
//! and for what is on the disk in `ask`.

use domain::ReleaseId;

use super::document::STATES;
use super::words::words;

/// Bytes of a text.
const TEXT_MOST: usize = 512;
/// Words of a text, those of phrases included.
const WORDS_MOST: usize = 16;

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is nothing in it.
    #[error("nothing is asked for: give at least one word")]
    Empty,
    /// It is too long.
    #[error("the text has {0} bytes; at most {TEXT_MOST} are taken")]
    TooLong(usize),
    /// It has too many words.
    #[error("the text has more than {WORDS_MOST} words")]
    TooManyWords,
    /// A quotation mark has no partner.
    #[error("a quotation mark is not closed")]
    Unclosed,
    /// There is no such field.
    #[error(
        "there is no field {0:?}, only title, artist, path, user, id and state; put quotation marks \
         around a word with a colon"
    )]
    NoSuchField(String),
    /// A clause has neither letters nor digits.
    #[error("{0:?} has no letter or digit to search for")]
    NoWords(String),
    /// There is no such state.
    #[error("there is no state {state:?}, only {}", STATES.join(", "))]
    NoSuchState {
        /// What was asked for.
        state: String,
    },
    /// An ID is none.
    #[error(transparent)]
    NotAnId(#[from] domain::id::NotAnMbid),
}

/// Where words can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Title,
    Artist,
    Path,
    User,
}

impl Field {
    pub(super) const ALL: [Self; 4] = [Self::Title, Self::Artist, Self::Path, Self::User];

    /// What a word found there counts for: a title says more about a thing than a folder does.
    pub(super) const fn weight(self) -> u32 {
        match self {
            Self::Title => 8,
            Self::Artist => 4,
            Self::Path => 2,
            Self::User => 1,
        }
    }
}

/// One condition. No field stands for any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// These words, one after the other; at least one.
    Words(Option<Field>, Vec<String>),
    /// A word that begins so.
    Beginning(Option<Field>, String),
    /// This MusicBrainz ID.
    Id([u8; 16]),
    /// This state.
    State(&'static str),
}

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(super) clauses: Vec<Clause>,
}

impl Query {
    /// Parses what a person has written.
    ///
    /// # Errors
    /// [`QueryError`], worded for that person.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > TEXT_MOST {
            return Err(QueryError::TooLong(text.len()));
        }
        let mut clauses = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = field_name(rest);
            let (value, after) = Value::read(after)?;
            clause(name, &value, after.is_empty(), &mut clauses)?;
            rest = after.trim_start();
        }
        if clauses.is_empty() {
            return Err(QueryError::Empty);
        }
        let asked: usize = clauses.iter().map(Clause::words).sum();
        if asked > WORDS_MOST {
            return Err(QueryError::TooManyWords);
        }
        Ok(Self { clauses })
    }
}

impl Clause {
    fn words(&self) -> usize {
        match self {
            Self::Words(_, words) => words.len(),
            Self::Beginning(..) | Self::Id(_) | Self::State(_) => 1,
        }
    }
}

/// The name before a colon, if there is one, and what comes after it.
fn field_name(text: &str) -> (Option<&str>, &str) {
    let named = text.split_once(':');
    let named = named.filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    named.map_or((None, text), |(name, after)| (Some(name), after))
}

/// What stands between two spaces, or in quotation marks.
enum Value<'a> {
    Bare(&'a str),
    Quoted(&'a str),
}

impl<'a> Value<'a> {
    fn read(text: &'a str) -> Result<(Self, &'a str), QueryError> {
        if let Some(quoted) = text.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').ok_or(QueryError::Unclosed)?;
            return Ok((Self::Quoted(inside), after));
        }
        let end = text.find(|letter: char| letter.is_whitespace() || letter == '"');
        let (bare, after) = text.split_at(end.unwrap_or(text.len()));
        Ok((Self::Bare(bare), after))
    }

    const fn text(&self) -> &'a str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
        }
    }
}

fn clause(
    name: Option<&str>,
    value: &Value<'_>,
    is_last: bool,
    clauses: &mut Vec<Clause>,
) -> Result<(), QueryError> {
    let text = value.text();
    let field = match name.map(str::to_ascii_lowercase).as_deref() {
        None => match (value, text.parse::<ReleaseId>()) {
            (Value::Bare(_), Ok(id)) => {
                clauses.push(Clause::Id(id.0));
                return Ok(());
            }
            _ => None,
        },
        Some("title") => Some(Field::Title),
        Some("artist") => Some(Field::Artist),
        Some("path") => Some(Field::Path),
        Some("user") => Some(Field::User),
        Some("id") => {
            clauses.push(Clause::Id(text.parse::<ReleaseId>()?.0));
            return Ok(());
        }
        Some("state") => {
            let asked = text.to_ascii_lowercase();
            let known = STATES.into_iter().find(|state| *state == asked);
            let known = known.ok_or(QueryError::NoSuchState { state: asked })?;
            clauses.push(Clause::State(known));
            return Ok(());
        }
        Some(other) => return Err(QueryError::NoSuchField(other.to_owned())),
    };
    let mut words = words(text);
    let Some(last) = words.pop() else { return Err(QueryError::NoWords(text.to_owned())) };
    match value {
        Value::Quoted(_) => {
            words.push(last);
            clauses.push(Clause::Words(field, words));
        }
        Value::Bare(_) => {
            clauses.extend(words.into_iter().map(|word| Clause::Words(field, vec![word])));
            clauses.push(match is_last {
                true => Clause::Beginning(field, last),
                false => Clause::Words(field, vec![last]),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clauses(text: &str) -> Vec<Clause> {
        Query::parse(text).unwrap().clauses
    }

    fn words(field: Option<Field>, words: &[&str]) -> Clause {
        Clause::Words(field, words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn words_phrases_fields_and_the_beginning_of_the_last_word() {
        let beginning = |field, word: &str| Clause::Beginning(field, word.to_owned());
        assert_eq!(
            clauses(" Loveless  some"),
            [words(None, &["loveless"]), beginning(None, "some")]
        );
        assert_eq!(clauses("some "), [words(None, &["some"])]);
        assert_eq!(clauses("AC/DC"), [words(None, &["ac"]), beginning(None, "dc")]);
        assert_eq!(clauses(r#""Only Shallow""#), [words(None, &["only", "shallow"])]);
        assert_eq!(
            clauses(r#"artist:"My Bloody"x"#),
            [words(Some(Field::Artist), &["my", "bloody"]), beginning(None, "x"),]
        );
        assert_eq!(clauses("PATH:flac"), [beginning(Some(Field::Path), "flac")]);
        assert_eq!(
            clauses("12:30 state:Done"),
            [words(None, &["12"]), words(None, &["30"]), Clause::State("done"),]
        );
        let id = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";
        let parsed = Clause::Id(id.parse::<ReleaseId>().unwrap().0);
        assert_eq!(
            (clauses(id), clauses(&format!("id:{id}"))),
            (vec![parsed.clone()], vec![parsed])
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        let told = |text: &str| Query::parse(text).unwrap_err().to_string();
        assert_eq!(told("  "), "nothing is asked for: give at least one word");
        assert_eq!(told("\"only"), "a quotation mark is not closed");
        assert_eq!(told("!!!"), "\"!!!\" has no letter or digit to search for");
        assert_eq!(told("title:"), "\"\" has no letter or digit to search for");
        assert!(told("Re:Stacks").starts_with("there is no field \"re\", only title"));
        assert!(told("state:idle").starts_with("there is no state \"idle\", only queued"));
        assert!(told("id:7").starts_with("\"7\" is not a MusicBrainz ID"));
        assert_eq!(told(&"a ".repeat(17)), "the text has more than 16 words");
        assert_eq!(told(&format!("\"{}\"", "a ".repeat(17))), "the text has more than 16 words");
        assert_eq!(told(&"x".repeat(513)), "the text has 513 bytes; at most 512 are taken");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_it_takes_is_bounded(
            text in r#"([a-zé椎"': ]|title:|state:|!){0,60}"#,
        ) {
            if let Ok(query) = Query::parse(&text) {
                prop_assert!((1..=WORDS_MOST).contains(&query.clauses.len()));
            }
        }
    }
}
