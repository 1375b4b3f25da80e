//! What a person pastes: a MusicBrainz link or a bare ID. Says what is wrong with anything else.
//! Other kinds of links (recordings, release groups, Discogs) are recognised so that the refusal can
//! name them.

use crate::id::ReleaseId;

/// Why a pasted text does not name a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was pasted.
    #[error("nothing given; paste a MusicBrainz release link or its ID")]
    Empty,
    /// A MusicBrainz link of another kind.
    #[error(
        "this links to a MusicBrainz {kind}, not to a release; open it and pick one of its releases"
    )]
    OtherKind {
        /// The kind that the link names.
        kind: String,
    },
    /// A link to another site.
    #[error("{host} is not MusicBrainz; paste a link such as https://musicbrainz.org/release/<id>")]
    OtherSite {
        /// The site's host name.
        host: String,
    },
    /// Neither a link nor an ID.
    #[error(
        "{text:?} is neither a MusicBrainz release link nor a release ID (36 characters such as \
         0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11)"
    )]
    NotAReference {
        /// What was pasted, shortened.
        text: String,
    },
}

/// Longest text that is looked at, in bytes.
const LONGEST: usize = 2048;

/// Reads a pasted text as a release: `https://musicbrainz.org/release/<id>[/...][?...]`, the same
/// without scheme, on a language or mirror subdomain, or the bare ID.
///
/// # Errors
/// [`ReferenceError`], with what the text is instead.
pub fn parse_release(text: &str) -> Result<ReleaseId, ReferenceError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    let unreadable = || ReferenceError::NotAReference { text: text.chars().take(80).collect() };
    if text.len() > LONGEST {
        return Err(unreadable());
    }
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let address =
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let Some((host, path)) = address.split_once('/') else { return Err(unreadable()) };
    let host = host.rsplit('@').next().unwrap_or(host).split(':').next().unwrap_or(host);
    let host = host.to_ascii_lowercase();
    if !host.contains('.') {
        return Err(unreadable());
    }
    if host != "musicbrainz.org" && !host.ends_with(".musicbrainz.org") {
        return Err(ReferenceError::OtherSite { host });
    }
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("release"), Some(id)) => id.parse().map_err(|_| unreadable()),
        (
            Some(kind @ ("release-group" | "recording" | "artist" | "label" | "work" | "track")),
            _,
        ) => Err(ReferenceError::OtherKind { kind: kind.replace('-', " ") }),
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11";

    #[test]
    fn every_usual_way_to_write_a_release_is_understood() {
        for text in [
            ID.to_owned(),
            format!("  {} \n", ID.to_uppercase()),
            format!("https://musicbrainz.org/release/{ID}"),
            format!("http://musicbrainz.org/release/{ID}/disc/2#frag"),
            format!("musicbrainz.org/release/{ID}?utm=x"),
            format!("https://beta.musicbrainz.org/release/{ID}/cover-art"),
        ] {
            assert_eq!(parse_release(&text).map(|id| id.to_string()), Ok(ID.to_owned()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_what_it_is() {
        assert_eq!(parse_release("  "), Err(ReferenceError::Empty));
        assert_eq!(
            parse_release(&format!("https://musicbrainz.org/release-group/{ID}")),
            Err(ReferenceError::OtherKind { kind: "release group".into() })
        );
        assert_eq!(
            parse_release("https://www.discogs.com/release/1"),
            Err(ReferenceError::OtherSite { host: "www.discogs.com".into() })
        );
        for bad in
            ["hello", "a/b", "https://musicbrainz.org/release/xyz", "https://musicbrainz.org/"]
        {
            assert!(
                matches!(parse_release(bad), Err(ReferenceError::NotAReference { .. })),
                "{bad}"
            );
        }
    }
    proptest! {
        #[test]
        fn a_release_is_understood_with_anything_behind_it(
            id in any::<[u8; 16]>(),
            site in prop::sample::select(vec!["", "https://", "http://beta.", "https://user@", "//"]),
            rest in "[/?#]\\PC{0,40}",
        ) {
            let id = ReleaseId(id);
            prop_assert_eq!(parse_release(&id.to_string()), Ok(id));
            let link = format!("{site}musicbrainz.org/release/{id}{rest}");
            if site != "//" {
                prop_assert_eq!(parse_release(&link), Ok(id), "{}", link);
            }
        }

        #[test]
        fn no_text_names_a_release_that_is_not_written_in_it(
            text in prop_oneof![
                "\\PC{0,80}",
                "(https?://)?[a-z.@:]{0,12}musicbrainz.org/(release|artist|x)?/?[0-9a-f-]{0,40}",
            ],
        ) {
            match parse_release(&text) {
                Ok(id) => prop_assert!(text.to_ascii_lowercase().contains(&id.to_string())),
                Err(ReferenceError::NotAReference { text }) => {
                    prop_assert!(text.chars().count() <= 80);
                }
                Err(_) => {}
            }
        }

        #[test]
        fn a_text_of_any_length_is_refused_in_few_words(text in "\\PC{2049,3000}") {
            let Err(ReferenceError::NotAReference { text }) = parse_release(&text) else {
                return Err(TestCaseError::fail("it was looked at"));
            };
            prop_assert_eq!(text.chars().count(), 80);
        }
    }
}
