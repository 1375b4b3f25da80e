//! What takes longer with real clients: a large file that is paused and resumed, in both directions,
//! and several users at once.

use super::*;

/// Bytes of the large file.
const LARGE: usize = 300 << 20;
/// Where it is paused.
const PAUSE: usize = 90 << 20;

/// Sharing, and ready to be found.
async fn sharing(user: &str, script: &str, server: &SoulseekServer, folder: &Path) -> Child {
    let folder = folder.to_str().unwrap();
    let mut real = peer_called(user, script, "share", server, &["--dir", folder]);
    let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
    let ready = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(ready.as_deref(), Some("READY"));
    real
}

async fn let_go(mut real: Child) {
    drop(real.stdin.take());
    real.wait().await.unwrap();
}

/// Where these users have the only file that matches.
async fn found(client: &Client, query: &str, count: usize) -> Vec<(String, String)> {
    let mut search = client.search(query).await.unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let answer = timeout(LIMIT, search.next()).await.unwrap().unwrap();
        found.push((answer.user.clone(), answer.files[0].path.clone()));
    }
    found
}

#[tokio::test]
async fn a_large_file_of_aioslsk_is_paused_and_resumed() {
    we_pause_and_resume(AIOSLSK).await;
}

#[tokio::test]
async fn a_large_file_of_nicotine_is_paused_and_resumed() {
    we_pause_and_resume(NICOTINE).await;
}

async fn we_pause_and_resume(script: &str) {
    let server = server().await;
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("Large Harbour.flac"), content(LARGE)).unwrap();
    let real = sharing("real", script, &server, shared.path()).await;
    let (ada, _events) = log_in(&server, "ada", 2).await;
    let [(_, path)] = &found(&ada, "large harbour", 1).await[..] else { panic!("one") };
    let mut download = ada.download("real", path).await.unwrap();
    assert_eq!(granted(&mut download).await, LARGE as u64);
    let mut stream = download.accept(0, LARGE as u64).await.unwrap();
    let mut held = vec![0; PAUSE];
    let mut filled = 0;
    while filled < PAUSE {
        filled += stream.read(&mut held[filled..]).await.unwrap();
    }
    drop((stream, download));
    let rest = fetch(&ada, "real", path, PAUSE as u64).await;
    let whole = content(LARGE);
    assert!(held == whole[..PAUSE] && rest == whole[PAUSE..]);
    let_go(real).await;
}

#[tokio::test]
async fn aioslsk_pauses_and_resumes_a_large_file_of_ours() {
    real_client_pauses_and_resumes(AIOSLSK).await;
}

#[tokio::test]
async fn nicotine_pauses_and_resumes_a_large_file_of_ours() {
    real_client_pauses_and_resumes(NICOTINE).await;
}

async fn real_client_pauses_and_resumes(script: &str) {
    let server = server().await;
    let folder = Folder::new().with(SONG, LARGE);
    // Slow enough that it can be paused in the middle.
    let slow = ClientConfig { upload_bytes_per_s: Some(150 << 20), ..config(&server, "ada", 2) };
    let (_ada, mut uploads) = Client::login(slow, folder.shares()).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let pause_at = PAUSE.to_string();
    let rest = ["--query", "loveless soon", "--from", "ada", "--pause-at", &pause_at];
    let rest = [&rest[..], &["--out", out.path().to_str().unwrap()]].concat();
    let mut real = peer(script, "fetch", &server, &rest);
    let mut lines = BufReader::new(real.stdout.take().unwrap()).lines();
    let mut next = async || timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    assert!(next().await.unwrap().starts_with("PAUSED "));
    let line = next().await.expect("it is resumed");
    let (_, local) = line.strip_prefix("DONE ").unwrap().split_once('\t').unwrap();
    assert!(std::fs::read(local).unwrap() == content(LARGE));
    let is_start = |event: &Event| matches!(event, Event::UploadStarted { .. });
    let mut offsets = Vec::new();
    for _ in 0..2 {
        if let Event::UploadStarted { offset, .. } = event(&mut uploads, is_start).await {
            offsets.push(offset);
        }
    }
    assert!(offsets[0] == 0 && offsets[1] >= PAUSE as u64, "{offsets:?}");
    ended_well(real, lines).await;
}

#[tokio::test]
async fn both_real_clients_give_at_once() {
    let server = server().await;
    let mut folders = Vec::new();
    let mut real = Vec::new();
    for (user, script) in [("aio", AIOSLSK), ("nic", NICOTINE)] {
        let shared = tempfile::tempdir().unwrap();
        std::fs::write(shared.path().join("Harbour Lights.flac"), content(SIZE)).unwrap();
        real.push(sharing(user, script, &server, shared.path()).await);
        folders.push(shared);
    }
    let (ada, _events) = log_in(&server, "ada", 2).await;
    let offers = found(&ada, "harbour lights", 2).await;
    let mut granting = Vec::new();
    for (user, path) in &offers {
        let mut download = ada.download(user, path).await.unwrap();
        let size = granted(&mut download).await;
        granting.push((download, size));
    }
    // Both are open before either is read.
    let mut streams = Vec::new();
    for (download, size) in &mut granting {
        streams.push(download.accept(0, *size).await.unwrap());
    }
    for stream in &mut streams {
        let (bytes, end) = read_all(stream).await;
        end.unwrap();
        assert!(bytes == content(SIZE));
    }
    for real in real {
        let_go(real).await;
    }
}

#[tokio::test]
async fn both_real_clients_take_three_files_each_through_one_slot() {
    takers(1, 1).await;
}

#[tokio::test]
async fn both_real_clients_take_three_files_each_through_two_slots() {
    takers(2, 2).await;
}

/// Two users fetch three files each; as many uploads as `most` are seen at once.
async fn takers(slots: usize, most: usize) {
    let server = server().await;
    let names = [SONG, r"Music\Loveless\12 Jóga.mp3", r"Music\Loveless\13 ひとつ.mp3"];
    let folder = names.iter().fold(Folder::new(), |folder, path| folder.with(path, SIZE));
    let ours = ClientConfig {
        upload_slots: slots,
        upload_bytes_per_s: Some(4 << 20),
        ..config(&server, "ada", 2)
    };
    let (_ada, mut uploads) = Client::login(ours, folder.shares()).await.unwrap();
    let mut real = Vec::new();
    for (user, script) in [("aio", AIOSLSK), ("nic", NICOTINE)] {
        let out = tempfile::tempdir().unwrap();
        let rest = ["--query", "loveless", "--count", "3", "--from", "ada"];
        let rest = [&rest[..], &["--out", out.path().to_str().unwrap()]].concat();
        let mut child = peer_called(user, script, "fetch", &server, &rest);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        real.push((child, lines, out));
    }
    let at_once = most_at_once(&mut uploads, 6).await;
    assert!(at_once <= most, "{at_once} at once");
    for (child, mut lines, _out) in real {
        for _ in names {
            let line = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
            let (_, local) = line.strip_prefix("DONE ").unwrap().split_once('\t').unwrap();
            assert!(std::fs::read(local).unwrap() == content(SIZE), "{line}");
        }
        ended_well(child, lines).await;
    }
}
