//! Keeps us logged in to the Soulseek server: logs in, reports, waits longer after each failure, and
//! stops for good when the server says no or somebody else logged in with our name.

use std::net::SocketAddr;
use std::time::Duration;

use domain::observation::{Observation, SessionEnd};
use domain::{PeerId, Timestamp};
use soulseek::{Client, ClientConfig, Event, EventReceiver, LoginError, Manners, UploadOutcome};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::inbox::Inbox;
use crate::shares::Shelf;

/// Waits after a lost connection: from the first to the longest, doubling.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// A session that lasted so long was a good one, and the waits begin anew after it. A server that lets
/// us in only to drop us would otherwise be asked every few seconds, and servers ban the impatient.
const GOOD_SESSION: Duration = Duration::from_secs(300);
/// Longest name of somebody whose messages are recorded, in bytes. Servers give out shorter ones, but it is
/// a server that says whom a message is from.
const LONGEST_NAME: usize = 128;
/// Shares that change in a burst are told to the server once.
const SETTLE: Duration = Duration::from_millis(300);

/// Our account on a Soulseek server.
#[derive(Debug, Clone)]
pub struct Account {
    /// `host:port` of the server.
    pub server: String,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Where other users connect.
    pub listen: SocketAddr,
    /// The port that others see, where it is another than that of `listen`.
    pub advertised_port: Option<u16>,
    /// A second port, for clients that obfuscate what they say.
    pub obfuscated_port: Option<u16>,
    /// Uploads at the same time.
    pub upload_slots: usize,
    /// Bytes per second for all uploads together.
    pub upload_bytes_per_s: Option<u64>,
    /// What others read about us.
    pub description: String,
    /// Limits, and who is kept away.
    pub manners: Manners,
}

/// The client while we are logged in.
pub(crate) type Present = watch::Receiver<Option<Client>>;

/// Where the client is put, and where it is looked for.
pub(crate) fn slot() -> (watch::Sender<Option<Client>>, Present) {
    watch::channel(None)
}

/// Logs in and stays so until aborted.
pub(crate) fn keep(
    present: watch::Sender<Option<Client>>,
    account: Account,
    shelf: Shelf,
    inbox: Inbox,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut wait = FIRST_WAIT;
        loop {
            let config = ClientConfig {
                server: account.server.clone(),
                user: account.user.clone(),
                password: account.password.clone(),
                listen: account.listen,
                advertised_port: account.advertised_port,
                obfuscated_port: account.obfuscated_port,
                upload_slots: account.upload_slots,
                upload_bytes_per_s: account.upload_bytes_per_s,
                known_upload_speed: 0,
                description: account.description.clone(),
                manners: account.manners.clone(),
            };
            let reason = match Client::login(config, shelf.shares()).await {
                Ok((client, events)) => {
                    tracing::info!(user = account.user, "logged in to Soulseek");
                    let began = Instant::now();
                    // First there is a client, then the engine asks for things that need it.
                    present.send_replace(Some(client.clone()));
                    inbox.report(Observation::SessionOpened).await;
                    let reason = attend(client, events, &shelf, &inbox).await;
                    if began.elapsed() >= GOOD_SESSION {
                        wait = FIRST_WAIT;
                    }
                    reason
                }
                Err(error) => refusal(&error),
            };
            tracing::warn!(%reason, "not logged in to Soulseek");
            let again = matches!(reason, SessionEnd::Lost(_) | SessionEnd::CannotListen(_));
            // And the other way round: see `perform::transfer`, which waits for this to be told.
            inbox.report(Observation::SessionClosed { reason }).await;
            present.send_replace(None);
            if !again {
                // The sender stays, so that those who wait for a client go on waiting.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    })
}

/// Passes on what the client reports until its session is over.
async fn attend(
    client: Client,
    mut events: EventReceiver,
    shelf: &Shelf,
    inbox: &Inbox,
) -> SessionEnd {
    let mut changes = shelf.changes();
    changes.mark_changed();
    let mut settled: Option<Instant> = None;
    let mut reason = SessionEnd::Lost("the session ended".into());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            Ok(()) = changes.changed(), if settled.is_none() => {
                settled = Some(Instant::now() + SETTLE);
                continue;
            }
            () = until(settled) => {
                settled = None;
                changes.mark_unchanged();
                client.set_shares(shelf.shares());
                continue;
            }
        };
        match event {
            None | Some(Event::Ended) => return reason,
            Some(Event::Disconnected { reason: words }) => reason = SessionEnd::Lost(words),
            Some(Event::KickedByOtherLogin) => reason = SessionEnd::Kicked,
            Some(Event::UploadEnded { user, path, sent_bytes, outcome }) => {
                let complete = outcome == UploadOutcome::Completed;
                // Asking for a file and declining it costs a stranger nothing, so it is not recorded.
                if complete || sent_bytes > 0 {
                    let peer = PeerId::Soulseek(user);
                    let ended = Observation::UploadEnded { peer, path, sent_bytes, complete };
                    inbox.report(ended).await;
                }
            }
            // Nobody is called so, and the server need not say it again.
            Some(Event::PrivateMessage { id, user, .. }) if user.len() > LONGEST_NAME => {
                client.acknowledge_message(id);
            }
            Some(Event::PrivateMessage { id, sent_at_s, user, text }) => {
                let sent_at = Timestamp(u64::from(sent_at_s) * 1_000_000);
                let text = domain::chat::cut(&text).to_owned();
                let peer = PeerId::Soulseek(user);
                inbox.report(Observation::ChatReceived { peer, id, sent_at, text }).await;
            }
            Some(Event::AdminMessage { text }) => tracing::info!(text, "the server's people say"),
            Some(
                Event::UploadStarted { .. }
                | Event::UploadProgress { .. }
                | Event::WishlistInterval { .. },
            ) => {}
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Whether a failed login may be tried again, and why it failed.
fn refusal(error: &LoginError) -> SessionEnd {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    match error {
        LoginError::Unreachable(_)
        | LoginError::Timeout
        | LoginError::Closed
        | LoginError::ServerFull => SessionEnd::Lost(words),
        // Whoever has the port may let go of it, and the address may come with the network.
        LoginError::Listen(_) => SessionEnd::CannotListen(words),
        LoginError::InvalidUserName { .. }
        | LoginError::EmptyPassword
        | LoginError::WrongPassword
        | LoginError::InvalidVersion
        | LoginError::ServerPrivate
        | LoginError::Refused { .. } => SessionEnd::Refused(words),
    }
}

/// Up to half as long again, so that many clients do not come back at the same moment after a
/// server's restart. The low bits of the clock are random enough for that.
fn jittered(wait: Duration) -> Duration {
    let noise = crate::clock::system().0 % 1000;
    wait + wait.mul_f64(noise as f64 / 2000.0)
}

#[cfg(test)]
mod tests {
    use domain::Input;
    use loopback::soulseek_server::SoulseekServer;
    use soulseek::{DownloadEvent, Shares};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    async fn log_in(server: &SoulseekServer, user: &str, last: u8) -> (Client, EventReceiver) {
        let config = ClientConfig::new(
            &server.addr().to_string(),
            user,
            "secret",
            SocketAddr::from(([127, 0, 8, last], 0)),
        );
        Client::login(config, Shares::default()).await.unwrap()
    }

    #[tokio::test]
    async fn an_upload_is_recorded_when_something_was_sent_or_nothing_was_missing() {
        let music = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(music.path(), crate::shares::Sharing::default());
        for (name, bytes) in [("song.flac", &[7; 100][..]), ("empty.flac", &[])] {
            std::fs::write(music.path().join(name), bytes).unwrap();
            shelf.add(name);
        }
        let server = SoulseekServer::bind(SocketAddr::from(([127, 0, 8, 1], 0))).await.unwrap();
        let (ada, _ada) = log_in(&server, "ada", 2).await;
        let (bo, events) = log_in(&server, "bo", 3).await;
        bo.set_shares(shelf.shares());
        let (inbox, mut reports) = crate::inbox::channel();
        let attending = tokio::spawn(async move { attend(bo, events, &shelf, &inbox).await });

        let asks = [
            (r"Music\song.flac", false),
            (r"Music\song.flac", false),
            (r"Music\song.flac", true),
            (r"Music\empty.flac", false),
            (r"Music\empty.flac", true),
        ];
        for (path, takes) in asks {
            let mut download = ada.download("bo", path).await.unwrap();
            let size = loop {
                match timeout(LIMIT, download.next()).await.expect("news in time") {
                    DownloadEvent::Granted { size } => break size,
                    DownloadEvent::Queued | DownloadEvent::Place(_) => {}
                    DownloadEvent::Ended(end) => panic!("{end}"),
                }
            };
            if takes {
                let mut stream = download.accept(0, size).await.unwrap();
                while stream.read(&mut [0; 100]).await.unwrap() > 0 {}
            } else {
                download.refuse("Cancelled").await.unwrap();
            }
        }
        for expected in [(r"Music\song.flac", 100), (r"Music\empty.flac", 0)] {
            let entry = timeout(LIMIT, reports.recv()).await.expect("a report").unwrap();
            let Input::Observation(Observation::UploadEnded { path, sent_bytes, complete, .. }) =
                entry.input
            else {
                panic!("{:?}", entry.input);
            };
            assert_eq!((path.as_str(), sent_bytes), expected);
            assert!(complete);
        }
        attending.abort();
    }
}
