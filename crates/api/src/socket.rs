//! One WebSocket that speaks graphql-transport-ws. Subscriptions are pulled: while a client does not
//! read, nothing is produced for it, so there is no queue that could overflow and no event is lost.
//! What is subscribed to is in [`crate::subscription`].
//!
//! <https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md>

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::http::{ClientMessage, WebSocket as Protocol, WebSocketProtocols, WsMessage};
use async_graphql::{Data, Executor, Request, Response, ServerError};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{self, BoxStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{interval, sleep, timeout};

use crate::schema::ApiSchema;

/// The one protocol spoken.
pub(crate) const PROTOCOL: &str = "graphql-transport-ws";

/// Operations at work at the same time on one socket.
const MOST_OPERATIONS: usize = 16;

/// Time to introduce oneself.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// Time for one message to leave; a client that reads nothing for so long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// Time between signs of life, by which also a client that vanished is noticed.
const PING_EVERY: Duration = Duration::from_secs(25);

/// Serves a socket until either side ends it.
pub(crate) async fn run(socket: WebSocket, schema: ApiSchema) {
    let (mut sink, received) = socket.split();
    let executor = Limited { schema, places: Arc::new(Semaphore::new(MOST_OPERATIONS)) };
    let (introduced, init) = oneshot::channel();
    let mut answers = pin!(
        Protocol::from_message_stream(executor, messages(received), WebSocketProtocols::GraphQLWS)
            .on_connection_init(move |_| {
                // The other end is gone only when the socket is, too.
                let _ = introduced.send(());
                ready(Ok(Data::default()))
            })
    );
    let mut overdue = pin!(async {
        tokio::select! {
            Ok(()) = init => std::future::pending().await,
            () = sleep(INIT_WITHIN) => {}
        }
    });
    let mut pings = interval(PING_EVERY);
    pings.reset();
    loop {
        let message = tokio::select! {
            answer = answers.next() => match answer {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => close(code, &reason),
                None => return,
            },
            () = &mut overdue => close(4408, "Connection initialisation timeout"),
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        let last = matches!(message, Message::Close(_));
        match timeout(SEND_WITHIN, sink.send(message)).await {
            Ok(Ok(())) if !last => {}
            Ok(_) | Err(_) => return,
        }
    }
}

fn close(code: u16, reason: &str) -> Message {
    // A close frame holds 123 bytes of reason.
    let reason: String = reason.chars().take(30).collect();
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from(reason) }))
}

/// The protocol's messages in what the socket receives; ends with the socket.
fn messages(
    received: impl Stream<Item = Result<Message, axum::Error>>,
) -> impl Stream<Item = serde_json::Result<ClientMessage>> {
    received
        .take_while(|message| ready(!matches!(message, Err(_) | Ok(Message::Close(_)))))
        .filter_map(|message| {
            ready(match message {
                Ok(Message::Text(text)) => Some(ClientMessage::from_bytes(text.as_bytes())),
                Ok(Message::Binary(bytes)) => Some(ClientMessage::from_bytes(bytes)),
                // Signs of life are answered below this.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) | Err(_) => None,
            })
        })
}

/// The schema with a limit to what one socket may have at work.
#[derive(Clone)]
struct Limited {
    schema: ApiSchema,
    places: Arc<Semaphore>,
}

impl Executor for Limited {
    fn execute(&self, request: Request) -> impl Future<Output = Response> + Send {
        self.schema.execute(request)
    }

    fn execute_stream(
        &self,
        request: Request,
        session: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let words = format!("one socket may have {MOST_OPERATIONS} operations at work");
            let refusal = Response::from_errors(vec![ServerError::new(words, None)]);
            return stream::once(ready(refusal)).boxed();
        };
        let answers = Executor::execute_stream(&self.schema, request, session);
        // The place is free again when the operation is over or taken back.
        answers
            .map(move |answer| {
                let _held = &place;
                answer
            })
            .boxed()
    }
}
