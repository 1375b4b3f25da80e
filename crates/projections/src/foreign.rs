//! Words of strangers, cut to lengths that a row can hold. A peer names itself and its files as it
//! likes, and must not be able to stop a read model by being verbose.

use domain::PeerId;

const TEXT_MOST: usize = 1024;
const PATH_MOST: usize = 4096;
const NAME_MOST: usize = 256;

/// Words, such as a reason or a title.
pub(crate) fn text(words: &str) -> String {
    cut(words, TEXT_MOST)
}

/// A path.
pub(crate) fn path(path: &str) -> String {
    cut(path, PATH_MOST)
}

/// A peer; two that differ only far behind any real name's end become one.
pub(crate) fn peer(peer: &PeerId) -> PeerId {
    match peer {
        PeerId::Soulseek(name) => PeerId::Soulseek(cut(name, NAME_MOST)),
        PeerId::Mesh(key) => PeerId::Mesh(cut(key, NAME_MOST)),
    }
}

fn cut(words: &str, most: usize) -> String {
    if words.len() <= most {
        return words.to_owned();
    }
    let mut kept = words[..words.floor_char_boundary(most)].to_owned();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(text("short"), "short");
        let long = text(&"é".repeat(2000));
        assert!(long.ends_with("é…") && long.len() <= TEXT_MOST + 3);
        assert_eq!(peer(&PeerId::Soulseek("x".repeat(300))).name().len(), NAME_MOST + 3);
    }
}
