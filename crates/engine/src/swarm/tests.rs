//! Short histories of files that come in parts.

use domain::chunk::{Content, Digest};
use domain::media::AudioFault;
use domain::observation::{Observation, TransferEnd, TransferFault};
use domain::{
    AssignmentId, ByteRange, Decision, Event, Input, JobId, PeerId, SearchId, Timestamp, TrackKey,
};

use crate::testing::*;

const TRACK: TrackKey = TrackKey { job: JobId(1), index: 0 };
const SIZE: u64 = 1_000_000;

fn described() -> Input {
    described_as(SIZE, 16_384)
}

fn described_as(size: u64, unit: u32) -> Input {
    let content = Content { root: Digest([7; 32]), size, unit };
    Input::Observation(Observation::ContentDescribed { track: TRACK, content })
}

fn ended(search: u64) -> Input {
    Input::Observation(Observation::SearchEnded { job: JobId(1), search: SearchId(search) })
}

fn transfer_ended(assignment: u64, end: TransferEnd) -> Input {
    let assignment = AssignmentId(assignment);
    Input::Observation(Observation::TransferEnded { track: TRACK, assignment, end })
}

fn holds(key: &str, ranges: &[(u64, u64)]) -> Input {
    let range = |(start, end): &(u64, u64)| ByteRange { start: *start, end: *end };
    Input::Observation(Observation::HoldingTold {
        track: TRACK,
        peer: PeerId::Mesh(key.into()),
        ranges: ranges.iter().map(range).collect(),
    })
}

fn granted(assignment: u64) -> Input {
    let assignment = AssignmentId(assignment);
    Input::Observation(Observation::SlotGranted { track: TRACK, assignment })
}

fn spoiled(assignment: u64, start: u64, end: u64) -> Input {
    Input::Observation(Observation::PieceSpoiled {
        track: TRACK,
        assignment: AssignmentId(assignment),
        range: ByteRange { start, end },
        elapsed_ms: 100,
    })
}

fn begun() -> Vec<Input> {
    vec![session(), add_job(), fetched(1), described()]
}

fn with(more: impl IntoIterator<Item = Input>) -> Vec<Input> {
    begun().into_iter().chain(more).collect()
}

#[test]
fn who_gives_ranges_is_asked_for_parts_from_the_end() {
    given(begun()).when(holds("9f", &[])).then(
        "SourceFound         job=1/1 source=0 peer=mesh:9f 1000000 B likeness=100.0% path=\"\"\n\
         RangeAssigned       job=1/1 attempt=0 assignment=1 to=mesh:9f source=0 range=884736..1000000 of 1000000 B overlap=0 candidates=1 cost=576 ms\n\
         RangeAssigned       job=1/1 attempt=0 assignment=2 to=mesh:9f source=0 range=753664..884736 of 1000000 B overlap=0 candidates=1 cost=655 ms",
    );
}

#[test]
fn who_holds_a_part_is_asked_for_that_part() {
    given(begun()).when(holds("9f", &[(1, 40_000)])).then(
        "SourceFound         job=1/1 source=0 peer=mesh:9f 1000000 B likeness=100.0% path=\"\"\n\
         RangeAssigned       job=1/1 attempt=0 assignment=1 to=mesh:9f source=0 range=16384..32768 of 1000000 B overlap=0 candidates=1 cost=81 ms",
    );
}

#[test]
fn who_streams_begins_where_it_is_needed_when_it_is_our_turn() {
    given(with([answered("ada", &[file(1, SIZE)]), holds("9f", &[])])).when(granted(1)).then(
        "OffsetChosen        job=1/1 assignment=1 range=0..1000000\n\
         EndMoved            job=1/1 assignment=1 end=753664",
    );
}

#[test]
fn files_of_other_sizes_are_other_files() {
    given(begun())
        .when(answered("ada", &[file(1, SIZE + 1)]))
.then("SourceFound         job=1/1 source=0 peer=slsk:ada 1000001 B likeness=94.9% path=\"m\\Tin Orchard\\Harbour Lights\\01 - Tone One.flac\"");
}

#[test]
fn wrong_bytes_are_asked_of_somebody_else() {
    let spoiled = spoiled(1, 884_736, 901_120);
    let given = given(with([holds("9f", &[]), spoiled, holds("3c", &[(884_736, 901_120)])]));
    let state = given.engine().state();
    assert!(super::of(state, TRACK).unwrap().held.is_empty());
    let asked: Vec<_> = state
        .transfers
        .open
        .values()
        .filter(|open| open.next < 901_120 && 884_736 < open.range.end)
        .map(|open| (open.peer.to_string(), open.range.start, open.range.end))
        .collect();
    assert_eq!(asked, [("mesh:3c".to_owned(), 884_736, 901_120)]);
}

#[test]
fn what_is_staged_is_lost_to_all_who_were_asked_for_it() {
    let lost = Observation::StagingLost { track: TRACK, attempt: 0, detail: "gone".into() };
    let ended = transfer_ended(1, TransferEnd::Failed(TransferFault::StagingShort(5)));
    for (input, of_one) in [(Input::Observation(lost), "overtaken"), (ended, "failed")] {
        let then = given(with([answered("ada", &[file(1, SIZE)]), holds("9f", &[])])).when(input);
        then.then_begins(&[
            &format!("AssignmentCut       job=1/1 assignment=1 reason=\"{of_one}\""),
            "AssignmentCut       job=1/1 assignment=2 reason=\"overtaken\"",
            "AssignmentCut       job=1/1 assignment=3 reason=\"overtaken\"",
            "AttemptDropped      job=1/1 attempt=0 reason=\"staging lost",
            "RangeAssigned       job=1/1 attempt=1 assignment=4 to=slsk:ada",
        ]);
    }
}

#[test]
fn a_peer_that_streams_is_asked_for_a_file_once_at_a_time() {
    let other = named("1-01 Tone One.flac", SIZE);
    let given = given(with([answered("ada", &[file(1, SIZE), other]), holds("9f", &[])]));
    let state = given.engine().state();
    let of_ada = |open: &&crate::state::Assignment| open.peer.to_string() == "slsk:ada";
    assert_eq!(state.track(TRACK).unwrap().usable().count(), 3);
    assert_eq!(state.transfers.open.values().filter(of_ada).count(), 1);
}

const GIVEN_UP: &str =
    "AttemptDropped      job=1/1 attempt=0 reason=\"no source has the same file\"";

#[test]
fn a_description_that_no_source_fits_is_given_up_after_others_were_looked_for() {
    given(with([answered("ada", &[file(1, SIZE + 1)]), ended(1)])).when(ended(2)).then_begins(&[
        GIVEN_UP,
        "RangeAssigned       job=1/1 attempt=1 assignment=1 to=slsk:ada source=0 range=0..1000001",
    ]);
}

#[test]
fn turns_that_are_used_up_give_the_file_up_and_it_is_asked_for_whole() {
    let turn = |number| [granted(number), transfer_ended(number, TransferEnd::Complete)];
    let turns = [1, 2, 3, 4].into_iter().flat_map(turn);
    let history = with([answered("ada", &[file(1, SIZE)]), ended(1)]).into_iter().chain(turns);
    given(history).when(ended(2)).then_begins(&[
        GIVEN_UP,
        "RangeAssigned       job=1/1 attempt=1 assignment=5 to=slsk:ada source=0 range=0..1000000",
    ]);
}

#[test]
fn what_everybody_has_wrong_is_given_up() {
    let start = [session(), add_job(), fetched(1), described_as(SIZE, 1_000_000)];
    let history = start.into_iter().chain([holds("9f", &[]), spoiled(1, 0, SIZE), ended(1)]);
    given(history)
        .when(ended(2))
        .then_begins(&[GIVEN_UP, "TrackWaiting        job=1/1 for=sources"]);
}

#[test]
fn after_a_refusal_a_node_of_the_mesh_alone_is_no_source() {
    let start = [session(), add_job(), fetched(1), described_as(SIZE, 1_000_000), ended(1)];
    let whole = [holds("9f", &[]), holds("3c", &[]), ended(2), chunk(TRACK, 1, 0, SIZE)];
    let history = start.into_iter().chain(whole);
    let fault = AudioFault::NotDecodable("zip".into());
    given(history).when(faulty(TRACK, 0, fault)).then_begins(&[
        "TrackRefused        job=1/1",
        "SourceDropped       job=1/1",
        "TrackWaiting        job=1/1 for=sources",
    ]);
}

#[test]
fn with_its_connection_all_parts_of_a_node_are_lost_and_it_rests_briefly() {
    given(with([holds("9f", &[])]))
        .when(Input::Observation(Observation::TransferEnded {
            track: TRACK,
            assignment: AssignmentId(2),
            end: TransferEnd::Failed(TransferFault::ConnectionCut),
        }))
        .then(
            "AssignmentCut       job=1/1 assignment=1 reason=\"failed\"\n\
             AssignmentCut       job=1/1 assignment=2 reason=\"failed\"\n\
             PeerRested          job=1/1 peer=mesh:9f reason=\"connection cut\" until=00:00:07.000",
        );
}

#[test]
fn numbers_nobody_can_mean_overflow_nothing() {
    let huge = Input::Observation(Observation::ChunkArrived {
        track: TRACK,
        assignment: AssignmentId(1),
        range: ByteRange { start: 1, end: u64::MAX },
        digest: Digest([7; 32]),
        elapsed_ms: 0,
    });
    let history = [
        answered("ada", &[file(1, SIZE)]),
        holds("9f", &[(u64::MAX - 1, u64::MAX), (0, SIZE)]),
        granted(1),
        huge,
        spoiled(2, u64::MAX - 1, u64::MAX),
        holds("3c", &[]),
    ];
    let engine = given(with(history));
    let swarm = super::of(engine.engine().state(), TRACK).unwrap();
    assert_eq!(swarm.givers[&domain::SourceId(0)].rate, super::FASTEST);
}

#[test]
fn a_recorded_content_that_no_file_can_have_is_not_believed() {
    for (size, unit) in [(SIZE, 0), (u64::MAX, u32::MAX), (0, 16_384), (1 << 20, 1)] {
        let content = Content { root: Digest([7; 32]), size, unit };
        let adopted = Decision::ContentAdopted { track: TRACK, attempt: 0, content };
        let mut state = given(begun()).engine().state().clone();
        state.track_mut(TRACK).unwrap().swarm = None;
        state.evolve(&Event::Decision(adopted), Timestamp(9));
        assert_eq!(super::of(&state, TRACK), None, "{size} {unit}");
    }
}

#[test]
fn a_description_that_comes_too_late_or_makes_no_sense_is_not_taken() {
    let whole = [session(), add_job(), fetched(1), answered("ada", &[file(1, SIZE)])];
    let held = whole.clone().into_iter().chain([chunk(TRACK, 1, 0, 262_144)]);
    given(held).when(described()).then("");
    let nonsense = Content { root: Digest([7; 32]), size: SIZE, unit: 0 };
    let described = Observation::ContentDescribed { track: TRACK, content: nonsense };
    given(whole).when(Input::Observation(described)).then("");
}
