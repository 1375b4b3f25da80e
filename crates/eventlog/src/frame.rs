//! One event as bytes: a fixed little-endian header, then the archive of its fields (see
//! [`crate::schema`]). The same frame stands in the log's blocks and in history files. What an event
//! means is not looked at.
//!
//! ```text
//! offset  0     4     8      10        11      12     16    24       32         40   48      56
//!         | len | crc | kind | version | flags | zero | seq | stream | revision | at | cause | correlation |
//!         | u32 | u32 | u16  | u8      | u8    | u32  | u64 | u64    | u64      | u64| u64   | u64         |
//! offset 64: digest u64 if flag 1 | command u128 if flag 2 | payload, len bytes
//! ```
//! `crc` is the CRC-32 of everything else: `len`, then all bytes after `crc`.

use domain::{Envelope, Seq, Timestamp};

use crate::damage::Damage;
use crate::record::{CommandId, Record, Stream};
use crate::schema::{self, Schema};

/// Bytes before what the flags announce.
pub(crate) const HEADER_BYTES: usize = 64;

/// Largest payload in bytes; a block and a part count have to hold it.
pub(crate) const PAYLOAD_MOST: usize = 15 * 1024 * 1024;

const HAS_DIGEST: u8 = 1;
const HAS_COMMAND: u8 = 2;
const FLAGS: u8 = HAS_DIGEST | HAS_COMMAND;

/// Appends the frame of a record to `out`.
///
/// # Errors
/// When its payload is too long; `out` is then as before.
pub(crate) fn push(out: &mut Vec<u8>, record: &Record) -> Result<(), schema::EncodeError> {
    let too_long = || schema::EncodeError::TooLong(record.payload.len());
    let len = u32::try_from(record.payload.len()).map_err(|_| too_long())?;
    if record.payload.len() > PAYLOAD_MOST {
        return Err(too_long());
    }
    let start = out.len();
    let mut flags = 0;
    flags |= if record.digest.is_some() { HAS_DIGEST } else { 0 };
    flags |= if record.command.is_some() { HAS_COMMAND } else { 0 };
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.schema.kind.to_le_bytes());
    out.extend_from_slice(&[record.schema.version, flags, 0, 0, 0, 0]);
    for number in [
        record.seq.0,
        record.stream.code(),
        record.revision,
        record.at.0,
        record.cause.0,
        record.correlation.0,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend(record.digest.iter().flat_map(|digest| digest.to_le_bytes()));
    out.extend(record.command.iter().flat_map(|command| command.0.to_le_bytes()));
    out.extend_from_slice(&record.payload);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Bytes of the whole frame that begins with this header.
pub(crate) fn whole_len(header: &[u8; HEADER_BYTES]) -> Result<usize, Damage> {
    let len = payload_len([header[0], header[1], header[2], header[3]])?;
    let flags = header[11];
    if flags & !FLAGS != 0 || header[12..16] != [0; 4] {
        return Err(Damage::Header("a frame has flags that this program does not know"));
    }
    Ok(HEADER_BYTES + extra_len(flags) + len)
}

fn payload_len(len: [u8; 4]) -> Result<usize, Damage> {
    let len = u32::from_le_bytes(len);
    usize::try_from(len).ok().filter(|len| *len <= PAYLOAD_MOST).ok_or(Damage::TooLong(len))
}

/// The frame at the start of `bytes`, and the bytes after it. Its form is checked; whether it is the
/// one that was written is told by [`Frame::check`], or by the hash of the block it stands in.
pub(crate) fn split(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), Damage> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Damage::Cut)?;
    let (frame, rest) = bytes.split_at_checked(whole_len(header)?).ok_or(Damage::Cut)?;
    let payload_at = HEADER_BYTES + extra_len(header[11]);
    Ok((Frame { bytes: frame, header, payload_at }, rest))
}

fn extra_len(flags: u8) -> usize {
    [(HAS_DIGEST, 8), (HAS_COMMAND, 16)]
        .iter()
        .map(|(flag, bytes)| if flags & flag == 0 { 0 } else { *bytes })
        .sum()
}

/// A frame in somebody else's bytes.
pub(crate) struct Frame<'a> {
    bytes: &'a [u8],
    header: &'a [u8; HEADER_BYTES],
    payload_at: usize,
}

impl<'a> Frame<'a> {
    /// Fails when the checksum is not the one written.
    pub(crate) fn check(&self) -> Result<(), Damage> {
        let crc =
            u32::from_le_bytes([self.header[4], self.header[5], self.header[6], self.header[7]]);
        if checksum(self.bytes) == crc { Ok(()) } else { Err(Damage::Checksum) }
    }

    /// The position it claims.
    pub(crate) fn seq(&self) -> Seq {
        Seq(self.number(16))
    }

    /// When its input entered.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp(self.number(40))
    }

    /// Position of the input of its step.
    pub(crate) fn cause(&self) -> Seq {
        Seq(self.number(48))
    }

    pub(crate) fn schema(&self) -> Schema {
        let kind = u16::from_le_bytes([self.header[8], self.header[9]]);
        Schema { kind, version: self.header[10] }
    }

    /// What it is about, and its place there.
    pub(crate) fn stream(&self) -> Result<(Stream, u64), Damage> {
        let stream = Stream::from_code(self.number(24));
        Ok((stream.ok_or(Damage::Header("a frame of an unknown stream"))?, self.number(32)))
    }

    /// The engine's digest, if there is one.
    pub(crate) fn digest(&self) -> Option<u64> {
        self.extra(HAS_DIGEST, 0).map(u64::from_le_bytes)
    }

    /// The caller's name of the command, if there is one.
    pub(crate) fn command(&self) -> Option<CommandId> {
        let offset = extra_len(self.flags() & HAS_DIGEST);
        self.extra(HAS_COMMAND, offset).map(|id| CommandId(u128::from_le_bytes(id)))
    }

    /// Bytes of the event's fields.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload().len()
    }

    fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload_at..]
    }

    /// The event; the payload is validated before it is read.
    pub(crate) fn envelope(&self) -> Result<Envelope, Damage> {
        let event = schema::decode(self.schema(), self.payload())?;
        Ok(Envelope { seq: self.seq(), at: self.at(), cause: self.cause(), event })
    }

    /// All of it, whether or not the event is understood.
    pub(crate) fn record(&self) -> Result<Record, Damage> {
        let (stream, revision) = self.stream()?;
        Ok(Record {
            seq: self.seq(),
            at: self.at(),
            cause: self.cause(),
            correlation: Seq(self.number(56)),
            stream,
            revision,
            schema: self.schema(),
            digest: self.digest(),
            command: self.command(),
            payload: self.payload().to_vec(),
        })
    }

    fn flags(&self) -> u8 {
        self.header[11]
    }

    fn extra<const N: usize>(&self, flag: u8, offset: usize) -> Option<[u8; N]> {
        if self.flags() & flag == 0 {
            return None;
        }
        self.bytes.get(HEADER_BYTES + offset..)?.first_chunk().copied()
    }

    fn number(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.header[offset..offset + 8]);
        u64::from_le_bytes(bytes)
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use domain::{Command, Event, Input, JobId};

    use super::*;
    use crate::record::Place;

    fn record() -> Record {
        let event = Event::Input(Input::Command(Command::RetryJob { job: JobId(7) }));
        let envelope = Envelope { seq: Seq(5), at: Timestamp(6), cause: Seq(5), event };
        let place = Place { stream: Stream::Job(JobId(7)), revision: 9, correlation: Seq(2) };
        Record::of(&envelope, place).unwrap()
    }

    fn all_sorts() -> Vec<Record> {
        let plain = record();
        vec![
            plain.clone(),
            Record { digest: Some(u64::MAX - 1), ..plain.clone() },
            Record { command: Some(CommandId(77)), ..plain.clone() },
            Record { digest: Some(1), command: Some(CommandId(2)), ..plain },
        ]
    }

    #[test]
    fn a_frame_reads_back_wherever_it_was_written() {
        for record in all_sorts() {
            let mut bytes = b"before".to_vec();
            push(&mut bytes, &record).unwrap();
            bytes.extend_from_slice(b"after");
            let (frame, rest) = split(&bytes[6..]).unwrap();
            assert_eq!(rest, b"after");
            frame.check().unwrap();
            assert_eq!(frame.record().unwrap(), record);
            let envelope = frame.envelope().unwrap();
            assert_eq!((envelope.seq, envelope.at, envelope.cause), (Seq(5), Timestamp(6), Seq(5)));
            assert_eq!(envelope.event.job(), Some(JobId(7)));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        for record in all_sorts() {
            let mut good = Vec::new();
            push(&mut good, &record).unwrap();
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let noticed = match split(&bad) {
                    Ok((frame, rest)) => frame.check().is_err() || !rest.is_empty(),
                    Err(_) => true,
                };
                assert!(noticed, "bit {bit}");
            }
            for len in 0..good.len() {
                assert_eq!(split(&good[..len]).err(), Some(Damage::Cut));
            }
        }
    }

    #[test]
    fn a_type_that_is_not_known_is_kept_and_not_guessed_at() {
        let newer = Record { schema: Schema { kind: 999, version: 1 }, ..record() };
        let mut bytes = Vec::new();
        push(&mut bytes, &newer).unwrap();
        let (frame, _) = split(&bytes).unwrap();
        assert_eq!(frame.record().unwrap(), newer);
        assert_eq!(frame.envelope(), Err(Damage::UnknownEvent { kind: 999, version: 1 }));
        let later = Schema { version: 2, ..record().schema };
        let unread = schema::decode(later, &record().payload);
        assert_eq!(unread, Err(Damage::UnknownEvent { kind: 3, version: 2 }));
    }
}
