//! One event as bytes: a fixed little-endian header, then the rkyv archive of the [`Event`]. The
//! same frame stands in the log's blocks and in history files. What an event means is not looked at.
//!
//! ```text
//! offset  0      4      8        9     10        12     20    28       36
//!         | len  | crc  | version| kind | zero    | seq  | at  | cause  | payload, len bytes |
//!         | u32  | u32  | u8     | u8   | u16     | u64  | u64 | u64    | rkyv Event         |
//! ```
//! `crc` is the CRC-32 of everything else: `len`, then all bytes after `crc`.

use domain::{Envelope, Event, Seq, Timestamp};
use rkyv::rancor;

use crate::damage::Damage;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 36;

/// Largest payload in bytes; a block and a part count have to hold it.
pub(crate) const PAYLOAD_MOST: usize = 15 * 1024 * 1024;

/// Version of the frame and of the event encoding in it.
pub(crate) const VERSION: u8 = 1;

/// Why an event could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The archive could not be built.
    #[error("an event could not be archived")]
    Archive(#[source] rancor::Error),
    /// The event is larger than any frame may be.
    #[error("an event of {0} bytes is larger than the {PAYLOAD_MOST} a frame may hold")]
    TooLong(usize),
}

/// The stored bytes of an event, without a frame: what replay compares and `events.lock` pins.
///
/// # Errors
/// When the archive cannot be built, which takes more than 2 GiB of event.
pub fn encode(event: &Event) -> Result<Vec<u8>, EncodeError> {
    rkyv::api::high::to_bytes_in(event, Vec::new()).map_err(EncodeError::Archive)
}

/// Appends the frame of an event to `out`; on an error `out` is left empty.
pub(crate) fn push(
    out: &mut Vec<u8>,
    seq: Seq,
    at: Timestamp,
    cause: Seq,
    event: &Event,
) -> Result<(), EncodeError> {
    let start = out.len();
    let kind: u8 = match event {
        Event::Input(_) => 0,
        Event::Decision(_) => 1,
    };
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[VERSION, kind, 0, 0]);
    out.extend_from_slice(&seq.0.to_le_bytes());
    out.extend_from_slice(&at.0.to_le_bytes());
    out.extend_from_slice(&cause.0.to_le_bytes());
    // The archive's pointers are relative, so it may begin anywhere in the buffer.
    *out =
        rkyv::api::high::to_bytes_in(event, std::mem::take(out)).map_err(EncodeError::Archive)?;
    let length = out.len() - start - HEADER_BYTES;
    let len = match u32::try_from(length) {
        Ok(len) if length <= PAYLOAD_MOST => len.to_le_bytes(),
        _ => {
            out.clear();
            return Err(EncodeError::TooLong(length));
        }
    };
    let crc = checksum(len, &out[start + 8..]);
    out[start..start + 4].copy_from_slice(&len);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Bytes of the whole frame that begins with these 4 bytes.
pub(crate) fn whole_len(len: [u8; 4]) -> Result<usize, Damage> {
    let len = u32::from_le_bytes(len);
    match usize::try_from(len) {
        Ok(length) if length <= PAYLOAD_MOST => Ok(HEADER_BYTES + length),
        _ => Err(Damage::TooLong(len)),
    }
}

/// The frame at the start of `bytes`, checked but not decoded, and the bytes after it.
pub(crate) fn split(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), Damage> {
    let (len, _) = bytes.split_first_chunk::<4>().ok_or(Damage::Cut)?;
    let (frame, rest) = bytes.split_at_checked(whole_len(*len)?).ok_or(Damage::Cut)?;
    let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(Damage::Cut)?;
    let crc = [header[4], header[5], header[6], header[7]];
    if checksum(*len, &frame[8..]) != u32::from_le_bytes(crc) {
        return Err(Damage::Checksum);
    }
    if header[8] != VERSION {
        return Err(Damage::Version(header[8].into()));
    }
    Ok((Frame { header, payload }, rest))
}

/// A frame whose checksum is right.
pub(crate) struct Frame<'a> {
    header: &'a [u8; HEADER_BYTES],
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that is all of `bytes`, which [`split`] has checked before.
    pub(crate) fn checked(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damage::Cut)?;
        Ok(Self { header, payload })
    }

    /// The position it claims.
    pub(crate) fn seq(&self) -> Seq {
        Seq(self.number(12))
    }

    /// The envelope.
    pub(crate) fn envelope(&self) -> Result<Envelope, Damage> {
        let event = decode(self.payload)?;
        Ok(Envelope {
            seq: self.seq(),
            at: Timestamp(self.number(20)),
            cause: Seq(self.number(28)),
            event,
        })
    }

    fn number(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.header[offset..offset + 8]);
        u64::from_le_bytes(bytes)
    }
}

/// The event of a payload, which is validated before it is read.
pub(crate) fn decode(payload: &[u8]) -> Result<Event, Damage> {
    rkyv::from_bytes::<Event, rancor::Error>(payload)
        .map_err(|error| Damage::Payload(error.to_string()))
}

fn checksum(len: [u8; 4], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len);
    hasher.update(rest);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use domain::{Command, Input, JobId};

    use super::*;

    fn frame() -> Vec<u8> {
        let mut bytes = b"before".to_vec();
        let event = Event::Input(Input::Command(Command::RetryJob { job: JobId(7) }));
        push(&mut bytes, Seq(5), Timestamp(6), Seq(5), &event).unwrap();
        bytes.split_off(6)
    }

    #[test]
    fn a_frame_reads_back_wherever_it_was_written() {
        let mut bytes = frame();
        bytes.extend_from_slice(b"after");
        let (frame, rest) = split(&bytes).unwrap();
        assert_eq!(rest, b"after");
        let envelope = frame.envelope().unwrap();
        assert_eq!((envelope.seq, envelope.at, envelope.cause), (Seq(5), Timestamp(6), Seq(5)));
        assert_eq!(envelope.event.job(), Some(JobId(7)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = frame();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(split(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(split(&good[..len]).err(), Some(Damage::Cut));
        }
    }

    #[test]
    fn an_encoding_does_not_depend_on_what_memory_held_before() {
        let event = Event::Input(Input::Command(Command::RetryJob { job: JobId(7) }));
        let mut dirty = vec![0xee; 4096];
        dirty.clear();
        let dirty = rkyv::api::high::to_bytes_in::<_, rancor::Error>(&event, dirty).unwrap();
        assert_eq!(dirty, encode(&event).unwrap());
    }
}
