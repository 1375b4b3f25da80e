//! The power is cut, again and again, under a log on ext4: the file system lies in an image on a disk that
//! forgets any of what was not flushed. What was acknowledged by then is there when the image is
//! mounted again, and the log opens. Loop devices take root.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use domain::{Seq, Timestamp};
use eventlog::{Limits, Log, Reader, Step};

use crate::append::{all, sized};
use crate::disk::Disk;

const CUTS: u64 = 60;

/// Events between two cuts, about.
const APART: u64 = 200;

const IMAGE_BYTES: u64 = 96 * 1024 * 1024;

/// So that volumes are begun, sealed and removed all the time.
const LIMITS: Limits = Limits { volume_events: 400, volume_bytes: 1024 * 1024 };

/// An ext4 image that is mounted; unmounted when dropped.
struct Mounted {
    at: tempfile::TempDir,
}

impl Mounted {
    fn new(image: &Path) -> Self {
        let at = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop", "-t", "ext4"]).arg(image).arg(at.path()));
        Self { at }
    }

    fn log(&self) -> PathBuf {
        self.at.path().join("log")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "this test makes and mounts ext4 images on loop devices and needs to be root: {command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Uneven numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Appends so many events for each permit: the event at position n is of time n.
fn write(log: &mut Log, permits: mpsc::Receiver<()>) {
    let mut random = Random(5);
    let mut next = 1;
    let until = permits.iter().zip(1..).map(|((), permit)| permit * APART);
    for until in until {
        while next <= until {
            next = append(log, &mut random, next);
        }
    }
}

/// Appends some events; the position after them.
fn append(log: &mut Log, random: &mut Random, next: u64) -> u64 {
    let events: Vec<_> = (0..=random.below(6))
        .map(|_| [sized(random.below(300) as usize * (1 + 20 * (next % 11 / 10) as usize))])
        .collect();
    let steps: Vec<_> =
        events.iter().zip(next..).map(|(event, at)| Step::new(Timestamp(at), event)).collect();
    log.append(&steps).unwrap();
    next + steps.len() as u64
}

/// Opens what a cut has left and looks at all of it.
fn survived(image: &Path, acknowledged: Seq, cut: u64) {
    let mounted = Mounted::new(image);
    let opened = Log::open_with(&mounted.log(), LIMITS);
    let (mut log, reader): (Log, Reader) =
        opened.unwrap_or_else(|error| panic!("{cut}: {error:?}"));
    let durable = reader.durable();
    assert!(durable >= acknowledged, "cut {cut}: {durable} of {acknowledged} are left");
    assert!(all(&reader).iter().all(|envelope| envelope.at.0 == envelope.seq.0), "cut {cut}");
    log.append(&[Step::new(Timestamp(durable.0 + 1), &[sized(1)])]).unwrap();
    assert_eq!(reader.verify().unwrap().events, durable.0 + 1, "cut {cut}");
}

#[test]
fn what_was_acknowledged_survives_sixty_power_cuts() {
    let disk = Disk::mount();
    let image = disk.path().join("image");
    File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    File::open(&image).unwrap().sync_all().unwrap();
    let mounted = Mounted::new(&image);
    let (mut log, reader) = Log::open_with(&mounted.log(), LIMITS).unwrap();
    let mut random = Random(11);
    let left = tempfile::tempdir().unwrap();
    let path = left.path().join("image");
    let (permit, permits) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| write(&mut log, permits));
        // Moved in here, so that the writer ends when this does, however it does.
        let permit = permit;
        for cut in 1..=CUTS {
            permit.send(()).expect("the writer goes on");
            // Somewhere among what it may write now.
            let before = Seq((cut - 1) * APART + random.below(APART));
            let durable = reader.wait_beyond(before, Duration::from_secs(60));
            assert!(durable > before, "cut {cut}: the writer got no further than {durable}");
            // Before the cut, so that it was acknowledged by then.
            let acknowledged = reader.durable();
            // None, some or all of what was not flushed.
            let keeps = random.below(5);
            let bytes = disk.cut("image", || random.below(4) < keeps);
            save(&path, &bytes);
            survived(&path, acknowledged, cut);
            std::fs::remove_file(&path).unwrap();
        }
    });
    drop((log, reader, mounted));
}

/// Writes an image with holes where it is empty.
fn save(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (piece, at) in bytes.chunks(64 * 1024).zip((0..).step_by(64 * 1024)) {
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, at).unwrap();
        }
    }
}
