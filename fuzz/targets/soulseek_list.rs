//! Share lists read while they arrive: `soulseek::wire::share_list`. A byte that says whether the rest is
//! packed already or is what the list unpacks to, a byte for how long the pieces are it comes in, then
//! the list. In pieces it reads the same as at once, and what `soulseek_unpacked` reads whole, it reads too.
#![no_main]

use flate2::Compression;
use flate2::read::ZlibEncoder;
use libfuzzer_sys::fuzz_target;
use soulseek::wire::peer::{FolderEntry, ShareList};
use soulseek::wire::share_list::{Limits, ShareListReader, Step};
use soulseek::wire::{DecodeError, PeerMessage};

const LIMITS: Limits = Limits { unpacked: 1 << 20, folders: 10_000, files: 10_000 };

/// The list, and whether it ended.
fn read(packed: &[u8], piece: usize) -> Result<(ShareList, bool), DecodeError> {
    let mut reader = ShareListReader::new(LIMITS);
    let mut list = ShareList { folders: Vec::new(), private_folders: Vec::new() };
    for mut piece in packed.chunks(piece) {
        loop {
            match reader.next(&mut piece)? {
                Step::Folder(found) => {
                    let folders =
                        if found.private { &mut list.private_folders } else { &mut list.folders };
                    folders.push(FolderEntry { path: found.path, files: found.files });
                }
                Step::NeedMore => break,
                Step::End => return Ok((list, true)),
            }
        }
    }
    Ok((list, false))
}

fuzz_target!(|data: &[u8]| {
    let [is_packed, piece, rest @ ..] = data else { return };
    let mut body = rest.to_vec();
    if is_packed % 2 == 0 {
        body.clear();
        let mut encoder = ZlibEncoder::new(rest, Compression::none());
        std::io::Read::read_to_end(&mut encoder, &mut body).expect("memory");
    }
    let in_pieces = read(&body, usize::from(*piece) + 1);
    let at_once = read(&body, body.len().max(1));
    if at_once.is_ok() {
        assert_eq!(in_pieces, at_once);
    }
    let pieces = |list: &ShareList| list.folders.len() + list.private_folders.len();
    if let (Ok(PeerMessage::ShareList { list: whole }), Ok((list, true))) =
        (PeerMessage::decode(5, &body), at_once)
    {
        // Larger folders come in pieces.
        let files = whole.folders.iter().chain(&whole.private_folders).map(|it| it.files.len());
        if files.max().unwrap_or(0) < 4_096 && pieces(&list) == pieces(&whole) {
            assert_eq!(list, whole);
        }
    }
});
