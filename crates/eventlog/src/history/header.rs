//! What a history says about itself, as lines of text, so that whoever opens the file in a pager sees
//! what it is. Lines of a name that this program does not know are left to newer ones.

use std::fmt::Write;

use domain::{JobId, Policy, Seq};

use crate::damage::Damage;

/// Longest text in bytes.
pub(super) const TEXT_MOST: usize = 16 * 1024;
/// Longest name of a build, in bytes.
const BUILD_MOST: usize = 200;

/// What a history says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The build that wrote it, for people; empty when nobody said.
    pub build: String,
    /// Version of the decision rules that made it; zero when it is not known.
    pub engine: u32,
    /// The seed of the simulated life that it is of.
    pub seed: Option<u64>,
    /// What its last run decided by.
    pub policy: Option<Policy>,
    /// The job it is about; `None` when it is about all of them.
    pub job: Option<JobId>,
    /// The first and the last position that were asked for; `None` when all were.
    pub range: Option<(Seq, Seq)>,
    /// What became of the names of people.
    pub identities: Identities,
}

/// What became of the names of people, their paths and their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identities {
    /// They stand as they were recorded.
    #[default]
    Kept,
    /// Others stand for them.
    Replaced,
}

impl Header {
    /// The lines of the text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name} {value}").expect("a string takes everything");
        };
        line("build", &plain(&self.build));
        line("engine", &self.engine.to_string());
        if let Some(seed) = self.seed {
            line("seed", &seed.to_string());
        }
        if let Some(job) = self.job {
            line("job", &job.to_string());
        }
        if let Some((first, last)) = self.range {
            line("events", &format!("{first} {last}"));
        }
        let replaced = self.identities == Identities::Replaced;
        line("identities", if replaced { "replaced" } else { "kept" });
        for (name, number) in self.policy.iter().flat_map(Policy::fields) {
            line("policy", &format!("{name} {number}"));
        }
        text
    }

    /// Reads the lines of a text.
    pub(super) fn parse(text: &str) -> Result<Self, Damage> {
        let mut header = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            header.take(name, value).ok_or(Damage::Header("a line of it is not understood"))?;
        }
        Ok(header)
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "build" => self.build = plain(value),
            "engine" => self.engine = value.parse().ok()?,
            "seed" => self.seed = Some(value.parse().ok()?),
            "job" => self.job = Some(JobId(value.parse().ok()?)),
            "events" => {
                let (first, last) = value.split_once(' ')?;
                self.range = Some((Seq(first.parse().ok()?), Seq(last.parse().ok()?)));
            }
            "identities" => {
                self.identities = match value {
                    "kept" => Identities::Kept,
                    "replaced" => Identities::Replaced,
                    _ => return None,
                };
            }
            "policy" => {
                let (field, number) = value.split_once(' ')?;
                let number = number.parse().ok()?;
                // A field that a newer program has says nothing to this one.
                let _ = self.policy.get_or_insert_default().set(field, number);
            }
            _ => {}
        }
        Some(())
    }
}

/// A line's worth of a text, without what a terminal would obey.
fn plain(text: &str) -> String {
    let mut plain: String = text.chars().filter(|c| !c.is_control()).collect();
    while plain.len() > BUILD_MOST {
        plain.pop();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_reads_back() {
        let policy = Policy { transfers: 3, ..Policy::default() };
        let header = Header {
            build: "0.1.0 (abc)".into(),
            engine: 2,
            seed: Some(u64::MAX),
            policy: Some(policy),
            job: Some(JobId(7)),
            range: Some((Seq(1), Seq(90))),
            identities: Identities::Replaced,
        };
        assert_eq!(Header::parse(&header.text()).unwrap(), header);
        let nothing = Header::default();
        assert_eq!(Header::parse(&nothing.text()).unwrap(), nothing);
        assert!(header.text().len() < TEXT_MOST / 4);
    }

    #[test]
    fn lines_of_newer_programs_are_left_to_them_and_nonsense_is_refused() {
        let newer = "engine 3\nmood good\npolicy patience 7\n";
        let read = Header::parse(newer).unwrap();
        assert_eq!((read.engine, read.policy), (3, Some(Policy::default())));
        for nonsense in ["engine x", "job", "events 1", "identities some", "policy transfers"] {
            assert!(Header::parse(nonsense).is_err(), "{nonsense}");
        }
        let hostile = Header { build: "a\nengine 9\u{1b}[2J".repeat(90), ..Header::default() };
        let read = Header::parse(&hostile.text()).unwrap();
        assert_eq!(read.engine, 0);
        assert!(read.build.len() <= BUILD_MOST && !read.build.contains('\u{1b}'));
    }
}
