//! A flat file and `fdatasync`: what the disk gives at best. With `prewritten` bytes the file has its
//! length before anything is measured, which spares the file system its own bookkeeping.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Store, decode, value};
use crate::Failure;
use crate::events::Stored;

pub(crate) struct Raw {
    file: File,
    path: PathBuf,
    end: u64,
    seq: u64,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) fn open(dir: &Path, prewritten: u64) -> Result<Self, Failure> {
        let path = dir.join("raw");
        let is_new = !path.exists();
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        if is_new {
            let zeros = vec![0; 1 << 20];
            for _ in 0..prewritten / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
            file.sync_all()?;
        }
        Ok(Self { file, path, end: 0, seq: 0, buffer: Vec::new() })
    }
}

impl Store for Raw {
    fn append(&mut self, batch: &Stored) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for row in &batch.rows {
            self.seq += 1;
            value(self.seq, row, &mut self.buffer);
            bytes.extend_from_slice(&(self.buffer.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&crc(&self.buffer).to_le_bytes());
            bytes.extend_from_slice(&self.buffer);
        }
        self.file.write_all_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.file.sync_data()?;
        Ok(())
    }

    fn scan(&self) -> Result<u64, Failure> {
        let mut input = BufReader::with_capacity(256 * 1024, File::open(&self.path)?);
        let (mut count, mut bytes) = (0, Vec::new());
        let mut header = [0; 8];
        while input.read_exact(&mut header).is_ok() {
            let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if length == 0 {
                break;
            }
            bytes.resize(length, 0);
            input.read_exact(&mut bytes)?;
            if crc(&bytes).to_le_bytes() != header[4..] {
                return Err("a wrong checksum".into());
            }
            decode(&bytes)?;
            count += 1;
        }
        Ok(count)
    }
}

fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
