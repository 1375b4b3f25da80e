//! Short histories for tests beside the code: `given(inputs).when(input).then(lines)`. Inputs enter
//! one second apart, from 00:00:00 on.

use domain::chunk::Digest;
use domain::id::{AcoustId, ArtistId, TrackId};
use domain::media::{AudioFault, Codec, CodecProfile, Examined, Fingerprint};
use domain::observation::{Examination, IdentityMatch, Observation, RemoteFile};
use domain::score::Ppm;
use domain::target::Credit;
use domain::{
    AssignmentId, ByteRange, Command, Event, Input, JobId, PeerId, Policy, RecordingId, SearchId,
    Target, Timestamp, Track, TrackKey, render,
};

use crate::{Engine, VERSION};

pub(crate) struct Given {
    engine: Engine,
    at: Timestamp,
}

pub(crate) struct Then(Vec<String>);

pub(crate) fn given(history: impl IntoIterator<Item = Input>) -> Given {
    let mut given = Given { engine: Engine::new(), at: Timestamp(0) };
    let started = Observation::NodeStarted {
        // Inputs are a second apart: the first answer is decided on at once.
        policy: Policy { gather_ms: 0, ..Policy::default() },
        engine: VERSION,
        build: "test".into(),
    };
    let _ = given.engine.step(Input::Observation(started), given.at);
    for input in history {
        given.at = given.at.plus_ms(1000);
        let _ = given.engine.step(input, given.at);
    }
    given
}

impl Given {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// When the last input entered.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Nothing happens for a while.
    pub(crate) fn after_ms(mut self, ms: u64) -> Self {
        self.at = self.at.plus_ms(ms);
        self
    }

    /// Something more enters.
    pub(crate) fn and(mut self, input: Input) -> Self {
        self.at = self.at.plus_ms(1000);
        let _ = self.engine.step(input, self.at);
        self
    }

    pub(crate) fn when(mut self, input: Input) -> Then {
        let at = self.at.plus_ms(1000);
        let step = self.engine.step(input, at);
        Then(
            step.events
                .iter()
                .filter(|event| matches!(event, Event::Decision(_)))
                .map(render::event_text)
                .collect(),
        )
    }
}

impl Then {
    #[track_caller]
    pub(crate) fn then(self, expected: &str) {
        assert_eq!(self.0.join("\n"), expected);
    }

    /// Of each decision how its line begins.
    #[track_caller]
    pub(crate) fn then_begins(self, expected: &[&str]) {
        let fit = self.0.iter().zip(expected).all(|(line, begin)| line.starts_with(begin));
        assert!(fit && self.0.len() == expected.len(), "all: {:#?}", self.0);
    }

    #[track_caller]
    pub(crate) fn then_first(self, expected: &str) {
        assert_eq!(self.0.first().map(String::as_str), Some(expected), "all: {:#?}", self.0);
    }
}

pub(crate) fn add_job() -> Input {
    let release = "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11".parse().unwrap();
    Input::Command(Command::AddJob { release })
}

pub(crate) fn session() -> Input {
    Input::Observation(Observation::SessionOpened)
}

pub(crate) fn target(tracks: u16) -> Target {
    const NUMBERS: [&str; 4] = ["One", "Two", "Three", "Four"];
    let credit = Credit { name: "The Tin Orchard".into(), artists: vec![ArtistId([3; 16])] };
    Target {
        release: "0b1c7a52-6f0e-4a54-9c0c-3d9a6c1f2e11".parse().unwrap(),
        group: None,
        title: "Harbour Lights".into(),
        credit: credit.clone(),
        date: "1999-05-01".into(),
        country: "XW".into(),
        label: String::new(),
        barcode: String::new(),
        media: 1,
        tracks: (1..=tracks)
            .map(|position| Track {
                id: TrackId([position as u8; 16]),
                recording: RecordingId([position as u8; 16]),
                medium: 1,
                position,
                title: format!("Tone {}", NUMBERS[usize::from(position - 1) % 4]),
                credit: credit.clone(),
                duration_ms: Some(200_000),
                isrcs: Vec::new(),
            })
            .collect(),
    }
}

pub(crate) fn fetched(tracks: u16) -> Input {
    Input::Observation(Observation::ReleaseFetched { job: JobId(1), target: target(tracks) })
}

pub(crate) fn named(name: &str, size: u64) -> RemoteFile {
    RemoteFile {
        path: format!(r"m\Tin Orchard\Harbour Lights\{name}"),
        size,
        bitrate_kbps: None,
        duration_s: None,
    }
}

pub(crate) fn file(position: u16, size: u64) -> RemoteFile {
    let title = &target(position).tracks[usize::from(position - 1)].title;
    named(&format!("{position:02} - {title}.flac"), size)
}

pub(crate) fn answered(user: &str, files: &[RemoteFile]) -> Input {
    with_speed(user, 100_000, files)
}

pub(crate) fn with_speed(user: &str, speed_bytes_per_s: u32, files: &[RemoteFile]) -> Input {
    Input::Observation(Observation::SearchAnswered {
        job: JobId(1),
        search: SearchId(1),
        peer: PeerId::Soulseek(user.into()),
        slot_free: true,
        speed_bytes_per_s,
        queue_length: 0,
        files: files.to_vec(),
    })
}

pub(crate) fn chunk(track: TrackKey, assignment: u64, start: u64, end: u64) -> Input {
    Input::Observation(Observation::ChunkArrived {
        track,
        assignment: AssignmentId(assignment),
        range: ByteRange { start, end },
        digest: Digest([start as u8; 32]),
        elapsed_ms: 100,
    })
}

pub(crate) fn examined(track: TrackKey, attempt: u16, duration_ms: u64) -> Input {
    let profile = CodecProfile {
        codec: Codec::Flac,
        sample_rate_hz: 44_100,
        channels: 2,
        bit_depth: Some(16),
    };
    let music = Examined { profile, duration_ms, fingerprint: Fingerprint(vec![1, 2, 3]) };
    Input::Observation(Observation::FileExamined {
        track,
        attempt,
        digest: Digest([9; 32]),
        outcome: Examination::Music(music),
    })
}

pub(crate) fn faulty(track: TrackKey, attempt: u16, fault: AudioFault) -> Input {
    Input::Observation(Observation::FileExamined {
        track,
        attempt,
        digest: Digest([9; 32]),
        outcome: Examination::Fault(fault),
    })
}

pub(crate) fn identified(track: TrackKey, attempt: u16, ppm: u32, recordings: &[u8]) -> Input {
    Input::Observation(Observation::RecordingIdentified {
        track,
        attempt,
        matches: vec![IdentityMatch {
            acoustid: AcoustId([0; 16]),
            score: Ppm(ppm),
            recordings: recordings.iter().map(|byte| RecordingId([*byte; 16])).collect(),
        }],
    })
}
