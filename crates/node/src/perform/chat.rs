//! Hands messages to the Soulseek server, in the order of the log: nothing here waits. That they arrived
//! nobody tells.

use domain::PeerId;
use domain::id::ChatId;
use domain::observation::{ChatFault, Observation};
use soulseek::MessageError;

use super::Tools;

pub(super) fn send(tools: &Tools, chat: ChatId, peer: &PeerId, text: &str) -> Observation {
    let client = tools.session.borrow().clone();
    let sent = match (client, peer) {
        (Some(client), PeerId::Soulseek(user)) => client.send_message(user, text),
        (None, PeerId::Soulseek(_)) => Err(MessageError::SessionEnded),
        (_, PeerId::Mesh(_)) => Err(MessageError::Unsuitable),
    };
    let fault = match sent {
        Ok(()) => return Observation::ChatSent { chat },
        Err(MessageError::SessionEnded) => ChatFault::SessionClosed,
        Err(MessageError::Busy) => ChatFault::Busy,
        Err(MessageError::Unsuitable) => ChatFault::Unsuitable,
    };
    Observation::ChatFailed { chat, fault }
}

pub(super) fn acknowledge(tools: &Tools, id: u32) {
    // Without a session it is said again in the next one, and acknowledged then.
    if let Some(client) = tools.session.borrow().as_ref() {
        client.acknowledge_message(id);
    }
}
