//! What is searched for, and when: the album first, then each track that nobody offered or that its only
//! source keeps in a queue, then again after ever longer waits. One budget governs all searches, whatever wants them.

mod queue;

use domain::id::Transport;
use domain::{Decision, JobId, Policy, SearchId, Timestamp, TrackKey};

use crate::state::{OpenSearch, State, TrackJob, TrackPhase};
use crate::{likeness, swarm, transfer};

pub(crate) use queue::queue;

/// Longest query in bytes; servers cut or drop longer ones.
const LONGEST_QUERY: usize = 200;

/// The next search that something needs, and since when.
struct Wish {
    since: Timestamp,
    job: JobId,
    track: Option<TrackKey>,
}

/// A wish with its words, and the limits that hold for it.
struct Next {
    wish: Wish,
    query: String,
    again_from: Timestamp,
    allowed_from: Timestamp,
}

impl Next {
    fn due(&self) -> Timestamp {
        self.wish.since.max(self.again_from).max(self.allowed_from)
    }
}

/// What a search had to wait for; it is sent once all three times have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Since when it is wanted; zero when it never had to wait.
    pub wanted_since: Timestamp,
    /// From when on its words may be asked again; zero when they were not asked lately.
    pub again_from: Timestamp,
    /// From when on the window has room for one more; zero when it had room all the time.
    pub allowed_from: Timestamp,
    /// Searches sent within the window before.
    pub sent: usize,
    /// Searches that may be sent within it.
    pub most: u32,
    /// Its length in milliseconds.
    pub window_ms: u64,
    /// Searches that were open.
    pub open: usize,
    /// Searches that may be open.
    pub open_most: u32,
}

pub(crate) fn rule(state: &State, at: Timestamp) -> Vec<Decision> {
    if let Some(waiting) = fruitless(state, at) {
        return vec![waiting];
    }
    match next(state) {
        Some(next) if next.due() <= at => {
            let search = SearchId(state.searches.last.saturating_add(1));
            let Wish { job, track, .. } = next.wish;
            vec![Decision::SearchPlanned { job, search, track, query: next.query }]
        }
        _ => Vec::new(),
    }
}

/// The budget of the search that is planned at `at` on this state.
pub(crate) fn budget(state: &State, at: Timestamp) -> Option<Budget> {
    let next = next(state)?;
    let policy = &state.run.policy;
    let in_window = |sent: &&Timestamp| sent.plus_ms(policy.search_window_ms) > at;
    Some(Budget {
        wanted_since: next.wish.since,
        again_from: next.again_from,
        allowed_from: next.allowed_from,
        sent: state.searches.sent.iter().filter(in_window).count(),
        most: policy.searches_per_window,
        window_ms: policy.search_window_ms,
        open: state.searches.open.len(),
        open_most: policy.searches_in_flight,
    })
}

/// A track whose search brought nothing waits: longer each time, so that nobody is asked the same
/// thing again within minutes.
fn fruitless(state: &State, at: Timestamp) -> Option<Decision> {
    let policy = &state.run.policy;
    let (key, track) = state
        .unfinished()
        .filter(|(_, job)| job.is_working())
        .flat_map(|(id, job)| {
            let key = |index| TrackKey { job: *id, index };
            (0u16..).zip(&job.tracks).map(move |(index, track)| (key(index), track))
        })
        // A file that cannot be completed is given up first: others may be there.
        .filter(|(_, track)| track.searched && seeks(state, track) && !swarm::is_hopeless(track))
        .find(|(key, _)| !is_open(state, *key))?;
    let wait = policy
        .search_repeat_ms
        .saturating_mul(1 << track.searches.saturating_sub(1).min(16))
        .min(policy.search_repeat_most_ms);
    Some(Decision::TrackWaiting { track: key, until: at.plus_ms(wait) })
}

pub(crate) fn wake(state: &State) -> Option<Timestamp> {
    next(state).map(|next| next.due())
}

/// The next search, its words, and when the budget and its own wait allow it.
fn next(state: &State) -> Option<Next> {
    let policy = &state.run.policy;
    if !state.run.session || state.searches.open.len() >= policy.searches_in_flight as usize {
        return None;
    }
    let (again_from, wish, query) = first(state)?;
    let sent = &state.searches.sent;
    let allowed_from = (policy.searches_per_window as usize)
        .checked_sub(1)
        .and_then(|back| sent.iter().rev().nth(back))
        .map_or(Timestamp(0), |first| first.plus_ms(policy.search_window_ms));
    Some(Next { wish, query, again_from, allowed_from })
}

/// The wish that may be sent first, and from when on its words may be asked again. Two may come down to
/// the same words: those of an album and its title track do.
fn first(state: &State) -> Option<(Timestamp, Wish, String)> {
    let mut wishes: Vec<Wish> = wishes(state).collect();
    wishes.sort_by_key(|wish| wish.since);
    let mut first: Option<(Timestamp, Wish, String)> = None;
    for wish in wishes {
        let earliest = first.as_ref().map(|(again, first, _)| first.since.max(*again));
        if earliest.is_some_and(|due| due <= wish.since) {
            break;
        }
        let key = (wish.job, query(state, &wish));
        let again = again_from(state, &key);
        if earliest.is_none_or(|earliest| wish.since.max(again) < earliest) {
            first = Some((again, wish, key.1));
        }
    }
    first
}

/// From when on a job may ask these words again; zero when it did not ask them lately.
fn again_from(state: &State, words: &(JobId, String)) -> Timestamp {
    let asked = state.searches.asked.get(words);
    asked.map_or(Timestamp(0), |asked| asked.plus_ms(again_after_ms(&state.run.policy)))
}

/// How long a query is not repeated.
fn again_after_ms(policy: &Policy) -> u64 {
    policy.search_again_least_ms.min(policy.search_repeat_ms)
}

fn wishes(state: &State) -> impl Iterator<Item = Wish> {
    state.unfinished().filter(|(_, job)| job.is_working()).flat_map(|(id, job)| {
        let album =
            (!job.album_searched).then_some(Wish { since: Timestamp(0), job: *id, track: None });
        let album_open =
            state.searches.open.values().any(|open| open.job == *id && open.track.is_none());
        let tracks = (0u16..)
            .zip(&job.tracks)
            .filter(move |_| job.album_searched && !album_open)
            .map(|(index, track)| (TrackKey { job: *id, index }, track))
            .filter(|(key, track)| seeks(state, track) && !is_open(state, *key))
            .filter(|(_, track)| !track.searched)
            .map(|(key, track)| Wish {
                since: track.search_at.unwrap_or(Timestamp(0)),
                job: *id,
                track: Some(key),
            });
        album.into_iter().chain(tracks)
    })
}

/// Whether others are looked for.
fn seeks(state: &State, track: &TrackJob) -> bool {
    lacks_source(track) || transfer::starves(state, track)
}

/// Whether nobody could give what is missing. Nodes of the mesh give only files whose content is known.
fn lacks_source(track: &TrackJob) -> bool {
    let is_served = || match &track.swarm {
        Some(swarm) => swarm::is_served(track, swarm),
        None => track.usable().any(|(_, source)| source.peer.transport() == Transport::Stream),
    };
    track.phase == TrackPhase::Wanted && !is_served()
}

pub(crate) fn is_open(state: &State, key: TrackKey) -> bool {
    state.searches.open.values().any(|open| open.track == Some(key))
}

/// Words of artist and title. Punctuation is left out: servers and clients answer nothing to it.
fn query(state: &State, wish: &Wish) -> String {
    let Some(target) = state.job(wish.job).and_then(|job| job.target.as_ref()) else {
        return String::new();
    };
    let track = wish.track.and_then(|key| target.tracks.get(usize::from(key.index)));
    let (artist, title) = match track {
        Some(track) => (&track.credit.name, &track.title),
        None => (&target.credit.name, &target.title),
    };
    let mut words = likeness::words(title);
    // Nobody files an album under this name.
    if !artist.eq_ignore_ascii_case("various artists") {
        let mut artist = likeness::words(artist);
        // Folders drop a leading article as often as not, and every word of a query must match.
        if artist.len() > 1 && artist[0] == "the" {
            artist.remove(0);
        }
        words.splice(0..0, artist);
    }
    let mut query = String::new();
    for word in words {
        if query.len() + word.len() + 1 > LONGEST_QUERY {
            break;
        }
        if !query.is_empty() {
            query.push(' ');
        }
        query.push_str(&word);
    }
    // Names without a single word, such as "!!!", can only be asked for as they are.
    if query.is_empty() { format!("{artist} {title}") } else { query }
}

/// Open searches are sent again by a new run, and so count again.
pub(crate) fn sent_again(state: &mut State, at: Timestamp) {
    for _ in 0..state.searches.open.len() {
        state.searches.sent.push_back(at);
    }
}

pub(crate) fn ended(state: &mut State, search: SearchId) {
    state.searches.open.remove(&search);
}

pub(crate) fn planned(
    state: &mut State,
    job: JobId,
    search: SearchId,
    track: Option<TrackKey>,
    query: &str,
    at: Timestamp,
) {
    let window = state.run.policy.search_window_ms;
    let again = again_after_ms(&state.run.policy);
    let searches = &mut state.searches;
    searches.last = search.0;
    searches.sent.push_back(at);
    while searches.sent.front().is_some_and(|sent| sent.plus_ms(window) <= at) {
        searches.sent.pop_front();
    }
    searches.asked.retain(|_, asked| asked.plus_ms(again) > at);
    searches.asked.insert((job, query.to_owned()), at);
    searches.open.insert(search, OpenSearch { job, track, query: query.to_owned() });
    let gather_until = at.plus_ms(state.run.policy.gather_ms);
    match track {
        None => {
            if let Some(job) = state.jobs.get_mut(&job) {
                job.album_searched = true;
                for track in job.tracks.iter_mut().filter(|track| lacks_source(track)) {
                    track.gather_until = gather_until;
                }
            }
        }
        Some(key) => {
            if let Some(track) = state.track_mut(key) {
                track.searched = true;
                track.searched_at = Some(at);
                track.searches = track.searches.saturating_add(1);
                track.search_at = None;
                track.gather_until = gather_until;
            }
        }
    }
}

/// A search brought nothing; the next one waits.
pub(crate) fn put_off(state: &mut State, track: TrackKey, until: Timestamp) {
    if let Some(track) = state.track_mut(track) {
        track.searched = false;
        track.search_at = Some(until);
    }
}

/// The wait for the next search was shortened, but not so far that a query is repeated at once.
pub(crate) fn hastened(state: &mut State, job: JobId) {
    let least = state.run.policy.search_again_least_ms;
    if let Some(job) = state.jobs.get_mut(&job) {
        for track in job.tracks.iter_mut().filter(|track| track.search_at.is_some()) {
            track.search_at = track.searched_at.map(|sent| sent.plus_ms(least));
        }
    }
}

/// Nobody waits for the answers any more.
pub(crate) fn abandoned(state: &mut State, job: JobId) {
    state.searches.open.retain(|_, open| open.job != job);
}

#[cfg(test)]
mod tests {
    use domain::observation::Observation;
    use domain::{Input, JobId, SearchId};

    use crate::testing::*;

    fn ended(search: u64) -> Input {
        Input::Observation(Observation::SearchEnded { job: JobId(1), search: SearchId(search) })
    }

    #[test]
    fn the_album_is_searched_first_then_each_track_nobody_offered() {
        given([session(), add_job()])
            .when(fetched(2))
            .then("SearchPlanned       job=1 search=1 query=\"tin orchard harbour lights\"");
        given([session(), add_job(), fetched(2), answered("ada", &[file(1, 300_000)])])
            .when(ended(1))
            .then("SearchPlanned       job=1/2 search=2 query=\"tin orchard tone two\"");
    }

    #[test]
    fn a_search_in_vain_is_repeated_after_ten_minutes_and_not_before() {
        given([session(), add_job(), fetched(1), ended(1)])
            .when(ended(2))
            .then("TrackWaiting        job=1/1 for=sources until=00:10:05.000");
    }

    #[test]
    fn a_title_track_waits_before_it_is_searched_for_by_the_words_of_its_album() {
        let mut target = target(1);
        target.tracks[0].title.clone_from(&target.title);
        let fetched = Input::Observation(Observation::ReleaseFetched { job: JobId(1), target });
        let history = [session(), add_job(), fetched];
        let woken = Input::Observation(Observation::DeadlineReached);
        given(history.clone()).when(ended(1)).then("");
        let history = history.into_iter().chain([ended(1)]);
        given(history.clone()).after_ms(117_000).when(woken.clone()).then("");
        given(history)
            .after_ms(118_000)
            .when(woken)
            .then("SearchPlanned       job=1/1 search=2 query=\"tin orchard harbour lights\"");
    }

    #[test]
    fn others_are_looked_for_while_the_only_source_keeps_us_in_its_queue() {
        let woken = || Input::Observation(Observation::DeadlineReached);
        let history =
            || [session(), add_job(), fetched(1), answered("ada", &[file(1, 300_000)]), ended(1)];
        given(history()).after_ms(1_790_000).when(woken()).then("");
        given(history()).after_ms(1_799_000).when(woken()).then(
            "WaitExtended        job=1/1 assignment=1 until=01:00:05.000\n\
             SearchPlanned       job=1/1 search=2 query=\"tin orchard tone one\"",
        );
    }

    #[test]
    fn a_place_in_a_queue_is_given_up_early_only_for_a_free_slot() {
        let from = |user: &str, slot_free| {
            Input::Observation(Observation::SearchAnswered {
                job: JobId(1),
                search: SearchId(2),
                peer: domain::PeerId::Soulseek(user.into()),
                slot_free,
                speed_bytes_per_s: 100_000,
                queue_length: 5,
                files: vec![file(1, 300_000)],
            })
        };
        let woken = || Input::Observation(Observation::DeadlineReached);
        let history =
            || [session(), add_job(), fetched(1), answered("ada", &[file(1, 300_000)]), ended(1)];
        let queued = || given(history()).after_ms(1_799_000).and(woken());
        queued().when(from("bob", false)).then_begins(&["SourceFound         job=1/1 source=1"]);
        queued().when(from("bob", true)).then_begins(&[
            "SourceFound         job=1/1 source=1",
            "AssignmentCut       job=1/1 assignment=1 reason=\"queued too long\"",
            "PeerRested          job=1/1 peer=slsk:ada",
            "RangeAssigned       job=1/1 attempt=0 assignment=2 to=slsk:bob",
        ]);
    }

    #[test]
    fn nothing_is_searched_without_a_session() {
        given([add_job()]).when(fetched(1)).then("");
        given([add_job(), fetched(1)])
            .when(session())
            .then("SearchPlanned       job=1 search=1 query=\"tin orchard harbour lights\"");
    }
}
