//! Damaged answers: whatever comes is read or refused, and never ends the process.

use metadata::acoustid::matches;
use metadata::musicbrainz::describe::describe;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::service::fixture;

const RELEASES: [&str; 3] =
    ["musicbrainz/two-media.json", "musicbrainz/sparse.json", "musicbrainz/empty-medium.json"];

/// Puts `value` in the place of the `at`-th value of a tree, counted in order of reading.
fn replace(tree: &mut Value, at: &mut usize, value: &Value) {
    if *at == 0 {
        *tree = value.clone();
    }
    // Past zero nothing is replaced any more: a replaced subtree is not entered.
    let Some(next) = at.checked_sub(1) else { return *at = usize::MAX };
    *at = next;
    match tree {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, value)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, at, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, {}])),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(1e300)),
        Just(json!(true)),
        any::<String>().prop_map(Value::String),
    ]
}

proptest! {
    #[test]
    fn a_value_replaced(which in 0..RELEASES.len(), at in 0usize..600, value in strange()) {
        let mut json: Value = serde_json::from_slice(&fixture(RELEASES[which])).unwrap();
        replace(&mut json, &mut { at }, &value);
        let _ = describe(json.to_string().as_bytes());
    }

    #[test]
    fn bytes_changed(which in 0..RELEASES.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut bytes = fixture(RELEASES[which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = describe(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(describe(&bytes).is_err());
    }

    #[test]
    fn matches_changed(at in 0usize..30, value in strange(), byte in any::<u8>(), place in any::<prop::sample::Index>()) {
        let mut bytes = fixture("acoustid/matches.json");
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        replace(&mut json, &mut { at }, &value);
        let _ = matches::read(json.to_string().as_bytes());
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = matches::read(&bytes);
    }
}
