//! The search: it finds what a naive filter of the jobs finds, whatever is committed yet and however
//! often it was begun anew, and no folder it is given makes it answer otherwise or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::{Command, Seq};
use eventlog::{Log, Reader, Record, Schema};
use projections::jobs::{JobView, Jobs, TrackState};
use projections::search::{Hit, Kind, Query, Search, View};
use projections::{Control, Follower, Projection, Rows, State, Status, Store, follow};
use proptest::prelude::*;

use crate::history::{added, append, asked, fetched, generated, started};

const LONG: Duration = Duration::from_secs(60);

/// What is asked, and what is expected of a hit's title, artist, path, user, ID and state.
type Asked = (&'static str, fn(&Naive) -> bool);

/// A thing to be found, as the jobs show it.
struct Naive {
    title: String,
    artist: String,
    path: String,
    user: String,
    id: String,
    state: &'static str,
}

impl Naive {
    fn words(text: &str) -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }

    fn all(&self) -> Vec<String> {
        [&self.title, &self.artist, &self.path, &self.user]
            .iter()
            .flat_map(|text| Self::words(text))
            .collect()
    }

    fn has(&self, word: &str) -> bool {
        self.all().iter().any(|it| it == word)
    }

    fn begins(&self, word: &str) -> bool {
        self.all().iter().any(|it| it.starts_with(word))
    }
}

const ASKED: [Asked; 17] = [
    ("song", |it| it.begins("song")),
    ("so", |it| it.begins("so")),
    ("so ", |_| false),
    ("Song 1", |it| it.has("song") && it.begins("1")),
    ("ada", |it| it.begins("ada")),
    ("ADA flac", |it| it.has("ada") && it.begins("flac")),
    ("user:ada", |it| it.user == "ada"),
    ("user:a", |it| it.user.starts_with('a')),
    ("artist:ada song", |it| it.artist == "Ada" && it.begins("song")),
    ("path:ada", |it| Naive::words(&it.path).contains(&"ada".to_owned())),
    ("\"song 3\"", |it| it.title == "Song 3"),
    ("\"3 song\"", |_| false),
    ("title:album", |it| it.title == "Album"),
    ("bob song", |it| it.has("bob") && it.begins("song")),
    ("11111111-1111-1111-1111-111111111111", |it| it.id.starts_with("1111")),
    ("id:02020202-0202-0202-0202-020202020202", |it| it.id.starts_with("0202")),
    ("state:completed", |it| it.state == "completed"),
];

/// What a naive filter of the jobs finds: the names of the hits.
fn filtered(jobs: &[JobView], is_meant: fn(&Naive) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut take = |name: String, naive: Naive| {
        if is_meant(&naive) {
            found.insert(name);
        }
    };
    let text = String::new;
    for JobView { head, tracks } in jobs {
        let (job, is_over) = (head.job, head.state == projections::jobs::JobState::Completed);
        take(
            format!("job {job}"),
            Naive {
                title: head.title.clone(),
                artist: head.artist.clone(),
                path: text(),
                user: text(),
                id: head.release.to_string(),
                state: if is_over { "completed" } else { "" },
            },
        );
        for track in tracks {
            let key = format!("{job}/{}", track.index + 1);
            let is_over = track.state == TrackState::Completed;
            let id = track.recording.to_string();
            take(
                format!("track {key}"),
                Naive {
                    title: track.title.clone(),
                    artist: track.artist.clone(),
                    path: text(),
                    user: text(),
                    id: id.clone(),
                    state: if is_over { "completed" } else { "" },
                },
            );
            if let (true, Some(path)) = (is_over, &track.path) {
                let [title, artist, user] = [text(), text(), text()];
                let naive = Naive { title, artist, path: path.clone(), user, id, state: "" };
                take(format!("file {key}"), naive);
            }
            for source in &track.sources {
                let (path, user) = (source.path.clone(), source.peer.name().to_owned());
                let [title, artist, id] = [text(), text(), text()];
                let naive = Naive { title, artist, path, user, id, state: "" };
                take(format!("source {key} {}", source.source), naive);
            }
        }
    }
    found
}

/// Whether a job shows it, or would.
fn is_shown(jobs: &[JobView], name: &str) -> bool {
    let mut tracks = jobs.iter().flat_map(|it| it.tracks.iter().map(move |track| (it, track)));
    !name.starts_with("source")
        || tracks.any(|(it, track)| {
            name.starts_with(&format!("source {}/{} ", it.head.job, track.index + 1))
        })
}

fn name(hit: &Hit) -> String {
    match hit {
        Hit::Job { job, .. } => format!("job {job}"),
        Hit::Track { track, .. } => format!("track {track}"),
        Hit::Source { track, source, .. } => format!("source {track} {source}"),
        Hit::File { track, .. } => format!("file {track}"),
    }
}

/// Every answer, page by page, with everything that is shown.
#[derive(Debug, PartialEq)]
pub struct Answers(Seq, Vec<Vec<Hit>>);

pub fn answers(view: &View, page: usize) -> Answers {
    let mut answers = Vec::new();
    for (text, _) in ASKED {
        let (query, mut after, mut hits) = (Query::parse(text).unwrap(), None, Vec::new());
        loop {
            let found = view.search(&query, None, after, page).unwrap().value;
            assert!(found.hits.len() <= page);
            hits.extend(found.hits.iter().map(|(_, hit)| hit.clone()));
            after = found.hits.last().map(|(cursor, _)| *cursor);
            if !found.more {
                break;
            }
        }
        answers.push(hits);
    }
    Answers(view.position().position(), answers)
}

fn from_nothing(dir: &Path, reader: &Reader) -> Answers {
    let (mut search, view) = Search::open(dir).unwrap();
    follow::catch_up(&mut search, reader).unwrap();
    answers(&view, 100)
}

/// How a batch is folded in.
#[derive(Debug, Clone, Copy)]
enum Then {
    Wait,
    Settle,
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn it_finds_what_a_filter_of_the_jobs_finds(
        seed in any::<u64>(),
        batches in prop::collection::vec((1u64..60, prop::sample::select(vec![
            Then::Wait, Then::Wait, Then::Settle, Then::Settle, Then::Restart,
        ])), 1..10),
        page in 1usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        append(&mut log, &generated(seed, 200));
        let store = Store::open(&dir.path().join("views")).unwrap();
        let (mut jobs, job_view) = Jobs::open(&store).unwrap();
        jobs.reset(reader.identity()).unwrap();
        let mut search = Search::open(&dir.path().join("search")).unwrap();
        search.0.reset(reader.identity()).unwrap();
        let mut next = 1;
        for (size, then) in batches.into_iter().chain([(1000, Then::Wait)]) {
            let last = Seq(next + size - 1);
            let batch: Vec<_> = reader.records(Seq(next)..=last).collect::<Result<_, _>>().unwrap();
            jobs.apply(&batch).unwrap();
            search.0.apply(&batch).unwrap();
            match then {
                Then::Wait => {}
                Then::Settle => search.0.rows().settle().unwrap(),
                // What waits is lost, and folded in again.
                Then::Restart => {
                    drop(search);
                    search = Search::open(&dir.path().join("search")).unwrap();
                    let from = search.0.checkpoint().unwrap().unwrap().seq;
                    let again = reader.records(Seq(from.0 + 1)..=last);
                    search.0.apply(&again.collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
                }
            }
            let shown = job_view.all().unwrap();
            let found = answers(&search.1, page);
            prop_assert_eq!(found.0, shown.seq);
            for ((text, is_meant), hits) in ASKED.iter().zip(&found.1) {
                let mut names: BTreeSet<_> = hits.iter().map(name).collect();
                prop_assert_eq!(names.len(), hits.len(), "{} finds something twice", text);
                // These histories also tell of sources for tracks that there are not.
                names.retain(|name| is_shown(&shown.value, name));
                prop_assert_eq!(names, filtered(&shown.value, *is_meant), "{}", text);
            }
            next = (last.0 + 1).min(reader.durable().0 + 1);
        }
        // In the same order with the same particulars, however they have come to be there.
        let waiting = answers(&search.1, page);
        search.0.rows().settle().unwrap();
        prop_assert_eq!(&answers(&search.1, 100), &waiting);
        prop_assert_eq!(&from_nothing(&dir.path().join("anew"), &reader), &waiting);
        follow::rebuild(&mut search.0, &reader).unwrap();
        prop_assert_eq!(&answers(&search.1, 100), &waiting);
    }
}

fn begun(dir: &Path) -> (Log, Reader) {
    let (mut log, reader) = Log::open(&dir.join("log")).unwrap();
    append(&mut log, &[vec![started()], added(1), fetched(1, 3)]);
    (log, reader)
}

fn names(view: &View, text: &str, kind: Option<Kind>) -> Vec<String> {
    let found = view.search(&Query::parse(text).unwrap(), kind, None, 100).unwrap();
    found.value.hits.iter().map(|(_, hit)| name(hit)).collect()
}

#[test]
fn better_and_shorter_hits_come_first_and_kinds_can_be_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader) = begun(dir.path());
    let (mut search, view) = Search::open(&dir.path().join("search")).unwrap();
    follow::catch_up(&mut search, &reader).unwrap();
    // "Album" by "Ada" is shorter than "Song 1" by "Ada".
    assert_eq!(names(&view, "ada", None), ["job 1", "track 1/1", "track 1/2", "track 1/3"]);
    assert_eq!(names(&view, "ada", Some(Kind::Track)), ["track 1/1", "track 1/2", "track 1/3"]);
    assert_eq!(names(&view, "ada", Some(Kind::File)), Vec::<String>::new());
    // "a" begins a title's word and an artist's; the title counts.
    assert_eq!(names(&view, "a", None)[0], "job 1");
}

fn wait(control: &Control, until: impl Fn(&Status) -> bool) -> Status {
    let started = Instant::now();
    loop {
        let status = control.status().unwrap();
        if until(&status) {
            return status;
        }
        assert!(started.elapsed() < LONG, "{status:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Opens, follows to the end, and says why it was begun anew.
fn followed(dir: &Path, reader: &Reader) -> (Option<String>, Answers) {
    let (search, view) = Search::open(dir).unwrap();
    let follower = Follower::start(search, reader.clone(), |error| panic!("{error}")).unwrap();
    let status = wait(&follower.control(), |it| it.lag == 0 && it.state == State::Following);
    (status.reason, answers(&view, 100))
}

#[test]
fn an_index_ahead_of_its_log_or_of_another_log_is_begun_anew_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("search");
    let (mut log, reader) = begun(dir.path());
    let backup = dir.path().join("backup");
    eventlog::backup::backup(&reader, &backup).unwrap();
    append(&mut log, &[added(2), fetched(2, 3)]);
    assert_eq!(followed(&index, &reader).0, None);
    assert_eq!(followed(&index, &reader).0, None, "it goes on where it was");
    drop((log, reader));

    let restored = dir.path().join("restored");
    eventlog::backup::restore(&backup, &restored).unwrap();
    let (mut log, reader) = Log::open(&restored).unwrap();
    let (reason, found) = followed(&index, &reader);
    let reason = reason.unwrap();
    assert!(reason.contains("at event 11, and the log ends at event 6"), "{reason}");
    assert_eq!(found, from_nothing(&dir.path().join("anew"), &reader));
    append(&mut log, &[added(2)]);

    let (mut other, other_reader) = Log::open(&dir.path().join("other")).unwrap();
    append(&mut other, &[vec![started()], added(1), added(2), fetched(2, 4), added(3)]);
    let (reason, found) = followed(&index, &other_reader);
    let reason = reason.unwrap();
    assert!(reason.contains(&format!("of another log, {}", log.identity())), "{reason}");
    assert_eq!(found, from_nothing(&dir.path().join("other anew"), &other_reader));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| !file.file_name().unwrap().to_str().unwrap().ends_with(".lock"));
    files.sort();
    files
}

fn copied(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to.join("1")).unwrap();
    for file in files(&from.join("1")) {
        fs::copy(&file, to.join("1").join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_damaged_folder_is_begun_anew_and_never_answers_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = begun(dir.path());
    append(&mut log, &generated(3, 60));
    let whole = dir.path().join("whole");
    let (mut search, _) = Search::open(&whole).unwrap();
    follow::catch_up(&mut search, &reader).unwrap();
    // More than one segment, and some deleted documents.
    append(&mut log, &generated(4, 60));
    follow::catch_up(&mut search, &reader).unwrap();
    drop(search);
    let expected = from_nothing(&dir.path().join("expected"), &reader);
    let hurt = dir.path().join("hurt");
    let mut given_up = 0;
    for file in files(&whole.join("1")) {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap();
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x11;
            Some(bytes)
        };
        let middle = bytes.len() / 2;
        let mut hurts = vec![None, Some(Vec::new()), Some(bytes[..middle].to_vec())];
        hurts.extend([0, middle, bytes.len() - 1].map(flipped));
        if name == "meta.json" {
            hurts.extend((0..bytes.len()).step_by(bytes.len() / 40).map(flipped));
        }
        for hurt_bytes in hurts {
            copied(&whole, &hurt);
            let hurt_file = hurt.join("1").join(name);
            match hurt_bytes {
                None => fs::remove_file(hurt_file).unwrap(),
                Some(bytes) => fs::write(hurt_file, bytes).unwrap(),
            }
            let (mut search, view) = Search::open(&hurt).unwrap();
            given_up += usize::from(search.rows().given_up().is_some());
            follow::catch_up(&mut search, &reader).unwrap();
            assert_eq!(answers(&view, 100), expected, "{}", file.display());
        }
    }
    assert!(given_up > 20, "only {given_up}");
    copied(&whole, &hurt);
    let (search, _) = Search::open(&hurt).unwrap();
    assert_eq!(search.rows().given_up(), None);
}

#[test]
fn it_is_folded_anew_while_it_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = begun(dir.path());
    let (search, view) = Search::open(&dir.path().join("search")).unwrap();
    let follower = Follower::start(search, reader.clone(), |error| panic!("{error}")).unwrap();
    let control = follower.control();
    for round in 0..3 {
        control.rebuild();
        append(&mut log, &generated(round, 60));
        let status = wait(&control, |it| it.lag == 0 && it.state == State::Following);
        assert_eq!((status.name, status.reason), ("search", None));
        let anew = from_nothing(&dir.path().join(format!("anew {round}")), &reader);
        assert_eq!(answers(&view, 7), anew);
    }
    drop(follower);
    // The one in service is the only one left, and is found again.
    let left: Vec<_> = files(&dir.path().join("search"));
    let left: Vec<_> = left.iter().map(|it| it.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(left, ["4", "current"]);
    drop(view);
    assert_eq!(followed(&dir.path().join("search"), &reader).0, None);
}

#[test]
fn a_commit_that_fails_is_tried_again_and_nothing_is_missed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("search");
    let (mut log, reader) = begun(dir.path());
    let (mut search, view) = Search::open(&index).unwrap();
    follow::catch_up(&mut search, &reader).unwrap();
    let from = reader.durable();
    append(&mut log, &generated(5, 40));
    let rest: Vec<_> =
        reader.records(Seq(from.0 + 1)..=reader.durable()).collect::<Result<_, _>>().unwrap();
    search.apply(&rest).unwrap();
    let expected = from_nothing(&dir.path().join("anew"), &reader);
    fs::rename(&index, dir.path().join("away")).unwrap();
    for _ in 0..2 {
        search.rows().settle().unwrap();
        assert!(search.rows().due().is_some(), "it is not on the disk");
        assert_eq!(answers(&view, 100), expected);
    }
    fs::rename(dir.path().join("away"), &index).unwrap();
    search.rows().settle().unwrap();
    assert_eq!((search.rows().due(), answers(&view, 100)), (None, expected));
    drop(search);
    let (search, view) = Search::open(&index).unwrap();
    assert_eq!(search.checkpoint().unwrap().unwrap().seq, reader.durable());
    assert_eq!(answers(&view, 100), from_nothing(&dir.path().join("anew"), &reader));
}

#[test]
fn what_it_cannot_take_in_is_a_dead_letter_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = begun(dir.path());
    let (mut search, view) = Search::open(&dir.path().join("search")).unwrap();
    search.reset(reader.identity()).unwrap();
    let mut all: Vec<Record> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    all[4].schema = Schema { kind: 999, version: 1 };
    search.apply(&all).unwrap();
    search.rows().settle().unwrap();
    let letters = search.letters();
    let found = letters.list(Seq(0), 9).unwrap();
    assert_eq!((found.len(), found[0].seq, letters.unacknowledged().unwrap()), (1, Seq(5), 1));
    assert_eq!(names(&view, "song", None), Vec::<String>::new());
    let skip = Command::SkipDeadLetter { view: "search".into(), event: Seq(5) };
    append(&mut log, &[vec![asked(skip)]]);
    follow::catch_up(&mut search, &reader).unwrap();
    assert_eq!(letters.unacknowledged().unwrap(), 0);
    follow::rebuild(&mut search, &reader).unwrap();
    assert_eq!((letters.list(Seq(0), 9).unwrap(), names(&view, "song", None).len()), (vec![], 3));
}

#[test]
fn an_index_that_came_out_otherwise_is_kept_out_of_service() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, reader) = begun(dir.path());
    let (mut search, view) = Search::open(&dir.path().join("search")).unwrap();
    search.reset(reader.identity()).unwrap();
    let mut all: Vec<Record> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    // As if the fold had been another one.
    all[1..4].iter_mut().for_each(|record| record.at.0 += 1);
    search.apply(&all).unwrap();
    let error = follow::rebuild(&mut search, &reader).unwrap_err();
    // The first row that differs is the job's, which says when it was added.
    let words = "view search was folded anew and is another one at event 6, first at key \
                 0200000001; the old rows were kept";
    assert_eq!(error.to_string(), words);
    assert_eq!(names(&view, "song", None).len(), 3);
}
