//! The events that are stored: what a node writes most, in the sizes that it writes.

use domain::Timestamp;
use domain::chunk::Digest;
use domain::observation::TransferFault;
use domain::{
    AssignmentId, ByteRange, Decision, Event, Input, JobId, Observation, PeerId, TrackKey,
};
use eventlog::Schema;

/// A batch as steps for the log and as rows for the others.
pub(crate) struct Stored {
    pub(crate) steps: Vec<Vec<Event>>,
    /// Type and fields as the log stores them.
    pub(crate) rows: Vec<(Schema, Vec<u8>)>,
}

impl Stored {
    pub(crate) fn events(&self) -> usize {
        self.rows.len()
    }
}

/// `size` events: one alone, or steps of an input and a decision.
pub(crate) fn batch(size: usize) -> Stored {
    let steps: Vec<Vec<Event>> = if size == 1 {
        vec![step(0)[..1].to_vec()]
    } else {
        (0..size as u64 / 2).map(|index| step(index).to_vec()).collect()
    };
    let rows = steps
        .iter()
        .flatten()
        .map(|event| eventlog::encode(event).expect("small events are encoded"))
        .collect();
    Stored { steps, rows }
}

fn step(index: u64) -> [Event; 2] {
    let track = TrackKey { job: JobId(1), index: 3 };
    let assignment = AssignmentId(index);
    let range = ByteRange { start: index * 262_144, end: (index + 1) * 262_144 };
    // Three of four steps are chunks.
    if !index.is_multiple_of(4) {
        let digest = Digest([7; 32]);
        let arrived =
            Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms: 218 };
        return [
            Event::Input(Input::Observation(arrived)),
            Event::Decision(Decision::ChunkAccepted { track, assignment, range, digest }),
        ];
    }
    let path = "music\\Ada Lovelace\\Analytical Engine (1991)\\07 - Loops.flac".to_owned();
    let peer = PeerId::Soulseek("some-peer-name".to_owned());
    let sent = Observation::UploadEnded { peer, path, sent_bytes: 30_000_000, complete: true };
    let words = "timed out waiting for the peer's transfer connection".to_owned();
    let peer = PeerId::Soulseek("some-peer-name".to_owned());
    [
        Event::Input(Input::Observation(sent)),
        Event::Decision(Decision::PeerRested {
            track,
            peer,
            reason: TransferFault::Denied(words),
            until: Timestamp(5),
        }),
    ]
}
