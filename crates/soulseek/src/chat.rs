//! Private chat: messages to one user by way of the server. Keeps nothing: a server keeps what was said to
//! us until it is acknowledged, and tells of nothing that we say whether it arrived. SOULSEEK.md 2.2, 22
//! and 23.

use tokio::sync::mpsc::error::TrySendError;

use crate::client::Client;
use crate::event::Event;
use crate::session::Session;
use crate::wire::ServerRequest;

/// Longest message that servers take, in bytes. SOULSEEK.md 2.8.
pub const LONGEST_MESSAGE: usize = 2_048;

/// Why a message was not handed to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The session is over.
    #[error("session ended")]
    SessionEnded,
    /// It has no words, or more bytes than servers take.
    #[error("message is empty or longer than {LONGEST_MESSAGE} bytes")]
    Unsuitable,
    /// The server takes requests more slowly than they are made.
    #[error("too many requests wait to be sent to the server")]
    Busy,
}

impl Client {
    /// Hands a message to the server (code 22), after those before it. The server keeps it for a user who
    /// is not logged in, and says nothing of one who does not exist.
    pub fn send_message(&self, user: &str, text: &str) -> Result<(), MessageError> {
        if text.trim().is_empty() || text.len() > LONGEST_MESSAGE {
            return Err(MessageError::Unsuitable);
        }
        let request =
            ServerRequest::PrivateMessage { user: user.to_owned(), text: text.to_owned() };
        let session = self.session().map_err(|_| MessageError::SessionEnded)?;
        session.try_tell_server(request).map_err(|error| match error {
            TrySendError::Full(_) => MessageError::Busy,
            TrySendError::Closed(_) => MessageError::SessionEnded,
        })
    }

    /// Has the server not send a message again (code 23): once it is where no crash can lose it. Where
    /// this is lost, the message comes again with the next login.
    pub fn acknowledge_message(&self, id: u32) {
        if let Ok(session) = self.session() {
            session.mention_to_server(ServerRequest::AcknowledgeMessage { id });
        }
    }
}

/// Message 22. Dropped when nobody takes events fast enough: the server says it again at the next login.
/// What an ignored user says is not told, and the server need not keep it.
pub(crate) fn heard(session: &Session, id: u32, at: u32, user: String, text: String) {
    if session.manners.ignored.has_user(&user) {
        return session.mention_to_server(ServerRequest::AcknowledgeMessage { id });
    }
    session.events.mention(Event::PrivateMessage { id, sent_at_s: at, user, text });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocklist::Blocklist;
    use crate::manners::Manners;
    use crate::session::offline_with;
    use crate::shares::Shares;

    #[tokio::test]
    async fn what_ignored_users_say_is_acknowledged_and_not_told() {
        let ignored = Blocklist::parse(["ada"]).unwrap();
        let manners = Manners { ignored, ..Manners::default() };
        let (session, mut requests) = offline_with(Shares::default(), manners);
        for user in ["bo", "ada"] {
            heard(&session, 7, 1, user.to_owned(), "hello".to_owned());
        }
        let acknowledged = ServerRequest::AcknowledgeMessage { id: 7 }.encode();
        assert_eq!(requests.try_recv(), Ok(acknowledged));
        assert!(requests.try_recv().is_err(), "bo's is acknowledged once it is durable");
    }
}
