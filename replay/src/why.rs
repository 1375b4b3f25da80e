//! Explains one decision: what led to it, who decided it, and on what grounds. The grounds come from the
//! rules themselves, see [`engine::explain`]; here they become lines.

use std::fmt::{self, Write};

use domain::render::{Foreign, Named};
use domain::{Event, Seq, Timestamp, render};
use engine::explain::{Budget, Candidate, Cost, Evidence, Explained, Grounds, Known, Rank, Unfit};

use crate::summary;
use crate::timeline::Timeline;

/// Why a decision was not explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyError {
    /// The timeline has no such position.
    #[error("there is no event {0}")]
    Unknown(Seq),
    /// Nobody decided it: it came in.
    #[error("event {0} came in and was not decided; name one of the decisions that follow it")]
    Input(Seq),
    /// This program would not decide it.
    #[error(
        "event {seq} is not what this program concludes, so it cannot say why\n  expected  {expected}\n\
         \x20 actual    {actual}"
    )]
    Otherwise {
        /// The decision.
        seq: Seq,
        /// What is recorded.
        expected: String,
        /// What this program concludes in its place.
        actual: String,
    },
}

/// The explanation of the decision at a position.
///
/// # Errors
/// When there is no decision there, or this program decides otherwise.
pub fn why(timeline: &Timeline, seq: Seq) -> Result<String, WhyError> {
    let unknown = WhyError::Unknown(seq);
    let decided = timeline.event(seq).ok_or(unknown.clone())?;
    let Event::Decision(decision) = &decided.event else { return Err(WhyError::Input(seq)) };
    let step = timeline.step(seq).ok_or(unknown.clone())?;
    let (Some(cause), Some(before)) = (step.first(), timeline.engine(Seq(decided.cause.0 - 1)))
    else {
        return Err(unknown);
    };
    let Event::Input(input) = &cause.event else { return Err(unknown) };
    let place = step.iter().position(|event| event.seq == seq).map_or(0, |place| place - 1);
    let explained = before.explain(input.clone(), cause.at).into_iter().nth(place);
    let Some(explained) = explained.as_ref().filter(|it| it.decision == *decision) else {
        let actual = explained.map(|it| render::event_text(&Event::Decision(it.decision)));
        return Err(WhyError::Otherwise {
            seq,
            expected: render::event_text(&decided.event),
            actual: actual.unwrap_or_else(|| "nothing".to_owned()),
        });
    };
    let mut text = String::new();
    let _ = writeln!(text, "{}", render::line(decided));
    let _ = writeln!(text, "  cause     {}", render::line(cause));
    let _ = writeln!(text, "  decided   by {}", explained.by);
    let at = timeline.engine(Seq(seq.0 - 1));
    if let Some((engine, key)) = at.as_ref().zip(decided.event.track())
        && let Some(track) = engine.state().track(key)
    {
        text.push_str("  track   ");
        let _ = summary::write_track(&mut text, engine.state(), key, track);
    }
    grounds(&mut text, explained, cause.at).expect("a string takes everything");
    Ok(text)
}

fn grounds(out: &mut String, explained: &Explained, at: Timestamp) -> fmt::Result {
    match &explained.grounds {
        Grounds::Candidates(all) => {
            all.iter().zip(1..).try_for_each(|(one, place)| candidate(out, one, place))
        }
        Grounds::Budget(budget) => self::budget(out, budget, at),
        Grounds::Evidence(evidence) => self::evidence(out, evidence),
        Grounds::Plain => Ok(()),
    }
}

fn candidate(out: &mut String, candidate: &Candidate, place: usize) -> fmt::Result {
    let Candidate { id, source, verdict } = candidate;
    match verdict {
        Ok((rank, cost)) => {
            write!(out, "  {:<9} source {id} {}: ", format!("{place}."), Named(&source.peer))?;
            terms(out, rank, cost)?;
            write!(out, "; likeness {}", source.likeness)?;
        }
        Err(unfit) => {
            write!(out, "  not       source {id} {}: ", Named(&source.peer))?;
            match unfit {
                Unfit::Out(standing) => out.push_str(summary::standing(*standing)),
                Unfit::OtherSize => write!(out, "its {} B are another file's", source.size)?,
                Unfit::PeerBusy => out.push_str("its peer is asked for as much as it may be"),
                Unfit::InParts => out.push_str("its peer gives parts of known content only"),
                Unfit::Asked => out.push_str("its peer is asked for this file already"),
                Unfit::Rests(until) => write!(out, "its peer rests until {}", until.clock())?,
            }
        }
    }
    writeln!(out, " {}", Foreign(&source.path))
}

/// What a source is chosen by, in the order of weight.
fn terms(out: &mut String, rank: &Rank, cost: &Cost) -> fmt::Result {
    if rank.refused_size {
        out.push_str("a file of this size was refused, ");
    }
    if rank.suspicions > 0 {
        write!(out, "suspected {} times, ", rank.suspicions)?;
    }
    if rank.fits_somehow {
        out.push_str("fits only somehow, ");
    }
    out.push_str(if rank.lossy { "lossy" } else { "lossless" });
    let known = match cost.known {
        Known::Measured => "measured",
        Known::Told => "told",
        Known::Assumed => "assumed",
    };
    write!(
        out,
        ", {} ms for {} B after {} B at {} B/s ({known}), queue {} ms, {} files and {} failures",
        rank.cost_ms,
        cost.remaining,
        cost.backlog,
        cost.rate,
        cost.wait_ms,
        cost.completed,
        cost.failed
    )
}

fn budget(out: &mut String, budget: &Budget, at: Timestamp) -> fmt::Result {
    let Budget { sent, most, window_ms, open, open_most, .. } = budget;
    let seconds = window_ms / 1000;
    writeln!(
        out,
        "  budget    {sent} of {most} searches in {seconds} s, {open} of {open_most} open"
    )?;
    for (what, from) in [
        ("wanted", budget.wanted_since),
        ("again", budget.again_from),
        ("allowed", budget.allowed_from),
    ] {
        if from > Timestamp(0) {
            let late = at.ms_since(from);
            writeln!(out, "  {what:<9} from {}, {late} ms before", from.clock())?;
        }
    }
    Ok(())
}

fn evidence(out: &mut String, evidence: &Evidence) -> fmt::Result {
    writeln!(out, "  recording {}", evidence.recording)?;
    let length = |ms: Option<u64>| ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms} ms"));
    writeln!(
        out,
        "  length    {}, wanted {}, {} ms more or less",
        length(evidence.actual_ms),
        length(evidence.expected_ms),
        evidence.tolerance_ms
    )?;
    for named in &evidence.named {
        let is = match (named.is_near, named.is_wanted) {
            (true, true) => "is wanted",
            (true, false) => "is not wanted",
            (false, _) => "is not near enough",
        };
        write!(out, "  named     {} {is} (least {})", named.score, evidence.identity_least)?;
        match named.recording {
            Some(recording) => {
                writeln!(out, ": acoustid {} recording {recording}", named.acoustid)?
            }
            None => writeln!(out, ": acoustid {} without a recording", named.acoustid)?,
        }
    }
    for (id, peer) in &evidence.givers {
        writeln!(out, "  giver     source {id} {}", Named(peer))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use domain::{Decision, Envelope};

    use super::*;

    fn life(seed: u64) -> (Vec<Envelope>, Timeline) {
        let log = sim::run::run(seed, &sim::fault::drawn(seed)).log;
        let read = log.iter().cloned().map(Ok::<_, Infallible>);
        let timeline = Timeline::read(read, Seq(u64::MAX)).unwrap();
        (log, timeline)
    }

    #[test]
    fn every_decision_of_a_life_is_explained_by_who_made_it() {
        for seed in 0..6 {
            let (log, timeline) = life(seed);
            for envelope in log.iter().filter(|envelope| envelope.cause != envelope.seq) {
                let text = why(&timeline, envelope.seq).unwrap();
                let Event::Decision(decision) = &envelope.event else { panic!("{envelope:?}") };
                let (maker, words) = match decision {
                    Decision::RangeAssigned { choice, .. } => {
                        assert!(text.contains(&format!(", {} ms for", choice.cost_ms)), "{text}");
                        let ranked = text.lines().filter(|line| line.contains(" files and "));
                        assert_eq!(ranked.count(), choice.candidates as usize, "{text}");
                        ("the rule of `schedule`", "  1.  ")
                    }
                    Decision::SearchPlanned { .. } => ("the rule of `search`", "searches in"),
                    Decision::TrackVerified { .. } => ("the reaction of `verify`", "is wanted"),
                    Decision::TrackRefused { .. } => ("the reaction of `verify`", "length"),
                    Decision::ChunkAccepted { .. } => ("the reaction of `transfer`", "held"),
                    _ => ("decided   by ", "  cause"),
                };
                assert!(text.contains(maker) && text.contains(words), "{text}");
            }
        }
    }

    /// A history is somebody else's file.
    #[test]
    fn decisions_that_nobody_made_are_looked_at_without_harm() {
        for seed in 0..4 {
            let (log, _) = life(seed);
            let others: Vec<_> = log.iter().filter(|event| event.cause != event.seq).collect();
            for kept in [1, 3, 7, 20] {
                // A life that ends before it happened.
                let (begin, rest) = others.split_at(kept.min(others.len()));
                let mut places = begin.iter().chain(rest.iter().rev());
                let lies = log.iter().map(|envelope| match &envelope.event {
                    Event::Input(_) => envelope.clone(),
                    Event::Decision(_) => {
                        let event = places.next().unwrap().event.clone();
                        Envelope { event, ..envelope.clone() }
                    }
                });
                let read = lies.map(Ok::<_, Infallible>);
                let timeline = Timeline::read(read, Seq(u64::MAX)).unwrap();
                for seq in (1..=timeline.last().0).map(Seq) {
                    let _ = why(&timeline, seq);
                    assert!(crate::step(&timeline, seq).is_some());
                }
            }
        }
    }

    #[test]
    fn what_was_not_decided_or_would_be_decided_otherwise_has_no_reasons() {
        let (mut log, timeline) = life(1);
        assert_eq!(why(&timeline, Seq(1)), Err(WhyError::Input(Seq(1))));
        let beyond = Seq(log.len() as u64 + 1);
        assert_eq!(why(&timeline, beyond), Err(WhyError::Unknown(beyond)));
        let changed = log.iter_mut().find(|event| event.cause != event.seq).unwrap();
        let seq = changed.seq;
        changed.event = Event::Decision(Decision::JobCompleted { job: domain::JobId(9) });
        let read = log.into_iter().map(Ok::<_, Infallible>);
        let timeline = Timeline::read(read, Seq(u64::MAX)).unwrap();
        let Err(error @ WhyError::Otherwise { .. }) = why(&timeline, seq) else { panic!("{seq}") };
        assert!(error.to_string().contains("expected  JobCompleted"), "{error}");
    }
}
