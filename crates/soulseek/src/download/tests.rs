//! Requests over hours, in a time that passes by itself: what is asked again, when, and what is not.

use super::*;
use crate::peers::test_link;
use crate::session::offline;
use crate::shares::Shares;

const PATH: &str = r"Music\Album\1.flac";

/// What a user is sent, with the seconds since the request began.
struct Asked {
    session: Arc<Session>,
    sent: mpsc::Receiver<Vec<u8>>,
    began: Instant,
    /// The server, which nobody has to hear.
    _requests: mpsc::Receiver<Vec<u8>>,
}

impl Asked {
    fn new() -> Asked {
        let (session, requests) = offline(Shares::default());
        let sent = test_link(&session, "bo");
        Asked { session, sent, began: Instant::now(), _requests: requests }
    }

    fn begin(&self, path: &str) -> Download {
        Download::begin(&self.session, "bo", path).unwrap()
    }

    async fn next(&mut self) -> (u64, PeerMessage) {
        let frame = self.sent.recv().await.unwrap();
        let code = u32::from_le_bytes(frame[4..8].try_into().unwrap());
        (self.began.elapsed().as_secs(), PeerMessage::decode(code, &frame[8..]).unwrap())
    }

    /// What is sent while the caller listens to the request, until so many were.
    async fn hear(&mut self, download: &mut Download, count: usize) -> Vec<(u64, PeerMessage)> {
        let mut heard = Vec::new();
        while heard.len() < count {
            tokio::select! {
                biased;
                message = self.next() => heard.push(message),
                event = download.next() => {
                    assert!(!matches!(event, DownloadEvent::Ended(_)), "{event:?}");
                }
            }
        }
        heard
    }
}

fn request() -> PeerMessage {
    PeerMessage::QueueUpload { path: PATH.to_owned() }
}

fn place() -> PeerMessage {
    PeerMessage::GetPlaceInQueue { path: PATH.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_waited_for_and_asked_again_every_three_minutes() {
    for words in [
        "Too many files",
        "Too many megabytes",
        "Too many files.",
        "User limit of 50 files exceeded",
    ] {
        let mut asked = Asked::new();
        let mut download = asked.begin(PATH);
        assert_eq!(asked.hear(&mut download, 1).await, [(0, request())]);
        asked.session.downloads.denied("bo", PATH, words);
        assert_eq!(asked.hear(&mut download, 2).await, [(180, request()), (180, place())]);
        asked.session.downloads.denied("bo", PATH, words);
        assert_eq!(asked.hear(&mut download, 2).await, [(360, request()), (360, place())]);
        // Now there is room, so there is a place, and no need to ask for the file again.
        asked.session.downloads.placed("bo", PATH, 4);
        assert_eq!(download.next().await, DownloadEvent::Place(4));
        assert_eq!(asked.hear(&mut download, 1).await, [(540, place())]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_is_asked_for_every_three_minutes_and_the_file_anew_when_nobody_answers() {
    let mut asked = Asked::new();
    let mut download = asked.begin(PATH);
    let expected = [
        (0, request()),
        (3, place()),
        (183, request()),
        (183, place()),
        (363, request()),
        (363, place()),
    ];
    assert_eq!(asked.hear(&mut download, expected.len()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_failed_is_asked_for_once_more() {
    let mut asked = Asked::new();
    let mut download = asked.begin(PATH);
    assert_eq!(asked.hear(&mut download, 1).await, [(0, request())]);
    asked.session.downloads.failed("bo", PATH);
    assert_eq!(asked.hear(&mut download, 1).await, [(0, request())]);
    asked.session.downloads.failed("bo", PATH);
    let end = loop {
        if let DownloadEvent::Ended(end) = download.next().await {
            break end;
        }
    };
    assert_eq!(end, DownloadEnd::UploadFailed);
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_the_end_and_a_departure_is_told_apart() {
    for (words, expected) in [
        ("Pending shutdown.", DownloadEnd::PeerLeaving),
        ("File not shared.", DownloadEnd::Denied("File not shared.".to_owned())),
        ("Banned", DownloadEnd::Denied("Banned".to_owned())),
    ] {
        let mut asked = Asked::new();
        let mut download = asked.begin(PATH);
        asked.hear(&mut download, 1).await;
        asked.session.downloads.denied("bo", PATH, words);
        while download.ended.is_none() {
            download.next().await;
        }
        assert_eq!(download.next().await, DownloadEvent::Ended(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_known_in_unicode_is_tried_in_latin_1_once() {
    let path = "Music\\Björk\\Jóga.mp3";
    let mut asked = Asked::new();
    let mut download = asked.begin(path);
    asked.hear(&mut download, 1).await;
    asked.session.downloads.denied("bo", path, "File not shared.");
    tokio::select! {
        biased;
        frame = asked.sent.recv() => {
            let bytes = b"Music\\Bj\xf6rk\\J\xf3ga.mp3";
            let expected = [&[28, 0, 0, 0, 43, 0, 0, 0, 20, 0, 0, 0][..], bytes].concat();
            assert_eq!(frame.unwrap(), expected);
        }
        _ = async { loop { download.next().await; } } => {}
    }
    asked.session.downloads.denied("bo", path, "File not shared.");
    while download.ended.is_none() {
        download.next().await;
    }
    for path in [PATH, "Music\\ひとつ.mp3"] {
        let mut asked = Asked::new();
        let mut download = asked.begin(path);
        asked.hear(&mut download, 1).await;
        asked.session.downloads.denied("bo", path, "File not shared.");
        while download.ended.is_none() {
            download.next().await;
        }
    }
}
