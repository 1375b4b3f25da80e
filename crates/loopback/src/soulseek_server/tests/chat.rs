//! Private messages between clients of this crate.

use soulseek::MessageError;

use super::*;

async fn message(events: &mut EventReceiver) -> (u32, String, String) {
    let told = event(events, |event| matches!(event, Event::PrivateMessage { .. })).await;
    let Event::PrivateMessage { id, user, text, sent_at_s } = told else { unreachable!() };
    assert!(sent_at_s > 1_700_000_000, "{sent_at_s}");
    (id, user, text)
}

/// Returns when the server has taken all that was sent before: it answers in order.
async fn settled(client: &Client, nobody: &str) {
    let mut download = client.download(nobody, "x").await.unwrap();
    assert!(matches!(ended(&mut download).await, DownloadEnd::PeerOffline));
}

#[tokio::test]
async fn a_message_comes_again_until_it_is_acknowledged() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, mut heard) = log_in(&server, "bo", 3).await;
    ada.send_message("bo", "one").unwrap();
    ada.send_message("bo", "two").unwrap();
    let (first, from, text) = message(&mut heard).await;
    assert_eq!((from.as_str(), text.as_str()), ("ada", "one"));
    let (second, _, text) = message(&mut heard).await;
    assert_eq!(text, "two");
    bo.acknowledge_message(first);
    settled(&bo, "nobody").await;
    bo.close().await;

    // Said while nobody was there, after what nobody acknowledged.
    ada.send_message("bo", "three").unwrap();
    settled(&ada, "bo").await;
    let (bo, mut heard) = log_in(&server, "bo", 3).await;
    assert_eq!(message(&mut heard).await, (second, "ada".to_owned(), "two".to_owned()));
    let (third, _, text) = message(&mut heard).await;
    assert_eq!(text, "three");
    bo.acknowledge_message(second);
    bo.acknowledge_message(third);
    bo.send_message("ada", "all read").unwrap();
    settled(&bo, "nobody").await;
    bo.close().await;

    let (_bo, mut heard) = log_in(&server, "bo", 3).await;
    ada.send_message("bo", "four").unwrap();
    assert_eq!(message(&mut heard).await.2, "four", "nothing comes again");
}

#[tokio::test]
async fn what_no_server_takes_is_not_sent() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (_bo, mut heard) = log_in(&server, "bo", 3).await;
    let longest = "x".repeat(soulseek::LONGEST_MESSAGE);
    for text in ["", " ", &format!("{longest}x")] {
        assert_eq!(ada.send_message("bo", text), Err(MessageError::Unsuitable));
    }
    ada.send_message("bo", &longest).unwrap();
    assert_eq!(message(&mut heard).await.2, longest);
    ada.clone().close().await;
    assert_eq!(ada.send_message("bo", "late"), Err(MessageError::SessionEnded));
}

#[tokio::test]
async fn more_than_a_mailbox_holds_is_not_kept() {
    let server = server().await;
    let (ada, _ada) = log_in(&server, "ada", 2).await;
    let (bo, _bo) = log_in(&server, "bo", 3).await;
    bo.close().await;
    for number in 0..300 {
        while ada.send_message("bo", &number.to_string()) == Err(MessageError::Busy) {
            tokio::task::yield_now().await;
        }
    }
    settled(&ada, "bo").await;
    for (first, last) in [(0, 100), (100, 200), (200, 256)] {
        let (bo, mut heard) = log_in(&server, "bo", 3).await;
        for number in first..last {
            let (id, _, text) = message(&mut heard).await;
            assert_eq!(text, number.to_string());
            bo.acknowledge_message(id);
        }
        settled(&bo, "nobody").await;
        bo.close().await;
    }
    let (_bo, mut heard) = log_in(&server, "bo", 3).await;
    ada.send_message("bo", "end").unwrap();
    assert_eq!(message(&mut heard).await.2, "end");
}
