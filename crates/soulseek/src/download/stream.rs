//! The bytes of one file as they come in: never more than promised, no faster than allowed. Who asks
//! for them is [`super::Download`].

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::TransferError;
use crate::conn::write_all;
use crate::pace::Pace;
use crate::wire::file::encode_offset;

/// Patience for more bytes of a file.
const BYTES_PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a file is watched for bytes too many.
const SURPLUS_PATIENCE: Duration = Duration::from_millis(500);

/// The bytes of one file from an offset on. Dropping it closes the connection, which is how a
/// transfer is cancelled and also how a complete one ends.
#[derive(Debug)]
pub struct FileStream {
    pace: Option<Arc<Pace>>,
    stream: TcpStream,
    size: u64,
    received: u64,
    checked: bool,
}

impl FileStream {
    pub(super) async fn begin(
        pace: Option<Arc<Pace>>,
        mut stream: TcpStream,
        offset: u64,
        size: u64,
    ) -> Result<FileStream, TransferError> {
        let sent = write_all(&mut stream, &encode_offset(offset)).await;
        sent.map_err(|_| TransferError::ConnectionCut { received: 0 })?;
        Ok(FileStream { pace, stream, size: size - offset, received: 0, checked: false })
    }

    /// Bytes this stream hands out in all: the file's size less the offset.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether there is nothing to hand out, as with an empty file.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Bytes handed out so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Reads up to `buffer.len()` bytes; 0 once everything promised has been handed out, and then
    /// the connection is closed. Never hands out a byte more; an uploader that sends more is told
    /// of with [`TransferError::Surplus`] after the last promised byte.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TransferError> {
        let left = self.size - self.received;
        if left == 0 {
            return self.finish().await.map(|()| 0);
        }
        let mut most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        if let Some(pace) = &self.pace {
            most = most.min(pace.step());
            pace.turn().await;
        }
        let received = self.received;
        let count = timeout(BYTES_PATIENCE, self.stream.read(&mut buffer[..most]))
            .await
            .map_err(|_| TransferError::TimedOut { what: "the next bytes", received })?
            .unwrap_or(0);
        if count == 0 {
            return Err(TransferError::ConnectionCut { received });
        }
        self.received += count as u64;
        if let Some(pace) = &self.pace {
            pace.spent(count);
        }
        Ok(count)
    }

    /// Closes our half, and sees whether the other half ends as it should.
    async fn finish(&mut self) -> Result<(), TransferError> {
        if self.checked {
            return Ok(());
        }
        self.checked = true;
        let _ = self.stream.shutdown().await;
        let mut surplus = [0; 1];
        match timeout(SURPLUS_PATIENCE, self.stream.read(&mut surplus)).await {
            Ok(Ok(count)) if count > 0 => Err(TransferError::Surplus),
            _ => Ok(()),
        }
    }
}
