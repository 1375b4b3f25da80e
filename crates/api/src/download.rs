//! An answer that is too long to be held: written by a thread of its own while it is sent, and no faster
//! than the client reads, unless it reads nothing at all. What is written is decided in
//! [`crate::history`] and [`crate::backup`].

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

/// Bytes are handed on in pieces of at least this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait for a slow client before the writer waits too.
const PIECES_AHEAD: usize = 4;

/// A client that takes no piece for so long is not waited for: the writer holds a thread and a place.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Answers with a file called `name`. A failure on the way cuts the answer off, and the connection with
/// it, so that what arrived by then is not taken for all of it.
pub(crate) fn answer<E: Error>(
    name: &str,
    kind: &'static str,
    write: impl FnOnce(&mut Sent) -> Result<(), E> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body(name.to_owned(), LONGEST_WAIT, write)).into_response()
}

fn body<E: Error>(
    name: String,
    longest_wait: Duration,
    write: impl FnOnce(&mut Sent) -> Result<(), E> + Send + 'static,
) -> Body {
    let (pieces, sent) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut out = Sent { pieces, piece: Vec::new(), longest_wait };
        if let Err(error) = write(&mut out) {
            tracing::warn!(name, %error, "a file was not sent whole");
        } else {
            // Nobody is there to be told that the end went nowhere.
            let _ = out.flush().and_then(|()| out.send(Piece::End));
        }
    });
    Body::from_stream(stream::unfold(Some(sent), |sent| async {
        let mut sent = sent?;
        match sent.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(sent))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the file ends early")), None)),
        }
    }))
}

/// What a writer hands on.
enum Piece {
    Bytes(Bytes),
    /// That was all of it.
    End,
}

/// Where the bytes of an answer go.
pub(crate) struct Sent {
    pieces: mpsc::Sender<Piece>,
    piece: Vec<u8>,
    longest_wait: Duration,
}

impl Sent {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sending = self.pieces.send_timeout(piece, self.longest_wait);
        Handle::current().block_on(sending).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.send(Piece::Bytes(piece.into()))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_cut_off_and_does_not_take_it_for_the_end() {
        let (tell, told) = oneshot::channel();
        let body = body("log".into(), Duration::ZERO, move |sent| {
            let written = sent.write_all(&[7; PIECE_BYTES]).and_then(|()| {
                (0..PIECES_AHEAD).try_for_each(|_| sent.write_all(&[7; PIECE_BYTES]))
            });
            tell.send(written.as_ref().map_err(io::Error::kind).copied()).unwrap();
            written
        });
        assert_eq!(told.await.unwrap(), Err(io::ErrorKind::TimedOut));
        to_bytes(body, usize::MAX).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_is_read_arrives_whole() {
        let (write, read) = (vec![7; PIECE_BYTES * 9 + 1], vec![7; PIECE_BYTES * 9 + 1]);
        let body = body("log".into(), LONGEST_WAIT, move |sent| {
            write.chunks(1000).try_for_each(|bytes| sent.write_all(bytes))
        });
        assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), read);
    }
}
