//! What a word is, in paths and in queries. SOULSEEK.md 2.7. Which files have a word is not known here.

/// Shorter queries match half of everything.
const SHORTEST_QUERY: usize = 3;

/// The words of a text: letters and digits, folded to lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// A word spelled backwards: what ends alike begins alike.
pub(super) fn backwards(word: &str) -> String {
    word.chars().rev().collect()
}

/// Folder and name of a virtual path.
pub(super) fn split(virtual_path: &str) -> (&str, &str) {
    virtual_path.rsplit_once('\\').unwrap_or(("", virtual_path))
}

/// A query taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    /// Each must be a word of the path.
    pub wanted: Vec<String>,
    /// None may be.
    pub unwanted: Vec<String>,
    /// Each must end a word of the path.
    pub endings: Vec<String>,
}

impl Query {
    /// `None` when it is too short to be answered.
    pub fn parse(text: &str) -> Option<Query> {
        if text.trim().chars().count() < SHORTEST_QUERY {
            return None;
        }
        let mut query = Query::default();
        for term in text.split_whitespace() {
            if let Some(unwanted) = term.strip_prefix('-') {
                query.unwanted.extend(words(unwanted));
            } else if let Some(ending) = term.strip_prefix('*') {
                // Only the first word is cut off in front: in `*ve-you` it is `ve`.
                let mut parts = words(ending);
                query.endings.extend(parts.next());
                query.wanted.extend(parts);
            } else {
                query.wanted.extend(words(term));
            }
        }
        for list in [&mut query.wanted, &mut query.unwanted, &mut query.endings] {
            list.sort_unstable();
            list.dedup();
        }
        Some(query)
    }
}
