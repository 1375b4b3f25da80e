//! Reads on ahead of whoever goes through the log in order: blocks are read and their hashes checked on a
//! thread of their own, while events are decoded on the caller's.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::vec;

use domain::Seq;

use crate::block::Block;
use crate::reader::{Blocks, ReadError};

/// Blocks are handed over when there are so many bytes of them.
const HAND_BYTES: usize = 256 * 1024;

/// Blocks handed over together at most.
const HAND_MOST: usize = 256;

/// Hands that may wait.
const HANDS: usize = 4;

type Hand = Vec<Result<Block, ReadError>>;

/// A thread that reads ahead, and what it has read.
pub(crate) struct Ahead {
    hand: vec::IntoIter<Result<Block, ReadError>>,
    // Taken when it is dropped, which lets the thread end.
    hands: Option<Receiver<Hand>>,
    reading: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins to read these blocks; `None` when there is no thread to be had.
    pub(crate) fn begin(blocks: Blocks) -> Option<Self> {
        let (sender, hands) = sync_channel(HANDS);
        let reading = std::thread::Builder::new().name("read-ahead".into());
        let reading = reading.spawn(move || read(blocks, &sender)).ok()?;
        let hand = Vec::new().into_iter();
        Some(Self { hand, hands: Some(hands), reading: Some(reading) })
    }

    /// The block that holds `seq` if that comes next; `None` when it is not among those that were to
    /// be read.
    pub(crate) fn next(&mut self, seq: Seq) -> Option<Result<Block, ReadError>> {
        if self.hand.len() == 0 {
            self.hand = self.hands.as_ref()?.recv().ok()?.into_iter();
        }
        self.hand.next().filter(|block| block.as_ref().is_ok_and(|it| it.first() == seq))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(self.hands.take());
        // Whoever drops the last reader of a log may open it again at once.
        let _ = self.reading.take().map(JoinHandle::join);
    }
}

fn read(mut blocks: Blocks, hands: &SyncSender<Hand>) {
    loop {
        let mut bytes = 0;
        let mut hand = Hand::new();
        while bytes < HAND_BYTES && hand.len() < HAND_MOST {
            let Some(block) = blocks.next() else { break };
            bytes += block.as_ref().map_or(0, |block| block.bytes().len());
            hand.push(block);
        }
        if hand.is_empty() || hands.send(hand).is_err() {
            break;
        }
    }
}
