//! The jobs as they were: at every position what was shown there.

use domain::Seq;
use eventlog::Log;
use projections::jobs::Jobs;
use projections::{Store, follow, past};
use proptest::prelude::*;

use crate::history::{append, generated};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn what_was_shown_once_is_shown_again(seed in any::<u64>()) {
        let steps = generated(seed, 150);
        let dir = tempfile::tempdir().unwrap();
        let (mut log, reader) = Log::open(&dir.path().join("log")).unwrap();
        let store = Store::open(&dir.path().join("views")).unwrap();
        let (mut jobs, view) = Jobs::open(&store).unwrap();
        let mut shown = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            append(&mut log, std::slice::from_ref(&step));
            if number % 23 == 0 {
                follow::catch_up(&mut jobs, &reader).unwrap();
                shown.push((reader.durable(), view.all().unwrap()));
            }
        }
        for (at, then) in shown {
            prop_assert_eq!(past::jobs(&reader, at).unwrap().all().unwrap(), then);
        }
        prop_assert!(past::jobs(&reader, Seq(0)).unwrap().all().unwrap().value.is_empty());
    }
}
