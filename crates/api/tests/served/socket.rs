//! GraphQL over a WebSocket, with a client of another make.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::node::Node;

pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    pub async fn connect(node: &Node, protocol: &str) -> Result<Self, Error> {
        let url = format!("ws://{}/graphql/ws", node.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
        let socket = TcpStream::connect(&node.address).await.unwrap();
        Ok(Self(tokio_tungstenite::client_async(request, socket).await?.0))
    }

    pub async fn introduced(node: &Node) -> Self {
        let mut client = Self::connect(node, "graphql-transport-ws").await.unwrap();
        client.send(json!({ "type": "connection_init" })).await;
        assert_eq!(client.next().await, json!({ "type": "connection_ack" }));
        client
    }

    pub async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
    }

    /// The next message; a close as its code.
    pub async fn next(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => return u16::from(frame.unwrap().code).into(),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_query_is_answered_and_completed() {
    let node = Node::start(|_| Vec::new()).await;
    let mut client = Client::introduced(&node).await;
    client.subscribe("a", "{ __typename }").await;
    let data = json!({ "data": { "__typename": "Query" } });
    assert_eq!(client.next().await, json!({ "id": "a", "type": "next", "payload": data }));
    assert_eq!(client.next().await, json!({ "id": "a", "type": "complete" }));
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn only_the_current_protocol_is_spoken() {
    let node = Node::start(|_| Vec::new()).await;
    for protocol in ["graphql-ws", "soap"] {
        let refused = Client::connect(&node, protocol).await.map(drop).unwrap_err();
        let Error::Http(response) = refused else { panic!("{refused}") };
        assert_eq!(response.status(), 400);
    }
    let plain = node.send(&format!("GET /graphql/ws HTTP/1.1\nHost: {}", node.address), "").await;
    assert_eq!(plain.status, 426);
}

#[tokio::test]
async fn who_breaks_the_protocol_is_closed() {
    let node = Node::start(|_| Vec::new()).await;
    let mut early = Client::connect(&node, "graphql-transport-ws").await.unwrap();
    early.subscribe("a", "{ __typename }").await;
    assert_eq!(early.next().await, 1011);
    let mut noisy = Client::introduced(&node).await;
    noisy.send(json!({ "type": "sing" })).await;
    assert_eq!(noisy.next().await, 1002);
}
