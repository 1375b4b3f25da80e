//! Messages between two clients (`P`), and the lists of files inside them.

use super::inflate::{deflate, inflate, inflate_front};
use super::pack::{DecodeError, Field, Reader, read_first};
use super::table::{messages, record};

messages! {
    /// What two clients tell each other.
    PeerMessage: u32 {
        /// Asks for everything shared.
        4 => GetShareList {}
        /// Answers code 4.
        5 => ShareList { list: ShareList }
        /// Answers a search.
        9 => SearchAnswer { answer: SearchAnswer }
        /// Asks who this is.
        15 => GetUserInfo {}
        /// Answers code 15.
        16 => UserInfo { info: UserInfo }
        /// Asks for one folder.
        36 => GetFolder { token: u32, folder: String }
        /// Answers code 36.
        37 => Folder { contents: FolderContents }
        /// Offers an upload (direction 1, with a size in bytes), or asks for one the old way (0).
        40 => TransferRequest { direction: u32, token: u32, path: String, size: Option<u64> }
        /// Accepts or declines code 40.
        41 => TransferResponse { token: u32, verdict: Verdict }
        /// Asks to be queued for a file.
        43 => QueueUpload { path: String }
        /// Answers code 51; the first place is 1.
        44 => PlaceInQueue { path: String, place: u32 }
        /// The upload of this file broke off at the uploader's end.
        46 => UploadFailed { path: String }
        /// The file will not be uploaded.
        50 => UploadDenied { path: String, reason: String }
        /// Asks for the place in the queue.
        51 => GetPlaceInQueue { path: String }
        /// Announces an upload; one old client sends it in front of code 40, which says all.
        52 => UploadQueued {}
    }
}

/// Code of a share list.
pub const SHARE_LIST: u32 = 5;
/// Code of a search answer.
pub const SEARCH_ANSWER: u32 = 9;
/// Code of user information.
pub const USER_INFO: u32 = 16;
/// Code of a folder's contents.
pub const FOLDER: u32 = 37;

/// Direction in code 40: the sender wants to download, the old way.
pub const DIRECTION_DOWNLOAD: u32 = 0;
/// Direction in code 40: the sender is ready to upload.
pub const DIRECTION_UPLOAD: u32 = 1;

/// Reasons as other clients spell them; their text is compared, so it is never changed.
pub mod reason {
    /// The receiver no longer wants the file, or never asked for it.
    pub const CANCELLED: &str = "Cancelled";
    /// The file is not among the shares.
    pub const NOT_SHARED: &str = "File not shared.";
    /// The file could not be read.
    pub const READ_ERROR: &str = "File read error.";
    /// The uploader is about to leave; ask again when it is back.
    pub const PENDING_SHUTDOWN: &str = "Pending shutdown.";
    /// Wait: it is queued.
    pub const QUEUED: &str = "Queued";
    /// Too many files are queued by this user already; ask again later.
    pub const TOO_MANY_FILES: &str = "Too many files";
    /// Too many bytes are queued by this user already; ask again later.
    pub const TOO_MANY_MEGABYTES: &str = "Too many megabytes";
}

/// Unpacked size limit of a search answer, in bytes. Most clients send a few hundred files; this is
/// ten thousand.
const SEARCH_ANSWER_CAP: usize = 2 << 20;
/// Files of a search answer that are kept; more are cut off, and nobody looks at more.
const FILES_KEPT: usize = 1_000;
/// Where user and token of a search answer end, at the latest: names have at most 30 bytes.
const HEAD_BYTES: usize = 256;
/// Unpacked size limit of a share list or a folder, in bytes.
const BROWSE_CAP: usize = 4 << 20;
/// Files and folders of a share list or a folder that are kept; more are cut off.
const BROWSE_KEPT: usize = 20_000;

record! {
    /// One attribute of a file; see [`attribute`].
    Attribute {
        /// Which attribute.
        code: u32,
        /// Its value.
        value: u32,
    }
}

/// Codes of file attributes.
pub mod attribute {
    /// Kilobits per second.
    pub const BITRATE: u32 = 0;
    /// Seconds.
    pub const DURATION: u32 = 1;
    /// 1 when the bit rate varies.
    pub const VARIABLE: u32 = 2;
    /// Hertz.
    pub const SAMPLE_RATE: u32 = 4;
    /// Bits per sample.
    pub const BIT_DEPTH: u32 = 5;
}

/// One file in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Always 1.
    pub mark: u8,
    /// The whole path in search answers, the bare name in share lists.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Without a dot; empty from most clients.
    pub extension: String,
    /// What is known about the sound.
    pub attributes: Vec<Attribute>,
}

impl Field for FileEntry {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(FileEntry {
            mark: Field::read(reader)?,
            name: Field::read(reader)?,
            size: real_size(Field::read(reader)?),
            extension: Field::read(reader)?,
            attributes: Field::read(reader)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.mark.write(out);
        self.name.write(out);
        self.size.write(out);
        self.extension.write(out);
        self.attributes.write(out);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        (any::<(u8, String, u64, String)>(), Vec::<Attribute>::any())
            .prop_map(|((mark, name, size, extension), attributes)| FileEntry {
                mark,
                name,
                size: real_size(size),
                extension,
                attributes,
            })
            .boxed()
    }
}

/// One old client fills the upper half of a size above 2 GiB with ones.
fn real_size(told: u64) -> u64 {
    if told >> 56 == 0xff { told & u64::from(u32::MAX) } else { told }
}

record! {
    /// One folder in a list.
    FolderEntry {
        /// The whole path.
        path: String,
        /// Its files, with bare names.
        files: Vec<FileEntry>,
    }
}

/// The body of code 9, which travels compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchAnswer {
    /// Who answers.
    pub user: String,
    /// The search it belongs to.
    pub token: u32,
    /// Files anyone may fetch.
    pub files: Vec<FileEntry>,
    /// Whether an upload would begin at once.
    pub free_slot: bool,
    /// Average upload speed in bytes per second.
    pub speed: u32,
    /// How many uploads wait.
    pub queue_length: u32,
    /// Files only for chosen users.
    pub private_files: Vec<FileEntry>,
}

impl SearchAnswer {
    /// Reads from a packed body who answers and which search, and unpacks no more than that.
    pub fn peek(body: &[u8]) -> Result<(String, u32), DecodeError> {
        let front = inflate_front(body, HEAD_BYTES)?;
        let reader = &mut Reader::new(&front);
        Ok((Field::read(reader)?, Field::read(reader)?))
    }
}

impl Field for SearchAnswer {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let plain = inflate(reader.take_rest(), SEARCH_ANSWER_CAP)?;
        let reader = &mut Reader::new(&plain);
        let mut room = FILES_KEPT;
        let answer = SearchAnswer {
            user: Field::read(reader)?,
            token: Field::read(reader)?,
            files: read_first(reader, &mut room)?,
            free_slot: Field::read(reader)?,
            speed: Field::read(reader)?,
            queue_length: Field::read(reader)?,
            private_files: Vec::new(),
        };
        // Some clients end here, some after the zero, most after the private files.
        if reader.is_empty() {
            return Ok(answer);
        }
        u32::read(reader)?;
        if reader.is_empty() {
            return Ok(answer);
        }
        let private_files = read_first(reader, &mut room)?;
        Ok(SearchAnswer { private_files, ..answer })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        self.user.write(&mut plain);
        self.token.write(&mut plain);
        self.files.write(&mut plain);
        self.free_slot.write(&mut plain);
        self.speed.write(&mut plain);
        self.queue_length.write(&mut plain);
        // Real clients fail to read the answer without this zero. SOULSEEK.md 2.9.
        0u32.write(&mut plain);
        write_private(&self.private_files, &mut plain);
        out.extend_from_slice(&deflate(&plain));
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        let files = Vec::<FileEntry>::any;
        (any::<(String, u32, bool, u32, u32)>(), files(), files())
            .prop_map(|((user, token, free_slot, speed, queue_length), files, private_files)| {
                SearchAnswer { user, token, files, free_slot, speed, queue_length, private_files }
            })
            .boxed()
    }
}

/// The body of code 5, which travels compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareList {
    /// Folders anyone may see.
    pub folders: Vec<FolderEntry>,
    /// Folders for chosen users.
    pub private_folders: Vec<FolderEntry>,
}

impl Field for ShareList {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let plain = inflate(reader.take_rest(), BROWSE_CAP)?;
        let reader = &mut Reader::new(&plain);
        let mut room = BROWSE_KEPT;
        let list =
            ShareList { folders: read_folders(reader, &mut room)?, private_folders: Vec::new() };
        if reader.is_empty() {
            return Ok(list);
        }
        u32::read(reader)?;
        if reader.is_empty() {
            return Ok(list);
        }
        let private_folders = read_folders(reader, &mut room)?;
        Ok(ShareList { private_folders, ..list })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        self.folders.write(&mut plain);
        0u32.write(&mut plain);
        write_private(&self.private_folders, &mut plain);
        out.extend_from_slice(&deflate(&plain));
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        (Vec::<FolderEntry>::any(), Vec::<FolderEntry>::any())
            .prop_map(|(folders, private_folders)| ShareList { folders, private_folders })
            .boxed()
    }
}

/// The body of code 37, which travels compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct FolderContents {
    /// From code 36.
    pub token: u32,
    /// From code 36.
    pub folder: String,
    /// The folder and those below it.
    pub folders: Vec<FolderEntry>,
}

impl FolderContents {
    /// Reads from a packed body which request it answers, and unpacks no more than that.
    pub fn peek(body: &[u8]) -> Result<u32, DecodeError> {
        u32::read(&mut Reader::new(&inflate_front(body, size_of::<u32>())?))
    }
}

impl Field for FolderContents {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let plain = inflate(reader.take_rest(), BROWSE_CAP)?;
        let reader = &mut Reader::new(&plain);
        let mut room = BROWSE_KEPT;
        Ok(FolderContents {
            token: Field::read(reader)?,
            folder: Field::read(reader)?,
            folders: read_folders(reader, &mut room)?,
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        self.token.write(&mut plain);
        self.folder.write(&mut plain);
        self.folders.write(&mut plain);
        out.extend_from_slice(&deflate(&plain));
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        (any::<(u32, String)>(), Vec::<FolderEntry>::any())
            .prop_map(|((token, folder), folders)| FolderContents { token, folder, folders })
            .boxed()
    }
}

/// Real clients end the message where nothing is private.
fn write_private<T: Field + std::fmt::Debug + 'static>(list: &Vec<T>, out: &mut Vec<u8>) {
    if !list.is_empty() {
        list.write(out);
    }
}

/// Reads folders and their files, as many of both together as there is `room` for.
fn read_folders(
    reader: &mut Reader<'_>,
    room: &mut usize,
) -> Result<Vec<FolderEntry>, DecodeError> {
    let count = u32::read(reader)?;
    let mut folders = Vec::new();
    for _ in 0..count {
        let kept = *room > 0;
        *room = room.saturating_sub(1);
        let folder = FolderEntry { path: Field::read(reader)?, files: read_first(reader, room)? };
        if kept {
            folders.push(folder);
        }
    }
    Ok(folders)
}

/// The body of code 16.
#[derive(Debug, Clone, PartialEq)]
pub struct UserInfo {
    /// Free text.
    pub description: String,
    /// An image file.
    pub picture: Option<Vec<u8>>,
    /// Uploads at the same time.
    pub upload_slots: u32,
    /// How many uploads wait.
    pub queue_length: u32,
    /// Whether an upload would begin at once.
    pub free_slot: bool,
    /// Who may send files to this user; not told by every client.
    pub permission: Option<u32>,
}

impl Field for UserInfo {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let description = Field::read(reader)?;
        let picture = if bool::read(reader)? { Some(Vec::read(reader)?) } else { None };
        Ok(UserInfo {
            description,
            picture,
            upload_slots: Field::read(reader)?,
            queue_length: Field::read(reader)?,
            free_slot: Field::read(reader)?,
            // One old client tells the free slot in four bytes, which leaves three.
            permission: u32::read(reader).ok(),
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.description.write(out);
        self.picture.is_some().write(out);
        self.picture.write(out);
        self.upload_slots.write(out);
        self.queue_length.write(out);
        self.free_slot.write(out);
        self.permission.write(out);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        any::<(String, Option<Vec<u8>>, u32, u32, bool, Option<u32>)>()
            .prop_map(
                |(description, picture, upload_slots, queue_length, free_slot, permission)| {
                    UserInfo {
                        description,
                        picture,
                        upload_slots,
                        queue_length,
                        free_slot,
                        permission,
                    }
                },
            )
            .boxed()
    }
}

/// The answer to a transfer request.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Go on.
    Accepted {
        /// Bytes; only when a request in the old direction is accepted.
        size: Option<u64>,
    },
    /// Do not; see [`reason`].
    Declined {
        /// Why.
        reason: String,
    },
}

impl Field for Verdict {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(reader)? {
            Ok(Verdict::Accepted { size: Field::read(reader)? })
        } else {
            let reason = Option::<String>::read(reader)?.unwrap_or_default();
            Ok(Verdict::Declined { reason })
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Verdict::Accepted { size } => {
                true.write(out);
                size.write(out);
            }
            Verdict::Declined { reason } => {
                false.write(out);
                reason.write(out);
            }
        }
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        prop_oneof![
            any::<Option<u64>>().prop_map(|size| Verdict::Accepted { size }),
            any::<String>().prop_map(|reason| Verdict::Declined { reason }),
        ]
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::{Channel, metered};

    table_tests!(PeerMessage, Channel::Peer);

    #[test]
    fn a_search_answer_may_end_after_its_queue_length() {
        let mut plain = Vec::new();
        "ada".to_owned().write(&mut plain);
        7u32.write(&mut plain);
        Vec::<FileEntry>::new().write(&mut plain);
        true.write(&mut plain);
        100u32.write(&mut plain);
        2u32.write(&mut plain);
        let PeerMessage::SearchAnswer { answer } =
            PeerMessage::decode(9, &deflate(&plain)).unwrap()
        else {
            panic!("code 9 is a search answer");
        };
        assert_eq!((answer.token, answer.queue_length), (7, 2));
        assert_eq!(answer.private_files, []);
    }

    #[test]
    fn what_old_clients_get_wrong_is_read_as_they_mean_it() {
        let info = UserInfo {
            description: String::new(),
            picture: None,
            upload_slots: 2,
            queue_length: 0,
            free_slot: true,
            permission: None,
        };
        let mut body = PeerMessage::UserInfo { info: info.clone() }.encode_body();
        body.extend_from_slice(&[0; 3]);
        assert_eq!(PeerMessage::decode(16, &body), Ok(PeerMessage::UserInfo { info }));

        let mut plain = vec![1, 0, 0, 0, 0];
        plain.extend_from_slice(&3_000_000_000u32.to_le_bytes());
        plain.extend_from_slice(&[0xff; 4]);
        plain.extend_from_slice(&[0; 8]);
        let entry = FileEntry::read(&mut Reader::new(&plain)).unwrap();
        assert_eq!(entry.size, 3_000_000_000);
    }

    /// A body whose list claims and holds `count` empty entries of `entry` bytes each.
    fn bomb(head: &[u8], count: u32, entry: usize, tail: &[u8]) -> Vec<u8> {
        let mut plain = [head, &count.to_le_bytes()].concat();
        plain.resize(plain.len() + count as usize * entry, 0);
        plain.extend_from_slice(tail);
        deflate(&plain)
    }

    /// An empty folder, an empty file.
    const FOLDER_BYTES: usize = 8;
    const FILE_BYTES: usize = 21;

    #[test]
    fn a_bomb_is_unpacked_to_its_cap_and_not_decoded() {
        let answer = [&3u32.to_le_bytes()[..], b"ada", &7u32.to_le_bytes()].concat();
        let folder = [0; 8];
        for (code, head, entry, cap) in [
            (5, &[][..], FOLDER_BYTES, BROWSE_CAP),
            (9, &answer, FILE_BYTES, SEARCH_ANSWER_CAP),
            (37, &folder, FOLDER_BYTES, BROWSE_CAP),
        ] {
            let body = bomb(head, u32::try_from((60 << 20) / entry).unwrap(), entry, &[]);
            assert!(body.len() < 64 << 10, "one frame nobody refuses for its length");
            let (refused, unpacked) = metered(|| PeerMessage::decode(code, &body));
            assert_eq!(refused, Err(DecodeError::TooLarge { cap }), "code {code}");
            assert_eq!(unpacked, cap + 1);
        }
    }

    #[test]
    fn a_list_that_fits_is_kept_up_to_its_limit() {
        let most = u32::try_from(BROWSE_CAP / FOLDER_BYTES - 8).unwrap();
        let listed = PeerMessage::decode(5, &bomb(&[], most, FOLDER_BYTES, &[])).unwrap();
        let PeerMessage::ShareList { list } = listed else { panic!("code 5 is a share list") };
        assert_eq!(list.folders.len(), BROWSE_KEPT);
        let listed = PeerMessage::decode(37, &bomb(&[0; 8], most, FOLDER_BYTES, &[])).unwrap();
        let PeerMessage::Folder { contents } = listed else { panic!("code 37 is a folder") };
        assert_eq!(contents.folders.len(), BROWSE_KEPT);

        // One folder full of files: they count as well.
        let files = u32::try_from(SEARCH_ANSWER_CAP / FILE_BYTES).unwrap();
        let one = [&1u32.to_le_bytes()[..], &[0; 4]].concat();
        let listed = PeerMessage::decode(5, &bomb(&one, files, FILE_BYTES, &[])).unwrap();
        let PeerMessage::ShareList { list } = listed else { panic!("code 5 is a share list") };
        assert_eq!(list.folders[0].files.len(), BROWSE_KEPT - 1);
    }

    #[test]
    fn a_search_answer_keeps_its_first_files_and_what_follows_them() {
        let head = [&3u32.to_le_bytes()[..], b"ada", &7u32.to_le_bytes()].concat();
        let private = 20_000u32;
        let mut tail = [&[1][..], &100u32.to_le_bytes(), &2u32.to_le_bytes(), &[0; 4]].concat();
        tail.extend_from_slice(&private.to_le_bytes());
        tail.resize(tail.len() + private as usize * FILE_BYTES, 0);
        for (files, kept, private_kept) in [(50_000, 1_000, 0), (900, 900, 100), (1, 1, 999)] {
            let body = bomb(&head, files, FILE_BYTES, &tail);
            let PeerMessage::SearchAnswer { answer } = PeerMessage::decode(9, &body).unwrap()
            else {
                panic!("code 9 is a search answer");
            };
            assert_eq!((answer.files.len(), answer.private_files.len()), (kept, private_kept));
            assert_eq!((answer.free_slot, answer.speed, answer.queue_length), (true, 100, 2));
        }
    }

    #[test]
    fn who_answers_is_read_without_unpacking_the_files() {
        let head = [&3u32.to_le_bytes()[..], b"ada", &7u32.to_le_bytes()].concat();
        let body = bomb(&head, 3_000_000, FILE_BYTES, &[]);
        let (head, unpacked) = metered(|| SearchAnswer::peek(&body));
        assert_eq!(head, Ok(("ada".to_owned(), 7)));
        assert_eq!(unpacked, HEAD_BYTES);
        let nameless = bomb(&u32::MAX.to_le_bytes(), 3_000_000, FILE_BYTES, &[]);
        assert_eq!(SearchAnswer::peek(&nameless), Err(DecodeError::Truncated));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_unpacked_bytes_never_panic(
            code in proptest::sample::select(vec![5u32, 9, 37]),
            plain in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let _ = PeerMessage::decode(code, &deflate(&plain));
        }
    }
}
