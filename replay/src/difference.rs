//! Where two values differ, field by field. It reads their pretty `Debug` forms, so every event has it
//! without writing a line, and so it is for eyes only.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// A field that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// Names from the outside in, joined by dots; elements without a name are counted from 0.
    pub path: String,
    /// In the first value; `None` when it has no such field.
    pub first: Option<String>,
    /// In the second value.
    pub second: Option<String>,
}

/// The fields that differ, in the order of the first value and then of the second.
pub(crate) fn fields<T: Debug>(first: &T, second: &T) -> Vec<Field> {
    let (first, second) = (flat(first), flat(second));
    let known: BTreeMap<&str, &str> = pairs(&second).collect();
    let before: BTreeMap<&str, &str> = pairs(&first).collect();
    let changed = pairs(&first).filter(|(path, text)| known.get(path) != Some(text));
    let new = pairs(&second).filter(|(path, _)| !before.contains_key(path));
    let field = |path: &str, first: Option<&str>, second: Option<&str>| Field {
        path: path.to_owned(),
        first: first.map(str::to_owned),
        second: second.map(str::to_owned),
    };
    changed
        .map(|(path, text)| field(path, Some(text), known.get(path).copied()))
        .chain(new.map(|(path, text)| field(path, None, Some(text))))
        .collect()
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(path, text)| (path.as_str(), text.as_str()))
}

/// Every line of the pretty form as a path and what stands there; of a group, its name.
fn flat<T: Debug>(value: &T) -> Vec<(String, String)> {
    let text = format!("{value:#?}");
    let mut flat = Vec::new();
    // Open groups: the path of each and how many unnamed elements it has had.
    let mut open: Vec<(String, usize)> = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = line.strip_suffix(',').unwrap_or(line);
        if matches!(line, "}" | ")" | "]") {
            open.pop();
            continue;
        }
        let (name, rest) = match line.split_once(": ") {
            Some((name, rest)) if is_name(name) => (Some(name), rest),
            _ => (None, line),
        };
        let path = match open.last_mut() {
            None => String::new(),
            Some((parent, count)) => {
                let step = name.map_or_else(|| count.to_string(), str::to_owned);
                *count += usize::from(name.is_none());
                if parent.is_empty() { step } else { format!("{parent}.{step}") }
            }
        };
        match rest.strip_suffix(['{', '(', '[']) {
            Some(group) => {
                flat.push((path.clone(), group.trim_end().to_owned()));
                open.push((path, 0));
            }
            None => flat.push((path, rest.to_owned())),
        }
    }
    flat
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use domain::chunk::Digest;
    use domain::{AssignmentId, ByteRange, Decision, Event, JobId, TrackKey};

    use super::*;

    fn accepted(index: u16, end: u64) -> Event {
        Event::Decision(Decision::ChunkAccepted {
            track: TrackKey { job: JobId(1), index },
            assignment: AssignmentId(9),
            range: ByteRange { start: 0, end },
            digest: Digest([0; 32]),
        })
    }

    fn told(first: &Event, second: &Event) -> Vec<(String, Option<String>, Option<String>)> {
        let fields = fields(first, second).into_iter();
        fields.map(|field| (field.path, field.first, field.second)).collect()
    }

    #[test]
    fn equal_values_have_no_difference() {
        assert_eq!(told(&accepted(1, 5), &accepted(1, 5)), []);
    }

    #[test]
    fn fields_are_named_from_the_outside_in() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(&accepted(1, 5), &accepted(2, 6)),
            [
                ("0.track.index".to_owned(), text("1"), text("2")),
                ("0.range.end".to_owned(), text("5"), text("6"))
            ]
        );
        let other = Event::Decision(Decision::JobCompleted { job: JobId(1) });
        let told = told(&accepted(1, 5), &other);
        assert_eq!(told[0], ("0".to_owned(), text("ChunkAccepted"), text("JobCompleted")));
        assert_eq!(told.last().unwrap(), &("0.job.0".to_owned(), None, text("1")));
    }
}
