//! Conversations folded from what was said.

use domain::id::ChatId;
use domain::observation::ChatFault;
use domain::{Command, Decision, Event, Input, Observation, PeerId, Policy, Seq, Timestamp};
use eventlog::{Log, Step};
use projections::chat::{Chat, MessageState, View};
use projections::{Projection, Store, follow};

fn peer(name: &str) -> PeerId {
    PeerId::Soulseek(name.into())
}

fn started() -> Input {
    let (policy, engine, build) = (Policy::default(), 4, String::new());
    Input::Observation(Observation::NodeStarted { policy, engine, build })
}

fn heard(from: &str, id: u32, text: &str) -> Input {
    let (peer, sent_at, text) = (peer(from), Timestamp(1_000_000), text.into());
    Input::Observation(Observation::ChatReceived { peer, id, sent_at, text })
}

fn say(to: &str, text: &str) -> Input {
    Input::Command(Command::SendChat { peer: peer(to), text: text.into() })
}

fn told(seen: Observation) -> Input {
    Input::Observation(seen)
}

struct Node {
    said: u64,
    log: Log,
    chat: Chat,
    view: View,
    reader: eventlog::Reader,
    _dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (log, reader) = Log::open(&dir.path().join("log")).unwrap();
        let store = Store::open(&dir.path().join("views")).unwrap();
        let (chat, view) = Chat::open(&store).unwrap();
        Self { said: 0, log, chat, view, reader, _dir: dir }
    }

    fn lives(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            let at = Timestamp(self.reader.durable().0 * 1_000_000);
            let mut events = vec![Event::Input(input.clone())];
            if let Input::Command(Command::SendChat { peer, text }) = input {
                self.said += 1;
                let chat = ChatId(self.said);
                events.push(Event::Decision(Decision::ChatPlanned { chat, peer, text }));
            }
            self.log.append(&[Step::new(at, &events)]).unwrap();
        }
        follow::catch_up(&mut self.chat, &self.reader).unwrap();
    }

    fn lists(&self) -> Vec<(String, u64, u64, String)> {
        let page = self.view.conversations(None, 100).unwrap().value;
        let row = |it: projections::chat::Conversation| {
            (it.peer.name().to_owned(), it.messages, it.unread, it.newest.unwrap().text)
        };
        page.entries.into_iter().map(row).collect()
    }

    fn reads(&self, name: &str) -> Vec<(u64, String, MessageState)> {
        let page = self.view.messages(&peer(name), None, 100).unwrap().value;
        page.entries.into_iter().map(|(seq, it)| (seq.0, it.text, it.state)).collect()
    }
}

#[test]
fn conversations_are_listed_by_their_newest_message_and_read_up_to_one() {
    let mut node = Node::new();
    node.lives([started(), told(Observation::SessionOpened)]);
    node.lives([heard("ada", 1, "one"), heard("bo", 2, "hi"), heard("ada", 3, "two")]);
    let row = |name: &str, messages, unread, text: &str| {
        (name.to_owned(), messages, unread, text.to_owned())
    };
    assert_eq!(node.lists(), [row("ada", 2, 2, "two"), row("bo", 1, 1, "hi")]);
    // What comes between reading and saying so stays unread.
    let through = Seq(node.reads("ada")[1].0);
    node.lives([Input::Command(Command::MarkChatRead { peer: peer("ada"), through })]);
    node.lives([say("bo", "hello")]);
    assert_eq!(node.lists(), [row("bo", 2, 1, "hello"), row("ada", 2, 1, "two")]);

    let first = node.view.conversations(None, 1).unwrap().value;
    assert!(first.more && first.entries[0].peer == peer("bo"));
    let next = node.view.conversations(Some(first.entries[0].last), 1).unwrap().value;
    assert!(!next.more && next.entries[0].peer == peer("ada"));
    let newest = node.view.messages(&peer("ada"), None, 1).unwrap().value;
    assert_eq!((newest.more, newest.entries[0].1.text.as_str()), (true, "two"));
    let before = node.view.messages(&peer("ada"), Some(newest.entries[0].0), 5).unwrap().value;
    assert_eq!((before.more, before.entries[0].1.text.as_str()), (false, "one"));
    assert!(node.reads("nobody").is_empty());
}

#[test]
fn what_the_server_says_twice_was_said_once() {
    let mut node = Node::new();
    node.lives([started(), heard("ada", 1, "one"), started(), heard("ada", 1, "one")]);
    assert_eq!(node.lists(), [("ada".to_owned(), 1, 1, "one".to_owned())]);
    // A number that a server gives again is of another message when the time is another.
    let (id, text) = (1, "one".to_owned());
    let sent_at = Timestamp(9_000_000);
    node.lives([told(Observation::ChatReceived { peer: peer("ada"), id, sent_at, text })]);
    assert_eq!(node.lists()[0].1, 2);
}

#[test]
fn a_message_of_ours_says_what_became_of_it() {
    let mut node = Node::new();
    node.lives([started(), told(Observation::SessionOpened)]);
    node.lives([say("ada", "one"), say("ada", "two"), say("ada", "three")]);
    let [one, two] = [1, 2].map(ChatId);
    let (sent, fault) = (Observation::ChatSent { chat: one }, ChatFault::SessionClosed);
    node.lives([told(sent), told(Observation::ChatFailed { chat: two, fault })]);
    let states = |node: &Node| node.reads("ada").into_iter().map(|it| it.2).collect::<Vec<_>>();
    let before = [MessageState::Sending, MessageState::Failed(fault), MessageState::Sent];
    assert_eq!(states(&node), before);
    node.lives([started()]);
    let after = [MessageState::Unknown, MessageState::Failed(fault), MessageState::Sent];
    assert_eq!(states(&node), after);
    assert_eq!(node.lists()[0].2, 0, "what we say is not unread");
    let folded = node.lists();
    follow::rebuild(&mut node.chat, &node.reader).unwrap();
    assert_eq!(node.lists(), folded);
    assert_eq!(Chat::NAME, "chat");
}
