//! Which misfortunes a seed brings.

use super::{CrashPoint, Fault, Misfortune};
use crate::rng::Rng;

/// The faults of a seed, in their order. Some lives are quiet and some are not, and of those that are
/// not some are all crashes.
#[must_use]
pub fn drawn(seed: u64) -> Vec<Fault> {
    let mut rng = Rng::new(seed, "faults");
    let mut faults = Vec::new();
    for peer in 0..6 {
        if rng.chance(50) {
            faults.push(Fault { at: 0, what: fate(&mut rng, peer) });
        }
    }
    let most = [0, 4, 12, 30][rng.within(0, 4) as usize];
    for _ in 0..rng.within(0, most + 1) {
        faults.push(Fault { at: moment(&mut rng), what: any(&mut rng) });
    }
    let most = [0, 3, 20][rng.within(0, 3) as usize];
    for _ in 0..rng.within(0, most + 1) {
        faults.push(Fault { at: moment(&mut rng), what: crash(&mut rng) });
    }
    faults.sort();
    faults
}

/// Early more often than late: short lives have misfortunes too.
fn moment(rng: &mut Rng) -> u32 {
    let within = 1 << rng.within(3, 9);
    rng.within(1, within) as u32
}

/// What a peer is like.
fn fate(rng: &mut Rng, peer: u8) -> Misfortune {
    match rng.within(0, 7) {
        0 => Misfortune::PeerDies { peer, after: rng.within(0, 900_000) },
        1 => Misfortune::PeerStalls { peer, after: rng.within(0, 900_000) },
        2 => Misfortune::PeerDenies { peer },
        3 => Misfortune::PeerLeaves { peer },
        4 => Misfortune::PeerChangesSize { peer },
        5 => Misfortune::PeerQueues { peer },
        _ => Misfortune::PeerLies { peer },
    }
}

fn crash(rng: &mut Rng) -> Misfortune {
    Misfortune::Crash(match rng.within(0, 6) {
        0 => CrashPoint::BeforeAppend,
        1 => CrashPoint::AfterEffects(1),
        _ => CrashPoint::AfterEffects(0),
    })
}

fn any(rng: &mut Rng) -> Misfortune {
    let peer = rng.within(0, 6) as u8;
    match rng.within(0, 20) {
        0 | 1 => fate(rng, peer),
        2 => Misfortune::PeerReturns { peer },
        3 => Misfortune::SessionLost { for_ms: rng.within(1_000, 60_000) },
        4 => {
            let asked = if rng.chance(50) { rng.within(1_000, 300_000) } else { 0 };
            Misfortune::ServiceBusy { retry_after_ms: asked }
        }
        5 => Misfortune::ServiceUnreachable,
        6 => Misfortune::ReleaseMissing,
        7 => Misfortune::KeyRefused,
        8 | 9 => Misfortune::DiskFull,
        10 => Misfortune::StagingLost,
        11 => Misfortune::ClockBack { ms: rng.within(1, 600_000) },
        12 => Misfortune::ClockForward { ms: rng.within(1, 600_000) },
        13 | 14 => {
            let within = if rng.chance(60) { 15_000 } else { 120_000 };
            Misfortune::AnswerTwice { after_ms: rng.within(1, within) }
        }
        15 => Misfortune::AnswerLate { by_ms: rng.within(1, 120_000) },
        16 => Misfortune::AnswerLost,
        17 | 18 => Misfortune::PersonRetries,
        _ => Misfortune::PersonChangesMind,
    }
}
