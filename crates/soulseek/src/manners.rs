//! How a client treats others: limits, and who is kept away. What the limits mean is in the files
//! that keep them: [`crate::upload`], [`crate::download`], [`crate::listen`], [`crate::peers`].

use crate::blocklist::Blocklist;
use crate::upload::Room;

/// Limits of what others may want of us and we of them, and who is to be left alone. The default is
/// generous and keeps nobody away.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Bytes per second for all downloads together.
    pub download_bytes_per_s: Option<u64>,
    /// Files that one user may have waiting; more are denied with `Too many files`.
    pub waiting_files_per_user: usize,
    /// Bytes that the files of one user that wait may have together before more are denied with
    /// `Too many megabytes`.
    pub waiting_bytes_per_user: u64,
    /// Who gets nothing of us: by name, requests are denied as for files that are not shared, and
    /// searches are not answered; by address, no connection is opened or taken.
    pub banned: Blocklist,
    /// Whose answers to our searches are dropped, by name or by address.
    pub ignored: Blocklist,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            download_bytes_per_s: None,
            waiting_files_per_user: 1_000,
            waiting_bytes_per_user: 50 << 30,
            banned: Blocklist::default(),
            ignored: Blocklist::default(),
        }
    }
}

impl Manners {
    pub(crate) fn room(&self) -> Room {
        Room { files: self.waiting_files_per_user, bytes: self.waiting_bytes_per_user }
    }
}
