//! Short histories of a [`Tree`], and many long ones made up at random.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::heard::{Heard, Search};
use super::tree::*;
use crate::wire::{DistributedMessage, ServerRequest};

const OWN: &str = "bo";

fn search(user: &str, token: u32) -> Search {
    let query = "tin orchard".to_owned();
    let user = user.to_owned();
    let message = DistributedMessage::Search { mark: 0x31, user, token, query: query.clone() };
    let DistributedMessage::Search { user, .. } = message.clone() else { unreachable!() };
    Search { user, token, query, frame: message.encode().into() }
}

fn heard(user: &str, token: u32) -> Heard {
    Heard::Search(search(user, token))
}

/// One line per action; frames as what they say.
fn told(actions: &[Action]) -> Vec<String> {
    actions.iter().map(line).collect()
}

fn line(action: &Action) -> String {
    match action {
        Action::Dial { user } => format!("dial {user}"),
        Action::Close(link) => format!("close {link}"),
        Action::Answer { user, token, .. } => format!("answer {user} {token}"),
        Action::TellServer(ServerRequest::HaveNoParent { without }) => format!("71 {without}"),
        Action::TellServer(ServerRequest::AcceptChildren { accept }) => format!("100 {accept}"),
        Action::TellServer(ServerRequest::BranchLevel { level }) => format!("126 {level}"),
        Action::TellServer(ServerRequest::BranchRoot { user }) => format!("127 {user}"),
        Action::TellServer(ServerRequest::GetUserStats { user }) => format!("36 {user}"),
        Action::TellServer(other) => format!("{other:?}"),
        Action::Send { to, frame } => {
            let said = match DistributedMessage::decode(frame[4].into(), &frame[5..]).unwrap() {
                DistributedMessage::BranchLevel { level } => format!("level {level}"),
                DistributedMessage::BranchRoot { user } => format!("root {user}"),
                DistributedMessage::Search { user, token, .. } => format!("search {user} {token}"),
                other => format!("{other:?}"),
            };
            format!("{said} to {to:?}")
        }
    }
}

/// A tree whose server allows this many children.
fn tree(children: u32) -> Tree {
    let mut tree = Tree::new(OWN);
    assert_eq!(told(&tree.min_speed(1)), [""; 0]);
    assert_eq!(told(&tree.speed_ratio(50)), ["36 bo"]);
    assert_eq!(told(&tree.own_speed(5 * 1_024 * children)), [""; 0]);
    tree
}

/// Link 1 to the parent, who is at level 3 below root.
fn with_parent(children: u32, now: Instant) -> Tree {
    let mut tree = tree(children);
    assert_eq!(told(&tree.possible_parents(["ada".to_owned()])), ["dial ada"]);
    assert!(tree.candidate_connected(1, "ada", now).is_empty());
    assert!(tree.heard(1, Heard::Level(3), now).is_empty());
    assert!(tree.heard(1, Heard::Root("root".to_owned()), now).is_empty());
    let adopted = told(&tree.heard(1, heard("zoe", 0), now));
    assert_eq!(adopted[..3], ["71 false", "126 4", "127 root"]);
    assert_eq!(adopted.last().unwrap(), "answer zoe 0");
    assert_eq!(adopted.contains(&"100 true".to_owned()), children > 0);
    tree
}

#[test]
fn the_first_that_said_level_root_and_a_search_is_the_parent() {
    let (mut tree, now) = (tree(0), Instant::now());
    let users = ["ada", "cy", "di", OWN, "ada"].map(str::to_owned);
    assert_eq!(told(&tree.possible_parents(users)), ["dial ada", "dial cy", "dial di"]);
    for (link, user) in [(1, "ada"), (2, "cy"), (3, "di")] {
        assert!(tree.candidate_connected(link, user, now).is_empty());
    }
    assert!(tree.heard(1, Heard::Level(2), now).is_empty(), "a root is missing");
    assert!(tree.heard(2, Heard::Level(0), now).is_empty(), "a search is missing");
    assert_eq!(told(&tree.heard(3, heard("zoe", 1), now)), ["answer zoe 1"], "a place is missing");
    // Level 0 is the root itself, and message 5 need not come.
    assert_eq!(
        told(&tree.heard(2, heard("zoe", 2), now)),
        ["close 1", "close 3", "71 false", "126 1", "127 cy", "answer zoe 2"]
    );
    assert_eq!(told(&tree.candidate_connected(4, "late", now)), ["close 4"]);
    assert!(tree.possible_parents(["late".to_owned()]).is_empty());
}

#[test]
fn candidates_lose_our_patience_and_the_parent_does_not() {
    let (mut tree, now) = (tree(0), Instant::now());
    assert_eq!(tree.possible_parents((0..99).map(|number| number.to_string())).len(), CANDIDATES);
    tree.candidate_unreachable("9");
    assert_eq!(told(&tree.possible_parents(["x".to_owned(), "y".to_owned()])), ["dial x"]);
    assert!(tree.candidate_connected(1, "0", now).is_empty());
    assert!(tree.candidate_connected(2, "1", now).is_empty());
    assert!(tree.heard(2, Heard::Level(0), now).is_empty());
    assert!(tree.tick(now + PLACE_PATIENCE / 2).is_empty());
    assert_eq!(told(&tree.tick(now + PLACE_PATIENCE)), ["close 1"]);
    assert_eq!(told(&tree.tick(now + SEARCH_PATIENCE)), ["close 2"]);
    let mut tree = with_parent(0, now);
    assert!(tree.tick(now + SEARCH_PATIENCE * 100).is_empty());
}

#[test]
fn a_loop_and_an_absurd_place_are_refused_before_and_after() {
    let now = Instant::now();
    for strange in [
        Heard::Root(OWN.to_owned()),
        Heard::Root(String::new()),
        Heard::Level(-1),
        Heard::Level(i32::MAX),
        Heard::Level(255),
    ] {
        let mut tree = tree(0);
        assert!(tree.candidate_connected(7, "ada", now).is_empty());
        assert_eq!(told(&tree.heard(7, strange.clone(), now)), ["close 7"], "{strange:?}");
        let mut tree = with_parent(1, now);
        assert_eq!(
            told(&tree.heard(1, strange.clone(), now)),
            ["close 1", "71 true", "126 0", "127 bo", "100 false"],
            "{strange:?}"
        );
    }
    let mut tree = with_parent(2, now);
    assert_eq!(told(&tree.child_connected(8, OWN, now)), ["close 8"]);
    assert_eq!(told(&tree.child_connected(8, "ada", now)), ["close 8"], "the parent below us");
    assert_eq!(told(&tree.child_connected(9, "cy", now)), ["level 4 to [9]", "root root to [9]"]);
    tree.closed(1);
    assert!(tree.possible_parents(["cy".to_owned()]).is_empty(), "a child above us");
    assert_eq!(told(&tree.candidate_connected(10, "cy", now)), ["close 10"]);
}

#[test]
fn children_are_taken_by_the_speed_rule_and_hear_of_every_change() {
    let now = Instant::now();
    let mut alone = tree(2);
    assert_eq!(told(&alone.child_connected(5, "cy", now)), ["close 5"], "nothing to pass on");
    let mut tree = with_parent(2, now);
    assert_eq!(told(&tree.child_connected(5, "cy", now)), ["level 4 to [5]", "root root to [5]"]);
    assert_eq!(
        told(&tree.child_connected(6, "di", now)),
        ["level 4 to [6]", "root root to [6]", "100 false"]
    );
    assert_eq!(told(&tree.child_connected(7, "ed", now)), ["close 7"]);
    assert_eq!(
        told(&tree.heard(1, Heard::Level(1), now)),
        ["126 2", "127 root", "level 2 to [5, 6]", "root root to [5, 6]"]
    );
    assert!(tree.heard(1, Heard::Level(1), now).is_empty(), "no news");
    assert_eq!(told(&tree.closed(6)), ["100 true"]);
    assert_eq!(
        told(&tree.closed(1)),
        ["71 true", "126 0", "127 bo", "level 0 to [5]", "root bo to [5]", "100 false"]
    );
    // Slower than before: those we have stay, and there is no room for another.
    let mut tree = with_parent(2, now);
    tree.child_connected(5, "cy", now);
    assert_eq!(told(&tree.own_speed(1_024)), ["100 false"]);
    assert_eq!(told(&tree.heard(1, heard("zoe", 9), now))[0], "search zoe 9 to [5]");
}

#[test]
fn a_root_passes_on_what_the_server_sends() {
    let (mut tree, now) = (tree(1), Instant::now());
    assert_eq!(told(&tree.embedded(search("zoe", 1), now)), ["100 true", "answer zoe 1"]);
    assert_eq!(
        told(&tree.child_connected(5, "cy", now)),
        ["level 0 to [5]", "root bo to [5]", "100 false"]
    );
    assert_eq!(
        told(&tree.embedded(search("zoe", 2), now)),
        ["search zoe 2 to [5]", "answer zoe 2"]
    );
    assert!(tree.embedded(search("zoe", 2), now).is_empty(), "a copy");
    assert_eq!(told(&tree.heard(5, heard("zoe", 3), now)), ["close 5", "100 true"], "from below");
}

#[test]
fn a_reset_drops_everybody() {
    let now = Instant::now();
    let mut tree = with_parent(2, now);
    tree.child_connected(5, "cy", now);
    assert_eq!(
        told(&tree.reset()),
        ["close 1", "close 5", "71 true", "126 0", "127 bo", "100 false"]
    );
    assert_eq!(told(&tree.possible_parents(["ada".to_owned()])), ["dial ada"]);
    assert_eq!(told(&tree.child_connected(6, "cy", now)), ["close 6"]);
}

#[test]
fn of_two_connections_with_one_user_one_stays() {
    let now = Instant::now();
    let mut tree = with_parent(2, now);
    tree.child_connected(5, "cy", now);
    assert_eq!(told(&tree.child_connected(6, "cy", now)).len(), 2, "told on the new one, too");
    assert_eq!(told(&tree.child_connected(7, "cy", now)), ["close 7"]);
    assert_eq!(told(&tree.heard(1, heard("zoe", 1), now))[0], "search zoe 1 to [6]");
    // It chose the older one.
    let mut chose = with_parent(2, now);
    chose.child_connected(5, "cy", now);
    chose.child_connected(6, "cy", now);
    chose.closed(6);
    assert_eq!(told(&chose.heard(1, heard("zoe", 1), now))[0], "search zoe 1 to [5]");
    // It did not choose.
    assert_eq!(told(&tree.tick(now + TWIN_PATIENCE)), ["close 5"]);
    // Above, both may say where they stand. Searches come on the one that the other side keeps.
    let mut tree = self::tree(0);
    for link in [1, 2] {
        assert!(tree.candidate_connected(link, "ada", now).is_empty());
        assert!(tree.heard(link, Heard::Level(0), now).is_empty());
    }
    assert_eq!(told(&tree.candidate_connected(3, "ada", now)), ["close 3"]);
    assert_eq!(told(&tree.heard(2, heard("zoe", 2), now))[..2], ["close 1", "71 false"]);
}

#[test]
fn whoever_talks_without_end_is_left() {
    let now = Instant::now();
    let mut tree = with_parent(1, now);
    tree.child_connected(5, "cy", now);
    tree.tick(now);
    for link in [1, 5] {
        for _ in 0..CHATTER {
            assert!(tree.heard(link, Heard::Other, now).is_empty());
        }
    }
    tree.tick(now);
    for _ in 0..CHATTER {
        assert!(tree.heard(5, Heard::Other, now).is_empty());
    }
    assert_eq!(told(&tree.heard(5, Heard::Other, now)), ["close 5", "100 true"]);
    let moves = (0..).map(|number| told(&tree.heard(1, Heard::Level(number % 9 + 4), now)));
    let mut moves = moves.take(1 + CHATTER as usize);
    assert!(moves.any(|told| told.contains(&"71 true".to_owned())));
}

#[derive(Debug, Clone)]
enum Step {
    Speed(u32),
    Candidates(Vec<u8>),
    Above(u8),
    Below(u8),
    Say(u8, Heard),
    Embedded(u32),
    Closed(u8),
    Reset,
    Wait(u64),
}

fn user(number: u8) -> String {
    // One of them is ourselves.
    if number == 0 { OWN.to_owned() } else { format!("user{number}") }
}

fn step() -> impl Strategy<Value = Step> {
    let said = prop_oneof![
        3 => (-1..9i32).prop_map(Heard::Level),
        3 => (0..9u8).prop_map(|number| Heard::Root(user(number))),
        4 => (0..50u32).prop_map(|token| heard("zoe", token)),
        1 => Just(Heard::Other),
    ];
    prop_oneof![
        1 => (0..80_000u32).prop_map(Step::Speed),
        2 => proptest::collection::vec(0..30u8, 0..20).prop_map(Step::Candidates),
        4 => (0..30u8).prop_map(Step::Above),
        4 => (0..30u8).prop_map(Step::Below),
        12 => (any::<u8>(), said).prop_map(|(link, said)| Step::Say(link, said)),
        2 => (0..50u32).prop_map(Step::Embedded),
        2 => any::<u8>().prop_map(Step::Closed),
        1 => Just(Step::Reset),
        1 => (0..40u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// What the outside sees of a tree, whatever happens around it: no connection is written to that
    /// is closed, none is forgotten, and server and children are told the same true place.
    #[test]
    fn every_history_leaves_a_tree(steps in proptest::collection::vec(step(), 1..200)) {
        let mut tree = tree(3);
        let mut now = Instant::now();
        let (mut open, mut last_link) = (HashMap::<u64, (String, bool)>::new(), 0);
        let (mut without, mut level, mut root, mut accept) = (true, 0, OWN.to_owned(), false);
        let mut heard_by_child = HashMap::<u64, (i32, String)>::new();
        for step in steps {
            let at = |open: &HashMap<u64, (String, bool)>, pick: u8| {
                let mut links: Vec<_> = open.keys().copied().collect();
                links.sort_unstable();
                links.get(usize::from(pick) % links.len().max(1)).copied().unwrap_or(u64::MAX)
            };
            let actions = match step {
                Step::Speed(speed) => tree.own_speed(speed),
                Step::Candidates(users) => tree.possible_parents(users.into_iter().map(user)),
                Step::Above(number) => {
                    last_link += 1;
                    open.insert(last_link, (user(number), true));
                    tree.candidate_connected(last_link, &user(number), now)
                }
                Step::Below(number) => {
                    last_link += 1;
                    open.insert(last_link, (user(number), false));
                    tree.child_connected(last_link, &user(number), now)
                }
                Step::Say(pick, said) => tree.heard(at(&open, pick), said, now),
                Step::Embedded(token) => tree.embedded(search("zoe", token), now),
                Step::Closed(pick) => {
                    let link = at(&open, pick);
                    open.remove(&link);
                    tree.closed(link)
                }
                Step::Reset => tree.reset(),
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    tree.tick(now)
                }
            };
            let mut answered = 0;
            for action in actions {
                match action {
                    Action::Close(link) => prop_assert!(open.remove(&link).is_some()),
                    Action::Send { to, frame } => {
                        for link in to {
                            let (_, above) = &open[&link];
                            prop_assert!(!above, "sent upwards");
                            let place = heard_by_child.entry(link).or_default();
                            match DistributedMessage::decode(frame[4].into(), &frame[5..]).unwrap() {
                                DistributedMessage::BranchLevel { level } => place.0 = level,
                                DistributedMessage::BranchRoot { user } => place.1 = user,
                                _ => {}
                            }
                        }
                    }
                    Action::TellServer(ServerRequest::HaveNoParent { without: told }) => without = told,
                    Action::TellServer(ServerRequest::BranchLevel { level: told }) => level = told,
                    Action::TellServer(ServerRequest::BranchRoot { user }) => root = user,
                    Action::TellServer(ServerRequest::AcceptChildren { accept: told }) => {
                        prop_assert_ne!(told, accept, "said twice");
                        accept = told;
                    }
                    Action::TellServer(other) => prop_assert!(false, "{:?}", other),
                    Action::Answer { .. } => answered += 1,
                    Action::Dial { user } => {
                        prop_assert!(without && user != OWN);
                        prop_assert!(open.values().all(|(known, _)| *known != user));
                    }
                }
            }
            prop_assert!(answered <= 1);
            prop_assert_eq!(without, level == 0);
            prop_assert_eq!(without, root == OWN);
            let mut users = HashMap::<&str, Vec<bool>>::new();
            for (user, above) in open.values() {
                users.entry(user).or_default().push(*above);
            }
            for (user, sides) in &users {
                prop_assert!(*user != OWN && sides.len() <= 2, "{user} {sides:?}");
                prop_assert!(sides.iter().all(|above| above == &sides[0]), "{user} on both sides");
            }
            let above = open.values().filter(|(_, above)| *above).count();
            prop_assert!(without || above == 1, "a parent beside candidates");
            prop_assert!(above <= 20 && open.len() - above <= 20);
            let newest = |link: &u64| {
                let user = &open[link].0;
                open.iter().all(|(other, (name, _))| name != user || other <= link)
            };
            for (link, _) in open.iter().filter(|(link, (_, above))| !above && newest(link)) {
                let place = (i32::try_from(level).unwrap(), root.clone());
                prop_assert_eq!(&heard_by_child[link], &place);
            }
        }
    }
}
