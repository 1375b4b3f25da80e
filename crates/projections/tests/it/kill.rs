//! A process that folds a view anew again and again, killed at any moment: what it leaves is the view
//! after some event, never a mixture of two foldings.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use eventlog::Log;
use projections::follow;
use projections::jobs::Jobs;
use projections::{Projection, Store};

use crate::history::{append, generated};
use crate::rebuild::{Other, THIS, after_each_event};

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

/// Not a test of its own: the process that the one above kills.
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
