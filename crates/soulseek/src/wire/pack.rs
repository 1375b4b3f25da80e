//! How one value lies on the wire: little-endian numbers, counted strings, reversed IPv4.
//!
//! Knows no message. Every element of a list has to be read before the next one is believed in, so a
//! reader allocates what the body can fill and not what it claims. An element may take several times
//! its bytes on the wire; where that matters a list is read with [`read_first`].

use std::net::Ipv4Addr;

/// Longest text that is read, in bytes: paths, names and reasons are far shorter.
const LONGEST_TEXT: usize = 16 << 10;

/// Why a message body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body ended before the value did.
    #[error("body ends inside a value")]
    Truncated,
    /// A number stands for nothing this protocol knows.
    #[error("{what} has no meaning for {value}")]
    Meaningless {
        /// The field that was read.
        what: &'static str,
        /// What it held.
        value: String,
    },
    /// A text is longer than any is.
    #[error("text of {length} bytes is longer than {cap}")]
    TextTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        cap: usize,
    },
    /// The compressed part is not zlib, or is damaged.
    #[error("compressed body is damaged")]
    Damaged,
    /// The compressed part unpacks to more than is ever accepted.
    #[error("compressed body unpacks to more than {cap} bytes")]
    TooLarge {
        /// The limit in bytes.
        cap: usize,
    },
}

/// Reads values from the front of a message body.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `body`.
    pub fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
    }

    /// Whether every byte has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }
}

/// A value with one place in a message: how it is read and how it is written.
pub trait Field: Sized {
    /// Reads the value from the front of `reader`.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// Appends the value to `out`.
    fn write(&self, out: &mut Vec<u8>);
    /// Any value that survives a round trip; the tables build their property tests from it.
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self>;
}

macro_rules! number_fields {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(<$number>::from_le_bytes(reader.array()?))
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            #[cfg(test)]
            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                proptest::strategy::Strategy::boxed(proptest::arbitrary::any::<$number>())
            }
        }
    )*};
}

number_fields!(u8, u16, u32, u64, i32);

impl Field for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(u8::read(reader)? != 0)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        proptest::strategy::Strategy::boxed(proptest::arbitrary::any::<bool>())
    }
}

impl Field for String {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = u32::read(reader)?;
        let bytes = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if bytes.len() > LONGEST_TEXT {
            return Err(DecodeError::TextTooLong { length: bytes.len(), cap: LONGEST_TEXT });
        }
        // Old clients send their system's code page; both big clients read it as Latin-1.
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        proptest::strategy::Strategy::boxed(proptest::arbitrary::any::<String>())
    }
}

impl Field for Ipv4Addr {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Ipv4Addr::from_bits(u32::read(reader)?))
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.to_bits().write(out);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        proptest::strategy::Strategy::boxed(proptest::arbitrary::any::<Ipv4Addr>())
    }
}

impl<T: Field + std::fmt::Debug + 'static> Field for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = u32::read(reader)?;
        // The count is a claim, so nothing is reserved for it.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        for item in self {
            item.write(out);
        }
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        proptest::strategy::Strategy::boxed(proptest::collection::vec(T::any(), 0..4))
    }
}

/// Reads a list and keeps its first elements, as many as there is `room` for. The rest is read over,
/// so that what follows the list is still found.
pub fn read_first<T: Field>(
    reader: &mut Reader<'_>,
    room: &mut usize,
) -> Result<Vec<T>, DecodeError> {
    let count = u32::read(reader)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let item = T::read(reader)?;
        if *room > 0 {
            *room -= 1;
            items.push(item);
        }
    }
    Ok(items)
}

/// A value that may be missing at the end of a message; never followed by another field.
impl<T: Field + std::fmt::Debug + 'static> Field for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.is_empty() { Ok(None) } else { T::read(reader).map(Some) }
    }
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(out);
        }
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        proptest::strategy::Strategy::boxed(proptest::option::of(T::any()))
    }
}

/// Everything up to the end of the message, untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(
    /// The bytes as they came.
    pub Vec<u8>,
);

impl Field for Raw {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Raw(reader.take_rest().to_vec()))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        any::<Vec<u8>>().prop_map(Raw).boxed()
    }
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).expect("we never build a list or text of 4 GiB").write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_reversed_on_the_wire() {
        let mut out = Vec::new();
        Ipv4Addr::new(127, 0, 2, 3).write(&mut out);
        assert_eq!(out, [3, 2, 0, 127]);
        assert_eq!(Ipv4Addr::read(&mut Reader::new(&out)), Ok(Ipv4Addr::new(127, 0, 2, 3)));
    }

    #[test]
    fn text_that_is_not_utf8_is_read_as_latin1() {
        let bytes = [4, 0, 0, 0, b'c', b'a', b'f', 0xe9];
        assert_eq!(String::read(&mut Reader::new(&bytes)), Ok("café".to_owned()));
    }

    #[test]
    fn a_list_longer_than_its_body_is_refused_without_believing_its_count() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        assert_eq!(Vec::<u32>::read(&mut Reader::new(&bytes)), Err(DecodeError::Truncated));
        assert_eq!(String::read(&mut Reader::new(&bytes)), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_text_longer_than_any_is_refused() {
        let mut out = Vec::new();
        "x".repeat(LONGEST_TEXT).write(&mut out);
        assert!(String::read(&mut Reader::new(&out)).is_ok());
        out.clear();
        let length = LONGEST_TEXT + 1;
        "x".repeat(length).write(&mut out);
        let refused = DecodeError::TextTooLong { length, cap: LONGEST_TEXT };
        assert_eq!(String::read(&mut Reader::new(&out)), Err(refused));
    }

    #[test]
    fn what_there_is_no_room_for_is_read_over() {
        let mut out = Vec::new();
        vec![1u32, 2, 3].write(&mut out);
        vec![4u32].write(&mut out);
        let (mut reader, mut room) = (Reader::new(&out), 2);
        assert_eq!(read_first::<u32>(&mut reader, &mut room), Ok(vec![1, 2]));
        assert_eq!(read_first::<u32>(&mut reader, &mut room), Ok(vec![]));
        assert!(reader.is_empty());
    }
}
