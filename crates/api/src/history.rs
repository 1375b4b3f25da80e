//! `GET /api/v0/jobs/<id>/history`: everything up to a job's last event as a file that replays on any
//! machine, without the names of people unless `?identities=included` asks for them. The file is made by
//! `replay::export`; here is decided which events belong into it.

use std::io::Write;

use axum::response::Response;
use domain::{JobId, Seq};
use eventlog::history::{Header, WriteError};
use eventlog::{ReadError, Reader, Record};
use replay::export::Export;
use replay::redact::RedactError;
use tokio::sync::OwnedSemaphorePermit;

use crate::download;

/// Sees whether the history up to an event can be had as the header says.
pub(crate) fn prepare(
    log: &Reader,
    header: Header,
    last: Seq,
) -> Result<Export, RedactError<ReadError>> {
    let step = step_of(log, last).map_err(RedactError::Read)?;
    Export::prepare(header, || records(log, last, step))
}

/// The history of a job as a download, which holds its place until it is written.
pub(crate) fn answer(
    log: Reader,
    export: Export,
    job: JobId,
    last: Seq,
    place: OwnedSemaphorePermit,
) -> Response {
    let name = format!("job-{job}.replay");
    download::answer(&name, "application/octet-stream", move |sent| {
        let written = write(&log, &export, last, sent).map(drop);
        drop(place);
        written
    })
}

fn write(
    log: &Reader,
    export: &Export,
    last: Seq,
    writer: impl Write,
) -> Result<u64, WriteError<RedactError<ReadError>>> {
    let step = step_of(log, last).map_err(|error| WriteError::Source(RedactError::Read(error)))?;
    export.write(writer, records(log, last, step))
}

/// The step that an event belongs to.
fn step_of(log: &Reader, seq: Seq) -> Result<Option<Seq>, ReadError> {
    Ok(log.get(seq)?.map(|envelope| envelope.cause))
}

fn records(
    log: &Reader,
    last: Seq,
    step: Option<Seq>,
) -> impl Iterator<Item = Result<Record, ReadError>> {
    log.records(Seq(1)..=log.durable()).take_while(move |read| match read {
        Ok(record) => is_in_whole_steps(record.seq, record.cause, last, step),
        Err(_) => true,
    })
}

/// Whether an event stands before `last` or in the rest of the step that it belongs to. Nothing before
/// it is left out: what is decided about one job depends on what others did before.
fn is_in_whole_steps(seq: Seq, cause: Seq, last: Seq, step: Option<Seq>) -> bool {
    seq <= last || Some(cause) == step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_ends_with_the_step_of_its_last_event() {
        let history = |last: u64, step: u64| -> Vec<u64> {
            let causes = [1, 1, 3, 3, 3, 6, 6];
            let within = |(seq, cause): &(u64, u64)| {
                is_in_whole_steps(Seq(*seq), Seq(*cause), Seq(last), Some(Seq(step)))
            };
            (1u64..).zip(causes).take_while(within).map(|(seq, _)| seq).collect()
        };
        assert_eq!(history(4, 3), [1, 2, 3, 4, 5]);
        assert_eq!(history(7, 6), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(history(1, 1), [1, 2]);
    }
}
