//! Where the indexes of the search lie, and which of them answers. Every folding from the first event on
//! has a folder of its own, named by a number, and the file `current` says which one is in service. It is
//! replaced by renaming, so a crash leaves the old number or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// In service when nothing says otherwise.
const FIRST: u32 = 1;

#[derive(Clone)]
pub(super) struct Folders {
    dir: PathBuf,
}

impl Folders {
    /// Removes what a process that died has left behind: all but the one in service and the next.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let folders = Self { dir: dir.to_owned() };
        let serving = folders.serving()?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if number.is_some_and(|number| number != serving && number != serving + 1) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(folders)
    }

    /// The number of the one that answers.
    pub(super) fn serving(&self) -> io::Result<u32> {
        match fs::read_to_string(self.dir.join("current")) {
            // Anything else than a number is damage, and costs a folding.
            Ok(text) => Ok(text.trim().parse().ok().filter(|it| *it < u32::MAX).unwrap_or(FIRST)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FIRST),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(FIRST),
            Err(error) => Err(error),
        }
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// Has another one answer, also after a crash from now on.
    pub(super) fn point_at(&self, number: u32) -> io::Result<()> {
        let beside = self.dir.join("current.new");
        let mut file = File::create(&beside)?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        fs::rename(&beside, self.dir.join("current"))?;
        File::open(&self.dir)?.sync_all()
    }

    /// Removes all indexes in `dir`, and it when nothing else is in there.
    pub(super) fn remove_all(dir: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let is_number = name.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
            if is_number && entry.path().join("meta.json").is_file() {
                fs::remove_dir_all(entry.path())?;
            } else if name == "current" || name == "current.new" {
                fs::remove_file(entry.path())?;
            }
        }
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            done => done,
        }
    }

    pub(super) fn remove(&self, number: u32) -> io::Result<()> {
        match fs::remove_dir_all(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_goes_and_the_next_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::open(dir.path()).unwrap();
        assert_eq!(folders.serving().unwrap(), 1);
        folders.point_at(2).unwrap();
        for number in 1..=4 {
            fs::create_dir(folders.path(number)).unwrap();
        }
        let again = Folders::open(dir.path()).unwrap();
        let left: Vec<u32> = (1..=4).filter(|number| again.path(*number).exists()).collect();
        assert_eq!((again.serving().unwrap(), left), (2, vec![2, 3]));
        fs::write(dir.path().join("current"), b"\xff?").unwrap();
        assert_eq!(again.serving().unwrap(), 1);
    }
}
