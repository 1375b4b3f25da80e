//! Private messages on their way: kept for each account until its client acknowledges them.

use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use soulseek::LONGEST_MESSAGE;
use soulseek::wire::ServerMessage;

use super::online::State;

/// Messages that wait for one account. What comes on top of them is not taken.
const WAITING: usize = 256;
/// Users that one message may go to (code 149).
const RECEIVERS: usize = 100;

/// What was said and is not acknowledged, by whom it is for.
#[derive(Debug, Default)]
pub(super) struct Mail {
    waiting: HashMap<String, VecDeque<Letter>>,
    last: u32,
}

#[derive(Debug, Clone)]
struct Letter {
    id: u32,
    at: u32,
    from: String,
    text: String,
}

impl Letter {
    fn message(&self, is_new: bool) -> ServerMessage {
        ServerMessage::PrivateMessage {
            id: self.id,
            at: self.at,
            user: self.from.clone(),
            text: self.text.clone(),
            is_new: Some(is_new),
        }
    }
}

impl State {
    /// Codes 22 and 149. As on real servers nobody is told of what is not taken.
    pub(super) fn say(&mut self, from: &str, to: &[String], text: &str) {
        if text.is_empty() || text.len() > LONGEST_MESSAGE {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = u32::try_from(now).unwrap_or(u32::MAX);
        for user in to.iter().take(RECEIVERS) {
            if !self.knows(user) {
                continue;
            }
            let waiting = self.mail.waiting.entry(user.clone()).or_default();
            if waiting.len() >= WAITING {
                continue;
            }
            self.mail.last = self.mail.last.wrapping_add(1);
            let letter =
                Letter { id: self.mail.last, at, from: from.to_owned(), text: text.to_owned() };
            let message = letter.message(true);
            waiting.push_back(letter);
            self.send(user, message);
        }
    }

    /// Code 23.
    pub(super) fn acknowledged(&mut self, user: &str, id: u32) {
        if let Some(waiting) = self.mail.waiting.get_mut(user) {
            waiting.retain(|letter| letter.id != id);
        }
    }

    /// What waits for somebody who has just logged in.
    pub(super) fn deliver(&self, user: &str) {
        for letter in self.mail.waiting.get(user).into_iter().flatten() {
            self.send(user, letter.message(false));
        }
    }
}
