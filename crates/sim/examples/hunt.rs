//! Lives of seeds 0 up to a number, on two threads, until a law is broken: what `mutants/run` asks of
//! each mutant. `cargo run -p sim --example hunt -- [lives]`; exit code 6 when one is broken.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::check::{self, Broken};
use sim::{fault, run};

fn main() -> ExitCode {
    let lives: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000);
    // What a mutant says when it panics is told once, below.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(0);
    let hunt = || -> Option<(u64, Broken)> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= lives {
                return None;
            }
            if let Err(broken) = check::all(&run::run(seed, &fault::drawn(seed))) {
                next.store(lives, Ordering::Relaxed);
                return Some((seed, broken));
            }
        }
    };
    let found = std::thread::scope(|scope| {
        let hunters = [scope.spawn(hunt), scope.spawn(hunt)];
        let found = hunters.map(|hunter| hunter.join().ok().flatten());
        found.into_iter().flatten().min_by_key(|(seed, _)| *seed)
    });
    match found {
        None => {
            println!("all laws hold in {lives} lives");
            ExitCode::SUCCESS
        }
        Some((seed, broken)) => {
            let words = broken.words.lines().next().unwrap_or_default();
            println!("{} | seed {seed}, event {} | {words}", broken.law, broken.seq);
            ExitCode::from(6)
        }
    }
}
