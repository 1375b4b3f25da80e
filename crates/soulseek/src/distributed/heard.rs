//! What a frame of a distributed connection says, and which searches are worth passing on.

use std::sync::Arc;

use crate::wire::DistributedMessage;

/// Code of a search, also inside message 93. See [`DistributedMessage::Search`].
const SEARCH: u8 = 3;
/// Code of a message 93 that should have been unpacked by the root.
const EMBEDDED: u8 = 93;
/// Longest search that is passed on, in bytes of its body: a name and the longest query servers take
/// are a third of it, and hundreds may wait for each child.
const LONGEST_SEARCH: usize = 1 << 10;

/// What was heard on a connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// Message 4.
    Level(i32),
    /// Message 5.
    Root(String),
    Search(Search),
    /// A ping, the depth of a child, or nothing that can be understood.
    Other,
}

/// A search on its way through the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) user: String,
    pub(super) token: u32,
    pub(super) query: String,
    /// As it came, length and code included.
    pub(super) frame: Arc<[u8]>,
}

/// Reads a frame of a distributed connection.
pub(super) fn understand(code: u32, body: &[u8]) -> Heard {
    // Some roots pass message 93 on as it came, its code one or four bytes wide.
    if code == u32::from(EMBEDDED) {
        let rest = body.strip_prefix(&[0; 3]).unwrap_or(body);
        let embedded = rest.split_first().and_then(|(&code, body)| search(code, body));
        return embedded.map_or(Heard::Other, Heard::Search);
    }
    if code == u32::from(SEARCH) {
        return search(SEARCH, body).map_or(Heard::Other, Heard::Search);
    }
    match DistributedMessage::decode(code, body) {
        Ok(DistributedMessage::BranchLevel { level }) => Heard::Level(level),
        Ok(DistributedMessage::BranchRoot { user }) => Heard::Root(user),
        Ok(_) => Heard::Other,
        Err(error) => {
            tracing::debug!(code, %error, "unreadable on a distributed connection");
            Heard::Other
        }
    }
}

/// A search, with the very bytes to pass on: what follows the known fields belongs to it.
pub(super) fn search(code: u8, body: &[u8]) -> Option<Search> {
    if code != SEARCH || body.len() > LONGEST_SEARCH {
        tracing::debug!(code, bytes = body.len(), "no search that anybody honest sends");
        return None;
    }
    match DistributedMessage::decode(code.into(), body) {
        Ok(DistributedMessage::Search { user, token, query, .. }) => {
            let frame = DistributedMessage::Unknown { code: code.into(), body: body.to_vec() };
            Some(Search { user, token, query, frame: frame.encode().into() })
        }
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "an unreadable search");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(query: &str) -> Vec<u8> {
        let (user, query) = ("zoe".to_owned(), query.to_owned());
        DistributedMessage::Search { mark: 0x31, user, token: 7, query }.encode_body()
    }

    #[test]
    fn a_search_is_passed_on_as_it_came_and_out_of_message_93_as_it_should_have_come() {
        // Bytes that no field of today accounts for.
        let body = [body("tin"), vec![1, 2, 3]].concat();
        let length = u32::try_from(body.len() + 1).unwrap().to_le_bytes();
        let frame = [&length[..], &[SEARCH], &body].concat();
        for (code, around) in [(3, &[][..]), (93, &[3]), (93, &[0, 0, 0, 3])] {
            let Heard::Search(search) = understand(code, &[around, &body].concat()) else {
                panic!("code {code} after {around:?}");
            };
            assert_eq!(
                (search.user.as_str(), search.token, search.query.as_str()),
                ("zoe", 7, "tin")
            );
            assert_eq!(search.frame[..], frame);
        }
    }

    #[test]
    fn what_is_no_search_is_not_passed_on() {
        let long = body(&"x".repeat(LONGEST_SEARCH));
        for (code, body) in [
            (3, &long[..]),
            (3, &body("tin")[..9]),
            (93, &[]),
            (93, &[0, 0, 0]),
            (93, &[93, 3]),
            (4, &[1]),
            (200, &[1]),
        ] {
            assert_eq!(understand(code, body), Heard::Other, "code {code}, {body:?}");
        }
    }
}
