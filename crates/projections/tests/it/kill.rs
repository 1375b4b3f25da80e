//! A process that folds a view anew again and again, killed at any moment: what it leaves is the view
//! after some event, never a mixture of two foldings. What the search leaves goes on to what it would have been.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::Seq;
use eventlog::{Log, Record};
use projections::follow;
use projections::jobs::Jobs;
use projections::search::{Index, Search};
use projections::{ApplyError, Projection, Rows, Store};

use crate::history::{append, generated};
use crate::rebuild::{Other, THIS, after_each_event};
use crate::search::answers;

const KILLS: u64 = 20;
/// Tells the process to be killed where it works.
const FOLDER: &str = "PROJECTIONS_KILL_FOLDER";

#[test]
fn a_killed_rebuild_leaves_the_view_after_some_event() {
    let dir = tempfile::tempdir().unwrap();
    let expected = {
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        append(&mut log, &generated(7, 120));
        after_each_event(&dir.path().join("expected"), &reader, 0)
    };
    let mut whole = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::rebuilds_until_it_is_killed", "--include-ignored"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the first rebuild to after several.
        std::thread::sleep(Duration::from_millis(20 + kill * 37 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&dir.path().join("views")).unwrap();
        let (jobs, view) = Jobs::open(&store).unwrap();
        let shown = view.all().unwrap();
        assert_eq!(&shown, &expected[&shown.seq], "kill {kill}");
        let checkpoint = jobs.checkpoint().unwrap();
        assert!(checkpoint.is_none_or(|it| it.version == Jobs::VERSION && it.seq == shown.seq));
        whole += u64::from(Some(&shown.seq) == expected.keys().last());
    }
    assert!(whole > 0, "no process lived long enough to fold everything");
}

/// The search as a program folds it that commits after every few events.
struct Hasty(Search);

impl Projection for Hasty {
    const NAME: &'static str = Search::NAME;
    const VERSION: u32 = Search::VERSION;
    const READABLE_SINCE: u32 = Search::READABLE_SINCE;

    type Rows = Index;

    fn rows(&self) -> &Index {
        self.0.rows()
    }

    fn over(&self, index: Index) -> Self {
        Self(self.0.over(index))
    }

    fn apply(&mut self, batch: &[Record]) -> Result<(), ApplyError> {
        for some in batch.chunks(9) {
            self.0.apply(some)?;
            self.0.rows().settle()?;
        }
        Ok(())
    }
}

#[test]
fn a_killed_search_is_that_after_some_event_and_goes_on_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (expected, last) = {
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        append(&mut log, &generated(7, 60));
        let (mut search, view) = Search::open(&dir.path().join("expected")).unwrap();
        search.reset(reader.identity()).unwrap();
        let mut expected = BTreeMap::from([(Seq(0), answers(&view, 50))]);
        for record in reader.records(Seq(1)..=reader.durable()) {
            search.apply(&[record.unwrap()]).unwrap();
            expected.insert(view.position().position(), answers(&view, 50));
        }
        (expected, reader.durable())
    };
    let mut partly = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::searches_until_it_is_killed", "--include-ignored"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the first commit to after several rebuilds.
        std::thread::sleep(Duration::from_millis(20 + kill * 97 % 1500));
        child.kill().unwrap();
        child.wait().unwrap();
        let index = dir.path().join("search");
        let (mut search, view) = Search::open(&index).unwrap();
        // One that was only just made says nothing yet, and nothing else may be wrong.
        let given_up = search.rows().given_up();
        let is_new = given_up.as_deref() == Some("the index found does not say how far it is");
        assert!(given_up.is_none() || is_new, "kill {kill}: {given_up:?}");
        let at = view.position().position();
        assert_eq!(answers(&view, 50), expected[&at], "kill {kill}");
        partly += u64::from(at > Seq(0) && at < last);
        if kill % 4 == 0 {
            let (_log, reader) = Log::open(&dir.path().join("log")).unwrap();
            follow::catch_up(&mut search, &reader).unwrap();
            assert_eq!(answers(&view, 50), expected[&last], "kill {kill}");
            drop((search, view));
            std::fs::remove_dir_all(index).unwrap();
        }
    }
    assert!(partly > 0, "no process was killed between the first event and the last");
}

/// Not a test of its own: the process that the one above kills.
#[test]
#[ignore = "runs until it is killed"]
fn searches_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let dir = Path::new(&folder);
    let (_log, reader) = Log::open(&dir.join("log")).unwrap();
    let (search, _) = Search::open(&dir.join("search")).unwrap();
    let mut search = Hasty(search);
    loop {
        follow::rebuild(&mut search, &reader).unwrap();
    }
}

/// Not a test of its own: the process that the first one kills.
#[test]
#[ignore = "runs until it is killed"]
fn rebuilds_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let dir = Path::new(&folder);
    let (_log, reader) = Log::open(&dir.join("log")).unwrap();
    let store = Store::open(&dir.join("views")).unwrap();
    let (jobs, _) = Jobs::open(&store).unwrap();
    let mut jobs = Other::<THIS, THIS>::mortal(jobs, 0, 9, usize::MAX);
    loop {
        follow::rebuild(&mut jobs, &reader).unwrap();
    }
}
