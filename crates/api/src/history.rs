//! `GET /api/v0/jobs/<id>/history`: everything up to a job's last event as a file that replays on any
//! machine. The file's form is that of `eventlog::history`; here is decided what belongs into it.

use std::io::Write;

use axum::response::Response;
use domain::{JobId, Seq};
use eventlog::history::{Header, WriteError, write_history};
use eventlog::{ReadError, Reader};

use crate::download;

/// The history of a job as a download.
pub(crate) fn answer(log: Reader, header: Header, job: JobId, last: Seq) -> Response {
    let name = format!("job-{job}.history");
    download::answer(&name, "application/octet-stream", move |sent| {
        write(&log, header, last, sent).map(drop)
    })
}

fn write(
    log: &Reader,
    header: Header,
    last: Seq,
    writer: impl Write,
) -> Result<u64, WriteError<ReadError>> {
    let step = log.get(last).map_err(WriteError::Source)?.map(|envelope| envelope.cause);
    let records = log.records(Seq(1)..=log.durable()).take_while(|read| match read {
        Ok(record) => is_in_whole_steps(record.seq, record.cause, last, step),
        Err(_) => true,
    });
    write_history(writer, header, records)
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
