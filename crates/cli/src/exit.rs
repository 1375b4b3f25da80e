//! Exit codes, and how a failed command says why.

use std::fmt;
use std::process::ExitCode;

/// What `--help` says of exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  no such thing
  4  the node cannot be reached
  5  a log is damaged
  6  verification failed: a replay diverged, an album was not verified, or a law was broken
  7  refused";

/// A failure with an exit code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    words: String,
}

impl Failure {
    pub(crate) fn usage(words: impl Into<String>) -> anyhow::Error {
        Self { code: 2, words: words.into() }.into()
    }

    pub(crate) fn not_found(words: impl Into<String>) -> anyhow::Error {
        Self { code: 3, words: words.into() }.into()
    }

    pub(crate) fn unreachable(words: impl Into<String>) -> anyhow::Error {
        Self { code: 4, words: words.into() }.into()
    }

    pub(crate) fn damaged(words: impl Into<String>) -> anyhow::Error {
        Self { code: 5, words: words.into() }.into()
    }

    pub(crate) fn unverified(words: impl Into<String>) -> anyhow::Error {
        Self { code: 6, words: words.into() }.into()
    }

    pub(crate) fn refused(words: impl Into<String>) -> anyhow::Error {
        Self { code: 7, words: words.into() }.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Failure {}

/// Prints an error and what caused it, and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
    ExitCode::from(error.downcast_ref::<Failure>().map_or(1, |failure| failure.code))
}
