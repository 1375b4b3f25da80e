//! One file of the index as key and value: the key sorts by folder and then by name, the value has
//! the rest. Where files lie is not written whole: the end of the local path is the end of the virtual one,
//! and what comes before it is one of a few roots.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::SharedFile;
use super::build::Audience;
use super::bytes::{Bytes, damaged, put_bytes, put_number};
use super::words::split;
use crate::attributes::Attributes;

/// Roots that are kept beside the files; further ones are written with each file.
const ROOTS: usize = 1 << 10;

/// Sorts a folder before those below it, and keeps its files together. A NUL in a name is followed by
/// 1, so that the two between folder and name stand for themselves.
pub(super) fn key(virtual_path: &str) -> Vec<u8> {
    let (folder, name) = split(virtual_path);
    let mut key = folder_key(folder);
    // A path without a folder is not one in a folder without a name.
    key.push(u8::from(virtual_path.contains('\\')));
    escape(&mut key, name);
    key
}

/// What the keys of a folder's files begin with.
pub(super) fn folder_key(folder: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(folder.len() + 2);
    escape(&mut key, folder);
    key.extend_from_slice(&[0, 0]);
    key
}

/// What the keys of the folders below a folder begin with.
pub(super) fn below_key(folder: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(folder.len() + 1);
    escape(&mut key, folder);
    key.push(b'\\');
    key
}

fn escape(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(1);
        }
    }
}

/// The virtual path of a key.
pub(super) fn virtual_path(key: &[u8]) -> io::Result<String> {
    let mut path = Vec::with_capacity(key.len());
    let mut rest = key.iter().copied();
    while let Some(byte) = rest.next() {
        match (byte, if byte == 0 { rest.next() } else { None }) {
            (0, Some(1)) => path.push(0),
            (0, Some(0)) => {
                if rest.next() == Some(1) {
                    path.push(b'\\');
                }
            }
            (0, _) => return Err(damaged("no key of a file")),
            (byte, _) => path.push(byte),
        }
    }
    String::from_utf8(path).map_err(|_| damaged("a path that is no text"))
}

/// What is known of a file beside its virtual path.
#[derive(Debug)]
pub(super) struct Record {
    pub local_path: Vec<u8>,
    pub size: u64,
    pub attributes: Attributes,
    pub modified: u64,
    pub audience: Audience,
}

impl Record {
    /// Splits a local path into a root and how many bytes of the virtual one follow.
    fn root(&self, virtual_path: &str) -> (&[u8], usize) {
        let ends = |byte: u8| if byte == b'\\' { b'/' } else { byte };
        let shared = virtual_path
            .bytes()
            .rev()
            .zip(self.local_path.iter().rev())
            .take_while(|&(theirs, &ours)| ends(theirs) == ours)
            .count();
        (&self.local_path[..self.local_path.len() - shared], shared)
    }

    /// With its root among `roots`, or whole without them.
    pub fn write(&self, virtual_path: &str, roots: Option<&mut Vec<Vec<u8>>>) -> Vec<u8> {
        let mut out = Vec::new();
        let of = &self.attributes;
        let fields = [of.bitrate_kbps, of.duration_s, of.vbr, of.sample_rate_hz, of.bit_depth];
        let mut flags = u8::from(self.audience == Audience::Buddies);
        for (at, field) in fields.iter().enumerate() {
            flags |= u8::from(field.is_some()) << (at + 1);
        }
        out.push(flags);
        put_number(&mut out, self.size);
        put_number(&mut out, self.modified);
        for field in fields.into_iter().flatten() {
            put_number(&mut out, u64::from(field));
        }
        let (root, shared) = self.root(virtual_path);
        put_number(&mut out, shared as u64);
        // Files come sorted, so theirs is nearly always the newest.
        let known = roots.and_then(|roots| {
            roots.iter().rposition(|known| known == root).or_else(|| {
                (roots.len() < ROOTS).then(|| {
                    roots.push(root.to_vec());
                    roots.len() - 1
                })
            })
        });
        match known {
            Some(number) => put_number(&mut out, number as u64 + 1),
            None => {
                put_number(&mut out, 0);
                put_bytes(&mut out, root);
            }
        }
        out
    }

    pub fn read(value: &[u8], virtual_path: &str, roots: &[Vec<u8>]) -> io::Result<Record> {
        let mut value = Bytes(value);
        let flags = value.byte()?;
        let audience = audience(flags);
        let (size, modified) = (value.number()?, value.number()?);
        let mut field = |at: u8| -> io::Result<Option<u32>> {
            if flags & (2 << at) == 0 { Ok(None) } else { value.number32().map(Some) }
        };
        let attributes = Attributes {
            bitrate_kbps: field(0)?,
            duration_s: field(1)?,
            vbr: field(2)?,
            sample_rate_hz: field(3)?,
            bit_depth: field(4)?,
        };
        let shared = value.size()?;
        let begin = virtual_path.len().checked_sub(shared).ok_or_else(|| damaged("a long end"))?;
        let mut local_path = match value.size()?.checked_sub(1) {
            Some(root) => roots.get(root).ok_or_else(|| damaged("no such root"))?.clone(),
            None => value.counted()?.to_vec(),
        };
        let end = virtual_path.bytes().skip(begin);
        local_path.extend(end.map(|byte| if byte == b'\\' { b'/' } else { byte }));
        Ok(Record { local_path, size, attributes, modified, audience })
    }

    pub fn of(file: &SharedFile, modified: u64, audience: Audience) -> Record {
        Record {
            local_path: OsStr::as_bytes(file.local_path.as_os_str()).to_vec(),
            size: file.size,
            attributes: file.attributes,
            modified,
            audience,
        }
    }

    pub fn into_file(self, virtual_path: String) -> SharedFile {
        SharedFile {
            virtual_path,
            local_path: PathBuf::from(OsString::from_vec(self.local_path)),
            size: self.size,
            attributes: self.attributes,
        }
    }
}

/// For whom the file of this value is, without reading the rest.
pub(super) fn peek_audience(value: &[u8]) -> Audience {
    audience(value.first().copied().unwrap_or_default())
}

fn audience(flags: u8) -> Audience {
    if flags & 1 == 0 { Audience::Everyone } else { Audience::Buddies }
}
