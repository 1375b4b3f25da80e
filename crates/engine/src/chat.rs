//! Private chat: what we say is numbered and sent, what is said to us is acknowledged once it is recorded.
//! Nothing is remembered of either but the last number: conversations are a view, and what was on its way
//! when the process died is not sent again.

use domain::decision::CommandRefusal;
use domain::id::ChatId;
use domain::{Command, Decision, Input, Observation, Timestamp};

use crate::state::State;

pub(crate) fn react(state: &State, input: &Input, _: Timestamp) -> Vec<Decision> {
    match input {
        Input::Command(Command::SendChat { .. }) if !state.run.session => {
            vec![Decision::CommandRefused { reason: CommandRefusal::NotLoggedIn }]
        }
        Input::Command(Command::SendChat { peer, text }) => {
            let chat = ChatId(state.last_chat.saturating_add(1));
            vec![Decision::ChatPlanned { chat, peer: peer.clone(), text: text.clone() }]
        }
        // Also when it came before: the server says it again until it is told.
        Input::Observation(Observation::ChatReceived { id, .. }) => {
            vec![Decision::ChatTaken { id: *id }]
        }
        Input::Command(_) | Input::Observation(_) => Vec::new(),
    }
}

pub(crate) fn planned(state: &mut State, chat: ChatId) {
    state.last_chat = chat.0;
}

#[cfg(test)]
mod tests {
    use domain::{Effect, PeerId};

    use super::*;
    use crate::testing::*;

    fn say(text: &str) -> Input {
        let peer = PeerId::Soulseek("ada".into());
        Input::Command(Command::SendChat { peer, text: text.into() })
    }

    fn heard() -> Input {
        Input::Observation(Observation::ChatReceived {
            peer: PeerId::Soulseek("ada".into()),
            id: 7,
            sent_at: Timestamp(5_000_000),
            text: "hello".into(),
        })
    }

    #[test]
    fn messages_are_numbered_and_sent_while_there_is_a_session() {
        given([session(), say("one")])
            .when(say("two"))
            .then("ChatPlanned         chat=2 to=slsk:ada text=\"two\"");
        given([])
            .when(say("one"))
            .then("CommandRefused      reason=\"we are not logged in to the Soulseek server\"");
    }

    #[test]
    fn what_is_said_to_us_is_acknowledged_each_time_it_comes() {
        given([session()]).when(heard()).then("ChatTaken           id=7");
        given([session(), heard()]).when(heard()).then("ChatTaken           id=7");
    }

    #[test]
    fn what_was_on_its_way_when_the_process_died_is_not_sent_again() {
        let engine = given([session(), say("one"), heard()]);
        let engine = engine.engine();
        assert_eq!(engine.resume(), Vec::<Effect>::new());
    }
}
