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
}
