//! Who waits for which of our files, and whose turn it is: privileged users first, then whoever
//! waited longest since their last turn, one file per user at a time. Touches no socket; the files
//! are sent in [`super::sending`].

use std::collections::{HashMap, HashSet, VecDeque};

use crate::wire::peer::reason;

/// Files that may wait in all.
const WAITING: usize = 20_000;
/// Users whose last turn is remembered beside those who want something now.
const TURNS_REMEMBERED: usize = 1_000;

/// What one user may have waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// A file whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) user: String,
    pub(super) path: String,
}

#[derive(Debug)]
pub(super) struct Turns {
    room: Room,
    waiting: HashMap<String, Queue>,
    /// Files in all queues together.
    files: usize,
    /// Users who are being sent a file; never more than one each.
    sending: HashSet<String>,
    /// When each user last had a turn, as a running number.
    last_turn: HashMap<String, u64>,
    turn: u64,
    arrivals: u64,
    privileged: HashSet<String>,
    closed: bool,
}

/// What one user waits for.
#[derive(Debug, Default)]
struct Queue {
    files: VecDeque<File>,
    bytes: u64,
}

#[derive(Debug)]
struct File {
    path: String,
    size: u64,
    arrival: u64,
}

/// Before whom a user comes: the smaller goes first.
type Rank = (bool, u64, u64);

impl Turns {
    pub(super) fn new(room: Room) -> Turns {
        Turns {
            room,
            waiting: HashMap::new(),
            files: 0,
            sending: HashSet::new(),
            last_turn: HashMap::new(),
            turn: 0,
            arrivals: 0,
            privileged: HashSet::new(),
            closed: false,
        }
    }

    /// Lets a file wait, or says why not in the words that other clients know.
    pub(super) fn add(&mut self, user: &str, path: &str, size: u64) -> Result<(), &'static str> {
        if self.closed {
            return Err(reason::PENDING_SHUTDOWN);
        }
        if let Some(queue) = self.waiting.get(user) {
            // Asked again, for instance after a lost connection: it keeps its place. A file being
            // sent is queued anew, because the downloader may know before us that this one broke.
            if queue.files.iter().any(|file| file.path == path) {
                return Ok(());
            }
            if queue.files.len() >= self.room.files {
                return Err(reason::TOO_MANY_FILES);
            }
            if queue.bytes >= self.room.bytes {
                return Err(reason::TOO_MANY_MEGABYTES);
            }
        }
        if self.files >= WAITING {
            return Err(reason::TOO_MANY_FILES);
        }
        let queue = self.waiting.entry(user.to_owned()).or_default();
        queue.files.push_back(File { path: path.to_owned(), size, arrival: self.arrivals });
        queue.bytes = queue.bytes.saturating_add(size);
        self.arrivals += 1;
        self.files += 1;
        Ok(())
    }

    /// The next file that may be sent while no more than `slots` are.
    pub(super) fn next(&mut self, slots: usize) -> Option<Wanted> {
        if self.sending.len() >= slots {
            return None;
        }
        let user = self
            .waiting
            .iter()
            .filter(|(user, _)| !self.sending.contains(*user))
            .min_by_key(|(user, queue)| self.rank(user, queue))
            .map(|(user, _)| user.clone())?;
        let queue = self.waiting.get_mut(&user)?;
        let file = queue.files.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(file.size);
        if queue.files.is_empty() {
            self.waiting.remove(&user);
        }
        self.files -= 1;
        self.turn += 1;
        self.last_turn.insert(user.clone(), self.turn);
        self.sending.insert(user.clone());
        Some(Wanted { user, path: file.path })
    }

    pub(super) fn done(&mut self, user: &str) {
        self.sending.remove(user);
        // Forgotten once they want nothing more, so that strangers do not fill the memory: some of
        // them always keep the queue from being empty.
        let Turns { waiting, sending, last_turn, .. } = self;
        if waiting.is_empty() || last_turn.len() > TURNS_REMEMBERED {
            last_turn.retain(|user, _| sending.contains(user) || waiting.contains_key(user));
        }
    }

    /// The place of a file, first is 1: how many come before it if nobody asks for more.
    pub(super) fn place(&self, user: &str, path: &str) -> Option<u32> {
        let queue = self.waiting.get(user)?;
        let before = queue.files.iter().position(|file| file.path == path)?;
        let rank = self.rank(user, queue);
        let of_others = self.waiting.iter().filter(|(other, _)| *other != user);
        let others: usize = of_others
            .map(|(other, theirs)| {
                let their_rank = self.rank(other, theirs);
                let turns = match (their_rank.0, rank.0) {
                    // Whoever has privileges is served before, or after, however much there is.
                    (false, true) => usize::MAX,
                    (true, false) => 0,
                    _ => before + usize::from(their_rank < rank),
                };
                theirs.files.len().min(turns)
            })
            .sum();
        u32::try_from(before + others + 1).ok()
    }

    fn rank(&self, user: &str, queue: &Queue) -> Rank {
        let last = self.last_turn.get(user).copied().unwrap_or(0);
        let arrival = queue.files.front().map_or(u64::MAX, |file| file.arrival);
        (!self.privileged.contains(user), last, arrival)
    }

    pub(super) fn waiting(&self) -> usize {
        self.files
    }

    pub(super) fn has_free(&self, slots: usize) -> bool {
        self.sending.len() < slots && self.files == 0
    }

    pub(super) fn privileged_are(&mut self, users: Vec<String>) {
        self.privileged = users.into_iter().collect();
    }

    pub(super) fn privilege(&mut self, user: &str, privileged: bool) {
        if privileged {
            self.privileged.insert(user.to_owned());
        } else {
            self.privileged.remove(user);
        }
    }

    /// Takes nothing more, and returns who waited for what.
    pub(super) fn close(&mut self) -> Vec<(String, Vec<String>)> {
        self.closed = true;
        self.files = 0;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting
            .map(|(user, queue)| (user, queue.files.into_iter().map(|file| file.path).collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { files: 1_000, bytes: 1_000_000 };

    fn turns(waiting: &[(&str, &str)]) -> Turns {
        let mut turns = Turns::new(ROOM);
        for (user, path) in waiting {
            turns.add(user, path, 1).unwrap();
        }
        turns
    }

    fn order(turns: &mut Turns) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(next) = turns.next(1) {
            order.push(next.path);
            turns.done(&next.user);
        }
        order
    }

    #[test]
    fn users_take_turns_and_each_has_one_at_a_time() {
        let waiting = [("ada", "a1"), ("ada", "a2"), ("ada", "a3"), ("bo", "b1"), ("cy", "c1")];
        let mut turns = turns(&waiting);
        let first: Vec<_> = std::iter::from_fn(|| turns.next(4)).map(|next| next.path).collect();
        assert_eq!(first, ["a1", "b1", "c1"]);
        turns.done("ada");
        assert_eq!(turns.next(4).unwrap().path, "a2");
    }

    #[test]
    fn one_slot_goes_round_and_the_places_told_say_so() {
        let waiting =
            [("ada", "a1"), ("ada", "a2"), ("bo", "b1"), ("bo", "b2"), ("bo", "b3"), ("cy", "c1")];
        let mut turns = turns(&waiting);
        turns.privilege("cy", true);
        let expected = ["c1", "a1", "b1", "a2", "b2", "b3"];
        for (at, path) in expected.into_iter().enumerate() {
            let (user, _) = waiting.iter().find(|(_, waits)| *waits == path).unwrap();
            assert_eq!(turns.place(user, path), Some(at as u32 + 1), "{path}");
        }
        assert_eq!(turns.place("ada", "b1"), None);
        assert_eq!(order(&mut turns), expected);
        assert_eq!(turns.waiting(), 0);
    }

    #[test]
    fn a_user_who_has_enough_waiting_is_told_to_ask_again_later() {
        let mut turns = Turns::new(Room { files: 3, bytes: 100 });
        for path in ["1", "2", "3", "3"] {
            turns.add("ada", path, 10).unwrap();
        }
        assert_eq!(turns.add("ada", "4", 10), Err("Too many files"));
        // A file larger than the room is let in where nothing else waits, or nobody ever got it.
        turns.add("bo", "large", 1_000).unwrap();
        assert_eq!(turns.add("bo", "small", 1), Err("Too many megabytes"));
        turns.add("bo", "large", 1_000).unwrap();
        turns.next(2).unwrap();
        turns.add("ada", "4", 10).unwrap();
        turns.next(2).unwrap();
        turns.add("bo", "small", 1).unwrap();
    }

    #[test]
    fn strangers_by_the_thousand_leave_the_queue_bounded() {
        let mut turns = Turns::new(ROOM);
        let added =
            (0..30_000).filter(|number| turns.add(&format!("user{number}"), "x", 1).is_ok());
        assert_eq!((added.count(), turns.waiting()), (WAITING, WAITING));
    }

    #[test]
    fn users_who_want_nothing_more_are_forgotten_though_the_queue_is_never_empty() {
        let mut turns = turns(&[("ada", "a1"), ("ada", "a2")]);
        assert_eq!(turns.next(2).unwrap().user, "ada");
        for number in 0..5_000 {
            turns.add(&format!("user{number}"), "x", 1).unwrap();
            let next = turns.next(2).unwrap();
            assert_ne!(next.user, "ada");
            turns.done(&next.user);
        }
        assert!(turns.last_turn.len() <= TURNS_REMEMBERED + 1, "{}", turns.last_turn.len());
        assert!(turns.last_turn.contains_key("ada"));
    }

    #[test]
    fn whoever_waits_when_the_queue_closes_is_named_and_nobody_is_let_in() {
        let mut turns = turns(&[("ada", "a1"), ("ada", "a2")]);
        assert_eq!(turns.close(), [("ada".to_owned(), vec!["a1".to_owned(), "a2".to_owned()])]);
        assert_eq!(turns.add("bo", "b1", 1), Err("Pending shutdown."));
        assert_eq!((turns.next(1), turns.waiting()), (None, 0));
    }
}
