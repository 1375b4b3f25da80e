//! What the engine remembers. Changed in [`State::evolve`] and nowhere else: there each event is
//! routed to the modules whose slices it changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::chunk::{Content, Digest};
use domain::id::AcoustId;
use domain::media::Examined;
use domain::observation::Lookup;
use domain::{
    AssignmentId, ByteRange, JobId, PeerId, Policy, RangeSet, RecordingId, ReleaseId, SearchId,
    SourceId, Target, Timestamp, TrackKey,
};

/// Everything remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The present run.
    pub run: Run,
    /// All jobs ever accepted.
    pub jobs: BTreeMap<JobId, Job>,
    /// Those that are not over: rules look at no others, so that a step does not cost more with every
    /// album that is done.
    pub unfinished: BTreeSet<JobId>,
    /// Metadata lookups that are wanted and not answered.
    pub lookups: BTreeMap<Lookup, Waiting>,
    /// Searches.
    pub searches: Searches,
    /// Transfers.
    pub transfers: Transfers,
    /// What we know of peers.
    pub peers: BTreeMap<PeerId, Peer>,
    /// Content that is never fetched again.
    pub refused: Refused,
    /// The last message of ours to anybody; 0 before the first.
    pub last_chat: u64,
}

/// The present run of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    /// Its limits and thresholds.
    pub policy: Policy,
    /// Whether we are logged in to the Soulseek server.
    pub session: bool,
    /// When the last event entered.
    pub at: Timestamp,
}

/// One album job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The edition wanted.
    pub release: ReleaseId,
    /// How far it is.
    pub phase: JobPhase,
    /// Set while it waits: when it goes on by itself, if it does.
    pub hold: Option<Hold>,
    /// Pauses for the disk since the last completed track.
    pub pauses: u32,
    /// The description of the release, once fetched.
    pub target: Option<Target>,
    /// When it was fetched, for whichever job.
    pub fetched_at: Timestamp,
    /// One per track of the target.
    pub tracks: Vec<TrackJob>,
    /// Whether the album as a whole was searched for.
    pub album_searched: bool,
}

impl Job {
    /// True while tracks may be searched for and fetched.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.phase == JobPhase::Active && self.hold.is_none()
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPhase {
    /// The release is looked up.
    LookingUp,
    /// Tracks are searched for, fetched and verified.
    Active,
    /// All tracks stand in the library.
    Completed,
    /// It cannot be done.
    Failed,
    /// It was stopped by command.
    Cancelled,
}

impl JobPhase {
    /// True when nothing more happens without a command.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A pause of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When it goes on by itself; `None` when a person has to act.
    pub until: Option<Timestamp>,
}

/// One track of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackJob {
    /// How far it is.
    pub phase: TrackPhase,
    /// Counts the files tried, from 0; names the staged file.
    pub attempt: u16,
    /// Size of the file being assembled, from its first byte on.
    pub size: Option<u64>,
    /// Bytes held: the file's beginning up to here is in staging; so many of it where the content is
    /// known.
    pub held: u64,
    /// What is known of the file where its exact content is known.
    pub swarm: Option<Box<Swarm>>,
    /// Digest of the first whole cell of the file being assembled.
    pub head: Option<Digest>,
    /// Sources that gave bytes of the file being assembled.
    pub givers: BTreeSet<SourceId>,
    /// Remote files that seem to be this track.
    pub sources: Vec<Source>,
    /// Sizes of files refused for this track; others are tried first.
    pub refused_sizes: BTreeSet<u64>,
    /// Searches made for this track alone.
    pub searches: u32,
    /// When the last of them was sent.
    pub searched_at: Option<Timestamp>,
    /// Whether the last of them still has to be made something of.
    pub searched: bool,
    /// Until then answers are gathered before a source is chosen.
    pub gather_until: Timestamp,
    /// When it is searched for again, while it waits.
    pub search_at: Option<Timestamp>,
    /// Digest of the assembled file.
    pub digest: Option<Digest>,
    /// What the assembled file is.
    pub examined: Option<Examined>,
    /// What proved it.
    pub acoustid: Option<AcoustId>,
    /// Where it is to stand or stands.
    pub path: Option<String>,
    /// Attempts whose staged file is to be deleted.
    pub trash: BTreeSet<u16>,
}

impl TrackJob {
    /// A source by its number.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(usize::try_from(id.0).ok()?)
    }

    /// Sources that may still be asked, now or after a rest.
    pub fn usable(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        (0u32..)
            .map(SourceId)
            .zip(&self.sources)
            .filter(|(_, source)| source.standing == Standing::Usable)
    }

    /// Forgets the file being assembled and starts with the next attempt.
    pub(crate) fn start_over(&mut self) {
        self.trash.insert(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        self.phase = TrackPhase::Wanted;
        self.size = None;
        self.held = 0;
        self.head = None;
        self.givers.clear();
        self.swarm = None;
        for source in &mut self.sources {
            if source.standing == Standing::SetAside {
                source.standing = Standing::Usable;
            }
        }
        self.digest = None;
        self.examined = None;
        self.acoustid = None;
        self.path = None;
    }
}

/// A file whose exact content is known, and who gives which parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swarm {
    /// What every byte is checked against.
    pub content: Content,
    /// The bytes held.
    pub held: RangeSet,
    /// The bytes that nodes of the mesh hold, as they told.
    pub has: BTreeMap<PeerId, RangeSet>,
    /// What the sources were seen to do.
    pub givers: BTreeMap<SourceId, Giver>,
    /// Bytes asked for a second time because whoever was asked first would be late.
    pub doubled: u64,
}

/// What a source of a swarm was seen to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Giver {
    /// Bytes a second of late; zero before the first.
    pub rate: u64,
    /// Shortest time from a request to its first byte, in milliseconds; zero before the first.
    pub rtt_ms: u64,
    /// Last wait for our turn, in milliseconds.
    pub wait_ms: u64,
    /// Transfers it began to stream.
    pub starts: u32,
    /// When anything last came of it.
    pub heard_at: Timestamp,
    /// Whether it has been silent for too long.
    pub is_silent: bool,
    /// Bytes that it has wrong.
    pub spoiled: RangeSet,
    /// Bytes around those, which it is likely to have wrong too.
    pub doubted: RangeSet,
    /// How often it gave wrong bytes since the last right ones.
    pub spoiled_in_a_row: u32,
    /// How many those were.
    pub spoiled_bytes: u64,
}

/// How far a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrackPhase {
    /// No source is asked for it.
    #[default]
    Wanted,
    /// A source is asked for its bytes.
    Fetching(AssignmentId),
    /// All bytes are here and are being decoded.
    Examining,
    /// Its fingerprint is being looked up.
    Identifying,
    /// It is proved and being put into the library.
    Publishing,
    /// It stands in the library.
    Completed,
}

/// One remote file at one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Who has it.
    pub peer: PeerId,
    /// Its path in the peer's words.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// How well its name fits the track.
    pub likeness: domain::score::Ppm,
    /// Failures while it was asked.
    pub failures: u32,
    /// Damaged files that it gave a part of.
    pub suspicions: u32,
    /// Whether its size was corrected once.
    pub resized: bool,
    /// Whether, and how, it is out of use.
    pub standing: Standing,
}

/// Whether a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Usable,
    /// Not for the present attempt.
    SetAside,
    /// Not until its peer offers the file again.
    Failed,
    /// Never.
    Refused,
}

/// A lookup that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Failures so far.
    pub failures: u32,
    /// When it is asked again; `None` while it is being asked.
    pub until: Option<Timestamp>,
}

/// Searches open and recently sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Searches {
    /// The last number given.
    pub last: u64,
    /// Those still collecting answers.
    pub open: BTreeMap<SearchId, OpenSearch>,
    /// When the searches of the present window were sent.
    pub sent: VecDeque<Timestamp>,
    /// When a job last sent a query, while it may not be repeated.
    pub asked: BTreeMap<(JobId, String), Timestamp>,
}

/// A search that collects answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSearch {
    /// The job it serves.
    pub job: JobId,
    /// The one track it is for; `None` for the whole album.
    pub track: Option<TrackKey>,
    /// Its words.
    pub query: String,
}

/// Assignments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfers {
    /// The last number given.
    pub last: u64,
    /// Those that are open.
    pub open: BTreeMap<AssignmentId, Assignment>,
}

/// A promise of a byte range by one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The track.
    pub track: TrackKey,
    /// The source.
    pub source: SourceId,
    /// Who has it.
    pub peer: PeerId,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The bytes wanted.
    pub range: ByteRange,
    /// Whether bytes flow.
    pub started: bool,
    /// When it last moved.
    pub progress_at: Timestamp,
    /// While queued: when other sources are looked for.
    pub wait_until: Timestamp,
    /// Whether it was waited for longer than others would be, for want of others.
    pub is_extended: bool,
    /// The first byte that has not come.
    pub next: u64,
    /// When it was last asked for something.
    pub asked_at: Timestamp,
    /// How far the turn of a source that streams parts of a file has come.
    pub turn: Turn,
}

/// Whose move it is with an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// We wait in a queue; which bytes are asked for is chosen later.
    Queued,
    /// The source waits for an offset.
    Granted,
    /// It was told which bytes are wanted.
    Told,
}

/// What we know of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Upload speed as the network tells it, in bytes per second.
    pub advertised_bytes_per_s: u32,
    /// Whether it said that an upload could start at once.
    pub slot_free: bool,
    /// Uploads it said were waiting.
    pub queue_length: u32,
    /// Bytes it gave us.
    pub bytes: u64,
    /// Time it took for them, in milliseconds.
    pub busy_ms: u64,
    /// Files it gave to the last byte.
    pub completed: u32,
    /// Failures in all.
    pub failed: u32,
    /// Failures since its last chunk.
    pub failed_in_a_row: u32,
    /// Left alone until then.
    pub rest_until: Timestamp,
}

/// Content that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// Digests of whole files, with the recording they are wrong for; `None` for any.
    pub whole: BTreeSet<(Option<RecordingId>, Digest)>,
    /// The same with size and digest of the first whole cell, to know such a file by its beginning.
    pub heads: BTreeSet<(Option<RecordingId>, u64, Digest)>,
}

impl Refused {
    /// Whether a file was refused, for this recording or for any.
    #[must_use]
    pub fn has(&self, recording: RecordingId, whole: Digest) -> bool {
        self.whole.contains(&(Some(recording), whole)) || self.whole.contains(&(None, whole))
    }

    /// Whether a file that begins like this was refused, for this recording or for any.
    #[must_use]
    pub fn has_head(&self, recording: RecordingId, size: u64, head: Digest) -> bool {
        self.heads.contains(&(Some(recording), size, head))
            || self.heads.contains(&(None, size, head))
    }
}

impl State {
    /// A job by its number.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// Jobs that are not over, in order.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.unfinished.iter().filter_map(|id| self.jobs.get_key_value(id))
    }

    /// The recording that a track wants.
    #[must_use]
    pub fn recording(&self, key: TrackKey) -> Option<RecordingId> {
        let target = self.job(key.job)?.target.as_ref()?;
        Some(target.tracks.get(usize::from(key.index))?.recording)
    }

    /// A track by its key.
    #[must_use]
    pub fn track(&self, key: TrackKey) -> Option<&TrackJob> {
        self.jobs.get(&key.job)?.tracks.get(usize::from(key.index))
    }

    pub(crate) fn track_mut(&mut self, key: TrackKey) -> Option<&mut TrackJob> {
        self.jobs.get_mut(&key.job)?.tracks.get_mut(usize::from(key.index))
    }

    /// Tracks of working jobs that no source is asked for, in order.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (TrackKey, &Job, &TrackJob)> {
        self.unfinished().filter(|(_, job)| job.is_working()).flat_map(|(id, job)| {
            (0u16..).zip(&job.tracks).filter_map(move |(index, track)| {
                (track.phase == TrackPhase::Wanted).then_some((
                    TrackKey { job: *id, index },
                    job,
                    track,
                ))
            })
        })
    }
}
