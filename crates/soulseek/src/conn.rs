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

/// The beginning of a frame: what it is and how much follows.
pub(crate) struct Head {
    pub(crate) code: u32,
    /// Length of the body in bytes.
    pub(crate) expected: usize,
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
    let head = read_head(stream, channel, idle).await?;
    read_body(stream, head).await
}

/// Reads the beginning of a frame, for whoever cannot take every body at once.
pub(crate) async fn read_head<R>(
    stream: &mut R,
    channel: Channel,
    idle: Duration,
) -> Result<Head, ReadError>
where
    R: AsyncRead + Unpin,
{
    let mut length = [0; 4];
    let begun =
        timeout(idle, stream.read(&mut length)).await.map_err(|_| ReadError::TimedOut)??;
    if begun == 0 {
        return Err(ReadError::Closed);
    }
    read_rest(stream, &mut length[begun..]).await?;
    let length = u32::from_le_bytes(length);
    // The shortest frame is its code, and the caps depend on the code.
    if usize::try_from(length).unwrap_or(usize::MAX) < channel.code_bytes() {
        return Err(FrameError::TooShort { length }.into());
    }
    let mut code = [0; 4];
    read_rest(stream, &mut code[..channel.code_bytes()]).await?;
    let code = u32::from_le_bytes(code);
    let expected = channel.body_bytes(length, code)?;
    Ok(Head { code, expected })
}

/// Reads what follows a head.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    stream: &mut R,
    Head { code, expected }: Head,
) -> Result<Frame, ReadError> {
    let mut body = Vec::new();
    while body.len() < expected {
        let held = body.len();
        body.resize(expected.min(held + BODY_STEP), 0);
        read_rest(stream, &mut body[held..]).await?;
    }
    Ok(Frame { code, body })
}

async fn read_rest<R: AsyncRead + Unpin>(stream: &mut R, rest: &mut [u8]) -> Result<(), ReadError> {
    timeout(STALL_AFTER, stream.read_exact(rest)).await.map_err(|_| ReadError::TimedOut)??;
    Ok(())
}

/// Writes bytes out, giving up when the other end stops taking them.
pub async fn write_all<W: AsyncWrite + Unpin>(stream: &mut W, bytes: &[u8]) -> io::Result<()> {
    timeout(STALL_AFTER, stream.write_all(bytes))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
