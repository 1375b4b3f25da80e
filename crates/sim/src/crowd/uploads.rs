//! What nodes do for one another: a queue, a few at once, and bytes cell by cell.

use domain::chunk::{ByteRange, cell_end};
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{AssignmentId, Effect, TrackKey};

use super::things::{FileId, content, track_of};
use super::{Crowd, Happening, node};
use crate::rng::Rng;

/// Somebody gives a file to somebody.
pub(super) struct Transfer {
    from: u32,
    to: u32,
    track: TrackKey,
    attempt: u16,
    assignment: AssignmentId,
    file: FileId,
    next: u64,
    overlap: u64,
    has_begun: bool,
    /// After so many bytes it is cut, or falls silent.
    dies_at: Option<(u64, bool)>,
}

/// Longest queue of a node.
const QUEUE_MOST: usize = 100;

impl Crowd {
    /// A node asks another for a file.
    pub(super) fn ask(&mut self, to: u32, effect: Effect, rng: &mut Rng) {
        let Effect::FetchRange {
            track, attempt, assignment, peer, path, size, range, overlap, ..
        } = effect
        else {
            return;
        };
        let album = self.nodes[to as usize].wants;
        let fail = |fault| Observation::TransferEnded {
            track,
            assignment,
            end: TransferEnd::Failed(fault),
        };
        let Some(from) = node::number(&peer).filter(|it| self.nodes[*it as usize].is_there) else {
            return self.tell(to, 5_000, fail(TransferFault::CannotConnect));
        };
        let wait = self.nodes[from as usize].rtt_ms * 2;
        let file =
            track_of(&path).and_then(|index| self.nodes[from as usize].files.get(&(album, index)));
        let Some(file) = file.copied() else {
            return self.tell(to, wait, fail(TransferFault::Denied("File not shared.".into())));
        };
        if file.size != size {
            return self.tell(to, wait, fail(TransferFault::SizeChanged(file.size)));
        }
        if self.nodes[from as usize].queue.len() >= QUEUE_MOST {
            return self.tell(to, wait, fail(TransferFault::Denied("Too many files".into())));
        }
        let staged = self.nodes[to as usize].staging.entry((track, attempt)).or_default();
        staged.retain(|(piece, _)| piece.end <= range.start);
        let is_fickle = self.nodes[from as usize].is_fickle;
        let dies_at = (is_fickle && rng.chance(10))
            .then(|| (rng.within(range.start, size.max(range.start + 1)), rng.chance(50)));
        self.last_transfer += 1;
        let id = self.last_transfer;
        self.transfers.insert(
            id,
            Transfer {
                from,
                to,
                track,
                attempt,
                assignment,
                file,
                next: range.start,
                overlap,
                has_begun: false,
                dies_at,
            },
        );
        self.nodes[to as usize].asked.insert(assignment, id);
        let place = self.nodes[from as usize].queue.len() as u32 + 1;
        self.nodes[from as usize].queue.push_back(id);
        if place > 1 {
            self.tell(to, wait, Observation::PlaceTold { track, assignment, place });
        }
        self.serve(from);
    }

    /// Whose turn it is with a node is served.
    fn serve(&mut self, from: u32) {
        let mut due = Vec::new();
        let node = &mut self.nodes[from as usize];
        while node.giving.len() < node.slots
            && let Some(id) = node.queue.pop_front()
        {
            if self.transfers.contains_key(&id) {
                node.giving.insert(id);
                let at = self.now.plus_ms(node.rtt_ms);
                due.push((at, id));
            }
        }
        for (at, id) in due {
            self.plan(at, Happening::Transfer(id));
        }
    }

    /// The next cell has come.
    pub(super) fn go_on(&mut self, id: u64) {
        let Some(it) = self.transfers.get_mut(&id) else { return };
        let (to, track, assignment, file) = (it.to, it.track, it.assignment, it.file);
        let rate = self.nodes[it.from as usize].rate.max(1);
        if !it.has_begun {
            it.has_begun = true;
            let (next, overlap, attempt) = (it.next, it.overlap, it.attempt);
            self.tell(to, 0, Observation::TransferStarted { track, assignment });
            if overlap > 0 {
                let range = ByteRange { start: next - overlap, end: next };
                let staged = self.nodes[to as usize].staged(track, attempt);
                let equal = staged == Some(file);
                let compared = Observation::OverlapCompared { track, assignment, range, equal };
                self.tell(to, 0, compared);
                if !equal {
                    return self.end(id, None);
                }
            }
            return self.next_cell(id, rate);
        }
        let cell = ByteRange { start: it.next, end: cell_end(it.next, file.size) };
        if let Some((after, is_silent)) = it.dies_at
            && cell.end > after
        {
            // Who falls silent keeps its slot until we give up.
            let cut = TransferEnd::Failed(TransferFault::ConnectionCut);
            if !is_silent {
                self.end(id, Some(cut));
            }
            return;
        }
        it.next = cell.end;
        let key = (track, it.attempt);
        let elapsed_ms = (cell.len() * 1000 / rate).max(1);
        self.outcome.bytes += cell.len();
        self.nodes[to as usize].staging.entry(key).or_default().push((cell, file));
        let digest = content(file, cell);
        let arrived =
            Observation::ChunkArrived { track, assignment, range: cell, digest, elapsed_ms };
        self.tell(to, 0, arrived);
        if cell.end == file.size {
            self.end(id, Some(TransferEnd::Complete));
        } else {
            self.next_cell(id, rate);
        }
    }

    fn next_cell(&mut self, id: u64, rate: u64) {
        let Some(it) = self.transfers.get(&id) else { return };
        let bytes = cell_end(it.next, it.file.size) - it.next;
        let at = self.now.plus_ms((bytes * 1000 / rate).max(1));
        self.plan(at, Happening::Transfer(id));
    }

    /// A transfer is over, told or not, and the next in the queue has its turn.
    fn end(&mut self, id: u64, end: Option<TransferEnd>) {
        let Some(it) = self.transfers.remove(&id) else { return };
        self.nodes[it.to as usize].asked.remove(&it.assignment);
        self.nodes[it.from as usize].giving.remove(&id);
        if let Some(end) = end {
            let (track, assignment) = (it.track, it.assignment);
            self.tell(it.to, 1, Observation::TransferEnded { track, assignment, end });
        }
        self.serve(it.from);
    }

    pub(super) fn cancel(&mut self, to: u32, assignment: AssignmentId) {
        if let Some(id) = self.nodes[to as usize].asked.get(&assignment).copied() {
            self.end(id, None);
        }
    }

    /// A node is gone: whatever it gave or got is cut.
    pub(super) fn leave(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        node.is_there = false;
        let got: Vec<u64> = node.asked.values().copied().collect();
        let mut gave: Vec<u64> = node.giving.iter().copied().collect();
        gave.extend(node.queue.drain(..));
        for id in got {
            let end = TransferEnd::Failed(TransferFault::ConnectionCut);
            self.end(id, Some(end));
        }
        for id in gave {
            let end = TransferEnd::Failed(TransferFault::ConnectionCut);
            self.end(id, Some(end));
        }
    }
}
