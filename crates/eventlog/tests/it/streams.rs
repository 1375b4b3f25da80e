//! Streams, revisions that are expected, and commands that are not taken twice.

use domain::{Command, Decision, Event, Input, JobId, ReleaseId, Seq, Timestamp};
use eventlog::{AppendError, CommandId, Limits, Log, Record, Step, Stream};

const SMALL: Limits = Limits { volume_events: 4, volume_bytes: u64::MAX };

fn add(job: u32) -> [Event; 2] {
    let release = ReleaseId([job as u8; 16]);
    [
        Event::Input(Input::Command(Command::AddJob { release })),
        Event::Decision(Decision::JobAdded { job: JobId(job), release }),
    ]
}

fn retry(job: u32) -> [Event; 1] {
    [Event::Input(Input::Command(Command::RetryJob { job: JobId(job) }))]
}

fn named(events: &[Event], id: u128) -> Step<'_> {
    Step { command: Some(CommandId(id)), ..Step::new(Timestamp(1), events) }
}

fn stored(record: &Record) -> (u64, Stream, u64, u64) {
    (record.seq.0, record.stream, record.revision, record.correlation.0)
}

#[test]
fn events_know_their_place_in_their_stream_and_where_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, more) = (add(1), add(2), retry(1));
    {
        let (mut log, _reader) = Log::open_with(dir.path(), SMALL).unwrap();
        log.append(&[Step::new(Timestamp(1), &one), Step::new(Timestamp(2), &two)]).unwrap();
    }
    // Counting goes on after the log was opened anew, and over volumes.
    let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
    log.append(&[Step { digest: Some(77), ..Step::new(Timestamp(3), &more) }]).unwrap();
    let records: Vec<_> = reader.records(Seq(1)..=Seq(9)).collect::<Result<_, _>>().unwrap();
    let (node, first, second) = (Stream::Node, Stream::Job(JobId(1)), Stream::Job(JobId(2)));
    assert_eq!(
        records.iter().map(stored).collect::<Vec<_>>(),
        [(1, node, 1, 1), (2, first, 1, 1), (3, node, 2, 3), (4, second, 1, 3), (5, first, 2, 1)]
    );
    assert_eq!((log.revision(first), log.revision(second), log.revision(node)), (2, 1, 2));
    assert_eq!(records[4].digest, Some(77));
    assert_eq!(records[4].schema.name(), Some("Command::RetryJob"));
    assert!(records[4].schema.is_input() && !records[3].schema.is_input());
}

#[test]
fn an_append_that_expects_another_revision_is_refused_whole_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(dir.path()).unwrap();
    let (first, second) = (Stream::Job(JobId(1)), Stream::Job(JobId(2)));
    let step = add(1);
    log.append_if(&[Step::new(Timestamp(1), &step)], &[(first, 0), (second, 0)]).unwrap();
    let more = retry(1);
    let refused =
        log.append_if(&[Step::new(Timestamp(2), &more)], &[(first, 1), (second, 3)]).unwrap_err();
    assert!(refused.is_refusal());
    assert!(
        matches!(refused, AppendError::Unexpected { stream, expected: 3, actual: 0 } if stream == second),
        "{refused}"
    );
    assert_eq!(reader.durable(), Seq(2));
    log.append_if(&[Step::new(Timestamp(2), &more)], &[(first, 1), (second, 0)]).unwrap();
    assert_eq!(log.revision(first), 2);
}

#[test]
fn a_command_is_taken_once_whatever_restarts_and_volumes_lie_between() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6u32 {
        let (mut log, reader) = Log::open_with(dir.path(), SMALL).unwrap();
        let step = add(round + 1);
        let seqs = log.append(&[named(&step, 1000 + u128::from(round))]).unwrap();
        for earlier in 0..=round {
            let again = log.append(&[named(&step, 1000 + u128::from(earlier))]).unwrap_err();
            let expected = Seq(u64::from(earlier) * 2 + 1);
            assert!(matches!(again, AppendError::Repeated(seq) if seq == expected), "{again}");
            assert_eq!(log.taken(CommandId(1000 + u128::from(earlier))), Some(expected));
        }
        assert_eq!(reader.durable(), Seq(seqs.end.0 - 1));
    }
    let (mut log, _reader) = Log::open_with(dir.path(), SMALL).unwrap();
    let (one, two) = (retry(1), retry(2));
    let twice = log.append(&[named(&one, 5), named(&two, 5)]).unwrap_err();
    assert!(matches!(twice, AppendError::Repeated(Seq(13))), "{twice}");
}
