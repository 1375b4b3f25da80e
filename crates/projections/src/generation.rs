//! Which rows of a view answer. Every folding from the first event on has a tree of its own, numbered
//! as in `jobs@2`, and one key says which of them is in service. What the trees hold is
//! [`crate::table`]'s business.
//!
//! Of a view there are at most two: the one in service, and the next one while it is folded beside it.
//! Whatever else there is was left behind by a process that died, and goes when the view is opened.

use crate::table::TableError;

/// The tree of the keys that say which generation is in service.
const POINTERS: &str = "in service";
/// In service when no key says otherwise.
const FIRST: u32 = 1;

/// The rows of one folding.
#[derive(Clone)]
pub(crate) struct Generation {
    number: u32,
    pub(crate) tree: sled::Tree,
}

/// All foldings of one view.
#[derive(Clone)]
pub(crate) struct Generations {
    db: sled::Db,
    pointers: sled::Tree,
    view: &'static str,
}

impl Generations {
    pub(crate) fn open(db: &sled::Db, view: &'static str) -> Result<Self, TableError> {
        let all = Self { db: db.clone(), pointers: db.open_tree(POINTERS)?, view };
        let serving = all.number()?;
        let kept = [all.name(serving), all.name(serving.saturating_add(1))];
        for tree in db.tree_names() {
            if is_of(&tree, view) && kept.iter().all(|kept| kept.as_bytes() != &*tree) {
                db.drop_tree(&tree)?;
            }
        }
        Ok(all)
    }

    /// The view's name.
    pub(crate) const fn view(&self) -> &'static str {
        self.view
    }

    /// The one that answers.
    pub(crate) fn serving(&self) -> Result<Generation, TableError> {
        self.generation(self.number()?)
    }

    /// Whether a next one was begun.
    pub(crate) fn has_next(&self) -> Result<bool, TableError> {
        let name = self.name(self.number()?.saturating_add(1));
        Ok(self.db.tree_names().iter().any(|tree| &**tree == name.as_bytes()))
    }

    /// The next one, as far as it is.
    pub(crate) fn next(&self) -> Result<Generation, TableError> {
        self.generation(self.number()?.saturating_add(1))
    }

    pub(crate) fn drop_next(&self) -> Result<(), TableError> {
        self.drop(self.number()?.saturating_add(1))
    }

    /// Returns when everything written before is on the disk: what [`Self::point_at`] must come after.
    pub(crate) fn flush(&self) -> Result<(), TableError> {
        self.db.flush()?;
        Ok(())
    }

    /// Has another one answer from the next start on, by one key.
    pub(crate) fn point_at(&self, generation: &Generation) -> Result<(), TableError> {
        self.pointers.insert(self.view, &generation.number.to_le_bytes())?;
        Ok(())
    }

    /// Drops one that is out of service, once it is on the disk that it is.
    pub(crate) fn retire(&self, generation: &Generation) -> Result<(), TableError> {
        self.flush()?;
        self.drop(generation.number)
    }

    fn number(&self) -> Result<u32, TableError> {
        let told = self.pointers.get(self.view)?;
        let number = told.and_then(|told| Some(u32::from_le_bytes((&*told).try_into().ok()?)));
        Ok(number.unwrap_or(FIRST))
    }

    fn generation(&self, number: u32) -> Result<Generation, TableError> {
        Ok(Generation { number, tree: self.db.open_tree(self.name(number))? })
    }

    fn drop(&self, number: u32) -> Result<(), TableError> {
        self.db.drop_tree(self.name(number))?;
        Ok(())
    }

    fn name(&self, number: u32) -> String {
        format!("{}@{number}", self.view)
    }
}

/// Removes a view's rows and what says which of them answer.
pub(crate) fn forget(db: &sled::Db, view: &str) -> Result<(), TableError> {
    for tree in db.tree_names() {
        if is_of(&tree, view) {
            db.drop_tree(&tree)?;
        }
    }
    db.open_tree(POINTERS)?.remove(view)?;
    Ok(())
}

/// Also for a tree without a number, as they were called before there were generations.
fn is_of(tree: &[u8], view: &str) -> bool {
    tree.strip_prefix(view.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'@')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(generation: &Generation) -> Option<sled::IVec> {
        generation.tree.get("key").unwrap()
    }

    /// Every moment of a switch at which a process can die, one after another.
    #[test]
    fn a_switch_cut_short_anywhere_leaves_the_old_or_the_new() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        let all = Generations::open(&db, "view").unwrap();
        let old = all.serving().unwrap();
        old.tree.insert("key", "old").unwrap();
        all.next().unwrap().tree.insert("key", "new").unwrap();

        let again = Generations::open(&db, "view").unwrap();
        assert_eq!(key(&again.serving().unwrap()).unwrap(), "old");
        assert!(again.has_next().unwrap(), "what is folded is gone on with");

        again.flush().unwrap();
        again.point_at(&again.next().unwrap()).unwrap();
        let again = Generations::open(&db, "view").unwrap();
        assert_eq!(key(&again.serving().unwrap()).unwrap(), "new");
        assert!(!again.has_next().unwrap());
        assert!(!db.tree_names().contains(&"view@1".into()), "the old one was left behind");

        again.retire(&old).unwrap();
        assert_eq!(key(&again.serving().unwrap()).unwrap(), "new");
    }

    #[test]
    fn rows_of_other_views_and_of_earlier_builds_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        for tree in ["view", "view@7", "viewer@7"] {
            db.open_tree(tree).unwrap();
        }
        Generations::open(&db, "view").unwrap();
        let left = db.tree_names();
        assert!(left.contains(&"viewer@7".into()), "{left:?}");
        assert!(!left.contains(&"view".into()) && !left.contains(&"view@7".into()), "{left:?}");
    }
}
