//! The threads of the log in the orders that shuttle comes up with: the source files of the filler and of
//! the signal as they are, over shuttle's primitives. A thread that would wait for ever fails the test.

#![allow(clippy::unwrap_used)]

#[path = "../../src/filler.rs"]
mod filler;
// Not everything of it is called here.
#[allow(dead_code)]
#[path = "../../src/signal.rs"]
mod signal;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Seq;

use crate::filler::{Filler, PENDING_MOST};
use crate::signal::Signal;
use crate::sync::{Arc, Mutex, thread};

mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread;
}

const SCHEDULES: usize = 500;
const BLOCKS: u64 = 7;

/// The third of them makes the writer wait.
const BLOCK_BYTES: usize = PENDING_MOST / 3;

type Store = Arc<Mutex<BTreeSet<Seq>>>;

/// A filler whose store takes that many batches.
fn filler(takes: usize) -> (Store, Arc<Filler>) {
    let store = Store::default();
    let (filled, mut left) = (Arc::clone(&store), takes);
    let filler = Filler::start(move |blocks| {
        left = left.checked_sub(1).ok_or(sled::Error::Unsupported("it is full".into()))?;
        filled.lock().unwrap().extend(blocks.iter().map(|(first, _)| *first));
        Ok(())
    });
    (store, Arc::new(filler.unwrap()))
}

/// Appends until all blocks are in or the store failed, as the log's writer does; the last one.
fn write(filler: &Filler, durable: &Signal) -> Seq {
    for seq in 1..=BLOCKS {
        if filler.wait_for_room().is_err() {
            return Seq(seq - 1);
        }
        filler.push(vec![(Seq(seq), vec![0; BLOCK_BYTES])]);
        durable.set(Seq(seq));
    }
    Seq(BLOCKS)
}

/// Follows the durable position up to `until` and finds every block below it.
fn follow(filler: &Filler, store: &Store, durable: &Signal, until: Seq) {
    let mut seen = Seq(0);
    while seen < until {
        let last = durable.wait_beyond(seen, Duration::MAX);
        for seq in (1..=last.0).map(Seq) {
            let pending = filler.block_at(seq).is_some_and(|(first, _)| first == seq);
            assert!(pending || store.lock().unwrap().contains(&seq), "{seq} of {last}");
        }
        seen = last;
    }
}

#[test]
fn what_is_durable_is_found_on_its_way_or_in_the_store() {
    shuttle::check_random(
        || {
            let (store, filler) = filler(usize::MAX);
            let durable = Arc::new(Signal::default());
            let reader = {
                let (store, filler, durable) = (store.clone(), filler.clone(), durable.clone());
                thread::spawn(move || follow(&filler, &store, &durable, Seq(BLOCKS)))
            };
            assert_eq!(write(&filler, &durable), Seq(BLOCKS));
            reader.join().unwrap();
            // Nothing is left behind when it is closed.
            drop(filler);
            assert_eq!(store.lock().unwrap().len() as u64, BLOCKS);
        },
        SCHEDULES,
    );
}

#[test]
fn a_store_that_fails_stops_the_writer_and_hides_nothing() {
    shuttle::check_random(
        || {
            let (store, filler) = filler(1);
            let durable = Arc::new(Signal::default());
            let writer = {
                let (filler, durable) = (filler.clone(), durable.clone());
                thread::spawn(move || write(&filler, &durable))
            };
            follow(&filler, &store, &durable, Seq(3));
            let last = writer.join().unwrap();
            assert!(last < Seq(BLOCKS));
            assert!(filler.wait_for_room().is_err());
            follow(&filler, &store, &durable, last);
        },
        SCHEDULES,
    );
}

#[test]
fn a_volume_that_is_given_up_can_be_read_and_lets_go() {
    shuttle::check_random(
        || {
            let (store, filler) = filler(usize::MAX);
            let durable = Arc::new(Signal::default());
            let reader = {
                let (store, filler, durable) = (store.clone(), filler.clone(), durable.clone());
                thread::spawn(move || follow(&filler, &store, &durable, Seq(2)))
            };
            for seq in 1..=2 {
                filler.push(vec![(Seq(seq), vec![0; BLOCK_BYTES])]);
                durable.set(Seq(seq));
            }
            filler.abandon();
            reader.join().unwrap();
            drop(filler);
        },
        SCHEDULES,
    );
}

#[test]
fn whoever_hooks_up_and_then_looks_misses_no_change() {
    shuttle::check_random(
        || {
            let durable = Arc::new(Signal::default());
            let heard = Arc::new(Mutex::new(Seq(0)));
            let writer = {
                let durable = durable.clone();
                thread::spawn(move || (1..=2).for_each(|seq| durable.set(Seq(seq))))
            };
            let hears = heard.clone();
            durable.on_change(move |seq| {
                *hears.lock().unwrap() = seq;
                true
            });
            let looked = durable.position();
            writer.join().unwrap();
            assert_eq!(looked.max(*heard.lock().unwrap()), Seq(2));
        },
        SCHEDULES,
    );
}
