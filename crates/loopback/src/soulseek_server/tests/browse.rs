//! Looking at what another user shares, and what a user may answer with. Against real clients it is in
//! [`super::real_clients`].

use std::collections::BTreeMap;

use soulseek::wire::peer::{FileEntry, FolderEntry, ShareList, UserInfo};
use soulseek::{Browse, BrowseError, RemoteFolder};

use super::stranger::{Stranger, read_peer};
use super::*;

/// Everything of a list, by folder; pieces of one folder are put together.
pub(super) async fn read_list(
    list: &mut Browse,
) -> Result<BTreeMap<String, Vec<String>>, BrowseError> {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(RemoteFolder { path, files, .. }) =
        timeout(LIMIT, list.next()).await.expect("folders in time")?
    {
        folders.entry(path).or_default().extend(files.into_iter().map(|file| file.path));
    }
    Ok(folders)
}

#[tokio::test]
async fn a_list_of_200_000_files_is_read_folder_by_folder() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    // Most in folders of ten, as music is, and one folder with more than anybody keeps in one.
    let place = |number: usize| match number {
        0..10_000 => format!(r"Music\Everything\{number}.flac"),
        _ => format!(r"Music\Ärtist {}\Album {}\{number}.flac", number / 100, number / 10),
    };
    let files = (0..200_000).map(|number| SharedFile {
        virtual_path: place(number),
        local_path: PathBuf::from("/nowhere"),
        size: number as u64,
        attributes: Attributes { duration_s: Some(200), ..Attributes::default() },
    });
    let shares = Shares::new(files);
    let folder_count = shares.folder_count();
    let (_bo, _bo_events) = Client::login(config(&server, "bo", 3), shares).await.unwrap();

    let mut list = ada.browse("bo").await.unwrap();
    let second = ada.browse("bo").await.map(drop);
    assert_eq!(second, Err(BrowseError::AlreadyAsked));
    let folders = read_list(&mut list).await.unwrap();
    assert_eq!(folders.len() as u64, folder_count);
    assert_eq!(folders.values().map(Vec::len).sum::<usize>(), 200_000);
    assert_eq!(folders[r"Music\Everything"].len(), 10_000);
    assert_eq!(folders[r"Music\Ärtist 1999\Album 19999"][9], place(199_999));
    assert_eq!(list.next().await, Ok(None), "and again");

    // The same connection goes on, though nobody takes what comes.
    drop(ada.browse("bo").await.unwrap());
    let album = ada.folder("bo", r"Music\Ärtist 150\Album 1500").await.unwrap();
    assert_eq!(album.len(), 1);
    assert_eq!((album[0].files[3].path.clone(), album[0].files[3].size), (place(15_003), 15_003));
    assert_eq!(ada.folder("bo", r"Music\Nothing").await, Ok(Vec::new()));
    let info = ada.user_info("bo").await.unwrap();
    assert_eq!((info.description.as_str(), info.upload_slots, info.free_slot), ("a test", 2, true));
    assert_eq!(ada.user_info("nobody").await, Err(BrowseError::Offline));
}

#[tokio::test]
async fn a_list_that_breaks_off_or_is_damaged_is_told_from_one_that_ends() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let files = |number: usize| {
        let (name, extension, attributes) = (number.to_string(), String::new(), Vec::new());
        vec![FileEntry { mark: 1, name, size: 1, extension, attributes }]
    };
    let folders = (0..2_000).map(|it| FolderEntry { path: it.to_string(), files: files(it) });
    let list = ShareList { folders: folders.collect(), private_folders: Vec::new() };
    let whole = PeerMessage::ShareList { list }.encode();
    let mut damaged = whole.clone();
    damaged[2_000] ^= 0xff;

    for (sent, expected) in [
        (&whole[..whole.len() / 2], Some(BrowseError::Cut)),
        (&damaged[..], Some(BrowseError::Unreadable(soulseek::wire::DecodeError::Damaged))),
        (&whole[..], None),
    ] {
        let mut list = ada.browse("stranger").await.unwrap();
        let mut peer = stranger.accept().await;
        assert_eq!(read_peer(&mut peer).await, PeerMessage::GetShareList {});
        peer.write_all(sent).await.unwrap();
        peer.shutdown().await.unwrap();
        assert_eq!(read_list(&mut list).await.err(), expected);
        // Until our side has closed, too: the next list comes on another connection.
        while peer.read(&mut [0; 1_000]).await.is_ok_and(|count| count > 0) {}
    }
}

#[tokio::test]
async fn what_is_larger_than_a_message_is_taken_only_when_it_was_asked_for() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let stranger = Stranger::log_in(&server, "stranger", 9).await;
    let info = UserInfo {
        description: "so it is".to_owned(),
        picture: Some(vec![7; 1 << 20]),
        upload_slots: 1,
        queue_length: 0,
        free_slot: true,
        permission: None,
    };
    let answer = PeerMessage::UserInfo { info: info.clone() }.encode();

    let answering = async {
        let mut peer = stranger.accept().await;
        assert_eq!(read_peer(&mut peer).await, PeerMessage::GetUserInfo {});
        peer.write_all(&answer).await.unwrap();
        peer
    };
    let (told, mut peer) = tokio::join!(ada.user_info("stranger"), answering);
    assert_eq!(told.unwrap(), info);
    // The second one is nobody's answer, and its length ends the connection.
    let _ = peer.write_all(&answer).await;
    let closed = timeout(LIMIT, peer.read(&mut [0; 1])).await.expect("closed in time");
    assert!(closed.map_or(true, |count| count == 0));
}
