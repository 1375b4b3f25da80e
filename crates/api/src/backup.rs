//! `GET /api/v0/log/backup`: a copy of the whole event log as a tar archive, taken while the node runs.
//! What a copy consists of is `eventlog::backup`'s; unpacked, it is a folder that is read, verified and
//! restored where it lies.

use axum::response::Response;
use eventlog::Reader;
use eventlog::backup::{BackupError, each_file};
use tokio::sync::OwnedSemaphorePermit;

use crate::download::{self, Sent};

/// Everything that is durable now as a download, which holds its place until it is written.
pub(crate) fn answer(log: Reader, place: OwnedSemaphorePermit) -> Response {
    let name = format!("log-{}.tar", log.durable());
    download::answer(&name, "application/x-tar", move |sent| {
        let written = write(&log, sent);
        drop(place);
        written
    })
}

fn write(log: &Reader, sent: &mut Sent) -> Result<(), BackupError> {
    let mut archive = tar::Builder::new(sent);
    each_file(log, |name, bytes| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes)
    })?;
    Ok(archive.finish()?)
}
