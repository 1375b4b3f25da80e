//! Conversations with other users: what was said, and what of it is not read yet. Sending and acknowledging
//! are the engine's; here a message that the server said twice is one.
//!
//! ```text
//! 1 | last u64 inverted                  -> who the conversation is with
//! 2 | peer                               -> conversation
//! 3 | peer | seq u64 inverted            -> message
//! 4 | peer | seq u64                     -> nothing more: that message is not read yet
//! 5 | peer | id u32 | sent u64           -> nothing: the key says that it came
//! 6 | chat u64                           -> which message of ours nothing is told of yet
//! ```
//! Numbers in keys are big-endian and names have their length before them, so a scan is in order; inverted
//! ones come last first.

use domain::id::ChatId;
use domain::{
    Command, Decision, Envelope, Event, Input, Observation, PeerId, Seq, Timestamp, chat,
};
use eventlog::Signal;

use crate::draft::Draft;
use crate::foreign;
use crate::projection::{Projection as _, folded};
use crate::rows::Standing as _;
use crate::table::{AsOf, Store, Table, TableError};

pub use rows::{Message, MessageState};

/// The types that are stored.
mod rows {
    // rkyv's derive writes undocumented mirror types.
    #![allow(missing_docs)]

    use domain::observation::ChatFault;
    use domain::{PeerId, Seq, Timestamp};
    use rkyv::{Archive, Deserialize, Serialize};

    /// Something said.
    #[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
    pub struct Message {
        /// When it was recorded.
        pub at: Timestamp,
        /// When the server got it, of what was said to us; else when it was recorded.
        pub sent_at: Timestamp,
        /// What was said.
        pub text: String,
        /// What became of it.
        pub state: MessageState,
    }

    /// What became of a message.
    #[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MessageState {
        /// It was said to us.
        Received,
        /// It is on its way to the server.
        Sending,
        /// The server has it.
        Sent,
        /// The server did not get it.
        Failed(ChatFault),
        /// The node ended before it was told whether the server got it.
        Unknown,
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub struct Conversation {
        pub peer: PeerId,
        pub last: Seq,
        pub messages: u64,
        pub unread: u64,
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub struct With {
        pub peer: PeerId,
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub struct Unread {
        pub seq: Seq,
    }

    #[derive(Archive, Serialize, Deserialize)]
    pub struct Untold {
        pub peer: PeerId,
        pub seq: Seq,
    }

    crate::table::rows!(Message, Conversation, With, Unread, Untold);
}

/// The conversations being folded.
pub struct Chat {
    table: Table,
}

impl Chat {
    /// Opens the rows, and a view on them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: &Store) -> Result<(Self, View), TableError> {
        let table = store.table(Self::NAME)?;
        Ok((Self { table: table.clone() }, View { table }))
    }
}

folded!(Chat, "chat", version 1, readable since 1, by fold);

/// A conversation as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// With whom.
    pub peer: PeerId,
    /// Messages in it.
    pub messages: u64,
    /// Those said to us that are not read yet.
    pub unread: u64,
    /// Where the last one is.
    pub last: Seq,
    /// The last one.
    pub newest: Option<Message>,
}

/// Some of a list, and whether there is more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether more come after them.
    pub more: bool,
}

/// Reads conversations. Cheap to clone.
#[derive(Clone)]
pub struct View {
    table: Table,
}

impl View {
    /// The last event folded in, and ways to wait for later ones.
    #[must_use]
    pub fn position(&self) -> &Signal {
        self.table.position()
    }

    /// Conversations, the one with the newest message first; with `after` those whose last message is
    /// before that event. At most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn conversations(
        &self,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<AsOf<Page<Conversation>>, TableError> {
        let snapshot = self.table.snapshot()?;
        let start = [&[NEWEST][..], &beyond(after)].concat();
        let mut keys = snapshot.keys(&[NEWEST], start, limit.saturating_add(1))?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let mut entries = Vec::new();
        for key in keys {
            let Some(rows::With { peer }) = snapshot.get(&key)? else { continue };
            let Some(found) = snapshot.get::<rows::Conversation>(&peer_key(CONVERSATION, &peer))?
            else {
                continue;
            };
            let newest = snapshot.get(&message_key(&peer, found.last))?;
            let rows::Conversation { peer, last, messages, unread } = found;
            entries.push(Conversation { peer, messages, unread, last, newest });
        }
        Ok(AsOf { seq: snapshot.seq, value: Page { entries, more } })
    }

    /// What was said in a conversation, newest first, with positions; with `before` only what was said
    /// before that event. At most `limit`. One that there is not has none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn messages(
        &self,
        peer: &PeerId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<AsOf<Page<(Seq, Message)>>, TableError> {
        let snapshot = self.table.snapshot()?;
        let prefix = peer_key(MESSAGE, peer);
        let start = [&prefix[..], &beyond(before)].concat();
        let mut keys = snapshot.keys(&prefix, start, limit.saturating_add(1))?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let mut entries = Vec::new();
        for key in keys {
            let seq = key.get(prefix.len()..).and_then(|rest| rest.try_into().ok());
            if let (Some(seq), Some(message)) = (seq, snapshot.get(&key)?) {
                entries.push((Seq(!u64::from_be_bytes(seq)), message));
            }
        }
        Ok(AsOf { seq: snapshot.seq, value: Page { entries, more } })
    }
}

const NEWEST: u8 = 1;
const CONVERSATION: u8 = 2;
const MESSAGE: u8 = 3;
const UNREAD: u8 = 4;
const HEARD: u8 = 5;
const UNTOLD: u8 = 6;

/// The end of the first key, of those that come last first, behind the one of an event.
fn beyond(event: Option<Seq>) -> Vec<u8> {
    let first = event.map_or(0, |event| (!event.0).saturating_add(1));
    first.to_be_bytes().to_vec()
}

fn newest_key(last: Seq) -> Vec<u8> {
    [&[NEWEST][..], &(!last.0).to_be_bytes()].concat()
}

fn peer_key(table: u8, peer: &PeerId) -> Vec<u8> {
    let name = foreign::peer(peer).to_string();
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    [&[table][..], &length.to_be_bytes(), name.as_bytes()].concat()
}

fn message_key(peer: &PeerId, seq: Seq) -> Vec<u8> {
    [&peer_key(MESSAGE, peer)[..], &(!seq.0).to_be_bytes()].concat()
}

fn unread_key(peer: &PeerId, seq: Seq) -> Vec<u8> {
    [&peer_key(UNREAD, peer)[..], &seq.0.to_be_bytes()].concat()
}

fn heard_key(peer: &PeerId, id: u32, sent_at: Timestamp) -> Vec<u8> {
    let (id, sent) = (id.to_be_bytes(), sent_at.0.to_be_bytes());
    [&peer_key(HEARD, peer)[..], &id, &sent].concat()
}

fn untold_key(chat: ChatId) -> Vec<u8> {
    [&[UNTOLD][..], &chat.0.to_be_bytes()].concat()
}

fn fold(draft: &mut Draft<'_>, envelope: &Envelope) -> Result<(), TableError> {
    let (seq, at) = (envelope.seq, envelope.at);
    match &envelope.event {
        Event::Input(Input::Command(Command::MarkChatRead { peer, through })) => {
            read(draft, peer, *through)
        }
        Event::Input(Input::Observation(seen)) => match seen {
            Observation::ChatReceived { peer, id, sent_at, text } => {
                let heard = heard_key(peer, *id, *sent_at);
                if draft.is_marked(&heard)? {
                    return Ok(());
                }
                draft.mark(&heard);
                draft.put(&unread_key(peer, seq), &rows::Unread { seq })?;
                let (sent_at, text) = (*sent_at, chat::cut(text).to_owned());
                said(
                    draft,
                    peer,
                    seq,
                    &Message { at, sent_at, text, state: MessageState::Received },
                )
            }
            Observation::ChatSent { chat } => told(draft, *chat, MessageState::Sent),
            Observation::ChatFailed { chat, fault } => {
                told(draft, *chat, MessageState::Failed(*fault))
            }
            // Whatever the process before it was sending, nobody will tell of it any more.
            Observation::NodeStarted { .. } => {
                for (key, rows::Untold { peer, seq }) in draft.scan(&[UNTOLD])? {
                    stand(draft, &peer, seq, MessageState::Unknown)?;
                    draft.remove(&key);
                }
                Ok(())
            }
            _ => Ok(()),
        },
        Event::Decision(Decision::ChatPlanned { chat, peer, text }) => {
            let untold = rows::Untold { peer: foreign::peer(peer), seq };
            draft.put(&untold_key(*chat), &untold)?;
            let text = chat::cut(text).to_owned();
            said(draft, peer, seq, &Message { at, sent_at: at, text, state: MessageState::Sending })
        }
        Event::Input(Input::Command(_)) | Event::Decision(_) => Ok(()),
    }
}

/// Adds a message to its conversation, which becomes the newest.
fn said(
    draft: &mut Draft<'_>,
    peer: &PeerId,
    seq: Seq,
    message: &Message,
) -> Result<(), TableError> {
    let key = peer_key(CONVERSATION, peer);
    let peer = foreign::peer(peer);
    let mut it = match draft.get::<rows::Conversation>(&key)? {
        Some(it) => {
            draft.remove(&newest_key(it.last));
            it
        }
        None => rows::Conversation { peer: peer.clone(), last: seq, messages: 0, unread: 0 },
    };
    it.last = seq;
    it.messages += 1;
    it.unread += u64::from(message.state == MessageState::Received);
    draft.put(&key, &it)?;
    draft.put(&message_key(&peer, seq), message)?;
    draft.put(&newest_key(seq), &rows::With { peer })
}

fn read(draft: &mut Draft<'_>, peer: &PeerId, through: Seq) -> Result<(), TableError> {
    let mut count = 0;
    for (key, rows::Unread { seq }) in draft.scan(&peer_key(UNREAD, peer))? {
        if seq <= through {
            draft.remove(&key);
            count += 1;
        }
    }
    draft.update::<rows::Conversation>(&peer_key(CONVERSATION, peer), |it| {
        it.unread = it.unread.saturating_sub(count);
    })
}

/// What became of a message of ours. One that was never planned, or is told of already, is strange news
/// and changes nothing.
fn told(draft: &mut Draft<'_>, chat: ChatId, state: MessageState) -> Result<(), TableError> {
    let key = untold_key(chat);
    let Some(rows::Untold { peer, seq }) = draft.get(&key)? else { return Ok(()) };
    draft.remove(&key);
    stand(draft, &peer, seq, state)
}

fn stand(
    draft: &mut Draft<'_>,
    peer: &PeerId,
    seq: Seq,
    state: MessageState,
) -> Result<(), TableError> {
    draft.update::<Message>(&message_key(peer, seq), |message| message.state = state)
}
