//! The Soulseek network: logging in, searching, fetching and serving files.
//!
//! A leaf: it knows sockets and bytes, and nothing of releases, jobs or decisions. [`Client`] is
//! the whole surface; the bytes behind it are in [`wire`], and the facts both rest on are in
//! `SOULSEEK.md`, whose sections the comments name. Open the files in the order below.

mod attributes;
mod blocklist;
mod browse;
mod chat;
mod client;
pub mod conn;
mod connect;
mod crowd;
mod distributed;
mod download;
mod event;
mod listen;
mod manners;
mod pace;
mod peers;
mod reach;
mod search;
mod server;
mod session;
mod shares;
mod token;
mod upload;
pub mod wire;

pub use attributes::{Attributes, RemoteFile};
pub use blocklist::{Blocklist, BlocklistError};
pub use browse::{Browse, BrowseError, RemoteFolder};
pub use chat::{LONGEST_MESSAGE, MessageError};
pub use client::{Client, ClientConfig, ClientError, ListenError, LoginError};
pub use download::{Download, DownloadEnd, DownloadEvent, FileStream, TransferError};
pub use event::{Event, EventReceiver, UploadOutcome};
pub use manners::Manners;
pub use search::{Search, SearchAnswer};
pub use server::md5_hex;
pub use shares::{Audience, Builder, Found, OpenError, SharedFile, Shares};
