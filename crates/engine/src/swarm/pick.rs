//! Which bytes a source of a swarm is asked for. Bytes are divided into classes by who could give them;
//! the class that its givers will be done with last comes first. Where nothing is left that nobody gives,
//! a part of what somebody else would be done with last is taken over.

use std::collections::BTreeMap;

use domain::id::Transport;
use domain::{AssignmentId, ByteRange, RangeSet, SourceId};

use crate::state::{Assignment, Giver, Source, Swarm, Turn};

/// Taken for a rate while none is known, in bytes a second.
const UNKNOWN_RATE: u64 = 200_000;
/// Taken for a round trip while none is known, in milliseconds.
const UNKNOWN_RTT_MS: u64 = 300;
/// What is asked for at once lasts at least this long beyond two round trips, in milliseconds.
const PIECE_MS: u64 = 500;
/// Units that are asked for at once at least.
const PIECE_UNITS: u64 = 4;
/// Bytes that are asked for at first.
const FIRST_PIECE: u64 = 128 * 1024;
/// And in how many parts.
const FIRST_PIECES: usize = 2;
/// So far ahead of a stream nobody else is asked for its bytes, in milliseconds.
const HORIZON_MS: u64 = 4_000;
/// A takeover must save at least this much, in milliseconds.
const GAIN_MS: u64 = 80;

/// A source that may be asked, and what it is doing.
pub(super) struct Active<'a> {
    pub(super) id: SourceId,
    pub(super) source: &'a Source,
    pub(super) giver: Giver,
    pub(super) open: Vec<(AssignmentId, &'a Assignment)>,
    /// Missing bytes that it is likely to give right.
    pub(super) can: RangeSet,
    /// Whether it may be asked for more.
    pub(super) is_free: bool,
    pub(super) rate: u64,
}

/// A swarm at a moment.
pub(super) struct View<'a> {
    pub(super) swarm: &'a Swarm,
    pub(super) unit: u64,
    pub(super) missing: RangeSet,
    pub(super) active: Vec<Active<'a>>,
}

/// What a source is to be asked for.
pub(super) struct Pick {
    pub(super) range: ByteRange,
    /// Whose assignment ends sooner for it.
    pub(super) moved: Option<(AssignmentId, u64)>,
    /// Whose assignment is taken over whole.
    pub(super) cut: Option<AssignmentId>,
    pub(super) is_double: bool,
}

impl Active<'_> {
    pub(super) fn transport(&self) -> Transport {
        self.source.peer.transport()
    }

    pub(super) fn rtt_ms(&self) -> u64 {
        if self.giver.rtt_ms == 0 { UNKNOWN_RTT_MS } else { self.giver.rtt_ms }
    }

    /// Assignments whose bytes were named to it.
    pub(super) fn told(&self) -> impl DoubleEndedIterator<Item = (AssignmentId, &Assignment)> {
        self.open.iter().filter(|(_, open)| open.turn == Turn::Told).map(|(id, open)| (*id, *open))
    }

    /// Whether bytes are expected of it now.
    pub(super) fn is_giving(&self) -> bool {
        !self.giver.is_silent && self.told().next().is_some()
    }

    /// Bytes that it does not give while it waits for another turn.
    pub(super) fn loss(&self) -> u64 {
        self.rate.saturating_mul(self.giver.wait_ms + self.rtt_ms()) / 1000
    }

    pub(super) fn ms_for(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1000) / self.rate
    }
}

impl<'a> View<'a> {
    /// The sources are taken as they are; `can` and `rate` are filled in.
    pub(super) fn new(swarm: &'a Swarm, mut active: Vec<Active<'a>>) -> Self {
        let all = ByteRange { start: 0, end: swarm.content.size };
        let missing = swarm.held.missing_in(all);
        let known: Vec<u64> =
            active.iter().map(|it| it.giver.rate).filter(|rate| *rate > 0).collect();
        let sum = known.iter().fold(0, |sum: u64, rate| sum.saturating_add(*rate));
        let usual = sum.checked_div(known.len() as u64);
        let mut orphans = missing.clone();
        for it in &mut active {
            it.rate = if it.giver.rate > 0 { it.giver.rate } else { usual.unwrap_or(UNKNOWN_RATE) };
            it.rate = it.rate.max(1);
            it.can = match swarm.has.get(&it.source.peer) {
                Some(has) => missing.and(has),
                None => missing.clone(),
            };
            it.can.remove_all(&it.giver.doubted);
            orphans.remove_all(&it.can);
        }
        // Where nobody is likely to be right, those who may be are asked.
        if !orphans.is_empty() {
            for it in &mut active {
                let mut may = match swarm.has.get(&it.source.peer) {
                    Some(has) => orphans.and(has),
                    None => orphans.clone(),
                };
                may.remove_all(&it.giver.spoiled);
                may.iter().for_each(|range| it.can.insert(range));
            }
        }
        Self { swarm, unit: u64::from(swarm.content.unit), missing, active }
    }

    pub(super) fn up(&self, byte: u64) -> u64 {
        byte.div_ceil(self.unit).saturating_mul(self.unit).min(self.swarm.content.size)
    }

    /// Missing bytes of what an assignment was told to give.
    pub(super) fn rest(&self, open: &Assignment) -> RangeSet {
        let rest = ByteRange { start: open.next, end: open.range.end };
        self.missing.and(&RangeSet::of(rest))
    }

    /// Time until a source has given all that it was told to give.
    pub(super) fn finish_ms(&self, it: &Active<'_>) -> u64 {
        let bytes: u64 = it.told().map(|(_, open)| self.rest(open).bytes()).sum();
        let is_begun = bytes == 0 || it.told().any(|(_, open)| open.started);
        let begins = if is_begun { 0 } else { it.rtt_ms() };
        it.ms_for(bytes).saturating_add(begins)
    }

    /// Bytes that somebody is about to give.
    fn blocked(&self) -> RangeSet {
        let mut blocked = RangeSet::default();
        for it in self.active.iter().filter(|it| it.is_giving()) {
            for (_, open) in it.told() {
                let end = match it.transport() {
                    Transport::Ranges => open.range.end,
                    Transport::Stream => self.ahead_of(it, open),
                };
                blocked.insert(ByteRange { start: open.next, end });
            }
        }
        blocked
    }

    /// Milliseconds that all bytes will take if everybody goes on.
    pub(super) fn remaining_ms(&self) -> u64 {
        let giving = self.active.iter().filter(|it| it.is_giving());
        let rate = giving.fold(0, |sum: u64, it| sum.saturating_add(it.rate));
        self.missing.bytes().saturating_mul(1000).checked_div(rate).unwrap_or(u64::MAX)
    }

    /// What a source that gives ranges is asked for next, if it has time for more.
    pub(super) fn range_for(&self, at: usize) -> Option<Pick> {
        let me = &self.active[at];
        let work: u64 = me.told().map(|(_, open)| self.rest(open).bytes()).sum();
        let mut free = me.can.clone();
        free.remove_all(&self.blocked());
        if me.giver.is_silent {
            return if me.open.is_empty() { self.probe(&free) } else { None };
        }
        let is_known = me.giver.rate > 0;
        if !is_known && me.open.len() >= FIRST_PIECES {
            return None;
        }
        if is_known && me.ms_for(work) >= me.rtt_ms() + PIECE_MS / 2 {
            return None;
        }
        if let Some(run) = self.most_pressing(at, &free) {
            let piece = if is_known { self.piece(me) } else { FIRST_PIECE };
            let start = self.up(run.end.saturating_sub(piece)).max(run.start);
            let start = if start >= run.end { run.start } else { start };
            return Some(Pick {
                range: ByteRange { start, end: run.end },
                moved: None,
                cut: None,
                is_double: false,
            });
        }
        if me.ms_for(work) >= me.rtt_ms() {
            return None;
        }
        self.takeover(at).or_else(|| self.doubtful(at))
    }

    /// One unit from the midst of what it may have wrong.
    fn doubtful(&self, at: usize) -> Option<Pick> {
        let me = &self.active[at];
        if !me.open.is_empty() {
            return None;
        }
        let mut free = match self.swarm.has.get(&me.source.peer) {
            Some(has) => self.missing.and(has),
            None => self.missing.clone(),
        };
        free = free.and(&me.giver.doubted);
        free.remove_all(&me.giver.spoiled);
        free.remove_all(&self.blocked());
        self.probe(&free)
    }

    /// One unit from the midst of what nobody gives: it shows whether somebody is awake.
    fn probe(&self, free: &RangeSet) -> Option<Pick> {
        let run = free.iter().max_by_key(|run| run.len())?;
        let start = (run.start + run.len() / 2) / self.unit * self.unit;
        let start = start.max(run.start);
        let range = ByteRange { start, end: self.up(start + 1).min(run.end) };
        Some(Pick { range, moved: None, cut: None, is_double: false })
    }

    /// The longest run of the class that its givers will be done with last.
    fn most_pressing(&self, at: usize, free: &RangeSet) -> Option<ByteRange> {
        let bounds = self.bounds();
        let mut classes: BTreeMap<u64, (u64, ByteRange)> = BTreeMap::new();
        let mut add = |mask: u64, run: ByteRange| {
            let (bytes, longest) = classes.entry(mask).or_insert((0, run));
            *bytes += run.len();
            if run.len() > longest.len() {
                *longest = run;
            }
        };
        for range in free.iter() {
            let mut last: Option<(u64, ByteRange)> = None;
            let mut start = range.start;
            while start < range.end {
                let after = bounds.partition_point(|bound| *bound <= start);
                let end = bounds.get(after).map_or(range.end, |bound| (*bound).min(range.end));
                let mask = self.givers_of(start);
                match &mut last {
                    Some((same, run)) if *same == mask => run.end = end,
                    _ => {
                        if let Some((mask, run)) = last.replace((mask, ByteRange { start, end })) {
                            add(mask, run);
                        }
                    }
                }
                start = end;
            }
            if let Some((mask, run)) = last {
                add(mask, run);
            }
        }
        let mine = self.active[at].rate;
        classes
            .into_iter()
            .map(|(mask, (bytes, run))| {
                let rate = self.rate_of(mask).max(mine);
                (u128::from(bytes) * 1_000_000 / u128::from(rate), run)
            })
            .max_by_key(|(pressure, run)| (*pressure, run.len()))
            .map(|(_, run)| run)
    }

    pub(super) fn givers_of(&self, byte: u64) -> u64 {
        self.active
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.giver.is_silent && it.can.has(byte))
            .fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// A part of what somebody else would be done with last, so that both are done at once.
    pub(super) fn takeover(&self, at: usize) -> Option<Pick> {
        let me = &self.active[at];
        // As it will be reckoned once it is asked, so that nobody takes back what was taken.
        let delay = self.finish_ms(me).max(me.rtt_ms());
        let mut best: Option<(u64, Pick)> = None;
        for (number, it) in self.active.iter().enumerate() {
            let Some((id, last)) = it.told().next_back() else { continue };
            if number == at || it.giver.is_silent {
                continue;
            }
            let finish = self.finish_ms(it);
            let end = last.range.end;
            // What I could give of it is its end.
            let Some(run) = me.can.iter().find(|run| run.start < end && end <= run.end) else {
                continue;
            };
            let start = run.start.max(last.next);
            if finish <= delay + GAIN_MS || start >= end {
                continue;
            }
            let both = u128::from(it.rate) + u128::from(me.rate);
            let share = u128::from(finish - delay) * u128::from(it.rate) * u128::from(me.rate)
                / both
                / 1000;
            let share = u64::try_from(share).unwrap_or(u64::MAX);
            let from = self.up(end.saturating_sub(share)).max(start);
            let pick = if from < end {
                let is_first = it.told().next().is_some_and(|(first, _)| first == id);
                let range = ByteRange { start: from, end };
                match from > last.next {
                    true => Pick { range, moved: Some((id, from)), cut: None, is_double: false },
                    false if !is_first || !last.started => {
                        Pick { range, moved: None, cut: Some(id), is_double: false }
                    }
                    false => Pick { range, moved: None, cut: None, is_double: true },
                }
            } else {
                let range = ByteRange { start, end };
                Pick { range, moved: None, cut: None, is_double: true }
            };
            let done = delay + me.ms_for(pick.range.len());
            let is_worth = if pick.is_double {
                let most = self.swarm.content.size / 50 + 2 * self.unit;
                done + GAIN_MS < finish * 3 / 4
                    && self.swarm.doubled.saturating_add(pick.range.len()) <= most
                    // Nobody is asked a third time.
                    && !self.active.iter().enumerate().any(|(other, it)| {
                        other != number
                            && it.told().any(|(_, open)| self.rest(open).meets(pick.range))
                            && !it.giver.is_silent
                    })
            } else {
                done + GAIN_MS < finish
            };
            if is_worth && best.as_ref().is_none_or(|(latest, _)| finish > *latest) {
                best = Some((finish, pick));
            }
        }
        best.map(|(_, pick)| pick)
    }

    /// Bytes a second that some of those that are active give, or could at once.
    pub(super) fn rate_of(&self, mask: u64) -> u64 {
        let giving = |(number, it): (usize, &Active<'_>)| {
            let counts =
                mask >> number & 1 == 1 && (it.transport() == Transport::Ranges || it.is_giving());
            if counts { it.rate } else { 0 }
        };
        self.active.iter().enumerate().map(giving).fold(0, u64::saturating_add)
    }

    /// Where anybody begins or ceases to be of use.
    pub(super) fn bounds(&self) -> Vec<u64> {
        let mut bounds: Vec<u64> = self
            .active
            .iter()
            .filter(|it| !it.giver.is_silent)
            .flat_map(|it| it.can.iter().flat_map(|range| [range.start, range.end]))
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }

    /// How far ahead of a stream nobody else is asked.
    pub(super) fn ahead_of(&self, it: &Active<'_>, open: &Assignment) -> u64 {
        let ahead = (it.rate.saturating_mul(HORIZON_MS) / 1000).max(4 * self.unit);
        self.up(open.next.saturating_add(ahead)).min(open.range.end)
    }

    /// What is asked for at once of a source that gives ranges.
    fn piece(&self, it: &Active<'_>) -> u64 {
        (it.rate.saturating_mul(2 * it.rtt_ms() + PIECE_MS) / 1000).max(PIECE_UNITS * self.unit)
    }

    /// What a source that gives ranges was asked for before it was known how slow it is, and is asked for
    /// no longer.
    pub(super) fn excess(&self, it: &Active<'_>) -> Option<Pick> {
        let (id, last) = it.told().next_back()?;
        if it.giver.rate == 0 || it.giver.is_silent || it.transport() == Transport::Stream {
            return None;
        }
        let rest = ByteRange { start: last.next, end: last.range.end };
        let work: u64 = it.told().map(|(_, open)| self.rest(open).bytes()).sum();
        let most = 3 * self.piece(it);
        if work <= most {
            return None;
        }
        let keep = most.saturating_sub(work - rest.len().min(work)) / 2;
        let end = self.up(last.next.saturating_add(keep));
        if end >= last.range.end {
            return None;
        }
        let whole = (it.told().count() > 1 && end <= last.next).then_some(id);
        let end = end.max(self.up(last.next + 1));
        let moved = (whole.is_none() && end < last.range.end).then_some((id, end));
        (whole.is_some() || moved.is_some()).then_some(Pick {
            range: rest,
            moved,
            cut: whole,
            is_double: false,
        })
    }
}
