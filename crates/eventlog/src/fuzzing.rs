//! Doors for the targets in `fuzz/targets`: what is otherwise read from inside a store only.
//! Compiled for them and for nobody else.

use domain::{Envelope, Seq};

use crate::Damage;
use crate::block::Block;
use crate::mark;

/// The events of a block that should begin with `first`.
///
/// # Errors
/// The damage, and the event it is of.
pub fn block(bytes: &[u8], first: Seq) -> Result<Vec<Envelope>, (Seq, Damage)> {
    let block = Block::check(bytes.to_vec(), first)?;
    (block.first().0..=block.last().0)
        .map(|seq| block.envelope(Seq(seq)).map_err(|damage| (Seq(seq), damage)))
        .collect()
}

/// What a mark says; nothing when it is torn.
pub fn mark(bytes: &[u8]) -> Option<(Seq, [u8; 32])> {
    mark::decode(bytes)
}

/// The bytes of a mark.
pub fn write_mark(last: Seq, hash: &[u8; 32]) -> Vec<u8> {
    mark::encode(last, hash)
}
