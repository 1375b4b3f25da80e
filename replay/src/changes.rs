//! Prints which fields of the engine's state differ between two positions of a history.

use std::fmt::Write;

use domain::Seq;

use crate::difference;
use crate::timeline::Timeline;

/// A line for each field that differs, with what it is at either position; `None` when the timeline has
/// not both positions.
#[must_use]
pub fn changes(timeline: &Timeline, first: Seq, second: Seq) -> Option<String> {
    let (first, second) = (timeline.engine(first)?, timeline.engine(second)?);
    let mut text = String::new();
    for field in difference::fields(first.state(), second.state()) {
        let side = |side: Option<String>| side.unwrap_or_else(|| "absent".to_owned());
        let (first, second) = (side(field.first), side(field.second));
        writeln!(text, "{}: {first} -> {second}", field.path).expect("a string takes everything");
    }
    Some(text)
}
