//! Where somebody says it stands: how deep, and below which root. What is believed of it.

/// Nobody honest is deeper: a level is one more connection that a search has to pass.
const DEEPEST: u32 = 255;
/// Longest name of a root in bytes. Servers allow 30. SOULSEEK.md 2.2.
const LONGEST_NAME: usize = 256;

/// A place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// How far the root is; 0 for the root itself.
    pub(super) level: u32,
    /// Who the root is.
    pub(super) root: String,
}

impl Place {
    /// The place of somebody who has no parent.
    pub(super) fn root(user: &str) -> Place {
        Place { level: 0, root: user.to_owned() }
    }

    /// The place of a child.
    pub(super) fn below(&self) -> Place {
        Place { level: self.level + 1, root: self.root.clone() }
    }
}

/// What somebody has told of its place so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    level: Option<u32>,
    root: Option<String>,
}

/// Whoever says this is not to be had as a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPlace {
    #[error("a level of {0} is none")]
    Level(i32),
    #[error("a root's name is none")]
    Root,
    #[error("we would be our own ancestor")]
    Loop,
}

impl Told {
    /// Message 4 from `teller`.
    pub(super) fn level(&mut self, teller: &str, level: i32) -> Result<(), BadPlace> {
        let told = u32::try_from(level).ok().filter(|level| *level < DEEPEST);
        let told = told.ok_or(BadPlace::Level(level))?;
        // Message 5 need not follow then.
        if told == 0 {
            self.root = Some(teller.to_owned());
        }
        self.level = Some(told);
        Ok(())
    }

    /// Message 5, as heard by `own`. Whoever is its own root cannot name another.
    pub(super) fn root(&mut self, own: &str, root: String) -> Result<(), BadPlace> {
        if root.is_empty() || root.len() > LONGEST_NAME || root.chars().any(char::is_control) {
            return Err(BadPlace::Root);
        }
        if root == own {
            return Err(BadPlace::Loop);
        }
        if self.level != Some(0) {
            self.root = Some(root);
        }
        Ok(())
    }

    /// The place, once it is told whole.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place { level: self.level?, root: self.root.clone()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_zero_is_the_root_itself_whatever_else_it_says() {
        let mut told = Told::default();
        told.level("ada", 0).unwrap();
        assert_eq!(told.place(), Some(Place::root("ada")));
        told.root("bo", "cy".to_owned()).unwrap();
        assert_eq!(told.place(), Some(Place::root("ada")));
        told.level("ada", 2).unwrap();
        told.root("bo", "cy".to_owned()).unwrap();
        assert_eq!(told.place(), Some(Place { level: 2, root: "cy".to_owned() }));
    }

    #[test]
    fn what_is_no_place_is_not_believed() {
        let mut told = Told::default();
        for level in [-1, i32::MIN, 255, i32::MAX] {
            assert_eq!(told.level("ada", level), Err(BadPlace::Level(level)));
        }
        for root in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(told.root("bo", root.to_owned()), Err(BadPlace::Root));
        }
        assert_eq!(told.root("bo", "bo".to_owned()), Err(BadPlace::Loop));
        assert_eq!(told.place(), None);
    }
}
