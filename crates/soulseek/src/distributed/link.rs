//! One distributed connection: a task that reads and writes. It knows no message but the ping.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{LinkId, News};
use crate::conn::{ReadError, read_frame, write_all};
use crate::session::Session;
use crate::wire::{Channel, DistributedMessage};

/// Frames that may wait to be written to one child. They are shared among the children.
const OUTBOX: usize = 512;
/// A parent that says nothing for this long is lost: real ones close after a minute without a word.
const PARENT_SILENCE: Duration = Duration::from_secs(90);
/// Children have nothing to say. A dead one is noticed when it takes no more.
const CHILD_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// A child that got nothing for this long is told that we are there. Real clients close a connection
/// on which nothing moved for a minute.
const PING_AFTER: Duration = Duration::from_secs(30);

/// Which of the two ends we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// We called: it may become our parent.
    Candidate,
    /// It called.
    Child,
}

/// The one task's hold on a connection. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Link {
    outbox: mpsc::Sender<Arc<[u8]>>,
    _open: oneshot::Sender<()>,
}

impl Link {
    /// Queues a frame; says whether there was room.
    pub(super) fn send(&self, frame: &Arc<[u8]>) -> bool {
        self.outbox.try_send(Arc::clone(frame)).is_ok()
    }
}

/// Reads and writes until the link is dropped or the connection ends, which is then told.
pub(super) fn start(session: &Arc<Session>, id: LinkId, role: Role, stream: TcpStream) -> Link {
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let (open, dropped) = oneshot::channel::<()>();
    let linked = Arc::clone(session);
    session.spawn(async move {
        {
            let (reading, writing) = stream.into_split();
            let reading = pin!(read(&linked, id, role, reading));
            let writing = pin!(write(role, writing, outgoing));
            tokio::select! {
                end = reading => tracing::trace!(id, %end, "distributed connection ended"),
                () = writing => {}
                _ = dropped => return,
            }
        }
        let _ = linked.distributed.send(News::Closed { link: id }).await;
    });
    Link { outbox, _open: open }
}

async fn read(session: &Session, id: LinkId, role: Role, mut stream: OwnedReadHalf) -> ReadError {
    let patience = match role {
        Role::Candidate => PARENT_SILENCE,
        Role::Child => CHILD_SILENCE,
    };
    loop {
        match read_frame(&mut stream, Channel::Distributed, patience).await {
            Ok(frame) => {
                let news = News::Heard { link: id, code: frame.code, body: frame.body };
                if session.distributed.send(news).await.is_err() {
                    return ReadError::Closed;
                }
            }
            Err(end) => return end,
        }
    }
}

async fn write(role: Role, mut stream: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Arc<[u8]>>) {
    let ping: Arc<[u8]> = DistributedMessage::Ping {}.encode().into();
    loop {
        let frame = match (timeout(PING_AFTER, outgoing.recv()).await, role) {
            (Ok(Some(frame)), _) => frame,
            (Ok(None), _) => return,
            (Err(_), Role::Child) => Arc::clone(&ping),
            (Err(_), Role::Candidate) => continue,
        };
        if write_all(&mut stream, &frame).await.is_err() {
            return;
        }
    }
}
