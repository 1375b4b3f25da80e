//! Effects performed with real files and real sockets, and what they report.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use domain::chunk::Digest;
use domain::effect::Tags;
use domain::observation::{DiskFault, Examination, PublishFault, TransferEnd, TransferFault};
use domain::{ByteRange, JobId, PeerId, SearchId};
use loopback::album;
use loopback::music::encode_flac;
use loopback::peer::{Manner, Offer, Peer};
use loopback::soulseek_server::SoulseekServer;
use soulseek::{Attributes, Client, ClientConfig, EventReceiver, SharedFile, Shares};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::inbox::{self, Entry};
use crate::session;

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };
const PLACE: &str = "The Tin Orchard/Harbour Lights (1999)/01 Track.flac";

/// A performer with its folders, and where it reports to.
struct Bench {
    dir: TempDir,
    performer: Performer,
    reports: mpsc::Receiver<Entry>,
    present: watch::Sender<Option<Client>>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (inbox, reports) = inbox::channel();
        let (present, session) = session::slot();
        let nowhere = "http://127.0.0.1:9";
        let music = dir.path().join("music");
        fs::create_dir(&music).unwrap();
        let tools = Tools {
            inbox,
            session,
            staging: Staging::open(dir.path().join("staging")).unwrap(),
            shelf: Shelf::new(&music, crate::shares::Sharing::default()),
            share_finished: true,
            music,
            musicbrainz: Arc::new(MusicBrainz::new(nowhere, "test").unwrap()),
            musicbrainz_turns: Arc::new(Throttle::new(Duration::ZERO)),
            acoustid: Arc::new(AcoustId::new(nowhere, None, "test").unwrap()),
            acoustid_turns: Arc::new(Throttle::new(Duration::ZERO)),
        };
        Self { dir, performer: Performer::new(tools), reports, present }
    }

    /// Puts a file into staging and returns its digest and size.
    fn stage(&self, attempt: u16, bytes: &[u8]) -> (Digest, u64) {
        let path = self.staged(attempt);
        fs::write(&path, bytes).unwrap();
        crate::staging::digest(&path).unwrap()
    }

    fn staged(&self, attempt: u16) -> PathBuf {
        self.performer.tools.staging.path(TRACK, attempt)
    }

    fn place(&self, path: &str) -> PathBuf {
        self.dir.path().join("music").join(path)
    }

    fn publish(&mut self, attempt: u16, digest: Digest) {
        let target = album::target();
        let tags = Tags {
            track: target.tracks[0].clone(),
            tracks_on_medium: 9,
            acoustid: "00005001-7e57-4000-8000-000000005001".parse().unwrap(),
            release: target,
        };
        let (path, tags) = (PLACE.to_owned(), Box::new(tags));
        self.performer.perform(Effect::Publish { track: TRACK, attempt, digest, path, tags });
    }

    async fn seen(&mut self) -> Observation {
        let entry = timeout(LIMIT, self.reports.recv()).await.expect("news in time").unwrap();
        match entry.input {
            domain::Input::Observation(seen) => seen,
            domain::Input::Command(command) => panic!("{command:?}"),
        }
    }

    async fn published(&mut self) -> String {
        match self.seen().await {
            Observation::FilePublished { path, .. } => path,
            other => panic!("{other:?}"),
        }
    }
}

fn flac() -> Vec<u8> {
    encode_flac(&album::sound(0))
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[tokio::test]
async fn a_track_that_is_asked_for_twice_is_published_once() {
    let mut bench = Bench::new();
    let (digest, size) = bench.stage(0, &flac());
    bench.performer.perform(Effect::Examine { track: TRACK, attempt: 0, size });
    bench.performer.perform(Effect::Examine { track: TRACK, attempt: 0, size });
    assert!(matches!(
        bench.seen().await,
        Observation::FileExamined { attempt: 0, outcome: Examination::Music(_), .. }
    ));
    bench.publish(0, digest);
    bench.publish(0, digest);
    assert_eq!(bench.published().await, PLACE);
    // Asked after the answer, it is answered anew, from what is there.
    bench.publish(0, digest);
    assert_eq!(bench.published().await, PLACE);
    assert_eq!(files(&bench.place("")), [bench.place(PLACE)]);
    assert!(bench.reports.try_recv().is_err(), "one answer for what was asked twice");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_never_overwritten() {
    let mut bench = Bench::new();
    let (digest, _) = bench.stage(0, &flac());
    let theirs = bench.place(PLACE);
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, "mine").unwrap();
    // A link to nowhere has the second name; it is somebody's, too.
    let second = theirs.with_file_name("01 Track (2).flac");
    std::os::unix::fs::symlink("nowhere", &second).unwrap();
    bench.publish(0, digest);
    assert!(bench.published().await.ends_with("01 Track (3).flac"));
    assert_eq!(fs::read(&theirs).unwrap(), b"mine");
    assert!(second.is_symlink() && !second.exists());
}

#[tokio::test]
async fn a_copy_left_by_a_crash_is_not_written_into() {
    let mut bench = Bench::new();
    let (digest, _) = bench.stage(0, &flac());
    bench.publish(0, digest);
    bench.published().await;
    // Killed between the two steps of placing a file, its copy is still there under the hidden name.
    let published = bench.place(PLACE);
    let before = fs::read(&published).unwrap();
    let left = published.with_file_name(".reprise-1-1-0.flac");
    fs::hard_link(&published, &left).unwrap();
    bench.publish(0, digest);
    assert_eq!(bench.published().await, PLACE);
    assert!(fs::read(&published).unwrap() == before);
    assert!(!left.exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_tagged_is_told_from_a_disk_that_cannot_be_written() {
    let mut bench = Bench::new();
    let (digest, _) = bench.stage(0, b"no music at all, and no place for tags");
    bench.publish(0, digest);
    let seen = bench.seen().await;
    assert!(
        matches!(
            seen,
            Observation::PublishFailed { attempt: 0, fault: PublishFault::Untaggable(_), .. }
        ),
        "{seen:?}"
    );
    // A file where the artist's folder should be.
    let (digest, _) = bench.stage(1, &flac());
    fs::remove_dir_all(bench.place("The Tin Orchard")).unwrap();
    fs::write(bench.place("The Tin Orchard"), "").unwrap();
    bench.publish(1, digest);
    let seen = bench.seen().await;
    assert!(
        matches!(seen, Observation::PublishFailed { attempt: 1, fault: PublishFault::Disk(_), .. }),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_staged_file_that_cannot_be_read_is_not_lost() {
    let mut bench = Bench::new();
    // A folder can be opened and not be read, whoever asks.
    fs::create_dir(bench.staged(0)).unwrap();
    bench.performer.perform(Effect::Examine { track: TRACK, attempt: 0, size: 10 });
    let seen = bench.seen().await;
    assert!(
        matches!(seen, Observation::ExamineFailed { attempt: 0, fault: DiskFault::Other(_), .. }),
        "{seen:?}"
    );
    bench.stage(1, b"short");
    for attempt in [1, 2] {
        bench.performer.perform(Effect::Examine { track: TRACK, attempt, size: 10 });
        let seen = bench.seen().await;
        assert!(
            matches!(seen, Observation::StagingLost { attempt: lost, .. } if lost == attempt),
            "{seen:?}"
        );
    }
}

async fn log_in(server: &SoulseekServer, last: u8) -> (Client, EventReceiver) {
    let config = ClientConfig {
        upload_slots: 0,
        ..ClientConfig::new(
            &server.addr().to_string(),
            "node",
            "secret",
            SocketAddr::from(([127, 0, 8, last], 0)),
        )
    };
    Client::login(config, Shares::default()).await.unwrap()
}

async fn sharer(server: &SoulseekServer, user: &str, last: u8) -> Peer {
    let offer = Offer {
        virtual_path: r"Music\Tin Orchard\01.flac".into(),
        local_path: "never opened".into(),
        size: 10,
        duration_s: 1,
    };
    let manner = Manner { user: user.into(), bytes_per_s: 1, slots: 1, dies_after: None };
    let listen = SocketAddr::from(([127, 0, 8, last], 0));
    Peer::start(server.addr(), listen, manner, vec![offer]).await.unwrap()
}

#[tokio::test]
async fn a_search_whose_session_ends_is_sent_again_in_the_next() {
    let mut bench = Bench::new();
    let local = SocketAddr::from(([127, 0, 8, 1], 0));
    let server = SoulseekServer::bind(local).await.unwrap();
    let _ada = sharer(&server, "ada", 2).await;
    let (first, _events) = log_in(&server, 3).await;
    bench.present.send_replace(Some(first.clone()));
    let (job, search) = (JobId(1), SearchId(1));
    let query = "tin orchard".to_owned();
    bench.performer.perform(Effect::Search { job, search, query, open_ms: 3_000 });
    let from = |seen: Observation| match seen {
        Observation::SearchAnswered { peer: PeerId::Soulseek(user), .. } => user,
        other => panic!("{other:?}"),
    };
    assert_eq!(from(bench.seen().await), "ada");
    first.close().await;
    bench.present.send_replace(None);

    // In the next session both answer; what ada has is known.
    let _bo = sharer(&server, "bo", 4).await;
    let (second, _events) = log_in(&server, 5).await;
    bench.present.send_replace(Some(second));
    assert_eq!(from(bench.seen().await), "bo");
    assert_eq!(bench.seen().await, Observation::SearchEnded { job, search });
}

#[tokio::test]
async fn an_uploader_that_says_it_leaves_is_as_good_as_offline_and_one_that_denies_is_not() {
    let mut bench = Bench::new();
    let local = SocketAddr::from(([127, 0, 8, 1], 0));
    let server = SoulseekServer::bind(local).await.unwrap();
    let (ours, _events) = log_in(&server, 3).await;
    bench.present.send_replace(Some(ours));
    let config = ClientConfig {
        upload_slots: 0,
        ..ClientConfig::new(
            &server.addr().to_string(),
            "ada",
            "secret",
            SocketAddr::from(([127, 0, 8, 2], 0)),
        )
    };
    let file = SharedFile {
        virtual_path: r"Music\01.flac".into(),
        local_path: "never opened".into(),
        size: 10,
        attributes: Attributes::default(),
    };
    let (ada, _events) = Client::login(config, Shares::new([file])).await.unwrap();
    let ask = |assignment, path: &str| Effect::FetchRange {
        track: TRACK,
        attempt: 0,
        assignment: AssignmentId(assignment),
        peer: PeerId::Soulseek("ada".into()),
        path: path.into(),
        size: 10,
        range: ByteRange { start: 0, end: 10 },
        overlap: 0,
        content: None,
    };
    bench.performer.perform(ask(1, r"Music\02.flac"));
    let denied = TransferFault::Denied("File not shared.".into());
    assert_eq!(bench.seen().await, transfer_failed(1, denied));

    bench.performer.perform(ask(2, r"Music\01.flac"));
    let seen = bench.seen().await;
    assert!(matches!(seen, Observation::PlaceTold { place: 1, .. }), "{seen:?}");
    ada.close().await;
    assert_eq!(bench.seen().await, transfer_failed(2, TransferFault::PeerOffline));
}

fn transfer_failed(assignment: u64, fault: TransferFault) -> Observation {
    let (assignment, end) = (AssignmentId(assignment), TransferEnd::Failed(fault));
    Observation::TransferEnded { track: TRACK, assignment, end }
}

#[tokio::test]
async fn finished_music_is_shared_unless_its_owner_does_not_want_it() {
    for (share_finished, expected) in [(true, 1), (false, 0)] {
        let mut bench = Bench::new();
        bench.performer.tools.share_finished = share_finished;
        fs::write(bench.performer.tools.music.join("song.flac"), [7]).unwrap();
        bench.performer.perform(Effect::Share { path: "song.flac".into() });
        assert_eq!(bench.performer.tools.shelf.shares().file_count(), expected);
    }
}
