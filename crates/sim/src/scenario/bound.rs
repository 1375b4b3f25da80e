//! How fast anybody could be who knew everything and could change their mind for nothing.

use super::{Scenario, at};

/// The least time in which the file can come, in microseconds; `None` when it cannot. For every set of
/// peers, the bytes that only they have right must fit through them and through what we can take.
#[must_use]
pub fn least(scenario: &Scenario) -> Option<u64> {
    let classes = classes(scenario);
    if classes.iter().any(|(holders, _)| *holders == 0) {
        return None;
    }
    let gives: Vec<Vec<Given>> = scenario.peers.iter().map(given).collect();
    let mut least = 0;
    // Sets that matter are unions of the sets that hold something.
    let mut sets: Vec<u64> = Vec::new();
    for (holders, _) in &classes {
        for at in 0..sets.len() {
            if sets.len() < SETS_MOST && !sets.contains(&(sets[at] | holders)) {
                sets.push(sets[at] | holders);
            }
        }
        if !sets.contains(holders) {
            sets.push(*holders);
        }
    }
    for set in sets {
        let need = classes.iter().filter(|(holders, _)| holders & !set == 0).map(|it| it.1).sum();
        let of: Vec<&[Given]> = (0..gives.len())
            .filter(|number| set >> number & 1 == 1)
            .map(|number| gives[number].as_slice())
            .collect();
        least = least.max(time_for(need, &of, &scenario.downlink)?);
    }
    Some(least)
}

/// Sets of holders that are looked at.
const SETS_MOST: usize = 4096;

/// Bytes a second from a time to another.
type Given = (u64, u64, u64);

/// What a peer could give of use: not before its queue, nor while it is away, nor right after.
fn given(peer: &super::Peer) -> Vec<Given> {
    let again = peer.connect + peer.rtt + peer.queue;
    let mut holes = vec![(0, peer.appear + again)];
    holes.extend(peer.down.iter().map(|(from, to)| (*from, to + again)));
    holes.extend(peer.gone.map(|gone| (gone, u64::MAX)));
    let ends = peer.rate.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
    let mut given: Vec<Given> =
        peer.rate.iter().zip(ends).map(|((from, rate), to)| (*from, to, *rate)).collect();
    for (from, to) in holes {
        given = given
            .into_iter()
            .flat_map(|(start, end, rate)| {
                [(start, end.min(from), rate), (start.max(to), end, rate)]
            })
            .filter(|(start, end, rate)| start < end && *rate > 0)
            .collect();
        given.sort_unstable();
        given.dedup();
    }
    given
}

/// Bytes by the set of peers that have them right.
fn classes(scenario: &Scenario) -> Vec<(u64, u64)> {
    let ranges = scenario.peers.iter().flat_map(|it| it.have.iter().flatten().chain(&it.bad));
    let mut cuts: Vec<u64> = ranges
        .flat_map(|(from, to)| [*from, *to])
        .map(|cut| cut.min(scenario.size))
        .chain([0, scenario.size])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut classes: Vec<(u64, u64)> = Vec::new();
    for two in cuts.windows(2) {
        let inside = |(from, to): &(u64, u64)| *from <= two[0] && two[1] <= *to;
        let has = |it: &super::Peer| {
            it.have.as_ref().is_none_or(|have| have.iter().any(inside))
                && !it.bad.iter().any(inside)
        };
        let holders = scenario
            .peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| has(peer))
            .fold(0, |set, (number, _)| set | 1 << number);
        match classes.iter_mut().find(|(same, _)| *same == holders) {
            Some((_, bytes)) => *bytes += two[1] - two[0],
            None => classes.push((holders, two[1] - two[0])),
        }
    }
    classes
}

/// When so many bytes have come through some peers and what we can take.
fn time_for(need: u64, of: &[&[Given]], downlink: &[(u64, u64)]) -> Option<u64> {
    let mut times: Vec<u64> =
        of.iter().flat_map(|given| given.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
    times.extend(downlink.iter().map(|(from, _)| *from));
    times.push(0);
    times.sort_unstable();
    times.dedup();
    let mut left = u128::from(need) * 1_000_000;
    for (number, from) in times.iter().enumerate() {
        let to = times.get(number + 1).copied().unwrap_or(u64::MAX);
        let gives = |given: &&[Given]| {
            given.iter().find(|(start, end, _)| start <= from && from < end).map_or(0, |it| it.2)
        };
        let mut rate: u64 = of.iter().map(gives).sum();
        if !downlink.is_empty() {
            rate = rate.min(at(downlink, *from));
        }
        let come = u128::from(rate) * u128::from(to - from);
        if rate > 0 && come >= left {
            return Some(from + left.div_ceil(u128::from(rate)) as u64);
        }
        left -= come;
    }
    None
}
