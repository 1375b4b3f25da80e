//! How a world of one file behaves: all who give share what we can take in proportion, rates change at
//! known moments, a queue is paid for with every turn, and a silence gives no signal. It answers effects
//! with observations, as the node's adapters do; what a peer is like is told to nobody.

use std::collections::{BTreeMap, VecDeque};

use domain::chunk::{CHUNK_BYTES, Digest};
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{AssignmentId, ByteRange, RangeSet, TrackKey};

use super::{Peer, Scenario, at, change_after};

/// What has come is told of at the end of a cell, or after this long, in microseconds.
const REPORT_EVERY: u64 = 250_000;

/// The world at a moment. Times are in microseconds from its beginning.
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    peers: Vec<Connection>,
    /// Assignments by who serves them.
    served: BTreeMap<AssignmentId, usize>,
    now: u64,
    told: VecDeque<Observation>,
    /// What is told at a later time.
    later: BTreeMap<(u64, u64), Observation>,
    planned: u64,
    /// Bytes that came, in millionths.
    came: u128,
    /// Bytes in staging that are wrong.
    pub(super) tainted: RangeSet,
    /// Streams begun, by peer.
    pub(super) starts: Vec<u32>,
}

#[derive(Default)]
struct Connection {
    /// From when on requests can be made.
    since: Option<u64>,
    flows: VecDeque<Flow>,
}

/// A transfer.
struct Flow {
    track: TrackKey,
    assignment: AssignmentId,
    stage: Stage,
    /// The next byte, in millionths.
    next: u64,
    end: u64,
    /// What it began with.
    first: u64,
    /// One past the last byte that was told of.
    told: u64,
    told_at: u64,
    /// Whether its first byte came.
    is_begun: bool,
    /// Whether units are checked.
    is_checked: bool,
    /// Bytes before the first that are compared.
    overlap: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In its queue until then.
    Queued(u64),
    /// It waits for an offset.
    Granted,
    /// The first byte comes then.
    Asked(u64),
    Flowing,
}

const MICRO: u64 = 1_000_000;

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            peers: scenario.peers.iter().map(|_| Connection::default()).collect(),
            served: BTreeMap::new(),
            now: 0,
            told: VecDeque::new(),
            later: BTreeMap::new(),
            planned: 0,
            came: 0,
            tainted: RangeSet::default(),
            starts: vec![0; scenario.peers.len()],
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Bytes that came, used or not.
    pub(super) fn wire_bytes(&self) -> u64 {
        (self.came / u128::from(MICRO)) as u64
    }

    /// Tells something at a later time.
    pub(super) fn plan(&mut self, at: u64, seen: Observation) {
        self.planned += 1;
        self.later.insert((at, self.planned), seen);
    }

    /// A transfer is asked for. Bytes that are not checked come as they are.
    pub(super) fn fetch(
        &mut self,
        peer: usize,
        (track, assignment): (TrackKey, AssignmentId),
        range: ByteRange,
        overlap: u64,
        is_checked: bool,
    ) {
        let spec = &self.scenario.peers[peer];
        if !spec.is_there(self.now) {
            let end = ended(track, assignment, TransferFault::CannotConnect);
            return self.plan(self.now + spec.connect, end);
        }
        let connection = &mut self.peers[peer];
        let stage = if spec.streams {
            Stage::Queued(self.now + spec.connect + spec.queue)
        } else {
            let since = *connection.since.get_or_insert(self.now + spec.connect);
            Stage::Asked(since.max(self.now) + spec.rtt)
        };
        connection.flows.push_back(Flow {
            track,
            assignment,
            stage,
            next: (range.start - overlap) * MICRO,
            end: range.end,
            first: 0,
            told: range.start,
            told_at: self.now,
            is_begun: false,
            is_checked,
            overlap,
        });
        self.served.insert(assignment, peer);
    }

    pub(super) fn begin(&mut self, assignment: AssignmentId, range: ByteRange) {
        let Some(peer) = self.served.get(&assignment).copied() else { return };
        let ready = self.now + self.scenario.peers[peer].rtt;
        let flows = &mut self.peers[peer].flows;
        if let Some(flow) = flows.iter_mut().find(|flow| flow.assignment == assignment) {
            (flow.next, flow.end, flow.told) = (range.start * MICRO, range.end, range.start);
            flow.stage = Stage::Asked(ready);
            self.starts[peer] += 1;
        }
    }

    pub(super) fn move_end(&mut self, assignment: AssignmentId, end: u64) {
        let Some(peer) = self.served.get(&assignment) else { return };
        let flows = &mut self.peers[*peer].flows;
        if let Some(flow) = flows.iter_mut().find(|flow| flow.assignment == assignment) {
            flow.end = end;
        }
    }

    pub(super) fn cancel(&mut self, assignment: AssignmentId) {
        if let Some(peer) = self.served.remove(&assignment) {
            self.peers[peer].flows.retain(|flow| flow.assignment != assignment);
        }
    }

    /// The next thing that is told, if it is told before `limit`; time goes on to it, or to the limit.
    pub(super) fn next(&mut self, limit: u64) -> Option<Observation> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let rates = self.rates();
            let then = self.next_change(&rates);
            let to = then.unwrap_or(limit).min(limit);
            self.flow(&rates, to);
            self.settle();
            if self.told.is_empty() && then.is_none_or(|then| then > limit) {
                return None;
            }
        }
    }

    /// What everybody gives now, in bytes a second, their share of what we can take.
    fn rates(&self) -> Vec<u64> {
        let mut rates: Vec<u64> = self
            .peers
            .iter()
            .zip(&self.scenario.peers)
            .map(|(connection, spec)| match connection.flows.front() {
                Some(flow) if flow.stage == Stage::Flowing => at(&spec.rate, self.now),
                _ => 0,
            })
            .collect();
        let total: u64 = rates.iter().sum();
        if !self.scenario.downlink.is_empty() {
            let most = at(&self.scenario.downlink, self.now);
            if total > most {
                for rate in &mut rates {
                    *rate = (u128::from(*rate) * u128::from(most) / u128::from(total)) as u64;
                }
            }
        }
        rates
    }

    fn next_change(&self, rates: &[u64]) -> Option<u64> {
        let mut times: Vec<u64> = self.later.keys().next().map(|(at, _)| *at).into_iter().collect();
        times.extend(change_after(&self.scenario.downlink, self.now));
        for ((connection, spec), rate) in self.peers.iter().zip(&self.scenario.peers).zip(rates) {
            if connection.flows.is_empty() {
                continue;
            }
            times.extend(spec.lost_after(self.now));
            for (place, flow) in connection.flows.iter().enumerate() {
                match flow.stage {
                    // What was asked for early waits behind what was asked for before.
                    Stage::Queued(until) => times.push(until),
                    Stage::Asked(until) if place == 0 => times.push(until),
                    Stage::Asked(_) | Stage::Granted | Stage::Flowing => {}
                }
            }
            let front = connection.flows.front().expect("there is one");
            if front.stage != Stage::Flowing {
                continue;
            }
            times.extend(change_after(&spec.rate, self.now));
            if *rate > 0 {
                let to =
                    (front.tells_at(self.scenario.unit, spec) * MICRO).saturating_sub(front.next);
                let first = if front.is_begun { to } else { to.min(MICRO) };
                times.push(self.now + first.div_ceil(*rate));
            }
            if front.whole(self.scenario.unit) > front.told {
                times.push(front.told_at + REPORT_EVERY);
            }
        }
        // What was due is settled; only what comes counts.
        times.into_iter().map(|at| at.max(self.now)).min()
    }

    fn flow(&mut self, rates: &[u64], to: u64) {
        let passed = to.saturating_sub(self.now);
        for (connection, rate) in self.peers.iter_mut().zip(rates) {
            if let Some(flow) = connection.flows.front_mut()
                && *rate > 0
            {
                let before = flow.next;
                flow.next = (before + rate * passed).min((flow.end * MICRO).max(before));
                self.came += u128::from(flow.next - before);
            }
        }
        self.now = self.now.max(to);
    }

    /// Lets happen what is due.
    fn settle(&mut self) {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= self.now
        {
            self.told.push_back(entry.remove());
        }
        for number in 0..self.peers.len() {
            let spec = &self.scenario.peers[number];
            let connection = &mut self.peers[number];
            if connection.flows.is_empty() && connection.since.is_none() {
                continue;
            }
            if !spec.is_there(self.now) {
                connection.since = None;
                for flow in connection.flows.drain(..) {
                    self.served.remove(&flow.assignment);
                    let fault = TransferFault::ConnectionCut;
                    self.told.push_back(ended(flow.track, flow.assignment, fault));
                }
                continue;
            }
            self.pass(number);
        }
    }

    /// The transfers of a peer go on to what is due with them.
    fn pass(&mut self, number: usize) {
        let (now, unit) = (self.now, self.scenario.unit);
        let spec = &self.scenario.peers[number];
        loop {
            let flows = &mut self.peers[number].flows;
            for flow in flows.iter_mut() {
                let (track, assignment) = (flow.track, flow.assignment);
                match flow.stage {
                    Stage::Queued(until) if until <= now && flow.is_checked => {
                        flow.stage = Stage::Granted;
                        self.told.push_back(Observation::SlotGranted { track, assignment });
                    }
                    Stage::Queued(until) if until <= now => {
                        flow.stage = Stage::Asked(now + spec.rtt);
                        self.starts[number] += 1;
                    }
                    _ => {}
                }
            }
            let Some(flow) = flows.front_mut() else { return };
            let (track, assignment) = (flow.track, flow.assignment);
            if let Stage::Asked(until) = flow.stage
                && until <= now
            {
                (flow.stage, flow.told_at) = (Stage::Flowing, now);
                (flow.first, flow.is_begun) = (flow.next, spec.streams);
                // Who streams has taken the offset; that ranges are given shows with their first byte.
                if spec.streams {
                    self.told.push_back(Observation::TransferStarted { track, assignment });
                }
            }
            if !flow.is_begun && flow.stage == Stage::Flowing && flow.next > flow.first {
                (flow.is_begun, flow.told_at) = (true, now);
                self.told.push_back(Observation::TransferStarted { track, assignment });
            }
            if flow.stage != Stage::Flowing {
                return;
            }
            let whole = flow.whole(unit);
            let of_unit = u64::from(unit);
            let last = |end: u64| ByteRange { start: (end - 1) / of_unit * of_unit, end };
            let is_over = flow.next >= flow.end * MICRO;
            let is_due = whole > flow.told
                && (is_over
                    || whole / CHUNK_BYTES > flow.told / CHUNK_BYTES
                    // Wrong units are told of at once.
                    || flow.is_checked && spec.is_bad(last(whole))
                    || now >= flow.told_at + REPORT_EVERY);
            if is_due {
                let range = ByteRange { start: flow.told, end: whole };
                let elapsed_ms = (now - flow.told_at) / 1000;
                (flow.told, flow.told_at) = (whole, now);
                if flow.overlap > 0 {
                    let before = ByteRange { start: range.start - flow.overlap, end: range.start };
                    let equal = !spec.is_bad(before) && !self.tainted.meets(before);
                    flow.overlap = 0;
                    let compared =
                        Observation::OverlapCompared { track, assignment, range: before, equal };
                    self.told.push_back(compared);
                }
                let is_checked = flow.is_checked;
                let news = (track, assignment, elapsed_ms);
                self.tell(number, range, news, is_checked);
            }
            if !is_over {
                return;
            }
            let flow = self.peers[number].flows.pop_front().expect("it is the front");
            self.served.remove(&flow.assignment);
            let end = TransferEnd::Complete;
            self.told.push_back(Observation::TransferEnded { track, assignment, end });
        }
    }

    /// Tells of bytes that came: right and wrong ones apart, where they are checked.
    fn tell(
        &mut self,
        number: usize,
        range: ByteRange,
        (track, assignment, mut elapsed_ms): (TrackKey, AssignmentId, u64),
        is_checked: bool,
    ) {
        let (spec, unit) = (&self.scenario.peers[number], u64::from(self.scenario.unit));
        let mut start = range.start;
        while start < range.end {
            let unit_of =
                |start: u64| ByteRange { start, end: ((start / unit + 1) * unit).min(range.end) };
            let mut piece = unit_of(start);
            let is_bad = spec.is_bad(piece);
            while piece.end < range.end && spec.is_bad(unit_of(piece.end)) == is_bad {
                piece.end = unit_of(piece.end).end;
            }
            start = piece.end;
            self.told.push_back(if is_bad && is_checked {
                Observation::PieceSpoiled { track, assignment, range: piece, elapsed_ms }
            } else {
                if is_bad {
                    self.tainted.insert(piece);
                } else {
                    self.tainted.remove(piece);
                }
                let digest = Digest([u8::from(is_bad); 32]);
                Observation::ChunkArrived { track, assignment, range: piece, digest, elapsed_ms }
            });
            elapsed_ms = 0;
        }
    }
}

impl Flow {
    /// One past the last byte of the last whole unit that came.
    fn whole(&self, unit: u32) -> u64 {
        let next = self.next / MICRO;
        if next >= self.end { self.end } else { next / u64::from(unit) * u64::from(unit) }
    }

    /// The byte at which something is told next, by its number.
    fn tells_at(&self, unit: u32, of: &Peer) -> u64 {
        let (next, unit) = (self.next / MICRO, u64::from(unit));
        let now = ByteRange { start: next / unit * unit, end: (next / unit + 1) * unit };
        let is_told = self.whole(unit as u32) > self.told && !(self.is_checked && of.is_bad(now));
        let step = if is_told { CHUNK_BYTES } else { unit };
        ((next / step + 1) * step).min(self.end)
    }
}

impl Peer {
    fn is_there(&self, now: u64) -> bool {
        self.appear <= now
            && self.gone.is_none_or(|gone| now < gone)
            && !self.down.iter().any(|(from, to)| (*from..*to).contains(&now))
    }

    /// When its connections are lost next.
    fn lost_after(&self, now: u64) -> Option<u64> {
        let windows = self.down.iter().map(|(from, _)| *from);
        windows.chain(self.gone).filter(|at| *at > now).min()
    }

    fn is_bad(&self, piece: ByteRange) -> bool {
        self.bad.iter().any(|(from, to)| piece.start < *to && *from < piece.end)
    }
}

fn ended(track: TrackKey, assignment: AssignmentId, fault: TransferFault) -> Observation {
    Observation::TransferEnded { track, assignment, end: TransferEnd::Failed(fault) }
}
