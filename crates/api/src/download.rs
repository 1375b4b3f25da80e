//! An answer that is too long to be held: written by a thread of its own while it is sent, and no faster
//! than the client reads. What is written is decided in [`crate::history`] and [`crate::backup`].

use std::error::Error;
use std::io::{self, Write};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

/// Bytes are handed on in pieces of at least this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait for a slow client before the writer waits too.
const PIECES_AHEAD: usize = 4;

/// Answers with a file called `name`. A failure on the way cuts the answer off, and the connection with
/// it, so that what arrived by then is not taken for all of it.
pub(crate) fn answer<E: Error>(
    name: &str,
    kind: &'static str,
    write: impl FnOnce(&mut Sent) -> Result<(), E> + Send + 'static,
) -> Response {
    let (pieces, sent) = mpsc::channel(PIECES_AHEAD);
    let called = name.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut out = Sent { pieces, piece: Vec::new() };
        if let Err(error) = write(&mut out) {
            tracing::warn!(name = called, %error, "a file was not sent whole");
            // Nobody hears it when it is the client that went away.
            let _ = out.pieces.blocking_send(Err(io::Error::other("the file ends early")));
        } else {
            // Nor is there anybody to be told that the last piece went nowhere.
            let _ = out.flush();
        }
    });
    let body = stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Where the bytes of an answer go.
pub(crate) struct Sent {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
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
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
