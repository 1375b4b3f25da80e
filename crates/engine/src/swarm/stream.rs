//! Where a source that streams begins, and how far it goes on: it can be told where to begin once in a turn,
//! and a turn costs a wait in its queue.

use domain::id::Transport;
use domain::{ByteRange, RangeSet};

use super::pick::View;

impl View<'_> {
    /// Where a source that streams begins: where it can go on for longest.
    pub(super) fn stream_for(&self, at: usize) -> Option<ByteRange> {
        let me = &self.active[at];
        let mut free = me.can.clone();
        free.remove_all(&self.blocked_for(at));
        let runs = free.iter().map(|run| {
            // Somebody who streams towards it shares it with us.
            let behind = self
                .active
                .iter()
                .enumerate()
                .filter(|(number, it)| {
                    *number != at && it.is_giving() && it.transport() == Transport::Stream
                })
                .flat_map(|(_, it)| it.told().map(|(_, open)| (it.rate, open)))
                .filter(|(_, open)| open.next < run.start && run.start < open.range.end)
                .max_by_key(|(_, open)| open.next);
            let start = match behind {
                Some((rate, open)) => {
                    let length = u128::from(run.end - open.next);
                    let share =
                        length * u128::from(rate) / (u128::from(rate) + u128::from(me.rate));
                    let begin = open.next.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
                    self.up(begin).clamp(run.start, run.end)
                }
                None => run.start,
            };
            ByteRange { start, end: run.end }
        });
        // Where the others would take longest.
        runs.filter(|run| !run.is_empty())
            .max_by_key(|run| (self.ms_without(at, *run), std::cmp::Reverse(run.start)))
    }

    /// How long all others would take for a run, each class of it by itself, in microseconds.
    fn ms_without(&self, at: usize, run: ByteRange) -> u64 {
        let (mut start, mut micros) = (run.start, 0u64);
        let bounds = self.bounds();
        while start < run.end {
            let after = bounds.partition_point(|bound| *bound <= start);
            let end = bounds.get(after).map_or(run.end, |bound| (*bound).min(run.end));
            let others = self.givers_of(start) & !(1 << at);
            let rate = self.rate_of(others).max(10_000);
            micros = micros.saturating_add((end - start).saturating_mul(1_000_000) / rate);
            start = end;
        }
        micros
    }

    /// Bytes that somebody will give before a stream would be through them.
    fn blocked_for(&self, at: usize) -> RangeSet {
        let mut blocked = RangeSet::default();
        for (number, it) in self.active.iter().enumerate() {
            if number == at || !it.is_giving() {
                continue;
            }
            let finish = self.finish_ms(it);
            for (_, open) in it.told() {
                match it.transport() {
                    Transport::Stream => {
                        blocked.insert(ByteRange { start: open.next, end: self.ahead_of(it, open) })
                    }
                    Transport::Ranges => {
                        let rest = ByteRange { start: open.next, end: open.range.end };
                        let me = &self.active[at];
                        if finish <= me.ms_for(rest.len()).saturating_add(me.rtt_ms()) {
                            blocked.insert(rest);
                        }
                    }
                }
            }
        }
        blocked
    }

    /// How far a stream goes on from where it is: to where somebody else gives what comes next. Bytes
    /// held are passed over where ending the stream and waiting for another turn would take longer.
    pub(super) fn stream_end(&self, at: usize, next: u64) -> u64 {
        let me = &self.active[at];
        let mut barrier = self.swarm.content.size;
        for (number, it) in self.active.iter().enumerate() {
            if number == at || !it.is_giving() {
                continue;
            }
            for (_, open) in it.told() {
                if open.next >= next && self.rest(open).bytes() > 0 {
                    // Whoever would be there later than the stream is through is overtaken.
                    let through = me.ms_for(open.range.end - next);
                    let gives_way = match it.transport() {
                        Transport::Stream => it.loss() < me.loss() / 2,
                        Transport::Ranges => self.finish_ms(it) > through,
                    };
                    if !gives_way {
                        barrier = barrier.min(open.next);
                    }
                } else if open.next < next
                    && next < open.range.end
                    && it.transport() == Transport::Ranges
                {
                    barrier = barrier.min(next);
                }
            }
        }
        let skip = (me.loss() / 2).min(self.swarm.content.size / 16).max(2 * self.unit);
        let mut end = next;
        let may = ByteRange { start: next, end: barrier };
        for run in self.missing.and(&RangeSet::of(may)).iter() {
            let gap = run.start - end;
            if gap > 0 && (gap > skip || run.len() < gap) {
                break;
            }
            end = run.end;
        }
        end
    }
}
