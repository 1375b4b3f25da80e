//! Lives of the simulator among people with names, paths and words of their own: what is left of these
//! in a redacted history, and whether it decides the same.

use std::collections::BTreeMap;
use std::convert::Infallible;

use domain::observation::{LookupFault, Observation, SessionEnd, TransferEnd, TransferFault};
use domain::{Command, Decision, PeerId, Timestamp};
use eventlog::history::{Header, HistoryReader, write_envelopes};
use proptest::prelude::*;
use sim::rng::Rng;

use super::*;
use crate::shadow::{Shadow, Taken};
use crate::{Recorded, verify_engine};

/// What nobody else is to read.
const PRIVATE: [&str; 9] = [
    "lovelace",
    "zuse",
    "hopper",
    "stash",
    "geheim",
    "10.1.2.3",
    "konrad",
    "0301234567",
    "0302345",
];

/// The records of what the engine makes of some inputs.
fn lived(inputs: Vec<(Input, Timestamp)>) -> Vec<Record> {
    let mut engine = Engine::new();
    let mut log: Vec<(Envelope, Option<u64>)> = Vec::new();
    for (input, at) in inputs {
        let cause = Seq(log.len() as u64 + 1);
        let step = engine.step(input, at);
        for (seq, event) in (cause.0..).map(Seq).zip(step.events) {
            let digest = (seq == cause).then_some(step.digest);
            log.push((Envelope { seq, at, cause, event }, digest));
        }
    }
    recorded(&log)
}

/// A session in which somebody says something and hears the same from us.
fn chatted(user: &str, text: &str) -> [Input; 4] {
    let peer = PeerId::Soulseek(user.to_owned());
    let (id, sent_at, text) = (7, Timestamp(5_000_000), text.to_owned());
    [
        Input::Observation(Observation::SessionOpened),
        Input::Observation(Observation::ChatReceived {
            peer: peer.clone(),
            id,
            sent_at,
            text: text.clone(),
        }),
        Input::Command(Command::MarkChatRead { peer: peer.clone(), through: Seq(2) }),
        Input::Command(Command::SendChat { peer, text }),
    ]
}

/// The records of a log.
fn recorded(log: &[(Envelope, Option<u64>)]) -> Vec<Record> {
    let mut file = Vec::new();
    let events = log.iter().map(|(envelope, digest)| (envelope, *digest));
    write_envelopes(&mut file, &Header::default(), events).unwrap();
    HistoryReader::new(&file[..]).unwrap().records().map(Result::unwrap).collect()
}

/// A life of the simulator, in which everybody has a name, a way to file music and words.
fn private_life(seed: u64) -> Vec<Record> {
    let life = sim::run::run(seed, &sim::fault::drawn(seed));
    let last = life.log.last().unwrap().at;
    let mut rng = Rng::new(seed, "private");
    let mut named = BTreeMap::new();
    let mut person = move |peer: &mut PeerId| {
        let (PeerId::Soulseek(user) | PeerId::Mesh(user)) = peer;
        let names = ["Ada_Lovelace", "konrad zuse", "~Hopper~", "geheim"];
        let next = format!("{}{}", names[rng.bits() as usize % names.len()], rng.bits() % 90);
        named.entry(user.clone()).or_insert(next).clone_into(user);
        user.clone()
    };
    let inputs = life.log.into_iter().filter_map(|envelope| match envelope.event {
        Event::Input(input) => Some((input, envelope.at)),
        Event::Decision(_) => None,
    });
    let renamed = inputs.map(|(mut input, at)| {
        match &mut input {
            Input::Observation(Observation::SearchAnswered { peer, files, .. }) => {
                let user = person(peer);
                for (number, file) in files.iter_mut().enumerate() {
                    let name = file.path.rsplit('\\').next().unwrap_or_default();
                    file.path = match number % 3 {
                        0 => format!(r"@@{user}\My Stash 2011\Sim Artist\Sim Album (2001)\{name}"),
                        1 => format!(r"geheim\{}\{user} rip - {name}", "0301234567"),
                        _ => format!(r"Sim Album\{name}"),
                    };
                }
            }
            Input::Observation(Observation::TransferEnded {
                end: TransferEnd::Failed(fault @ TransferFault::CannotConnect),
                ..
            }) => *fault = TransferFault::TimedOut("user 0302345 is offline".into()),
            Input::Observation(Observation::SessionClosed { reason }) => {
                *reason = SessionEnd::Lost("10.1.2.3 hung up".into());
            }
            Input::Observation(Observation::LookupFailed { fault, .. })
                if matches!(fault, LookupFault::Refused(_)) =>
            {
                *fault = LookupFault::Refused("key of ada.lovelace is not known".into());
            }
            _ => {}
        }
        (input, at)
    });
    let skip = Command::SkipDeadLetter { view: "geheim".into(), event: Seq(1) };
    let skipped = (Input::Command(skip), last);
    let said = chatted("Ada_Lovelace", "konrad has a stash").map(|input| (input, last));
    lived(renamed.chain([skipped]).chain(said).collect())
}

fn redacted(records: &[Record]) -> Result<Vec<Record>, RedactError<Infallible>> {
    let read = || records.iter().cloned().map(Ok);
    Redaction::of(read())?.records(read()).collect()
}

fn events(records: &[Record]) -> Vec<Envelope> {
    records.iter().map(|record| record.envelope().unwrap()).collect()
}

#[test]
fn redacted_lives_decide_the_same_and_tell_of_nobody() {
    let (mut takeovers, mut refusals) = (0, 0);
    for seed in 0..150 {
        let original = private_life(seed);
        let written = redacted(&original).unwrap();
        let all = format!("{:?}", events(&written)).to_lowercase();
        for private in PRIVATE {
            assert!(!all.contains(private), "seed {seed}: {private}");
        }
        let read = written.iter().cloned().map(Recorded::try_from);
        let verified = verify_engine(read).unwrap();
        assert_eq!((verified.last.0, verified.digests), (original.len() as u64, verified.inputs));

        // One to one: of the same kind, about the same track, at the same moment; and whoever is one
        // person here is one person there.
        let mut people = BTreeMap::new();
        for (was, is) in events(&original).into_iter().zip(events(&written)) {
            assert_eq!((was.seq, was.cause, was.at), (is.seq, is.cause, is.at));
            assert_eq!((was.event.job(), was.event.track()), (is.event.job(), is.event.track()));
            let (Event::Decision(was), Event::Decision(is)) = (was.event, is.event) else {
                continue;
            };
            assert_eq!(discriminant(&was), discriminant(&is));
            if let (
                Decision::RangeAssigned { peer: was, choice, range, source, .. },
                Decision::RangeAssigned {
                    peer: is, choice: same, range: bytes, source: of, ..
                },
            ) = (&was, &is)
            {
                assert_eq!((choice, range, source), (same, bytes, of));
                assert_eq!(people.entry(was.clone()).or_insert_with(|| is.clone()), is);
                takeovers += u32::from(choice.takeover);
            }
            refusals += u32::from(matches!(is, Decision::TrackRefused { .. }));
        }
        assert!(people.values().is_sorted(), "{people:?}");
        let mut pseudonyms: Vec<_> = people.values().collect();
        pseudonyms.dedup();
        assert_eq!(pseudonyms.len(), people.len());
    }
    assert!(takeovers > 10 && refusals > 3, "{takeovers} {refusals}");
}

#[test]
fn a_divergence_is_still_there_and_the_same_names_are_given_every_time() {
    let mut changed = private_life(3);
    let clean = redacted(&changed).unwrap();
    assert_eq!(clean, redacted(&changed).unwrap());
    let place = changed.iter().position(|record| record.digest.is_some()).unwrap() + 5;
    let input = changed[place..].iter_mut().find(|record| record.digest.is_some()).unwrap();
    input.digest = input.digest.map(|digest| digest ^ 1);
    let seq = input.seq;
    let written = redacted(&changed).unwrap();
    let error = verify_engine(written.into_iter().map(Recorded::try_from)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("event {seq} has the same decisions")));

    let mut wrong = private_life(3);
    let decided = wrong.iter_mut().find(|record| record.digest.is_none()).unwrap();
    let done = Event::Decision(Decision::JobCompleted { job: domain::JobId(9) });
    (decided.schema, decided.payload) = encode(&done).unwrap();
    let seq = decided.seq;
    let written = redacted(&wrong).unwrap();
    let error = verify_engine(written.into_iter().map(Recorded::try_from)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("event {seq} is not what")), "{error}");
}

/// A life whose first run was recorded by some version of the rules, in which once nothing was decided
/// where these rules do.
fn begun_by(version: u32, seed: u64) -> Option<(Vec<Record>, Seq)> {
    let life = events(&private_life(seed));
    let steps: Vec<_> = life.chunk_by(|_, next| next.cause != next.seq).collect();
    let is_start = |step: &&[Envelope]| {
        let event = &step[0].event;
        matches!(event, Event::Input(Input::Observation(Observation::NodeStarted { .. })))
    };
    let second = steps.iter().skip(1).position(is_start)? + 1;
    let silent = steps[..second].iter().rposition(|step| step.len() > 1)?;
    let mut engine = Engine::new();
    let mut log: Vec<(Envelope, Option<u64>)> = Vec::new();
    let mut start = None;
    for (place, step) in steps.into_iter().enumerate() {
        let mut entered = step[0].clone();
        if let Event::Input(Input::Observation(Observation::NodeStarted { engine, .. })) =
            &mut entered.event
            && place == 0
        {
            *engine = version;
        }
        let cause = Seq(log.len() as u64 + 1);
        if place == second {
            start = Some(cause);
        }
        let Event::Input(input) = entered.event else { panic!("a step begins with an input") };
        let decided = if place == silent {
            let event = Event::Input(input);
            let entered = Envelope { seq: cause, cause, event, ..entered };
            engine.recover(&entered);
            vec![entered.event]
        } else {
            engine.step(input, entered.at).events
        };
        // Other rules may ask for something else on the same decisions.
        let digest = engine.digest() ^ u64::from(place == silent);
        for (seq, event) in (cause.0..).map(Seq).zip(decided) {
            let digest = (seq == cause).then_some(digest);
            log.push((Envelope { seq, at: entered.at, cause, event }, digest));
        }
    }
    Some((recorded(&log), start?))
}

#[test]
fn runs_after_one_of_other_rules_or_of_another_decision_still_verify() {
    for version in [VERSION + 1, VERSION] {
        let (original, second) = (0..).find_map(|seed| begun_by(version, seed)).unwrap();
        let written = redacted(&original).unwrap();
        let steps: Vec<Vec<Recorded>> = written
            .chunk_by(|_, next| next.cause != next.seq)
            .map(|step| step.iter().map(|it| it.clone().try_into().unwrap()).collect())
            .collect();
        let mut shadow = Shadow::default();
        let (mut differs, mut same) = (0, 0);
        for (place, step) in steps.iter().enumerate() {
            let is_first_run = step[0].envelope.seq < second;
            match shadow.take(step.clone()) {
                Taken::Same => same += u32::from(!is_first_run),
                Taken::Uncompared => assert!(is_first_run),
                Taken::Differs(_) => {
                    assert!(is_first_run);
                    differs += 1;
                    shadow = shadow.anew();
                    steps[..=place].iter().flatten().for_each(|it| shadow.retake(&it.envelope));
                }
            }
        }
        assert!(same > 0);
        assert_eq!(differs, u32::from(version == VERSION));
        let inputs = written.iter().filter(|it| it.seq == it.cause);
        let untold = inputs.filter(|it| it.digest.is_none()).count();
        assert_eq!(untold, usize::from(version != VERSION));
    }
}

#[test]
fn what_would_decide_otherwise_without_its_names_is_not_written() {
    let whole = private_life(3);
    let read = || whole.iter().cloned().map(Ok::<_, Infallible>);
    // Nobody was heard, so no word is known to tell of a track.
    let mut deaf = Names::new("peer");
    deaf.close();
    let records: Result<Vec<_>, _> =
        Redaction { pseudonyms: Pseudonyms::Everybody(deaf) }.records(read()).collect();
    let Err(error @ RedactError::Changed { .. }) = records else { panic!("it was written") };
    let words = error.to_string();
    assert!(words.contains("with    SourceFound") && words.contains("without nothing"), "{words}");
    assert!(PRIVATE.iter().all(|private| !words.to_lowercase().contains(private)), "{words}");
}

#[test]
fn a_part_of_a_history_is_not_redacted() {
    let whole = private_life(3);
    for part in [&whole[1..], &[&whole[..4], &whole[6..]].concat()] {
        assert!(matches!(redacted(part), Err(RedactError::Gap { .. })));
    }
}

/// Parts of paths: what tells of a track, what almost does, and what is anything.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "(Harbour|LIGHTS|harbour|Tin|Orchard|don't|Dont|dont’|Café|cafe\u{301}|live|Remix|1999)",
        2 => "[0-9]{1,9}",
        2 => "[ ._()'’`/\\\\-]{1,3}",
        1 => "[a-z]{1,6}",
        1 => any::<String>(),
    ]
}

/// A path, and whether a title stands in it where it should.
fn path() -> impl Strategy<Value = (String, bool)> {
    let parts = || prop::collection::vec(part(), 0..4).prop_map(|parts| parts.concat());
    let ending = prop_oneof![2 => Just(".flac".to_owned()), 1 => "(\\.(MP3|aif|txt|f'lac|Ⅷ))?"];
    (parts(), parts(), ending, any::<bool>()).prop_map(|(folder, name, ending, is_titled)| {
        let path = if is_titled {
            format!("{folder}\\The Tin Orchard\\Harbour Lights\\{name} TITLE{ending}")
        } else {
            format!("{folder}{name}{ending}")
        };
        (path, is_titled)
    })
}

proptest! {
    #[test]
    fn whatever_the_paths_and_titles_the_redacted_history_decides_the_same(
        paths in prop::collection::vec(path(), 1..6),
        titles in prop::collection::vec(prop_oneof![part(), "(Harbour Lights|Don't Café|17)"], 1..4),
        user in any::<String>(),
    ) {
        let life = sim::run::run(3, &[]);
        let mut inputs = Vec::new();
        for envelope in life.log {
            let Event::Input(mut input) = envelope.event else { continue };
            match &mut input {
                Input::Observation(Observation::ReleaseFetched { target, .. }) => {
                    target.title = "Harbour Lights".into();
                    target.credit.name = "The Tin Orchard".into();
                    for (track, title) in target.tracks.iter_mut().zip(titles.iter().cycle()) {
                        track.title.clone_from(title);
                        track.credit.name = "The Tin Orchard".into();
                    }
                }
                Input::Observation(Observation::SearchAnswered { peer, files, .. }) => {
                    let (PeerId::Soulseek(name) | PeerId::Mesh(name)) = peer;
                    name.push_str(&user);
                    let offers = paths.iter().zip(files.clone().into_iter().cycle());
                    let mut titles = titles.iter().cycle();
                    *files = offers
                        .map(|((path, is_titled), mut file)| {
                            let title = titles.next().expect("there is a title");
                            let is_there = if *is_titled { title } else { "TITLE" };
                            file.path = path.replacen("TITLE", is_there, 1);
                            file
                        })
                        .collect();
                }
                _ => {}
            }
            inputs.push((input, envelope.at));
        }
        let written = redacted(&lived(inputs)).unwrap();
        verify_engine(written.into_iter().map(Recorded::try_from)).unwrap();
    }
}

/// Everyone of whom a history tells.
fn people(records: &[Record]) -> BTreeSet<PeerId> {
    let named = events(records).into_iter().filter_map(|envelope| match envelope.event {
        Event::Input(Input::Observation(Observation::SearchAnswered { peer, .. })) => Some(peer),
        _ => None,
    });
    named.collect()
}

#[test]
fn whoever_is_forgotten_is_nowhere_and_all_others_stay_who_they_are() {
    let mut forgotten = 0;
    for seed in 0..60 {
        let original = private_life(seed);
        let all = people(&original);
        let Some(one) = all.iter().nth(seed as usize % all.len().max(1)).cloned() else { continue };
        // Whose name begins another one is not told apart by looking for it.
        if all.iter().any(|it| *it != one && it.name().starts_with(one.name())) {
            continue;
        }
        let read = || original.iter().cloned().map(Ok::<_, Infallible>);
        let redaction = Redaction::of_peers([one.clone()].into(), "0123abcd", read()).unwrap();
        let written: Vec<_> = redaction.records(read()).collect::<Result<_, _>>().unwrap();
        let read = written.iter().cloned().map(Recorded::try_from);
        let verified = verify_engine(read).unwrap();
        assert_eq!((verified.last.0, verified.digests), (original.len() as u64, verified.inputs));

        let mut others = all.clone();
        others.remove(&one);
        others.insert(PeerId::Soulseek("forgotten-0123abcd-1".to_owned()));
        assert_eq!(people(&written), others);
        for (was, is) in events(&original).into_iter().zip(events(&written)) {
            assert_eq!((was.seq, was.at, was.cause), (is.seq, is.at, is.cause));
            let told = render::event_text(&is.event);
            assert!(!told.contains(one.name()), "seed {seed}, event {}: {told}", is.seq);
            forgotten += u32::from(was.event != is.event);
        }
    }
    assert!(forgotten > 200, "{forgotten} events told of somebody who is forgotten");
}

/// Every word of it is one that programs use, too.
#[test]
fn what_people_say_to_each_other_is_replaced_whatever_it_is() {
    let said = chatted("ada", "too many files").into_iter().chain(chatted("bo", "queue full"));
    let original = lived(said.map(|input| (input, Timestamp(1))).collect());
    let told = |records: &[Record]| format!("{:?}", events(records));
    let all = told(&redacted(&original).unwrap());
    for private in ["ada", "bo", "too many files", "queue full"] {
        assert!(!all.contains(&format!("\"{private}\"")), "{private}: {all}");
    }

    let read = || original.iter().cloned().map(Ok::<_, Infallible>);
    let ada = BTreeSet::from([PeerId::Soulseek("ada".to_owned())]);
    let forgotten = Redaction::of_peers(ada, "x", read()).unwrap().records(read());
    let all = told(&forgotten.collect::<Result<Vec<_>, _>>().unwrap());
    assert!(!all.contains("\"ada\"") && !all.contains("too many files"), "{all}");
    assert_eq!((all.matches("\"bo\"").count(), all.matches("queue full").count()), (4, 3));
}
