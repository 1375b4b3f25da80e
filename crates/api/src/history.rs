//! `GET /api/v0/jobs/<id>/history`: the events of one job as a file that can be sent to somebody. The
//! file's form is that of `eventlog::history`; here is decided what belongs into it.

use std::io::{self, Write};
use std::iter;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::{Envelope, Event, Input, JobId, Observation, Seq};
use eventlog::history::{Header, WriteError, write_history};
use eventlog::{ReadError, Reader};
use futures_util::stream;
use tokio::sync::mpsc;

/// Bytes are handed on in pieces of at least this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that may wait for a slow client before reading the log waits too.
const PIECES_AHEAD: usize = 4;

/// The history of a job as a download, read from the log while it is sent. A failure on the way cuts
/// the answer off, and what arrived by then is no valid history.
pub(crate) fn download(log: Reader, header: Header, job: JobId) -> Response {
    let (pieces, sent) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut writer = PieceWriter { pieces, piece: Vec::new() };
        if let Err(error) = write(&log, header, job, &mut writer) {
            tracing::warn!(%job, %error, "a history was not sent whole");
            // Nobody hears it when it is the client that went away.
            let _ = writer.pieces.blocking_send(Err(io::Error::other("the history ends early")));
        }
    });
    let body = stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"job-{job}.history\"")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

fn write(
    log: &Reader,
    header: Header,
    job: JobId,
    writer: impl Write,
) -> Result<u64, WriteError<ReadError>> {
    write_history(writer, header, of_job(log.range(Seq(1)..=log.durable()), job))
}

/// The events of a job in the log's order, each decision after the input that caused it, and the
/// starts and sessions of the node, without which a history cannot be understood. Inputs that
/// changed nothing for this job are left out, whoever they were about.
fn of_job<E>(
    log: impl Iterator<Item = Result<Envelope, E>>,
    job: JobId,
) -> impl Iterator<Item = Result<Envelope, E>> {
    let mut log = log;
    // The input of the step at hand, as long as nothing has asked for it.
    let mut held: Option<Envelope> = None;
    let mut next: Option<Envelope> = None;
    iter::from_fn(move || {
        if let Some(envelope) = next.take() {
            return Some(Ok(envelope));
        }
        loop {
            let envelope = match log.next()? {
                Ok(envelope) => envelope,
                Err(error) => return Some(Err(error)),
            };
            let own = envelope.event.job() == Some(job);
            match &envelope.event {
                Event::Input(input) if own || is_of_the_node(input) => {
                    held = None;
                    return Some(Ok(envelope));
                }
                Event::Input(_) => held = Some(envelope),
                Event::Decision(_) if own => {
                    return Some(Ok(match held.take() {
                        Some(cause) => {
                            next = Some(envelope);
                            cause
                        }
                        None => envelope,
                    }));
                }
                Event::Decision(_) => {}
            }
        }
    })
}

fn is_of_the_node(input: &Input) -> bool {
    matches!(
        input,
        Input::Observation(
            Observation::NodeStarted { .. }
                | Observation::SessionOpened
                | Observation::SessionClosed { .. }
        )
    )
}

/// Hands bytes on to an answer that is being sent.
struct PieceWriter {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use domain::{Command, Decision, ReleaseId, Timestamp};

    use super::*;

    fn history(events: impl IntoIterator<Item = (u64, Event)>, job: u32) -> Vec<u64> {
        let log = events.into_iter().enumerate().map(|(index, (cause, event))| {
            let envelope =
                Envelope { seq: Seq(index as u64 + 1), at: Timestamp(0), cause: Seq(cause), event };
            Ok::<_, Infallible>(envelope)
        });
        of_job(log, JobId(job)).map(|envelope| envelope.unwrap().seq.0).collect()
    }

    fn seen(observation: Observation) -> Event {
        Event::Input(Input::Observation(observation))
    }

    fn log() -> Vec<(u64, Event)> {
        let release = ReleaseId([7; 16]);
        let add = || Event::Input(Input::Command(Command::AddJob { release }));
        let added = |job| Event::Decision(Decision::JobAdded { job: JobId(job), release });
        let resumed = |job| Event::Decision(Decision::JobResumed { job: JobId(job) });
        vec![
            (1, seen(Observation::SessionOpened)),
            (2, add()),
            (2, added(1)),
            (4, add()),
            (4, added(2)),
            (6, seen(Observation::DeadlineReached)),
            (6, resumed(1)),
            (6, resumed(2)),
            (6, resumed(1)),
            (10, seen(Observation::DeadlineReached)),
            (11, Event::Input(Input::Command(Command::RetryJob { job: JobId(2) }))),
        ]
    }

    #[test]
    fn a_history_holds_what_is_the_jobs_and_what_caused_it() {
        assert_eq!(history(log(), 1), [1, 2, 3, 6, 7, 9]);
        assert_eq!(history(log(), 2), [1, 4, 5, 6, 8, 11]);
    }

    #[test]
    fn a_history_of_no_job_holds_the_nodes_own_events() {
        assert_eq!(history(log(), 3), [1]);
    }
}
