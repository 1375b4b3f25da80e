//! Prints one step of a history: the input, each decision, and what each asked of the outside.

use std::fmt::{self, Write};

use domain::{Seq, render};

use crate::timeline::Timeline;

/// The step at a position, or the one that holds it, a line an event and an effect; `None` when the
/// timeline has no such position. Effects are those that this program asks for on the recorded decisions.
#[must_use]
pub fn step(timeline: &Timeline, seq: Seq) -> Option<String> {
    let events = timeline.step(seq)?;
    let mut engine = timeline.engine(Seq(events.first()?.seq.0 - 1))?;
    let mut text = String::new();
    let printed: fmt::Result = events.iter().try_for_each(|envelope| {
        writeln!(text, "{}", render::line(envelope))?;
        engine.asked(envelope).iter().try_for_each(|effect| {
            writeln!(text, "                     ->  {}", render::effect_text(effect))
        })
    });
    printed.expect("a string takes everything");
    Some(text)
}
