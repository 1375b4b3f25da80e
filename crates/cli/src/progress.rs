//! Shows a job while it goes on: a bar per track on a terminal, a line per change elsewhere.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::job::{Job, Track, words};

const BAR: &str = "{prefix:<28!} {bar:24.cyan/blue} {percent:>3}% {msg}";

pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    tracks: Vec<ProgressBar>,
    /// What was last said of each track, where there are no bars.
    said: HashMap<usize, String>,
}

impl Progress {
    pub(crate) fn new(terminal: bool) -> Self {
        Self { bars: terminal.then(MultiProgress::new), tracks: Vec::new(), said: HashMap::new() }
    }

    pub(crate) fn show(&mut self, job: &Job) {
        for (index, track) in job.tracks.iter().enumerate() {
            match &self.bars {
                Some(bars) => {
                    if self.tracks.len() <= index {
                        let style = ProgressStyle::with_template(BAR)
                            .unwrap_or_else(|_| ProgressStyle::default_bar());
                        let bar = bars.add(ProgressBar::new(1)).with_style(style);
                        bar.set_prefix(format!("{:02} {}", track.place, track.title));
                        self.tracks.push(bar);
                    }
                    let bar = &self.tracks[index];
                    let (done, size) = share(track);
                    bar.set_length(size);
                    bar.set_position(done);
                    bar.set_message(doing(track));
                }
                None => {
                    let line = doing(track);
                    if self.said.insert(index, line.clone()).as_ref() != Some(&line) {
                        eprintln!("{:02} {:<28} {line}", track.place, track.title);
                    }
                }
            }
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&self) {
        for bar in &self.tracks {
            bar.abandon();
        }
    }
}

fn share(track: &Track) -> (u64, u64) {
    match (track.state.as_str(), track.size) {
        ("COMPLETED", _) => (1, 1),
        (_, Some(size)) if size > 0 => (track.bytes_held, size),
        _ => (0, 1),
    }
}

/// What a track does, and with whom.
fn doing(track: &Track) -> String {
    let at_work = track
        .sources
        .iter()
        .filter(|source| matches!(source.state.as_str(), "SENDING" | "QUEUED"))
        .map(|source| source.peer.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut text = words(&track.state);
    if !at_work.is_empty() {
        text = format!("{text} from {at_work}");
    }
    if track.takeovers > 0 {
        text = format!("{text}, {} takeover(s)", track.takeovers);
    }
    if !track.refused.is_empty() {
        text = format!("{text}, {} refused", track.refused.len());
    }
    text
}
