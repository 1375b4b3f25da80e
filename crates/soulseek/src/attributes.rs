//! What a file list tells about the sound of a file.

use crate::wire::peer::{Attribute, FileEntry, attribute};

/// Attributes of one file; any may be missing, and none is proof of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Attributes {
    /// Kilobits per second.
    pub bitrate_kbps: Option<u32>,
    /// Length in seconds.
    pub duration_s: Option<u32>,
    /// 1 when the bit rate varies, 0 when it does not.
    pub vbr: Option<u32>,
    /// Hertz.
    pub sample_rate_hz: Option<u32>,
    /// Bits per sample.
    pub bit_depth: Option<u32>,
}

impl Attributes {
    /// In rising order of their codes, which is the order real clients send.
    pub(crate) fn to_wire(self) -> Vec<Attribute> {
        [
            (attribute::BITRATE, self.bitrate_kbps),
            (attribute::DURATION, self.duration_s),
            (attribute::VARIABLE, self.vbr),
            (attribute::SAMPLE_RATE, self.sample_rate_hz),
            (attribute::BIT_DEPTH, self.bit_depth),
        ]
        .into_iter()
        .filter_map(|(code, value)| value.map(|value| Attribute { code, value }))
        .collect()
    }

    fn from_wire(list: &[Attribute]) -> Attributes {
        let mut attributes = Attributes::default();
        for &Attribute { code, value } in list {
            match code {
                attribute::BITRATE => attributes.bitrate_kbps = Some(value),
                attribute::DURATION => attributes.duration_s = Some(value),
                attribute::VARIABLE => attributes.vbr = Some(value),
                attribute::SAMPLE_RATE => attributes.sample_rate_hz = Some(value),
                attribute::BIT_DEPTH => attributes.bit_depth = Some(value),
                _ => {}
            }
        }
        attributes
    }
}

/// A file someone else offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Virtual path, with `\` between its parts; the name to ask for it by.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Without a dot; empty from most clients.
    pub extension: String,
    /// What the other side says about the sound.
    pub attributes: Attributes,
}

impl From<FileEntry> for RemoteFile {
    fn from(entry: FileEntry) -> RemoteFile {
        RemoteFile {
            attributes: Attributes::from_wire(&entry.attributes),
            path: entry.name,
            size: entry.size,
            extension: entry.extension,
        }
    }
}
