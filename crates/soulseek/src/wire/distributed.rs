//! Messages of the distributed search network (`D`), which also arrive embedded in server
//! message 93. What is made of them is [`crate::distributed`].

use super::table::messages;

messages! {
    /// What parents and children tell each other.
    DistributedMessage: u8 {
        /// Keeps the connection alive.
        0 => Ping {}
        /// A search to answer and to pass on. `mark` is 0x31 in every client seen.
        3 => Search { mark: u32, user: String, token: u32, query: String }
        /// How far the sender is from the branch root.
        4 => BranchLevel { level: i32 }
        /// Who the branch root is.
        5 => BranchRoot { user: String }
        /// How deep the sender's own children go.
        7 => ChildDepth { depth: u32 }
    }
}

/// The value of `mark` in a search.
pub const SEARCH_MARK: u32 = 0x31;

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::Channel;

    table_tests!(DistributedMessage, Channel::Distributed);
}
