//! Conversations with Soulseek users, and what becomes of what we say.

use async_graphql::{Enum, SimpleObject};
use domain::chat::Unsuitable;
use domain::decision::CommandRefusal;
use projections::chat;

use crate::object::RefusalCode;
use crate::scalar::{Micros, Seq, small};

/// A conversation with a Soulseek user.
#[derive(SimpleObject)]
pub(crate) struct Chat {
    /// With whom.
    user: String,
    /// Messages in it.
    messages: i32,
    /// Those of the user that are not marked as read.
    unread: i32,
    /// The last message.
    newest: Option<ChatMessage>,
}

impl From<chat::Conversation> for Chat {
    fn from(it: chat::Conversation) -> Self {
        Self {
            user: it.peer.name().to_owned(),
            messages: small(it.messages),
            unread: small(it.unread),
            newest: it.newest.map(|message| ChatMessage::new(it.last, message)),
        }
    }
}

/// Something that was said.
#[derive(SimpleObject)]
pub(crate) struct ChatMessage {
    /// Its position in the log.
    seq: Seq,
    /// When it was recorded.
    at: Micros,
    /// When the server got it, by its clock; when it was recorded, of what we said.
    sent_at: Micros,
    /// What was said: a stranger's words, as they came.
    text: String,
    /// What became of it, and whose it is.
    state: ChatMessageState,
    /// Why it was not sent.
    reason: Option<String>,
}

impl ChatMessage {
    pub(crate) fn new(seq: domain::Seq, message: chat::Message) -> Self {
        let (state, reason) = match message.state {
            chat::MessageState::Received => (ChatMessageState::Received, None),
            chat::MessageState::Sending => (ChatMessageState::Sending, None),
            chat::MessageState::Sent => (ChatMessageState::Sent, None),
            chat::MessageState::Failed(fault) => {
                (ChatMessageState::Failed, Some(fault.to_string()))
            }
            chat::MessageState::Unknown => (ChatMessageState::Unknown, None),
        };
        let (at, sent_at) = (message.at.into(), message.sent_at.into());
        Self { seq: seq.into(), at, sent_at, text: message.text, state, reason }
    }
}

/// What became of a message.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatMessageState {
    /// The user said it to us.
    Received,
    /// We say it, and it is on its way to the server.
    Sending,
    /// We said it. That it arrived nobody tells.
    Sent,
    /// We said it and the server did not get it.
    Failed,
    /// We said it, and the node ended before it was known whether the server got it.
    Unknown,
}

/// Something about a conversation was recorded.
#[derive(SimpleObject)]
pub(crate) struct ChatReceipt {
    /// Position of the last event it caused; of a message, its own.
    pub(crate) seq: Seq,
}

/// The message was not taken.
#[derive(SimpleObject)]
pub(crate) struct ChatRefused {
    /// For programs.
    pub(super) code: RefusalCode,
    /// For people.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
}

impl ChatRefused {
    pub(crate) fn unsuitable(reason: Unsuitable) -> Self {
        let hint = match reason {
            Unsuitable::Empty => "say something",
            Unsuitable::TooLong(_) | Unsuitable::NotOneLine => "say it in several messages",
            Unsuitable::User => "look for the user's name where it is shown",
        };
        let (message, hint) = (reason.to_string(), hint.to_owned());
        Self { code: RefusalCode::UnsuitableMessage, message, hint }
    }

    pub(crate) fn new(reason: CommandRefusal) -> Self {
        Self {
            code: RefusalCode::NotLoggedIn,
            message: reason.to_string(),
            hint: "look at the node's status, which says why, and say it again".to_owned(),
        }
    }
}
