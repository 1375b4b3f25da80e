//! Prints a history, a line an event, in the form of [`domain::render`]. It checks nothing; that is
//! [`mod@crate::verify`]'s.

use std::io::{self, Write};

use domain::{Envelope, Event, JobId, render};

/// Why a history was not printed to its end. `E` is why its events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ShowError<E: std::error::Error + 'static> {
    /// A line could not be written.
    #[error("the history could not be printed")]
    Write(#[from] io::Error),
    /// The events could not be had.
    #[error("the history could not be read")]
    Read(#[source] E),
}

/// Writes a line for every event, or for those of one job and the inputs that caused them; the number
/// of lines.
///
/// # Errors
/// When an event cannot be had or a line cannot be written.
pub fn show<E: std::error::Error + 'static>(
    out: &mut impl Write,
    envelopes: impl IntoIterator<Item = Result<Envelope, E>>,
    job: Option<JobId>,
) -> Result<u64, ShowError<E>> {
    let mut lines = 0;
    // An input that names no job is printed once a decision turns out to be the job's.
    let mut held: Option<Envelope> = None;
    for envelope in envelopes {
        let envelope = envelope.map_err(ShowError::Read)?;
        if job.is_none() || envelope.event.job() == job {
            if let Some(cause) = held.take().filter(|held| held.seq == envelope.cause) {
                writeln!(out, "{}", render::line(&cause))?;
                lines += 1;
            }
            writeln!(out, "{}", render::line(&envelope))?;
            lines += 1;
        } else if let Event::Input(_) = envelope.event {
            held = Some(envelope);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use domain::decision::ResumedBy;
    use domain::{Command, Decision, Input, Observation, ReleaseId, Seq, Timestamp};

    use super::*;

    fn shown(job: Option<JobId>) -> (u64, String) {
        let release = ReleaseId([1; 16]);
        let add = Event::Input(Input::Command(Command::AddJob { release }));
        let added = |job| Event::Decision(Decision::JobAdded { job: JobId(job), release });
        let woken = Event::Input(Input::Observation(Observation::DeadlineReached));
        let resumed =
            |job| Event::Decision(Decision::JobResumed { job: JobId(job), by: ResumedBy::Person });
        let events = [
            (1, add.clone()),
            (1, added(1)),
            (3, add),
            (3, added(2)),
            (5, woken.clone()),
            (6, woken),
            (6, resumed(1)),
            (6, resumed(2)),
        ];
        let envelopes = (1..).zip(events).map(|(seq, (cause, event))| {
            let (seq, cause) = (Seq(seq), Seq(cause));
            Ok::<_, Infallible>(Envelope { seq, at: Timestamp(0), cause, event })
        });
        let mut out = Vec::new();
        let lines = show(&mut out, envelopes, job).unwrap();
        (lines, String::from_utf8(out).unwrap())
    }

    #[test]
    fn everything_is_a_line_an_event() {
        let (lines, text) = shown(None);
        assert_eq!((lines, text.lines().count()), (8, 8));
        assert!(text.starts_with("000001 00:00:00.000  <-  AddJob"), "{text}");
    }

    #[test]
    fn a_job_is_shown_with_the_inputs_that_moved_it() {
        let (lines, text) = shown(Some(JobId(2)));
        let seqs: Vec<_> = text.lines().map(|line| &line[..6]).collect();
        assert_eq!((lines, seqs), (4, vec!["000003", "000004", "000006", "000008"]));
    }
}
