//! An account of the files that a log tells of, byte by byte: what conservation is judged by. What a
//! file is worth is not looked at here, only that nothing is in it that nobody sent.

use std::collections::{BTreeMap, BTreeSet};

use domain::chunk::{Digest, OVERLAP_BYTES};
use domain::{
    AssignmentId, ByteRange, Decision, Event, Input, JobId, Observation, RangeSet, TrackKey,
};

/// What is wrong with bytes for a file that is gathered no more.
const PAST: &str = "is fetched although that attempt is over";

/// All files and what is on its way to them.
#[derive(Default)]
pub(super) struct Files {
    of: BTreeMap<(TrackKey, u16), File>,
    open: BTreeMap<AssignmentId, (TrackKey, u16)>,
    arrived: BTreeSet<(AssignmentId, ByteRange, Digest)>,
    /// What open assignments for parts of a file were told to give.
    parts: BTreeMap<AssignmentId, ByteRange>,
    cancelled: BTreeSet<JobId>,
    /// Open assignments whose source was seen to have another file.
    contradicted: BTreeSet<AssignmentId>,
}

/// The file of one attempt.
struct File {
    size: u64,
    held: u64,
    /// The bytes held, where the content is known and they come in any order.
    parts: Option<RangeSet>,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// Its bytes are gathered.
    Partial,
    /// Every byte is held.
    Whole,
    /// It was proved to be what is wanted.
    Verified,
    /// It stands in the library, here.
    Published(String),
    /// It was refused, or given up, perhaps after it was proved.
    Over { was_proved: bool },
}

impl Files {
    /// Takes the next event; says what is wrong with it.
    pub(super) fn take(&mut self, event: &Event) -> Result<(), String> {
        if let Event::Input(_) = event {
            self.settled()?;
        }
        match event {
            Event::Input(Input::Observation(Observation::OverlapCompared {
                track,
                assignment,
                equal: false,
                ..
            })) if self.is_open(*assignment, *track) => {
                self.contradicted.insert(*assignment);
            }
            Event::Input(Input::Observation(Observation::ChunkArrived {
                track,
                assignment,
                range,
                digest,
                ..
            })) => {
                if self.is_open(*assignment, *track) {
                    self.arrived.insert((*assignment, *range, *digest));
                }
            }
            Event::Input(Input::Observation(Observation::FilePublished {
                track,
                attempt,
                path,
                ..
            })) => match self.of.get_mut(&(*track, *attempt)) {
                // It may have been on its way when the job was cancelled, or its staging lost.
                Some(file) if matches!(file.stage, Stage::Verified | Stage::Published(_)) => {
                    file.stage = Stage::Published(path.clone());
                }
                Some(File { stage: Stage::Over { was_proved: true }, .. }) => {}
                _ => return Err(format!("{track} is published without a proof")),
            },
            Event::Decision(decision) => return self.decided(decision),
            Event::Input(_) => {}
        }
        Ok(())
    }

    fn is_open(&self, assignment: AssignmentId, track: TrackKey) -> bool {
        self.open.get(&assignment).is_some_and(|(of, _)| *of == track)
    }

    /// Before the next input: what the last step should have ended has ended.
    fn settled(&self) -> Result<(), String> {
        if let Some(assignment) = self.contradicted.iter().find(|it| self.open.contains_key(it)) {
            return Err(format!("assignment {assignment} goes on with another file"));
        }
        let whole = |(_, file): &(&(TrackKey, u16), &File)| {
            file.stage == Stage::Partial && file.size > 0 && file.held == file.size
        };
        match self.of.iter().find(whole) {
            Some(((track, _), _)) if !self.cancelled.contains(&track.job) => {
                Err(format!("{track} is whole and not examined"))
            }
            _ => Ok(()),
        }
    }

    fn decided(&mut self, decision: &Decision) -> Result<(), String> {
        match decision {
            Decision::RangeAssigned {
                assignment, track, attempt, size, range, overlap, ..
            } => {
                let fresh = File { size: *size, held: 0, parts: None, stage: Stage::Partial };
                self.of.entry((*track, *attempt)).or_insert(fresh);
                let file = self.file(*track, *attempt, &Stage::Partial, PAST)?;
                if file.parts.is_some() {
                    if range.is_empty() || range.end > file.size || *overlap != 0 {
                        return Err(format!("{range} is asked for of {}", file.size));
                    }
                    self.open.insert(*assignment, (*track, *attempt));
                    self.parts.insert(*assignment, *range);
                    return Ok(());
                }
                if file.held == 0 {
                    file.size = *size;
                }
                if *range != (ByteRange { start: file.held, end: file.size }) {
                    return Err(format!(
                        "{range} is asked for with {} B held of {}",
                        file.held, file.size
                    ));
                }
                if *overlap != file.held.min(OVERLAP_BYTES) {
                    return Err(format!("{overlap} B are to prove {} B held", file.held));
                }
                self.open.insert(*assignment, (*track, *attempt));
            }
            Decision::AssignmentCut { assignment, .. } => {
                self.open.remove(assignment);
                self.parts.remove(assignment);
            }
            Decision::ContentAdopted { track, attempt, content } => {
                if self.open.values().any(|(of, _)| of == track) {
                    return Err(format!("{track} is asked for as a whole and in parts"));
                }
                let held = self.of.get(&(*track, *attempt)).map_or(0, |file| file.held);
                if held > 0 {
                    return Err(format!("{held} B of {track} were never checked"));
                }
                let (size, parts) = (content.size, Some(RangeSet::default()));
                let file = File { size, held: 0, parts, stage: Stage::Partial };
                self.of.insert((*track, *attempt), file);
            }
            Decision::OffsetChosen { assignment, range, .. } => {
                if !self.parts.contains_key(assignment) {
                    return Err(format!("assignment {assignment} begins and was not open"));
                }
                self.parts.insert(*assignment, *range);
            }
            Decision::EndMoved { assignment, end, .. } => match self.parts.get_mut(assignment) {
                Some(part) => part.end = *end,
                None => return Err(format!("assignment {assignment} is moved and was not open")),
            },
            Decision::ChunkAccepted { track, assignment, range, digest } => {
                let Some((of, attempt)) = self.open.get(assignment).copied() else {
                    return Err("accepted by no open assignment".into());
                };
                if of != *track {
                    return Err("accepted for another track".into());
                }
                if let Some(part) = self.parts.get(assignment).copied() {
                    return self.part(*track, attempt, *assignment, part, *range, *digest);
                }
                if !self.arrived.remove(&(*assignment, *range, *digest)) {
                    return Err("accepted bytes that did not arrive".into());
                }
                let file = self.file(*track, attempt, &Stage::Partial, PAST)?;
                if range.is_empty() || range.start != file.held || range.end > file.size {
                    return Err(format!("{range} accepted after {} B of {}", file.held, file.size));
                }
                file.held = range.end;
            }
            Decision::FileAssembled { track, attempt, size } => {
                self.close(*track);
                let file = self.file(*track, *attempt, &Stage::Partial, PAST)?;
                if file.held != *size || file.size != *size {
                    return Err(format!("{track} is assembled with {} B of {size}", file.held));
                }
                file.stage = Stage::Whole;
            }
            Decision::TrackVerified { track, attempt, .. } => {
                let wrong = "is verified and not wholly held";
                self.file(*track, *attempt, &Stage::Whole, wrong)?.stage = Stage::Verified;
            }
            Decision::TrackCompleted { track, attempt, path, .. } => {
                let wrong = "is completed and was not published there";
                self.file(*track, *attempt, &Stage::Published(path.clone()), wrong)?;
            }
            Decision::AttemptDropped { track, attempt, .. } => {
                let was_proved = self.of.get(&(*track, *attempt)).is_some_and(|file| {
                    matches!(file.stage, Stage::Verified | Stage::Published(_))
                });
                self.end(*track, *attempt, was_proved);
            }
            Decision::TrackRefused { track, attempt, .. } => self.end(*track, *attempt, false),
            Decision::JobCancelled { job } => {
                self.cancelled.insert(*job);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, track: TrackKey, attempt: u16, was_proved: bool) {
        self.close(track);
        let over = File { size: 0, held: 0, parts: None, stage: Stage::Over { was_proved } };
        self.of.insert((track, attempt), over);
    }

    /// Bytes of a file that comes in parts: they arrived, were asked for, and were not held.
    fn part(
        &mut self,
        track: TrackKey,
        attempt: u16,
        assignment: AssignmentId,
        part: ByteRange,
        range: ByteRange,
        digest: Digest,
    ) -> Result<(), String> {
        let inside = |outer: ByteRange| outer.start <= range.start && range.end <= outer.end;
        let came = |(by, whole, of): &(AssignmentId, ByteRange, Digest)| {
            *by == assignment && *of == digest && inside(*whole)
        };
        if !self.arrived.iter().any(came) {
            return Err("accepted bytes that did not arrive".into());
        }
        if range.is_empty() || range.start < part.start {
            return Err(format!("{range} accepted of the part {part}"));
        }
        let file = self.file(track, attempt, &Stage::Partial, PAST)?;
        let size = file.size;
        let Some(held) = &mut file.parts else {
            return Err(format!("{track} is gathered in parts and its content is not known"));
        };
        if held.meets(range) || range.end > size {
            return Err(format!("{range} accepted twice, or behind the end of {size} B"));
        }
        held.insert(range);
        file.held = held.bytes();
        Ok(())
    }

    /// The file of an attempt, which must be wanted and so far; or else what is wrong.
    fn file(
        &mut self,
        track: TrackKey,
        attempt: u16,
        stage: &Stage,
        wrong: &str,
    ) -> Result<&mut File, String> {
        if self.cancelled.contains(&track.job) {
            return Err(format!("{track} goes on after its job was cancelled"));
        }
        let file = self.of.get_mut(&(track, attempt)).filter(|file| file.stage == *stage);
        file.ok_or_else(|| format!("{track} {wrong}"))
    }

    fn close(&mut self, track: TrackKey) {
        let open = &self.open;
        self.parts.retain(|id, _| open.get(id).is_none_or(|(of, _)| *of != track));
        self.open.retain(|_, (of, _)| *of != track);
    }
}
