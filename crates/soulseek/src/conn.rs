//! Moves frames over a socket, with a limit on length and on patience.
//!
//! Knows no message: what a frame means is [`crate::wire`]. Reading is not cancel-safe, so every
//! connection has one task that does nothing but read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::wire::obfuscated::{KEY_BYTES, Keystream};
use crate::wire::{Channel, FrameError};

/// Patience for the rest of a frame or for a write, once either has begun.
const STALL_AFTER: Duration = Duration::from_secs(30);
/// A body is claimed from memory in steps of this many bytes, as it arrives.
const BODY_STEP: usize = 64 << 10;

/// One frame off a connection.
#[derive(Debug)]
pub struct Frame {
    /// The message's code.
    pub code: u32,
    /// What follows the code.
    pub body: Vec<u8>,
}

/// Why no frame could be read; the connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The other end closed between two frames.
    #[error("connection closed")]
    Closed,
    /// Nothing came for as long as we wait.
    #[error("nothing came in time")]
    TimedOut,
    /// The frame breaks a limit.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection broke, possibly inside a frame.
    #[error("connection broke")]
    Io(#[from] io::Error),
}

/// Reads one frame. Waits `idle` for it to begin.
pub async fn read_frame<R>(
    stream: &mut R,
    channel: Channel,
    idle: Duration,
) -> Result<Frame, ReadError>
where
    R: AsyncRead + Unpin,
{
    read_head(stream, channel, idle, false).await?.read_body(stream, channel).await
}

/// The front of a frame, whose code decides what is done with its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) code: u32,
    /// What it says of its length, code and body.
    length: u32,
    /// Of an obfuscated frame.
    keys: Option<Keystream>,
}

/// Reads a frame up to its body, which has to be read next. Waits `idle` for it to begin.
pub(crate) async fn read_head<R>(
    stream: &mut R,
    channel: Channel,
    idle: Duration,
    obfuscated: bool,
) -> Result<Head, ReadError>
where
    R: AsyncRead + Unpin,
{
    let (mut length, mut keys) = ([0; 4], None);
    if obfuscated {
        let mut key = [0; KEY_BYTES];
        read_first(stream, &mut key, idle).await?;
        read_rest(stream, &mut length).await?;
        keys.insert(Keystream::new(key)).apply(&mut length);
    } else {
        read_first(stream, &mut length, idle).await?;
    }
    let length = u32::from_le_bytes(length);
    // The shortest frame is its code, and the caps depend on the code.
    if usize::try_from(length).unwrap_or(usize::MAX) < channel.code_bytes() {
        return Err(FrameError::TooShort { length }.into());
    }
    let mut code = [0; 4];
    let mut head = Head { code: 0, length, keys };
    head.read_piece(stream, &mut code[..channel.code_bytes()]).await?;
    head.code = u32::from_le_bytes(code);
    Ok(head)
}

impl Head {
    /// Checks the length against what this channel allows and reads the body.
    pub(crate) async fn read_body<R>(
        mut self,
        stream: &mut R,
        channel: Channel,
    ) -> Result<Frame, ReadError>
    where
        R: AsyncRead + Unpin,
    {
        let expected = self.body_bytes(channel)?;
        let mut body = Vec::new();
        while body.len() < expected {
            let held = body.len();
            body.resize(expected.min(held + BODY_STEP), 0);
            self.read_piece(stream, &mut body[held..]).await?;
        }
        Ok(Frame { code: self.code, body })
    }

    /// Bytes of the body, within what this channel allows.
    pub(crate) fn body_bytes(&self, channel: Channel) -> Result<usize, FrameError> {
        channel.body_bytes(self.length, self.code)
    }

    /// Reads the next bytes of the body, as many as `piece` has room for.
    pub(crate) async fn read_piece<R>(
        &mut self,
        stream: &mut R,
        piece: &mut [u8],
    ) -> Result<(), ReadError>
    where
        R: AsyncRead + Unpin,
    {
        read_rest(stream, piece).await?;
        if let Some(keys) = &mut self.keys {
            keys.apply(piece);
        }
        Ok(())
    }
}

/// Waits `idle` for the first byte of a frame.
async fn read_first<R>(stream: &mut R, front: &mut [u8], idle: Duration) -> Result<(), ReadError>
where
    R: AsyncRead + Unpin,
{
    let begun = timeout(idle, stream.read(front)).await.map_err(|_| ReadError::TimedOut)??;
    if begun == 0 {
        return Err(ReadError::Closed);
    }
    read_rest(stream, &mut front[begun..]).await
}

async fn read_rest<R: AsyncRead + Unpin>(stream: &mut R, rest: &mut [u8]) -> Result<(), ReadError> {
    timeout(STALL_AFTER, stream.read_exact(rest)).await.map_err(|_| ReadError::TimedOut)??;
    Ok(())
}

/// Writes bytes out, giving up when the other end stops taking them.
pub async fn write_all<W: AsyncWrite + Unpin>(stream: &mut W, bytes: &[u8]) -> io::Result<()> {
    // A large list takes minutes on a slow line, and is not stuck while it moves.
    for piece in bytes.chunks(BODY_STEP) {
        timeout(STALL_AFTER, stream.write_all(piece))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    }
    Ok(())
}

/// Connects from a given local address. An unspecified address leaves the choice to the system.
pub(crate) async fn dial(
    to: SocketAddr,
    from: IpAddr,
    patience: Duration,
) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let same_family = from.is_ipv4() == to.is_ipv4();
    if same_family && !from.is_unspecified() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = timeout(patience, socket.connect(to))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // Requests are short and answered at once; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn frames_follow_each_other_and_end_with_the_connection() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[5, 0, 0, 0, 9, 0, 0, 0, 7, 4, 0, 0, 0, 8, 0, 0, 0]).await.unwrap();
        drop(far);
        let first = read_frame(&mut near, Channel::Peer, PATIENCE).await.unwrap();
        assert_eq!((first.code, first.body), (9, vec![7]));
        let second = read_frame(&mut near, Channel::Peer, PATIENCE).await.unwrap();
        assert_eq!((second.code, second.body), (8, vec![]));
        let end = read_frame(&mut near, Channel::Peer, PATIENCE).await;
        assert!(matches!(end, Err(ReadError::Closed)));
    }

    #[tokio::test]
    async fn an_oversize_frame_is_refused_before_its_body() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[0xff, 0xff, 0xff, 0xff, 43, 0, 0, 0]).await.unwrap();
        let refused = read_frame(&mut near, Channel::Peer, PATIENCE).await;
        assert!(matches!(refused, Err(ReadError::Frame(FrameError::TooLong { code: 43, .. }))));
    }

    #[tokio::test]
    async fn half_a_frame_is_a_broken_connection() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[20, 0, 0, 0, 43, 0, 0, 0, 1]).await.unwrap();
        drop(far);
        let broken = read_frame(&mut near, Channel::Peer, PATIENCE).await;
        assert!(matches!(broken, Err(ReadError::Io(_))));
    }
}
