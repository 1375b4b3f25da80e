//! Worlds of one file and several peers, as files describe them: what a scheduler is measured by. This
//! file reads them; [`world`] is how such a world behaves, [`live`] lets the real engine live in one, and
//! [`bound`] says how fast anybody could be.

pub mod bound;
pub mod live;
mod world;

#[cfg(test)]
mod tests;

use serde::Deserialize;

/// Largest scenario that is read, in bytes of its file.
pub const FILE_MOST: u64 = 16 << 20;
const PEERS_MOST: usize = 64;
const POINTS_MOST: usize = 100_000;
const SIZE_MOST: u64 = 1 << 40;
const RATE_MOST: u64 = 1 << 40;
/// Seconds that a scenario may speak of.
const LATEST_S: f64 = 1e7;

/// A world of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What we can take, in bytes a second, from a time in microseconds on; empty when there is no limit.
    pub downlink: Vec<(u64, u64)>,
    /// Bytes of one unit that can be checked.
    pub unit: u32,
    /// Who has it.
    pub peers: Vec<Peer>,
}

/// Somebody who has the file or a part of it. Times are in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// What it is called.
    pub id: String,
    /// Whether it streams from an offset after a wait in its queue, or gives any range.
    pub streams: bool,
    /// From a request to its first byte.
    pub rtt: u64,
    /// To connect.
    pub connect: u64,
    /// Wait in its queue, each time.
    pub queue: u64,
    /// Bytes a second from a time on.
    pub rate: Vec<(u64, u64)>,
    /// When it becomes known.
    pub appear: u64,
    /// When its connections are lost and no others are made.
    pub down: Vec<(u64, u64)>,
    /// When it is gone for good.
    pub gone: Option<u64>,
    /// What it has; `None` for all.
    pub have: Option<Vec<(u64, u64)>>,
    /// Where its bytes are wrong.
    pub bad: Vec<(u64, u64)>,
}

/// Why a scenario was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is not of the shape that a scenario has.
    #[error("not a scenario")]
    Shape(#[from] serde_json::Error),
    /// It says something that cannot be.
    #[error("{0}")]
    Sense(String),
}

#[derive(Deserialize)]
struct Written {
    name: String,
    size: u64,
    downlink: Option<Vec<(f64, f64)>>,
    verify_unit: u32,
    peers: Vec<WrittenPeer>,
}

#[derive(Deserialize)]
struct WrittenPeer {
    id: String,
    kind: Kind,
    rtt_ms: f64,
    connect_ms: f64,
    #[serde(default)]
    queue_s: f64,
    rate: Vec<(f64, f64)>,
    #[serde(default)]
    appear_s: f64,
    #[serde(default)]
    down: Vec<(f64, f64)>,
    gone_at: Option<f64>,
    have: Option<Vec<(u64, u64)>>,
    #[serde(default)]
    bad: Vec<(u64, u64)>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Mesh,
    Soulseek,
}

/// Reads a scenario.
///
/// # Errors
/// When the text is no scenario, or its numbers make no sense.
pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let sense = |words: &str| ScenarioError::Sense(words.to_owned());
    if text.len() as u64 > FILE_MOST {
        return Err(sense("it is larger than 16 MiB"));
    }
    let written: Written = serde_json::from_str(text)?;
    if written.size == 0 || written.size > SIZE_MOST {
        return Err(sense("its size is not between 1 B and 1 TiB"));
    }
    let unit = u64::from(written.verify_unit);
    if unit == 0 || written.size / unit >= 1 << 20 {
        return Err(sense("its verify_unit makes more than a million units of it, or none"));
    }
    if written.peers.is_empty() || written.peers.len() > PEERS_MOST {
        return Err(sense("it has no peer, or more than 64"));
    }
    let downlink = written.downlink.unwrap_or_default();
    let peers: Vec<Peer> = written.peers.into_iter().map(peer).collect::<Result<_, _>>()?;
    for (number, peer) in peers.iter().enumerate() {
        if peers[..number].iter().any(|other| other.id == peer.id) {
            return Err(ScenarioError::Sense(format!("two peers are called {:?}", peer.id)));
        }
    }
    Ok(Scenario {
        name: written.name,
        size: written.size,
        downlink: trace(&downlink).ok_or_else(|| sense("its downlink is not in order of time"))?,
        unit: written.verify_unit,
        peers,
    })
}

fn peer(written: WrittenPeer) -> Result<Peer, ScenarioError> {
    let wrong = |what: &str| ScenarioError::Sense(format!("{what} of peer {:?}", written.id));
    let time = |s: f64, what: &str| micros(s).ok_or_else(|| wrong(what));
    let windows: Option<Vec<_>> =
        written.down.iter().map(|(from, to)| Some((micros(*from)?, micros(*to)?))).collect();
    let windows = windows.filter(|windows| windows.iter().all(|(from, to)| from <= to));
    let ordered = |ranges: &[(u64, u64)]| {
        ranges.len() <= POINTS_MOST && ranges.iter().all(|(from, to)| from <= to)
    };
    if !ordered(&written.bad) || !written.have.as_deref().is_none_or(ordered) {
        return Err(wrong("a range"));
    }
    Ok(Peer {
        streams: written.kind == Kind::Soulseek,
        rtt: time(written.rtt_ms / 1e3, "rtt_ms")?,
        connect: time(written.connect_ms / 1e3, "connect_ms")?,
        queue: time(written.queue_s, "queue_s")?,
        rate: trace(&written.rate).ok_or_else(|| wrong("the rate"))?,
        appear: time(written.appear_s, "appear_s")?,
        down: windows.ok_or_else(|| wrong("a down window"))?,
        gone: written.gone_at.map(|gone| time(gone, "gone_at")).transpose()?,
        have: written.have,
        bad: written.bad,
        id: written.id,
    })
}

fn micros(s: f64) -> Option<u64> {
    (0.0..=LATEST_S).contains(&s).then_some((s * 1e6).round() as u64)
}

fn trace(written: &[(f64, f64)]) -> Option<Vec<(u64, u64)>> {
    let points: Option<Vec<_>> = written
        .iter()
        .map(|(at, rate)| {
            let rate = (0.0..=RATE_MOST as f64).contains(rate).then_some(*rate as u64)?;
            Some((micros(*at)?, rate))
        })
        .collect();
    points.filter(|points| {
        points.len() <= POINTS_MOST && points.windows(2).all(|two| two[0].0 < two[1].0)
    })
}

/// The rate of a trace at a time; zero before it begins.
fn at(trace: &[(u64, u64)], now: u64) -> u64 {
    let after = trace.partition_point(|(from, _)| *from <= now);
    if after == 0 { 0 } else { trace[after - 1].1 }
}

/// When the rate of a trace changes next.
fn change_after(trace: &[(u64, u64)], now: u64) -> Option<u64> {
    trace.get(trace.partition_point(|(from, _)| *from <= now)).map(|(from, _)| *from)
}
