//! What the API is given by the node. All of it is cheap to clone.

use eventlog::Reader;

use crate::inbox::Inbox;

/// Everything that the API answers from.
#[derive(Clone)]
pub struct ApiState {
    /// Takes the commands.
    pub inbox: Inbox,
    /// The durable events.
    pub log: Reader,
    /// Version of the decision rules at work; stands in exported histories.
    pub engine: u32,
    /// Host names this node goes by besides `localhost` and IP addresses: the setting `web.hosts`.
    pub hosts: Vec<String>,
}
