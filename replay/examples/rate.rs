//! How fast histories are verified: simulated lives of the engine, stepped again and compared byte for
//! byte. `cargo run --release -p replay --example rate -- [lives]`

use std::convert::Infallible;
use std::time::{Duration, Instant};

fn main() {
    let lives: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let (mut events, mut lived, mut verified) = (0u64, Duration::ZERO, Duration::ZERO);
    for seed in 0..lives {
        let start = Instant::now();
        let life = sim::run::run(seed, &sim::fault::drawn(seed));
        lived += start.elapsed();
        events += life.log.len() as u64;
        let start = Instant::now();
        let history = life.log.into_iter().map(Ok::<_, Infallible>);
        if let Err(error) = replay::verify::verify_engine(history) {
            eprintln!("life {seed}: {error}");
            std::process::exit(6);
        }
        verified += start.elapsed();
    }
    println!("| lives | events | simulated events/s | verified events/s |");
    println!("|---|---|---|---|");
    println!(
        "| {lives} | {events} | {:.0} | {:.0} |",
        events as f64 / lived.as_secs_f64(),
        events as f64 / verified.as_secs_f64()
    );
}
