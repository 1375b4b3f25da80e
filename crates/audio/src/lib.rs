//! What an audio file is, judged by its bytes and never by its name: whether all of it decodes,
//! how long it is, and the Chromaprint by which a recording is recognised. Also the tags in it.
//! Knows no release, no peer and no network; it takes paths and returns plain values, blocking.
//!
//! Start at [`examine()`], which asks everything of a file in one pass; [`compare()`] says how alike
//! two fingerprints are and [`write_tags`] names a file that was recognised.

mod examine;

mod decode;
mod header;
mod ogg;
mod sniff;
mod vorbis;
mod window;

mod compare;
mod fingerprint;

mod properties;
mod tags;

#[cfg(fuzzing)]
pub mod fuzzing;

#[cfg(test)]
mod specimen;

pub use compare::{MAX_OFFSET, Similarity, compare};
pub use decode::Codec;
pub use examine::{ExamineError, Examined, examine};
pub use fingerprint::{DecompressError, FINGERPRINTED_SECONDS, MAX_ITEMS, compress, decompress};
pub use properties::{Properties, properties};
pub use sniff::{Container, Sniffed, sniff};
pub use tags::{TagError, Tags, read_tags, write_tags};
