//! The misfortunes of a life as a list, so that a life is a seed and its faults: the same life can be
//! lived with fewer of them. What each does is in [`crate::world`] and [`crate::run`]; which of them a
//! seed brings is in [`draw`], how they are written in a file in [`text`].

mod draw;
mod text;

pub use draw::drawn;
pub use text::{ParseError, listed, parse};

/// One misfortune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Strikes after so many inputs have entered. Not a time: clocks are among what goes wrong, and
    /// inputs crowd in moments.
    pub at: u32,
    /// What goes wrong.
    pub what: Misfortune,
}

/// What goes wrong. A peer is meant by its number among those that are not honest, counted round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfortune {
    /// Connections with a peer break, and the next one too, after so many bytes of the file.
    PeerDies {
        /// The peer.
        peer: u8,
        /// Bytes of the next file.
        after: u64,
    },
    /// From now on a peer is silent after so many bytes of a file.
    PeerStalls {
        /// The peer.
        peer: u8,
        /// Bytes of a file.
        after: u64,
    },
    /// From now on a peer sends more than was asked, or what was not.
    PeerLies {
        /// The peer.
        peer: u8,
    },
    /// From now on a peer shares nothing with us.
    PeerDenies {
        /// The peer.
        peer: u8,
    },
    /// From now on a peer offers another size than it has.
    PeerChangesSize {
        /// The peer.
        peer: u8,
    },
    /// From now on a peer keeps us in its queue for ever.
    PeerQueues {
        /// The peer.
        peer: u8,
    },
    /// A peer is gone.
    PeerLeaves {
        /// The peer.
        peer: u8,
    },
    /// A peer is there and means well.
    PeerReturns {
        /// The peer.
        peer: u8,
    },
    /// The connection to the server is lost for a while.
    SessionLost {
        /// Until the next log-in.
        for_ms: u64,
    },
    /// The next lookup finds its service busy.
    ServiceBusy {
        /// How long it asks to be left alone; zero when it does not say.
        retry_after_ms: u64,
    },
    /// The next lookup finds no way to its service.
    ServiceUnreachable,
    /// The next description asked for is not there; a person tries again.
    ReleaseMissing,
    /// The next identity asked for is refused for our key; a person tries again.
    KeyRefused,
    /// The next thing to be written finds the disk full.
    DiskFull,
    /// The next file that is examined or published is gone from staging.
    StagingLost,
    /// The process dies.
    Crash(CrashPoint),
    /// The clock goes back.
    ClockBack {
        /// So far.
        ms: u64,
    },
    /// The clock goes forward.
    ClockForward {
        /// So far.
        ms: u64,
    },
    /// The next answer of a service, the disk or a search comes a second time.
    AnswerTwice {
        /// So much later.
        after_ms: u64,
    },
    /// The next answer comes late.
    AnswerLate {
        /// So much later.
        by_ms: u64,
    },
    /// The next news of a peer never comes.
    AnswerLost,
    /// A person asks to try again.
    PersonRetries,
    /// A person cancels the job, and adds the album anew.
    PersonChangesMind,
}

/// Where in the handling of the next input the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPoint {
    /// The input is lost.
    BeforeAppend,
    /// It is durable, and so many of its effects are begun.
    AfterEffects(u8),
}
