//! The position that readers wait for.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use domain::Seq;
use eventlog::Signal;

#[test]
fn a_waiter_is_woken_and_a_timeout_is_kept() {
    let signal = Arc::new(Signal::default());
    assert_eq!(signal.wait_beyond(Seq(0), Duration::from_millis(5)), Seq(0));
    let waiting = Arc::clone(&signal);
    let waiter = std::thread::spawn(move || waiting.wait_beyond(Seq(0), Duration::MAX));
    signal.set(Seq(3));
    assert_eq!(waiter.join().unwrap(), Seq(3));
}

#[test]
fn a_hook_hears_every_change_until_it_says_no() {
    let (sender, heard) = mpsc::channel();
    let signal = Signal::default();
    signal.on_change(move |seq| {
        sender.send(seq).unwrap();
        seq < Seq(2)
    });
    for seq in 1..5 {
        signal.set(Seq(seq));
    }
    assert_eq!(heard.iter().collect::<Vec<_>>(), [Seq(1), Seq(2)]);
}
