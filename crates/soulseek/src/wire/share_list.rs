//! A share list (message 5) read while it arrives, folder by folder, in little memory whatever it
//! unpacks to: real lists have a million files.
//!
//! Small lists are read and written whole by [`super::peer::ShareList`]. Who asks for one and where its
//! bytes come from is [`crate::Browse`].

use flate2::{Decompress, FlushDecompress, Status};

use super::pack::{DecodeError, Field, Reader};
use super::peer::FileEntry;

/// Bytes unpacked at a time.
const STEP: usize = 16 << 10;
/// The most bytes that one folder's name or one file takes, unpacked; the longest text twice, and more
/// attributes than there are.
const LARGEST_ITEM: usize = 64 << 10;
/// A folder with more files than this comes in pieces.
const FILES_PER_PIECE: usize = 4_096;
/// A folder whose files take more bytes than this, unpacked, comes in pieces.
const BYTES_PER_PIECE: usize = 1 << 20;

/// What a list may have before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after unpacking.
    pub unpacked: u64,
    /// Folders, both kinds together.
    pub folders: u64,
    /// Files, in all folders together.
    pub files: u64,
}

impl Default for Limits {
    /// A few times the largest lists there are. How long a list may be packed is its frame's limit.
    fn default() -> Limits {
        Limits { unpacked: 2 << 30, folders: 2_000_000, files: 10_000_000 }
    }
}

/// One folder of a list, or a piece of it: large folders come in several, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFolder {
    /// The whole path.
    pub path: String,
    /// Its files, with bare names.
    pub files: Vec<FileEntry>,
    /// Only for chosen users.
    pub private: bool,
}

/// What came out of the bytes so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The next folder, or the next piece of it.
    Folder(ListedFolder),
    /// Nothing before more packed bytes are there.
    NeedMore,
    /// The list is complete.
    End,
}

/// Reads one list.
#[derive(Debug)]
pub struct ShareListReader {
    limits: Limits,
    inflater: Decompress,
    /// Whether the compressed part is complete.
    unpacked_all: bool,
    /// Whether it may have more to give without being given more.
    output_was_full: bool,
    /// Unpacked bytes, read up to `at`.
    window: Vec<u8>,
    at: usize,
    place: Place,
    folders: u64,
    files: u64,
}

/// What comes next in the unpacked bytes.
#[derive(Debug)]
enum Place {
    Count {
        private: bool,
    },
    Folder {
        left: u32,
        private: bool,
    },
    Files {
        folders_left: u32,
        left: u32,
        bytes: usize,
        folder: ListedFolder,
    },
    /// The zero between the two kinds of folders.
    Zero,
    End,
}

impl ShareListReader {
    /// Starts at the first byte after the message's code.
    pub fn new(limits: Limits) -> ShareListReader {
        ShareListReader {
            limits,
            inflater: Decompress::new(true),
            unpacked_all: false,
            output_was_full: false,
            window: Vec::new(),
            at: 0,
            place: Place::Count { private: false },
            folders: 0,
            files: 0,
        }
    }

    /// Takes as many bytes from the front of `packed` as the next folder needs. After an error there is
    /// nothing more to be had.
    pub fn next(&mut self, packed: &mut &[u8]) -> Result<Step, DecodeError> {
        loop {
            if let Some(step) = self.read()? {
                return Ok(step);
            }
            if !self.unpack(packed)? {
                return Ok(Step::NeedMore);
            }
        }
    }

    /// Reads what is unpacked; `None` when that ends inside a value.
    fn read(&mut self) -> Result<Option<Step>, DecodeError> {
        loop {
            let is_over = self.is_over();
            match &mut self.place {
                Place::End => return Ok(Some(Step::End)),
                // Where nothing is private, real clients end before or after the zero.
                Place::Zero | Place::Count { private: true } if is_over => {
                    self.place = Place::End;
                }
                Place::Zero => {
                    let Some(_) = self.value(u32::read)? else { return Ok(None) };
                    self.place = Place::Count { private: true };
                }
                &mut Place::Count { private } => {
                    let Some(left) = self.value(u32::read)? else { return Ok(None) };
                    self.place = Place::Folder { left, private };
                }
                Place::Folder { left: 0, private: false } => self.place = Place::Zero,
                Place::Folder { left: 0, private: true } => self.place = Place::End,
                &mut Place::Folder { left, private } => {
                    let title = self.value(|it| Ok((String::read(it)?, u32::read(it)?)))?;
                    let Some((path, files)) = title else { return Ok(None) };
                    self.folders += 1;
                    check(self.folders, self.limits.folders)?;
                    let folder = ListedFolder { path, files: Vec::new(), private };
                    self.place =
                        Place::Files { folders_left: left - 1, left: files, bytes: 0, folder };
                }
                &mut Place::Files { folders_left, left: 0, ref mut folder, .. } => {
                    let private = folder.private;
                    let path = std::mem::take(&mut folder.path);
                    let files = std::mem::take(&mut folder.files);
                    self.place = Place::Folder { left: folders_left, private };
                    return Ok(Some(Step::Folder(ListedFolder { path, files, private })));
                }
                Place::Files { bytes, folder, .. }
                    if folder.files.len() >= FILES_PER_PIECE || *bytes >= BYTES_PER_PIECE =>
                {
                    *bytes = 0;
                    let files = std::mem::take(&mut folder.files);
                    return Ok(Some(Step::Folder(ListedFolder { files, ..folder.clone() })));
                }
                Place::Files { .. } => {
                    let before = self.at;
                    let Some(file) = self.value(FileEntry::read)? else { return Ok(None) };
                    self.files += 1;
                    check(self.files, self.limits.files)?;
                    let length = self.at - before;
                    if let Place::Files { left, bytes, folder, .. } = &mut self.place {
                        *left -= 1;
                        *bytes += length;
                        folder.files.push(file);
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.unpacked_all && self.at == self.window.len()
    }

    /// The next value; `None` when it is not unpacked completely.
    fn value<T>(
        &mut self,
        read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let held = &self.window[self.at..];
        let mut reader = Reader::new(held);
        match read(&mut reader) {
            Ok(value) => {
                self.at = self.window.len() - reader.take_rest().len();
                Ok(Some(value))
            }
            Err(DecodeError::Truncated) if self.unpacked_all => Err(DecodeError::Truncated),
            Err(DecodeError::Truncated) if held.len() >= LARGEST_ITEM => {
                Err(DecodeError::TooLarge { cap: LARGEST_ITEM })
            }
            Err(DecodeError::Truncated) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Unpacks one step more; `false` when that takes more packed bytes.
    fn unpack(&mut self, packed: &mut &[u8]) -> Result<bool, DecodeError> {
        if packed.is_empty() && !self.output_was_full {
            return Ok(false);
        }
        self.window.drain(..self.at);
        self.at = 0;
        let held = self.window.len();
        self.window.resize(held + STEP, 0);
        let (taken_before, made_before) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self
            .inflater
            .decompress(packed, &mut self.window[held..], FlushDecompress::None)
            .map_err(|_| DecodeError::Damaged)?;
        let taken = within(self.inflater.total_in() - taken_before, packed.len());
        let made = within(self.inflater.total_out() - made_before, STEP);
        *packed = &packed[taken..];
        self.window.truncate(held + made);
        self.output_was_full = made == STEP;
        self.unpacked_all = status == Status::StreamEnd;
        check(self.inflater.total_out(), self.limits.unpacked)?;
        let moved = taken > 0 || made > 0 || self.unpacked_all;
        // Room and bytes were there, and yet nothing came of them.
        if !moved && !packed.is_empty() {
            return Err(DecodeError::Damaged);
        }
        Ok(moved)
    }
}

fn within(count: u64, most: usize) -> usize {
    usize::try_from(count).unwrap_or(most).min(most)
}

fn check(count: u64, limit: u64) -> Result<(), DecodeError> {
    if count > limit {
        return Err(DecodeError::TooLarge { cap: usize::try_from(limit).unwrap_or(usize::MAX) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::inflate::deflate;
    use super::super::peer::{FolderEntry, PeerMessage, ShareList};
    use super::*;

    /// Reads a list that comes in pieces; large folders are put together again.
    fn read(packed: &[u8], piece: usize, limits: Limits) -> Result<Option<ShareList>, DecodeError> {
        let mut reader = ShareListReader::new(limits);
        let mut list = ShareList { folders: Vec::new(), private_folders: Vec::new() };
        let mut continued = false;
        for mut piece in packed.chunks(piece) {
            loop {
                match reader.next(&mut piece)? {
                    Step::NeedMore => break,
                    Step::End => return Ok(Some(list)),
                    Step::Folder(ListedFolder { path, mut files, private }) => {
                        let folders =
                            if private { &mut list.private_folders } else { &mut list.folders };
                        let full = files.len() == FILES_PER_PIECE;
                        match folders.last_mut() {
                            Some(last) if continued => last.files.append(&mut files),
                            _ => folders.push(FolderEntry { path, files }),
                        }
                        continued = full;
                    }
                }
            }
        }
        Ok(None)
    }

    fn any_list() -> BoxedStrategy<ShareList> {
        ShareList::any()
    }

    fn pack(list: &ShareList) -> Vec<u8> {
        PeerMessage::ShareList { list: list.clone() }.encode_body()
    }

    fn file(name: &str) -> FileEntry {
        let (name, extension) = (name.to_owned(), String::new());
        FileEntry { mark: 1, name, size: 1, extension, attributes: Vec::new() }
    }

    proptest! {
        #[test]
        fn a_list_in_pieces_is_the_list(list in any_list(), piece in 1..300usize) {
            let limits = Limits::default();
            prop_assert_eq!(read(&pack(&list), piece, limits), Ok(Some(list)));
        }

        #[test]
        fn a_list_that_breaks_off_ends_only_where_all_of_it_was_there(
            list in any_list(),
            cut in any::<prop::sample::Index>(),
            piece in 1..300usize,
        ) {
            let packed = pack(&list);
            let cut = cut.index(packed.len());
            // The last bytes are a checksum, which nobody waits for.
            let read = read(&packed[..cut], piece, Limits::default()).unwrap();
            prop_assert!(read.is_none_or(|read| read == list));
        }

        #[test]
        fn damage_never_panics(
            list in any_list(),
            at in any::<prop::sample::Index>(),
            byte: u8,
            plain in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut packed = pack(&list);
            let at = at.index(packed.len());
            packed[at] = byte;
            let _ = read(&packed, 50, Limits::default());
            let _ = read(&deflate(&plain), 50, Limits::default());
        }
    }

    #[test]
    fn a_list_may_end_before_or_after_its_zero() {
        let mut plain = Vec::new();
        0u32.write(&mut plain);
        for _ in 0..2 {
            let read = read(&deflate(&plain), 7, Limits::default());
            assert_eq!(read.map(|list| list.is_some()), Ok(true));
            0u32.write(&mut plain);
        }
    }

    #[test]
    fn a_large_folder_comes_in_pieces_and_nothing_is_lost() {
        let files: Vec<FileEntry> = (0..10_000).map(|it| file(&it.to_string())).collect();
        let large = FolderEntry { path: "a".to_owned(), files };
        let small = FolderEntry { path: "b".to_owned(), files: vec![file("x")] };
        let list = ShareList { folders: vec![large, small], private_folders: Vec::new() };
        let packed = pack(&list);
        let mut reader = ShareListReader::new(Limits::default());
        let mut rest = &packed[..];
        let mut sizes = Vec::new();
        while let Step::Folder(folder) = reader.next(&mut rest).unwrap() {
            sizes.push(folder.files.len());
        }
        assert_eq!(sizes, [FILES_PER_PIECE, FILES_PER_PIECE, 10_000 - 2 * FILES_PER_PIECE, 1]);
        assert_eq!(read(&packed, 1_000, Limits::default()), Ok(Some(list)));

        // Long names make a piece full before its number of files does.
        let files = vec![file(&"x".repeat(10_000)); 300];
        let folders = vec![FolderEntry { path: String::new(), files }];
        let packed = pack(&ShareList { folders, private_folders: Vec::new() });
        let first = ShareListReader::new(Limits::default()).next(&mut &packed[..]).unwrap();
        assert!(matches!(first, Step::Folder(piece) if piece.files.len() == 105));
    }

    /// A list that claims `count` of something, with `zeros` bytes of empty ones behind it.
    fn bomb(head: &[u32], zeros: usize) -> Vec<u8> {
        let mut plain = Vec::new();
        head.iter().for_each(|number| number.write(&mut plain));
        plain.resize(plain.len() + zeros, 0);
        deflate(&plain)
    }

    #[test]
    fn every_limit_is_kept() {
        let limits = Limits { unpacked: 1 << 20, folders: 1_000, files: 1_000 };
        let refused = |packed: &[u8], limits| read(packed, 100, limits).unwrap_err();
        let folders = bomb(&[100_000], 800_000);
        let files = bomb(&[1, 0, 40_000], 840_000);
        for packed in [&folders, &files] {
            assert_eq!(refused(packed, limits), DecodeError::TooLarge { cap: 1_000 });
        }
        let wide = Limits { folders: u64::MAX, ..limits };
        let long = bomb(&[1_000_000], 8_000_000);
        assert_eq!(refused(&long, wide), DecodeError::TooLarge { cap: 1 << 20 });
        // A name that is as long as it says, and a file with more attributes than fit.
        assert_eq!(
            refused(&bomb(&[1, 1 << 30], 500_000), limits),
            DecodeError::TooLarge { cap: LARGEST_ITEM }
        );
        let name = DecodeError::TextTooLong { length: 20_000, cap: 16 << 10 };
        assert_eq!(refused(&bomb(&[1, 20_000], 500_000), limits), name);
    }

    #[test]
    fn a_bomb_is_read_in_little_memory() {
        let packed = bomb(&[u32::MAX], 64 << 20);
        let mut reader = ShareListReader::new(Limits::default());
        let mut rest = &packed[..];
        let mut widest = 0;
        loop {
            match reader.next(&mut rest) {
                Ok(Step::Folder(_)) => widest = widest.max(reader.window.capacity()),
                Ok(_) => panic!("it ends beyond its limit"),
                Err(error) => break assert_eq!(error, DecodeError::TooLarge { cap: 2_000_000 }),
            }
        }
        assert!(widest <= 4 * LARGEST_ITEM, "{widest}");
    }
}
