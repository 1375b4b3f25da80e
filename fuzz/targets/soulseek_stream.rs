//! A connection's bytes cut into frames and read: `soulseek::conn` over all channels. A byte for
//! the channel, then what the other side sends. No frame is longer than its kind may be, and all
//! bytes before the first error are accounted for.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use soulseek::conn::read_frame;
use soulseek::wire::ServerRequest;
use soulseek::wire::{Channel, DistributedMessage, PeerInit, PeerMessage, ServerMessage};

const CHANNELS: [Channel; 6] = [
    Channel::FromServer,
    Channel::ToServer,
    Channel::Init,
    Channel::Peer,
    Channel::PeerAsked,
    Channel::Distributed,
];

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fuzz_target!(|data: &[u8]| {
    let Some((pick, mut stream)) = data.split_first() else { return };
    let channel = CHANNELS[usize::from(*pick) % CHANNELS.len()];
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            loop {
                let before = stream.len();
                let read = read_frame(&mut stream, channel, Duration::from_secs(1)).await;
                let Ok(frame) = read else { return };
                let length = channel.code_bytes() + frame.body.len();
                assert_eq!(before - stream.len(), 4 + length);
                assert!(length <= channel.cap(frame.code) as usize);
                let (code, body) = (frame.code, &frame.body[..]);
                match channel {
                    Channel::FromServer => drop(ServerMessage::decode(code, body)),
                    Channel::ToServer => drop(ServerRequest::decode(code, body)),
                    Channel::Init => drop(PeerInit::decode(code, body)),
                    Channel::Peer | Channel::PeerAsked => drop(PeerMessage::decode(code, body)),
                    Channel::Distributed => drop(DistributedMessage::decode(code, body)),
                }
            }
        });
    });
});
