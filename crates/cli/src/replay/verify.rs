//! `reprise replay verify`: decides everything again and shows the first difference.

use std::path::Path;

use ::replay::verify::VerifyError;

use super::source::{open, told, unread};
use crate::exit::Failure;

pub(super) fn run(path: &Path) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    match ::replay::verify_engine(open(path)?) {
        Ok(verified) => {
            if let Some(told) = told(path) {
                println!("written by {told}");
            }
            let seconds = started.elapsed().as_secs_f64();
            let events = verified.inputs + verified.decisions;
            println!(
                "replayed {} inputs: all {} decisions came out byte for byte the same ({:.0} \
                 events/s)",
                verified.inputs,
                verified.decisions,
                events as f64 / seconds.max(1e-6),
            );
            match verified.inputs - verified.digests {
                0 => println!("every step asked for the same as then"),
                without => println!(
                    "whether {without} steps asked for the same is not known: their digests were \
                     not recorded"
                ),
            }
            Ok(())
        }
        Err(VerifyError::Divergence(mut divergence)) => {
            // What led to it is worth a second reading only now.
            divergence.trace(open(path)?).map_err(unread)?;
            Err(Failure::unverified(divergence.to_string()))
        }
        Err(VerifyError::Read(error)) => Err(unread(error)),
        Err(error) => Err(error.into()),
    }
}
