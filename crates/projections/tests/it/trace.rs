//! Traces: which events belong to a job, and the totals of its peers.

use domain::decision::CommandRefusal;
use domain::observation::{TransferEnd, TransferFault};
use domain::{Command, Decision, JobId, Seq};
use eventlog::Log;
use projections::trace::{JobCounts, PeerTotals, Trace, View};
use projections::{Store, follow};

use crate::history::{
    RELEASE, SIZE, Steps, added, append, asked, assigned, chunk, ended, fetched, found, key, peer,
    so, started, woken,
};

fn traced(steps: &Steps, test: impl FnOnce(&View)) {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
    append(&mut log, steps);
    let store = Store::open(&dir.path().join("views")).unwrap();
    let (mut trace, view) = Trace::open(&store, reader.clone()).unwrap();
    follow::catch_up(&mut trace, &reader).unwrap();
    test(&view);
}

fn seqs(view: &View, job: u32, after: u64, limit: usize) -> Vec<u64> {
    let events = view.events(JobId(job), Seq(after), limit).unwrap().value;
    events.iter().map(|envelope| envelope.seq.0).collect()
}

#[test]
fn a_trace_holds_the_events_of_its_job_and_their_causes() {
    let refusal = Decision::CommandRefused { reason: CommandRefusal::Duplicate(JobId(1)) };
    let steps = vec![
        vec![started()],                                                       // 1
        added(1),                                                              // 2 3 4
        added(2),                                                              // 5 6 7
        fetched(1, 1),                                                         // 8 9
        vec![asked(Command::AddJob { release: RELEASE }), so(refusal)],        // 10 11
        vec![woken(), found(key(2, 0), 0, "ada"), found(key(1, 0), 0, "ada")], // 12 13 14
    ];
    traced(&steps, |view| {
        assert_eq!(seqs(view, 1, 0, 99), [2, 3, 4, 8, 9, 10, 11, 12, 14]);
        assert_eq!(seqs(view, 2, 0, 99), [5, 6, 7, 12, 13]);
        assert_eq!(seqs(view, 1, 4, 3), [8, 9, 10]);
        assert_eq!(seqs(view, 1, 14, 3), [0u64; 0]);
        assert_eq!(seqs(view, 1, u64::MAX, 3), [0u64; 0]);
        assert_eq!(seqs(view, 3, 0, 99), [0u64; 0]);
        assert_eq!(view.summary(JobId(3)).unwrap().value, None);
        assert_eq!(view.summary(JobId(1)).unwrap().value.unwrap().counts.events, 9);
    });
}

#[test]
fn totals_are_kept_per_peer() {
    let track = key(1, 0);
    let cut = TransferEnd::Failed(TransferFault::ConnectionCut);
    let steps = vec![
        vec![started()],
        added(1),
        fetched(1, 1),
        vec![woken(), found(track, 0, "ada"), assigned(track, 1, 0, "ada", 0, false)],
        chunk(track, 1, 0),
        vec![ended(track, 1, cut), assigned(track, 2, 1, "bob", 262_144, true)],
        chunk(track, 2, 262_144),
        chunk(track, 2, 524_288),
        chunk(track, 2, 786_432),
        vec![ended(track, 2, TransferEnd::Complete)],
        // News of an assignment that nobody got counts for nobody.
        chunk(track, 77, 0),
    ];
    traced(&steps, |view| {
        let summary = view.summary(JobId(1)).unwrap().value.unwrap();
        let totals = |name: &str, bytes, busy_ms, failures| PeerTotals {
            peer: peer(name),
            bytes,
            busy_ms,
            assignments: 1,
            failures,
        };
        let bob = SIZE - 262_144;
        assert_eq!(summary.peers, [totals("ada", 262_144, 100, 1), totals("bob", bob, 300, 0)]);
        let counts = JobCounts { searches: 1, takeovers: 1, refused: 0, ..summary.counts };
        assert_eq!(summary.counts, counts);
    });
}
