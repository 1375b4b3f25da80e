//! How far every stream is, and which commands were taken lately: what the writer must know of all
//! the log to place the next event. Kept in memory, stored at the end of each sealed volume, and
//! brought up to date from the frames after it when the log is opened.

use std::collections::{BTreeMap, HashMap, VecDeque};

use domain::Seq;

use crate::block::Block;
use crate::damage::Damage;
use crate::record::{CommandId, Place, Stream};

/// Commands that are remembered; a repetition of an older one is taken for a new one.
pub(crate) const COMMANDS_KEPT: usize = 65_536;

/// How far one stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    revision: u64,
    correlation: Seq,
}

impl Head {
    fn next(&mut self, stream: Stream, cause: Seq) -> Place {
        self.revision += 1;
        // The node's events have nothing in common but their causes.
        let correlation = if stream == Stream::Node { cause } else { self.correlation };
        Place { stream, revision: self.revision, correlation }
    }
}

/// Places for events that are not durable yet.
pub(crate) struct Ahead<'a> {
    streams: &'a Streams,
    heads: BTreeMap<Stream, Head>,
}

/// The streams that were moved by an [`Ahead`].
pub(crate) struct Placed(BTreeMap<Stream, Head>);

impl Ahead<'_> {
    /// Places the next event of a stream.
    pub(crate) fn place(&mut self, stream: Stream, cause: Seq) -> Place {
        let begin = Head { revision: 0, correlation: cause };
        let known = || self.streams.heads.get(&stream).copied().unwrap_or(begin);
        self.heads.entry(stream).or_insert_with(known).next(stream, cause)
    }

    /// How far the streams are now.
    pub(crate) fn placed(self) -> Placed {
        Placed(self.heads)
    }
}

/// All streams and the latest commands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams {
    heads: BTreeMap<Stream, Head>,
    commands: VecDeque<(CommandId, Seq)>,
    by_command: HashMap<CommandId, Seq>,
}

impl Streams {
    /// Revision of the last event of a stream; zero when it has none.
    pub(crate) fn revision(&self, stream: Stream) -> u64 {
        self.heads.get(&stream).map_or(0, |head| head.revision)
    }

    /// Whether no stream has more events than the log up to `last`.
    pub(crate) fn is_within(&self, last: Seq) -> bool {
        self.heads.values().all(|head| head.revision <= last.0)
    }

    /// Where a command was taken, if it is remembered.
    pub(crate) fn taken(&self, command: CommandId) -> Option<Seq> {
        self.by_command.get(&command).copied()
    }

    /// Places the next event of a stream.
    pub(crate) fn place(&mut self, stream: Stream, cause: Seq) -> Place {
        let begin = Head { revision: 0, correlation: cause };
        self.heads.entry(stream).or_insert(begin).next(stream, cause)
    }

    /// What would be placed next, to be taken over once it is durable.
    pub(crate) fn ahead(&self) -> Ahead<'_> {
        Ahead { streams: self, heads: BTreeMap::new() }
    }

    /// Takes over what was placed ahead and is durable now.
    pub(crate) fn advance(&mut self, placed: Placed) {
        self.heads.extend(placed.0);
    }

    /// Remembers that a command was taken.
    pub(crate) fn take(&mut self, command: CommandId, seq: Seq) {
        if self.commands.len() == COMMANDS_KEPT
            && let Some((oldest, _)) = self.commands.pop_front()
        {
            self.by_command.remove(&oldest);
        }
        self.commands.push_back((command, seq));
        self.by_command.insert(command, seq);
    }

    /// Takes over what the events of a block say, or names the one that does not follow in its stream.
    pub(crate) fn follow_block(&mut self, block: &Block) -> Result<(), (Seq, Damage)> {
        for seq in (block.first().0..=block.last().0).map(Seq) {
            let frame = block.frame(seq);
            let (stream, revision) = frame.stream().map_err(|damage| (seq, damage))?;
            if self.place(stream, frame.cause()).revision != revision {
                return Err((seq, Damage::Revision { revision }));
            }
            if let Some(command) = frame.command() {
                self.take(command, seq);
            }
        }
        Ok(())
    }

    /// As stored at the end of a sealed volume.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.heads.len() as u64).to_le_bytes());
        for (stream, head) in &self.heads {
            out.extend_from_slice(&stream.code().to_le_bytes());
            out.extend_from_slice(&head.revision.to_le_bytes());
            out.extend_from_slice(&head.correlation.0.to_le_bytes());
        }
        out.extend_from_slice(&(self.commands.len() as u64).to_le_bytes());
        for (command, seq) in &self.commands {
            out.extend_from_slice(&command.0.to_le_bytes());
            out.extend_from_slice(&seq.0.to_le_bytes());
        }
    }

    /// Reads what [`Self::write`] wrote; `None` when it is something else.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut streams = Self::default();
        for _ in 0..take_u64(&mut bytes)? {
            let stream = Stream::from_code(take_u64(&mut bytes)?)?;
            let revision = take_u64(&mut bytes).filter(|revision| *revision < u64::MAX)?;
            let correlation = Seq(take_u64(&mut bytes)?);
            streams.heads.insert(stream, Head { revision, correlation });
        }
        for _ in 0..take_u64(&mut bytes)? {
            let (id, rest) = bytes.split_first_chunk::<16>()?;
            bytes = rest;
            let seq = Seq(take_u64(&mut bytes)?);
            streams.take(CommandId(u128::from_le_bytes(*id)), seq);
        }
        bytes.is_empty().then_some(streams)
    }
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use domain::JobId;

    use super::*;

    #[test]
    fn streams_count_their_own_events_and_know_where_they_began() {
        let mut streams = Streams::default();
        let job = Stream::Job(JobId(7));
        assert_eq!(streams.revision(job), 0);
        streams.place(Stream::Node, Seq(1));
        let first = streams.place(job, Seq(1));
        let later = streams.place(job, Seq(9));
        assert_eq!((first.revision, first.correlation), (1, Seq(1)));
        assert_eq!((later.revision, later.correlation), (2, Seq(1)));
        assert_eq!(streams.place(Stream::Node, Seq(9)).correlation, Seq(9));
        assert_eq!(streams.revision(Stream::Node), 2);
    }

    #[test]
    fn what_is_stored_reads_back_and_what_is_cut_does_not() {
        let mut streams = Streams::default();
        streams.place(Stream::Job(JobId(u32::MAX)), Seq(3));
        for id in 0..5 {
            streams.take(CommandId(u128::MAX - id), Seq(10 + id as u64));
        }
        let mut bytes = Vec::new();
        streams.write(&mut bytes);
        let read = Streams::read(&bytes).unwrap();
        assert_eq!(read.revision(Stream::Job(JobId(u32::MAX))), 1);
        assert_eq!(read.taken(CommandId(u128::MAX - 4)), Some(Seq(14)));
        for cut in 0..bytes.len() {
            assert!(Streams::read(&bytes[..cut]).is_none());
        }
    }

    #[test]
    fn only_the_latest_commands_are_remembered() {
        let mut streams = Streams::default();
        for id in 0..COMMANDS_KEPT as u64 + 10 {
            streams.take(CommandId(id.into()), Seq(id));
        }
        assert_eq!(streams.taken(CommandId(9)), None);
        assert_eq!(streams.taken(CommandId(10)), Some(Seq(10)));
        assert_eq!(streams.commands.len(), streams.by_command.len());
    }
}
