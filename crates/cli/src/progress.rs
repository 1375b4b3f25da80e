//! Shows a job while it goes on: a bar per track and one per peer on a terminal, a line per change
//! elsewhere.

use std::collections::{BTreeMap, HashMap};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::job::{Job, Source, Track, printable, words};

const TRACK: &str = "{prefix:<28!} {bar:24.cyan/blue} {percent:>3}% {msg}";
const PEER: &str = "{prefix:<28!} {bar:24.green/blue} {bytes:>10} {msg}";

pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    tracks: Vec<ProgressBar>,
    peers: BTreeMap<String, ProgressBar>,
    /// What was last said of each track, where there are no bars.
    said: HashMap<usize, String>,
}

impl Progress {
    pub(crate) fn new(terminal: bool) -> Self {
        Self {
            bars: terminal.then(MultiProgress::new),
            tracks: Vec::new(),
            peers: BTreeMap::new(),
            said: HashMap::new(),
        }
    }

    pub(crate) fn show(&mut self, job: &Job) {
        match self.bars.clone() {
            Some(bars) => {
                self.show_tracks(&bars, job);
                self.show_peers(&bars, job);
            }
            None => self.say(job),
        }
    }

    fn show_tracks(&mut self, bars: &MultiProgress, job: &Job) {
        for (index, track) in job.tracks.iter().enumerate() {
            if self.tracks.len() <= index {
                let bar = bars.insert(index, ProgressBar::new(1)).with_style(style(TRACK));
                bar.set_prefix(printable(&format!("{:02} {}", track.place, track.title)));
                self.tracks.push(bar);
            }
            let bar = &self.tracks[index];
            let (done, size) = share(track);
            bar.set_length(size);
            bar.set_position(done);
            bar.set_message(printable(&doing(track)));
        }
    }

    /// What each peer gave, as a share of the whole album.
    fn show_peers(&mut self, bars: &MultiProgress, job: &Job) {
        let mut peers: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
        for source in job.tracks.iter().flat_map(|track| &track.sources) {
            let at_work = is_at_work(source);
            if at_work || source.bytes_accepted > 0 {
                let (bytes, files) = peers.entry(&source.peer).or_default();
                *bytes += source.bytes_accepted;
                *files += usize::from(at_work);
            }
        }
        let whole = job.tracks.iter().filter_map(|track| track.size).sum::<u64>().max(1);
        for (peer, (bytes, files)) in peers {
            let bar = self.peers.entry(peer.to_owned()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new(whole)).with_style(style(PEER));
                bar.set_prefix(printable(peer));
                bar
            });
            bar.set_length(whole);
            bar.set_position(bytes);
            bar.set_message(match files {
                0 => String::new(),
                1 => "1 file under way".to_owned(),
                files => format!("{files} files under way"),
            });
        }
    }

    fn say(&mut self, job: &Job) {
        for (index, track) in job.tracks.iter().enumerate() {
            let line = doing(track);
            if self.said.insert(index, line.clone()).as_ref() != Some(&line) {
                let line = format!("{:02} {:<28} {line}", track.place, track.title);
                eprintln!("{}", printable(&line));
            }
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&self) {
        for bar in self.tracks.iter().chain(self.peers.values()) {
            bar.abandon();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn is_at_work(source: &Source) -> bool {
    matches!(source.state.as_str(), "SENDING" | "QUEUED")
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
        .filter(|source| is_at_work(source))
        .map(|source| source.peer.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut text = words(&track.state);
    if !at_work.is_empty() {
        let with = if track.state == "QUEUED" { "at" } else { "from" };
        text = format!("{text} {with} {at_work}");
    }
    if track.takeovers > 0 {
        text = format!("{text}, {} takeover(s)", track.takeovers);
    }
    if !track.refused.is_empty() {
        text = format!("{text}, {} refused", track.refused.len());
    }
    text
}
