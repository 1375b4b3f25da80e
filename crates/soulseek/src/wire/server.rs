//! The server connection: one table of what a client sends, one of what a server sends.
//!
//! Says how messages lie on the wire and not what they lead to: that is [`crate::server`] and the
//! files it names.

mod messages;
mod records;
mod requests;

pub use messages::ServerMessage;
pub use records::{
    LoginAnswer, Obfuscation, ParentCandidate, Recommendation, RoomOwnership, SimilarUser, Ticker,
    UserState, UserStats,
};
pub use requests::ServerRequest;

#[cfg(test)]
mod tests {
    use super::super::table::table_tests;
    use super::*;
    use crate::wire::Channel;

    mod requests {
        use super::*;
        table_tests!(ServerRequest, Channel::ToServer);
    }

    mod messages {
        use super::*;
        table_tests!(ServerMessage, Channel::FromServer);
    }

    /// What aioslsk 1.7.1 writes of these, fields `a`, `r`, `t` and so on.
    #[test]
    fn lists_lie_as_another_client_writes_them() {
        let stats = UserStats { speed: 1, uploads: 2, reserved: 0, files: 3, folders: 4 };
        let one = |text: &str| vec![text.to_owned()];
        let liked = |thing: &str, score| vec![Recommendation { thing: thing.to_owned(), score }];
        let written = [
            (
                "520000000e000000010000007201000000010000006101000000020000000100000001000000020000\
                 00000000000300000004000000010000000100000001000000020000004445010000006f0100000001\
                 00000078",
                ServerMessage::JoinedRoom {
                    room: "r".into(),
                    users: one("a"),
                    statuses: vec![2],
                    stats: vec![stats.clone()],
                    slots_full: vec![1],
                    countries: one("DE"),
                    ownership: Some(RoomOwnership { owner: "o".into(), operators: Some(one("x")) }),
                },
            ),
            (
                "30000000100000000100000072010000006102000000010000000200000000000000030000000400\
                 000001000000020000004445",
                ServerMessage::UserJoinedRoom {
                    room: "r".into(),
                    user: "a".into(),
                    status: 2,
                    stats,
                    slots_full: 1,
                    country: Some("DE".into()),
                },
            ),
            (
                "170000001600000007000000080000000100000061010000007401",
                ServerMessage::PrivateMessage {
                    id: 7,
                    at: 8,
                    user: "a".into(),
                    text: "t".into(),
                    is_new: Some(true),
                },
            ),
            (
                "1e0000003600000001000000010000007805000000010000000100000079fdffffff",
                ServerMessage::Recommendations {
                    recommended: liked("x", 5),
                    discouraged: liked("y", -3),
                },
            ),
            (
                "110000006e00000001000000010000006102000000",
                ServerMessage::SimilarUsers {
                    users: vec![SimilarUser { user: "a".into(), score: 2 }],
                },
            ),
            (
                "170000007100000001000000720100000001000000610100000074",
                ServerMessage::Tickers {
                    room: "r".into(),
                    tickers: vec![Ticker { user: "a".into(), ticker: "t".into() }],
                },
            ),
        ];
        for (hex, message) in written {
            let frame: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            assert_eq!(message.encode(), frame, "{message:?}");
        }
    }

    #[test]
    fn an_unknown_code_keeps_its_bytes() {
        let message = ServerMessage::decode(9_999, &[1, 2, 3]).unwrap();
        assert_eq!(message, ServerMessage::Unknown { code: 9_999, body: vec![1, 2, 3] });
        assert_eq!(message.encode(), [7, 0, 0, 0, 0x0f, 0x27, 0, 0, 1, 2, 3]);
    }
}
