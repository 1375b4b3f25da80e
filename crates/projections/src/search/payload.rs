//! What a commit of the index says of itself, as text in the index's own file: how far it is, in which
//! log, and in which form. There is no other checkpoint, so the documents and this cannot disagree.
//!
//! ```text
//! pos=812,log=<LogId, 32 hex digits>,schema=<16 hex digits>,sum=<CRC-32 of what is before, 8 hex digits>
//! ```

use domain::Seq;
use eventlog::LogId;

/// How far a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) seq: Seq,
    pub(super) log: LogId,
    /// Stands for the form of the documents and of their words.
    pub(super) schema: u64,
}

impl Payload {
    pub(super) fn write(&self) -> String {
        let told = format!("pos={},log={},schema={:016x}", self.seq, self.log, self.schema);
        format!("{told},sum={:08x}", crc32fast::hash(told.as_bytes()))
    }

    /// `None` for anything else than what [`Self::write`] writes.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut next = |name: &str| parts.next()?.strip_prefix(name);
        let seq = Seq(next("pos=")?.parse().ok()?);
        let log = LogId(u128::from_str_radix(next("log=")?, 16).ok()?.to_be_bytes());
        let schema = u64::from_str_radix(next("schema=")?, 16).ok()?;
        let read = Self { seq, log, schema };
        // Also the sum, and that nothing is spelt otherwise.
        (read.write() == text).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_reads_back_and_no_letter_of_it_may_change(
            seq: u64, log: [u8; 16], schema: u64, at: prop::sample::Index, other in "[ -~]",
        ) {
            let payload = Payload { seq: Seq(seq), log: LogId(log), schema };
            let mut text = payload.write();
            prop_assert_eq!(Payload::read(&text), Some(payload));
            let at = at.index(text.len());
            if text[at..=at] != other {
                text.replace_range(at..=at, &other);
                prop_assert_eq!(Payload::read(&text), None);
            }
        }
    }
}
