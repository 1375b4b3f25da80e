//! A disk that is full: an append is refused and not lost sight of, reading goes on, and so does
//! writing once there is space, without a restart. On a small file system of its own, which takes
//! root to mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Seq, Timestamp};
use eventlog::{AppendError, Limits, Log, Step};

use crate::append::{all, sized};

/// A file system of a few MiB that is unmounted in the end.
struct SmallDisk {
    at: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let at = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "reprise-test"])
            .arg(at.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "this test mounts a small file system and needs to be root");
        Self { at }
    }

    fn path(&self) -> &Path {
        self.at.path()
    }

    /// Takes all space but about this much.
    fn fill(&self, leave: u64) -> PathBuf {
        let ballast = self.path().join("ballast");
        let zeros = vec![0; 64 * 1024];
        let mut file = fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(leave)).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Appends until the disk is full; the error, and how many went in.
fn until_full(log: &mut Log, from: u64) -> (AppendError, u64) {
    for index in from..10_000 {
        if let Err(error) = log.append(&[Step::new(Timestamp(index), &[sized(20_000)])]) {
            return (error, index);
        }
    }
    panic!("the disk is not that large");
}

#[test]
fn healing_while_the_disk_is_still_full_disturbs_nobody_who_reads() {
    for round in 0..6u64 {
        let disk = SmallDisk::mount(48);
        let limits = Limits { volume_events: 40, volume_bytes: u64::MAX };
        let (mut log, reader) = Log::open_with(&disk.path().join("log"), limits).unwrap();
        let ballast = disk.fill(round * 400_000);
        let (_, index) = until_full(&mut log, 0);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(all(&reader).len() as u64, index);
                    assert_eq!(reader.verify().unwrap().events, index);
                }
            });
            for _ in 0..5 {
                let healed = log.heal();
                if let Err(error) = healed {
                    assert!(matches!(error, AppendError::DiskFull(_) | AppendError::Waiting));
                } else {
                    let again = log.append(&[Step::new(Timestamp(0), &[sized(20_000)])]);
                    assert!(matches!(again, Err(AppendError::DiskFull(_))), "{again:?}");
                }
                assert!(reader.waits_for_space());
            }
            is_over.store(true, Ordering::Relaxed);
            reading.join().unwrap();
        });
        fs::remove_file(&ballast).unwrap();
        log.heal().unwrap();
        assert!(!reader.waits_for_space());
        log.append(&[Step::new(Timestamp(index), &[sized(30)])]).unwrap();
        assert_eq!(reader.verify().unwrap().events, index + 1);
    }
}

#[test]
fn the_file_made_ahead_for_the_next_volume_is_the_first_to_give_its_space() {
    let disk = SmallDisk::mount(96);
    let dir = disk.path().join("log");
    let spare = dir.join("volumes/spare");
    let limits = Limits { volume_events: u64::MAX, volume_bytes: 16 * 1024 * 1024 };
    let (mut log, reader) = Log::open_with(&dir, limits).unwrap();
    // A little more than half a volume, where it is begun.
    let index = 425;
    for at in 0..index {
        log.append(&[Step::new(Timestamp(at), &[sized(20_000)])]).unwrap();
    }
    while !fs::metadata(&spare).is_ok_and(|spare| spare.len() > limits.volume_bytes) {
        std::thread::yield_now();
    }
    disk.fill(0);
    let (error, index) = until_full(&mut log, index);
    assert!(matches!(error, AppendError::DiskFull(_)), "{error:?}");
    assert!(!spare.exists());
    // Nobody else has made any room.
    log.heal().unwrap();
    log.append(&[Step::new(Timestamp(index), &[sized(20_000)])]).unwrap();
    assert!(!spare.exists(), "it is not made again before the next volume");
    assert_eq!(reader.verify().unwrap().events, index + 1);
}

#[test]
fn a_full_disk_is_an_error_that_heals_when_there_is_space() {
    // At 20 different fillings, so that it strikes in different places of the store.
    for round in 0..20u64 {
        let disk = SmallDisk::mount(48);
        let limits = Limits { volume_events: 40, volume_bytes: u64::MAX };
        let (mut log, reader) = Log::open_with(&disk.path().join("log"), limits).unwrap();
        for index in 0..round * 3 {
            log.append(&[Step::new(Timestamp(index), &[sized(20_000)])]).unwrap();
        }
        let ballast = disk.fill(round * 150_000);
        let (error, index) = until_full(&mut log, round * 3);
        assert!(matches!(error, AppendError::DiskFull(_)), "{error:?}");
        // Nothing is acknowledged any more, and everything that was is still read.
        let again = log.append(&[Step::new(Timestamp(0), &[sized(1)])]).unwrap_err();
        assert!(matches!(again, AppendError::Waiting), "{again}");
        assert_eq!(reader.durable(), Seq(index));
        assert_eq!(all(&reader).len() as u64, index);

        fs::remove_file(&ballast).unwrap();
        log.heal().unwrap();
        log.append(&[Step::new(Timestamp(index), &[sized(30)])]).unwrap();
        let next = index;
        let read = all(&reader);
        assert_eq!(read.len() as u64, next + 1);
        assert!(read.iter().enumerate().all(|(at, envelope)| envelope.at == Timestamp(at as u64)));
        assert_eq!(reader.verify().unwrap().events, next + 1);
        drop((log, reader));
        let (_log, reader) = Log::open_with(&disk.path().join("log"), limits).unwrap();
        assert_eq!(all(&reader), read);
    }
}
