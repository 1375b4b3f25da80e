//! What came of it as a table: a line a thing, a column an end.

use std::collections::BTreeSet;

use domain::render::Named;
use domain::{JobId, PeerId, TrackKey};
use sim::fork::{Outcome, Spread};

use super::Told;

/// A peer's name, harmless on a terminal.
pub(super) fn named(peer: &PeerId) -> String {
    Named(peer).to_string()
}

impl Told<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "forked after event {} at {}{}\nwhat comes after it is modelled on the recorded peers, but for \
             the first column\n\n",
            self.fork.position(),
            self.fork.now().rfc3339(),
            self.change()
        );
        let mut rows = self.rows();
        let mut heads = vec![String::new(), "recorded".to_owned()];
        heads.extend(self.modelled.iter().map(|modelled| modelled.name.to_owned()));
        rows.insert(0, heads);
        table(&mut text, &rows);
        self.first_changed(&mut text);
        if self.options.runs > 1 {
            text += &format!("\n{} runs, seeds 1 to {0}\n\n", self.options.runs);
            table(&mut text, &self.spread_rows());
        }
        text
    }

    fn change(&self) -> String {
        let mut change = self.options.set.join(", ");
        if let Some(peer) = &self.options.drop_peer {
            let peer = crate::job::printable(peer);
            change += &format!("{}without {peer}", if change.is_empty() { "" } else { ", " });
        }
        if change.is_empty() { ", nothing changed".to_owned() } else { format!(": {change}") }
    }

    fn ends(&self) -> Vec<&Outcome> {
        std::iter::once(&self.recorded)
            .chain(self.modelled.iter().map(|modelled| &modelled.first))
            .collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let ends = self.ends();
        let row = |name: String, value: &dyn Fn(&Outcome) -> String| {
            std::iter::once(name).chain(ends.iter().map(|end| value(end))).collect::<Vec<_>>()
        };
        let mut rows = Vec::new();
        let jobs: BTreeSet<JobId> = ends.iter().flat_map(|end| end.jobs.keys().copied()).collect();
        for job in jobs {
            let took = |end: &Outcome| time(end.jobs.get(&job).copied().flatten());
            rows.push(row(format!("job {job} complete"), &took));
        }
        let tracks: BTreeSet<TrackKey> =
            ends.iter().flat_map(|end| end.tracks.keys().copied()).collect();
        for track in tracks {
            let took = |end: &Outcome| time(end.tracks.get(&track).copied().flatten());
            rows.push(row(format!("track {track}"), &took));
        }
        let peers: BTreeSet<&PeerId> = ends.iter().flat_map(|end| end.bytes.keys()).collect();
        for peer in peers {
            let gave = |end: &Outcome| size(end.bytes.get(peer).copied().unwrap_or(0));
            rows.push(row(format!("bytes of {}", named(peer)), &gave));
        }
        rows.push(row("takeovers".into(), &|end| end.takeovers.to_string()));
        rows.push(row("refused files".into(), &|end| end.refused.to_string()));
        rows.push(row("searches".into(), &|end| end.searches.to_string()));
        let mut changed = vec!["decisions unlike the recorded".to_owned(), "0".to_owned()];
        changed.extend(self.modelled.iter().map(|end| end.changes.number.to_string()));
        rows.push(changed);
        rows
    }

    fn first_changed(&self, text: &mut String) {
        let Some(last) = self.modelled.last() else { return };
        let Some(first) = &last.changes.first else {
            *text += "\nevery decision is the recorded one\n";
            return;
        };
        let event = first.seq.map_or(String::new(), |seq| format!(", event {seq}"));
        *text += &format!(
            "\nfirst unlike the recorded at {}, {}{event}\n",
            first.at.clock(),
            first.about
        );
        for (name, words) in [("recorded", &first.was), (last.name, &first.is)] {
            *text += &format!("  {name:<9} {}\n", words.as_deref().unwrap_or("nothing more"));
        }
    }

    fn spread_rows(&self) -> Vec<Vec<String>> {
        let spreads: Vec<&Spread> = self.modelled.iter().map(|end| &end.spread).collect();
        let row = |name: String, value: &dyn Fn(&Spread) -> String| {
            std::iter::once(name).chain(spreads.iter().map(|spread| value(spread))).collect()
        };
        let mut rows: Vec<Vec<String>> = vec![
            std::iter::once(String::new())
                .chain(self.modelled.iter().map(|end| end.name.to_owned()))
                .collect(),
            row("complete".into(), &|spread| share(spread.completed(), spread.runs())),
        ];
        for percent in [10, 50, 90] {
            let took = |spread: &Spread| time(spread.complete_ms(percent));
            rows.push(row(format!("p{percent} until complete"), &took));
        }
        let peers: BTreeSet<&PeerId> =
            spreads.iter().flat_map(|spread| spread.peers().keys()).collect();
        for peer in peers {
            let used = |spread: &Spread| match spread.peers().get(peer) {
                Some(used) => format!(
                    "{}, {} a run",
                    share(used.runs, spread.runs()),
                    size(used.bytes / spread.runs())
                ),
                None => "0%".to_owned(),
            };
            rows.push(row(format!("used {}", named(peer)), &used));
        }
        rows
    }
}

/// Columns as wide as what stands in them.
fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // What is compared stands on the right.
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        *text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0))
}

fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1}%", part as f64 * 100.0 / whole.max(1) as f64)
}
