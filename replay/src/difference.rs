//! Where two values differ, field by field. It reads their pretty `Debug` forms, so every event has it
//! without writing a line, and so it is for eyes only.

use std::collections::{BTreeMap, BTreeSet};
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

/// The fields that differ, in the order of the first value and then of the second. Of a group that only
/// one of them has, its fields say all.
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
    let changed = changed.map(|(path, text)| field(path, Some(text), known.get(path).copied()));
    let new = new.map(|(path, text)| field(path, None, Some(text)));
    let (ours, theirs) = (groups(&first), groups(&second));
    changed
        .filter(|field| field.second.is_some() || !ours.contains(field.path.as_str()))
        .chain(new.filter(|field| !theirs.contains(field.path.as_str())))
        .collect()
}

/// Paths of the groups that are not empty: what is in them follows at once.
fn groups(fields: &[(String, String)]) -> BTreeSet<&str> {
    let pairs = fields.windows(2).filter(|pair| {
        pair[1].0.strip_prefix(&pair[0].0).is_some_and(|rest| rest.starts_with('.'))
    });
    pairs.map(|pair| pair[0].0.as_str()).collect()
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(path, text)| (path.as_str(), text.as_str()))
}

/// Every line of the pretty form as a path and what stands there; of a group, its name.
fn flat<T: Debug>(value: &T) -> Vec<(String, String)> {
    let text = format!("{value:#?}");
    let mut flat = Vec::new();
    let mut open: Vec<Group> = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = line.strip_suffix(',').unwrap_or(line);
        if matches!(line, "}" | ")" | "]") {
            open.pop();
            continue;
        }
        let (name, rest) = match line.split_once(": ") {
            Some((name, rest)) if is_name(name) => (Some(name.to_owned()), rest),
            // What was taken for an element turns out to be the key of one.
            Some(("}" | ")" | "]", rest)) => (open.pop().map(|key| key.into_name(&mut flat)), rest),
            _ => (None, line),
        };
        let path = match open.last_mut() {
            None => String::new(),
            Some(parent) => {
                let step = name.clone().unwrap_or_else(|| parent.unnamed.to_string());
                parent.unnamed += usize::from(name.is_none());
                if parent.path.is_empty() { step } else { format!("{}.{step}", parent.path) }
            }
        };
        match rest.strip_suffix(['{', '(', '[']) {
            Some(group) => {
                let begin = flat.len();
                flat.push((path.clone(), group.trim_end().to_owned()));
                open.push(Group { path, unnamed: 0, begin });
            }
            None => flat.push((path, rest.to_owned())),
        }
    }
    flat
}

/// A group that is being read.
struct Group {
    path: String,
    /// Elements without a name so far.
    unnamed: usize,
    /// Where it begins among the fields.
    begin: usize,
}

impl Group {
    /// Takes the fields of a key back out: its values are the name of what follows.
    fn into_name(self, flat: &mut Vec<(String, String)>) -> String {
        let fields = flat.split_off(self.begin);
        let is_group = |path: &str| {
            fields.iter().any(|(other, _)| {
                other.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let values = fields.iter().filter(|(path, _)| !is_group(path));
        values.map(|(_, value)| value.trim_matches('"')).collect::<Vec<_>>().join("/")
    }
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

    #[test]
    fn elements_of_maps_are_named_by_their_keys() {
        let peers = |bytes| {
            BTreeMap::from([
                ((JobId(1), "tin orchard".to_owned()), vec![7]),
                ((JobId(2), "rain".to_owned()), vec![5, bytes]),
            ])
        };
        let fields = fields(&peers(1), &peers(2));
        let fields: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(fields, ["2/rain.1"]);
        let mut fewer = peers(1);
        fewer.remove(&(JobId(1), "tin orchard".to_owned()));
        assert_eq!(super::fields(&peers(1), &fewer).len(), 1);
    }
}
