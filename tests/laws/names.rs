//! What the core makes of names: nothing but whether two are the same. So a history whose peers have all
//! been given other names is the history of a node that met those, and what was concluded stays true.
//! docs/decisions/0019 rests on it.

use domain::{Command, Decision, Envelope, Event, Input, Observation, PeerId};
use engine::Engine;
use sim::{fault, run};

/// Another name for everyone, in no order that the names were in.
fn renamed(peer: &PeerId) -> PeerId {
    let number = peer.name().bytes().fold(0xcbf2_9ce4_8422_2325u64, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    PeerId::Soulseek(format!("{number:016x}"))
}

fn with_other_names(mut event: Event) -> Event {
    match &mut event {
        Event::Input(Input::Observation(
            Observation::SearchAnswered { peer, .. }
            | Observation::UploadEnded { peer, .. }
            | Observation::ChatReceived { peer, .. },
        ))
        | Event::Input(Input::Command(Command::SendChat { peer, .. }))
        | Event::Decision(
            Decision::SourceFound { peer, .. }
            | Decision::PeerRested { peer, .. }
            | Decision::RangeAssigned { peer, .. }
            | Decision::ChatPlanned { peer, .. },
        ) => *peer = renamed(peer),
        _ => {}
    }
    event
}

#[test]
fn who_is_who_is_all_that_names_say() {
    let mut named = 0;
    for seed in 0..300 {
        let life = run::run(seed, &fault::drawn(seed));
        let log: Vec<Envelope> = life
            .log
            .into_iter()
            .map(|envelope| {
                let event = with_other_names(envelope.event.clone());
                named += u64::from(event != envelope.event);
                Envelope { event, ..envelope }
            })
            .collect();
        let mut engine = Engine::new();
        for step in log.chunk_by(|before, next| before.cause == next.cause) {
            let Event::Input(input) = &step[0].event else {
                panic!("a step begins with its input")
            };
            let concluded = engine.step(input.clone(), step[0].at).events;
            let recorded: Vec<_> = step.iter().map(|envelope| envelope.event.clone()).collect();
            assert_eq!(concluded, recorded, "seed {seed}, event {}", step[0].seq);
        }
    }
    assert!(named > 1_000, "{named} events name somebody");
}
