//! `reprise replay` over the history of a demo: what was known, done and decided, and why.

use std::convert::Infallible;
use std::fs::File;
use std::path::PathBuf;

use domain::{Decision, Envelope, Event, JobId};
use eventlog::Record;
use eventlog::history::{HistoryReader, write_history};

use super::{code, demo, errors, history, run, said, text};

fn exported() -> PathBuf {
    demo().join("job-1.replay")
}

/// What a command says of the demo's history, and that it succeeds.
fn told(command: &str, arguments: &[&str]) -> String {
    let output = run(&[&["replay", command, text(&exported())], arguments].concat());
    assert_eq!(code(&output), 0, "{command} {arguments:?}: {}", errors(&output));
    said(&output)
}

fn refused(command: &str, arguments: &[&str], exit: i32, words: &str) {
    let output = run(&[&["replay", command, text(&exported())], arguments].concat());
    assert_eq!(code(&output), exit, "{command} {arguments:?}: {}", errors(&output));
    assert!(errors(&output).contains(words), "{}", errors(&output));
    assert!(output.stdout.is_empty(), "{output:?}");
}

fn first(is_it: impl Fn(&Decision) -> bool) -> Envelope {
    let is_it = |envelope: &Envelope| matches!(&envelope.event, Event::Decision(decision) if is_it(decision));
    history().into_iter().find(is_it).unwrap()
}

/// The demo's history with one record changed, as a file.
fn changed(change: impl Fn(&mut Record)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.replay");
    let reader = HistoryReader::open(&exported()).unwrap();
    let header = reader.header().clone();
    let records = reader.records().map(|record| {
        let mut record = record.unwrap();
        change(&mut record);
        Ok::<_, Infallible>(record)
    });
    write_history(File::create(&path).unwrap(), &header, records).unwrap();
    (dir, path)
}

#[test]
fn effects_that_would_not_be_asked_for_again_are_shown_and_exit_6() {
    // Of a track, so that there is something before it.
    let assembled = first(|decision| matches!(decision, Decision::FileAssembled { .. }));
    let added = first(|decision| matches!(decision, Decision::JobAdded { .. }));
    let (_dir, path) = changed(|record| {
        if record.seq == assembled.cause {
            record.digest = record.digest.map(|digest| digest ^ 1);
        }
    });
    for command in ["verify", "bisect"] {
        let output = run(&["replay", command, text(&path)]);
        assert_eq!(code(&output), 6, "{}", errors(&output));
        let said = errors(&output);
        let event = format!("event {} has the same decisions", assembled.cause);
        let job = format!("job       {:06}", added.cause.0);
        for part in [&event, &job, "before", "asks for  Examine "] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_history_without_digests_says_what_is_not_known() {
    let (_dir, path) = changed(|record| record.digest = None);
    let output = run(&["replay", "verify", text(&path)]);
    assert_eq!(code(&output), 0, "{}", errors(&output));
    assert!(said(&output).contains("asked for the same is not known"), "{}", said(&output));
    assert!(told("verify", &[]).contains("every step asked for the same as then"));
}

#[test]
fn a_step_is_shown_with_what_it_asked_for() {
    let assigned = first(|decision| matches!(decision, Decision::RangeAssigned { .. }));
    let at = assigned.seq.to_string();
    let step = told("step", &["--at", &at]);
    let lines: Vec<_> = step.lines().collect();
    assert!(lines[0].starts_with(&format!("{:06} ", assigned.cause.0)), "{step}");
    let place = lines.iter().position(|line| line.starts_with(&format!("{at:0>6} "))).unwrap();
    assert!(lines[place + 1].contains("->  FetchRange"), "{step}");
    assert_eq!(step, told("step", &["--at", &assigned.cause.to_string()]));
}

#[test]
fn a_state_tells_of_tracks_peers_and_the_budget_and_of_one_job_every_source() {
    let last = history().len().to_string();
    let state = told("state", &["--at", &last]);
    for part in ["session   open", "completed: \"Harbour Lights\"", "peer      slsk:", "budget    "]
    {
        assert!(state.contains(part), "{part}: {state}");
    }
    let assigned = first(|decision| matches!(decision, Decision::RangeAssigned { .. }));
    let job = told("state", &["--at", &assigned.seq.to_string(), "--job", "1"]);
    assert!(job.contains("fetching from slsk:") && job.contains("source 0 slsk:"), "{job}");
    assert!(!job.contains("budget"), "{job}");
    refused("state", &["--at", &last, "--job", "7"], 3, "no job 7");
}

#[test]
fn two_positions_differ_in_what_the_events_between_them_changed() {
    let assigned = first(|decision| matches!(decision, Decision::RangeAssigned { .. }));
    let (before, after) = ((assigned.seq.0 - 1).to_string(), assigned.seq.to_string());
    let diff = told("diff", &[&before, &after]);
    assert!(diff.contains("transfers.last: 0 -> 1\n"), "{diff}");
    assert!(diff.contains(".phase: Wanted -> Fetching\n"), "{diff}");
    assert!(told("diff", &[&after, &before]).contains("transfers.last: 1 -> 0\n"));
    assert_eq!(told("diff", &[&after, &after]), "");
}

#[test]
fn every_decision_of_the_demo_says_why() {
    let assigned = first(|decision| matches!(decision, Decision::RangeAssigned { .. }));
    let Event::Decision(Decision::RangeAssigned { choice, peer, .. }) = &assigned.event else {
        panic!("{assigned:?}")
    };
    let why = told("why", &[&assigned.seq.to_string()]);
    let ranked: Vec<_> = why.lines().filter(|line| line.contains(" ms for ")).collect();
    assert_eq!(ranked.len(), choice.candidates as usize, "{why}");
    assert!(ranked[0].contains(&format!("{peer}: ")), "{why}");
    assert!(ranked[0].contains(&format!(" {} ms for ", choice.cost_ms)), "{why}");
    assert!(why.contains("the rule of `schedule`"), "{why}");

    // Nine tracks of six peers: somebody is busy when another is asked.
    let assigned = |event: &Event| matches!(event, Event::Decision(Decision::RangeAssigned { .. }));
    let mut all = history().into_iter().filter(|envelope| assigned(&envelope.event));
    assert!(all.any(|one| {
        told("why", &[&one.seq.to_string()])
            .contains(": its peer is asked for as much as it may be")
    }));

    let refused = first(|decision| matches!(decision, Decision::TrackRefused { .. }));
    let why = told("why", &[&refused.seq.to_string()]);
    assert!(why.contains("is not wanted") && why.contains("giver     source"), "{why}");
    let searched = first(|decision| matches!(decision, Decision::SearchPlanned { .. }));
    assert!(told("why", &[&searched.seq.to_string()]).contains("of 34 searches in 220 s"));
}

#[test]
fn what_is_not_there_or_was_not_decided_has_exit_code_3() {
    let beyond = (history().len() + 1).to_string();
    refused("why", &["1"], 3, "was not decided");
    for nowhere in [beyond.as_str(), "0", "18446744073709551615"] {
        let words = format!("there is no event {nowhere}");
        refused("why", &[nowhere], 3, &words);
        refused("step", &["--at", nowhere], 3, &words);
        refused("state", &["--at", nowhere], 3, &words);
    }
    refused("diff", &["1", &beyond], 3, "there is no event");
}

#[test]
fn a_decision_of_other_rules_cannot_be_explained_and_exits_6() {
    let waiting = first(|decision| matches!(decision, Decision::ChunkAccepted { .. }));
    let (_dir, path) = changed(|record| {
        if record.seq == waiting.seq {
            let done = Event::Decision(Decision::JobCompleted { job: JobId(1) });
            (record.schema, record.payload) = eventlog::encode(&done).unwrap();
        }
    });
    let output = run(&["replay", "why", text(&path), &waiting.seq.to_string()]);
    assert_eq!(code(&output), 6, "{}", errors(&output));
    assert!(errors(&output).contains("actual    ChunkAccepted"), "{}", errors(&output));
}
