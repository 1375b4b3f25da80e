//! The peers as the history knows them: what they offer, and how they give it.

use domain::chunk::{ByteRange, CHUNK_BYTES, Digest, cell_end};
use domain::observation::{Observation, RemoteFile, TransferEnd, TransferFault};
use domain::{Effect, JobId, PeerId, SearchId, Timestamp};
use engine::likeness::words;

use super::disk::supposed_digest;
use super::model::{Answers, File, FileId};
use super::transfer::{End, Transfer};
use super::{Fitted, drawn};
use crate::rng::Rng;
use crate::world::network::ended;

/// Where no wait was recorded.
const USUAL_ANSWER_MS: u64 = 1500;
const USUAL_START_MS: u64 = 1000;
/// One upload before ours, where nothing was recorded of a peer; and its speed.
const QUEUE_STEP_MS: u64 = 30_000;
const USUAL_RATE: u64 = 50_000;
/// What arrives is told about so often, to live a thousand times in a short time.
const TOLD_EVERY_MS: u64 = 2000;
/// And in no more pieces than these, however large a file is said to be.
const PIECES_MOST: u64 = 4096;

impl Fitted {
    pub(super) fn search(
        &mut self,
        at: Timestamp,
        job: JobId,
        search: SearchId,
        query: &str,
        open_ms: u64,
    ) {
        let mut rng = self.rng("search", search.0);
        let asked = self.model.searches.get(&(job, query.to_owned()));
        let answers = match asked.and_then(|samples| drawn(&mut rng, samples)) {
            Some(answers) => answers.clone(),
            None => self.supposed_answers(&mut rng, job, query),
        };
        for (wait, peer, files) in answers.0 {
            // Who answers later than we listen is not heard.
            if wait > open_ms || self.gone.as_ref() == Some(&peer) {
                continue;
            }
            let told = self.model.peers.get(&peer).and_then(|peer| peer.told);
            let (slot_free, speed_bytes_per_s, queue_length) = told.unwrap_or_default();
            let seen = Observation::SearchAnswered {
                job,
                search,
                peer,
                slot_free,
                speed_bytes_per_s,
                queue_length,
                files,
            };
            self.agenda.plan(at.plus_ms(wait), seen);
        }
        self.agenda.plan(at.plus_ms(open_ms), Observation::SearchEnded { job, search });
    }

    /// What would have answered a search that was never made: everybody who has files for the job with all
    /// of its words in their paths, as often as such a peer answers.
    fn supposed_answers(&self, rng: &mut Rng, job: JobId, query: &str) -> Answers {
        let query = words(query);
        let fits = |path: &str| {
            let path = words(path);
            query.iter().all(|word| path.contains(word))
        };
        let searches = self.model.searches.values().map(Vec::len).sum::<usize>().max(1) as u64;
        let mut answers = Answers::default();
        for (id, peer) in &self.model.peers {
            let is_there = rng.within(0, searches) < peer.answers;
            let wait = drawn(rng, &self.model.waits.answer).copied().unwrap_or(USUAL_ANSWER_MS);
            let theirs = self.model.files.iter().filter(|file| file.peer == *id);
            let files: Vec<RemoteFile> = theirs
                .filter(|file| file.jobs.contains(&job) && fits(&file.offer.path))
                .map(|file| file.offer.clone())
                .collect();
            if is_there && !files.is_empty() {
                answers.0.push((wait, id.clone(), files));
            }
        }
        answers
    }

    pub(super) fn fetch(&mut self, at: Timestamp, effect: Effect) {
        let Effect::FetchRange {
            track,
            attempt,
            assignment,
            peer,
            path,
            size,
            range,
            overlap,
            content: _,
        } = effect
        else {
            unreachable!("{effect:?} is no transfer")
        };
        if !self.session {
            let end = ended(track, assignment, TransferFault::SessionClosed);
            return self.agenda.plan(at.plus_ms(40), end);
        }
        let file = self.model.by_path.get(&(peer.clone(), path)).copied();
        let Some(file) = file.filter(|_| self.gone.as_ref() != Some(&peer)) else {
            let end = ended(track, assignment, TransferFault::PeerOffline);
            return self.agenda.plan(at.plus_ms(1000), end);
        };
        let mut rng = self.rng("transfer", assignment.0);
        let is_busy = self.asked.values().any(|asked| *asked == peer);
        let transfer = self.transfer(&mut rng, &peer, is_busy);
        self.asked.insert(assignment, peer);
        let mut now = at.plus_ms(transfer.wait_ms);
        let refuses = match &self.model.files[file].refuses {
            Some(TransferFault::SizeChanged(actual)) if *actual == size => None,
            refuses => refuses.clone(),
        };
        if let Some(fault) = refuses {
            return self.agenda.plan(now, ended(track, assignment, fault));
        }
        let last = match transfer.end {
            End::Whole => size,
            End::Failed(after, _) | End::Silent(after) => {
                size.min(range.start.saturating_add(after))
            }
        };
        let rate = transfer.rate.unwrap_or(USUAL_RATE);
        if last > range.start {
            self.agenda.plan(now, Observation::TransferStarted { track, assignment });
            let givers = self.staged.entry((track, attempt)).or_default();
            if range.start == 0 {
                givers.clear();
            }
            let is_same = givers.iter().all(|giver| {
                let held = &self.model.files[*giver];
                let more = &self.model.files[file];
                held.content() == more.content()
                    // Of what was never fetched only the size is known.
                    || (held.offer.size == more.offer.size
                        && (held.head.is_none() || more.head.is_none()))
            });
            if overlap > 0 {
                now = now.plus_ms(overlap.saturating_mul(1000) / rate);
                let range =
                    ByteRange { start: range.start.saturating_sub(overlap), end: range.start };
                let equal = is_same;
                let seen = Observation::OverlapCompared { track, assignment, range, equal };
                self.agenda.plan(now, seen);
                if !equal {
                    return;
                }
            }
            if !givers.contains(&file) {
                givers.push(file);
            }
            let mut next = range.start;
            while next < last {
                let stop = piece_end(next, size, rate).min(last);
                let piece = ByteRange { start: next, end: stop };
                let elapsed_ms = (piece.len().saturating_mul(1000) / rate).max(1);
                now = now.plus_ms(elapsed_ms);
                let digest = self.digest(file, piece);
                let range = piece;
                let seen =
                    Observation::ChunkArrived { track, assignment, range, digest, elapsed_ms };
                self.agenda.plan(now, seen);
                next = stop;
            }
        }
        let end = match transfer.end {
            End::Failed(_, fault) if last < size => TransferEnd::Failed(fault),
            End::Silent(_) if last < size => return,
            _ => TransferEnd::Complete,
        };
        self.agenda.plan(now, Observation::TransferEnded { track, assignment, end });
    }

    /// How a transfer with a peer goes: as one with it went, or else as one with anybody might.
    fn transfer(&self, rng: &mut Rng, peer: &PeerId, is_busy: bool) -> Transfer {
        let known = self.model.peers.get(peer);
        let (free, busy) = known.map_or((&[][..], &[][..]), |peer| {
            let [free, busy] = &peer.transfers;
            (free, busy)
        });
        let (first, second) = if is_busy { (busy, free) } else { (free, busy) };
        if let Some(sample) = drawn(rng, first).or_else(|| drawn(rng, second)) {
            // One that never began tells nothing of how fast it might have been.
            let rates: Vec<u64> =
                first.iter().chain(second).filter_map(|transfer| transfer.rate).collect();
            let rate = sample.rate.or_else(|| drawn(rng, &rates).copied());
            return Transfer { rate, ..sample.clone() };
        }
        let (slot_free, speed, queue) = known.and_then(|peer| peer.told).unwrap_or_default();
        let queue_ms = if slot_free { 0 } else { u64::from(queue.max(1)) * QUEUE_STEP_MS };
        Transfer {
            wait_ms: USUAL_START_MS + queue_ms,
            rate: Some(u64::from(speed)).filter(|rate| *rate > 0),
            end: End::Whole,
        }
    }

    fn digest(&self, file: FileId, piece: ByteRange) -> Digest {
        let File { offer, head, .. } = &self.model.files[file];
        let is_head = piece.start == 0 && piece.end == cell_end(0, offer.size);
        head.filter(|_| is_head).unwrap_or_else(|| supposed_digest(offer.size, piece.start))
    }
}

/// The first cell is told about alone, because files are known again by it.
fn piece_end(start: u64, size: u64, rate: u64) -> u64 {
    if start < CHUNK_BYTES {
        return cell_end(start, size);
    }
    let step = (rate.saturating_mul(TOLD_EVERY_MS) / 1000).max(size / PIECES_MOST);
    match start.saturating_add(step) {
        // Sizes are what strangers say they are.
        end if end >= size - size % CHUNK_BYTES => size,
        end => cell_end(end, size),
    }
}
