//! One running node: opens the log, brings the engine back to where it was, starts the read models,
//! the API and the session, and lets [`crate::drive`] run. What follows from a stop is nothing: a
//! stop and a crash are the same to the next start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::ApiState;
use domain::{Observation, Policy, Seq};
use eventlog::{AppendError, Log, Reader};
use metadata::{AcoustId, MusicBrainz, Throttle};
use projections::chat::Chat;
use projections::jobs::Jobs;
use projections::search::Search;
use projections::trace::Trace;
use projections::{Follower, Store};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::drive::Drive;
use crate::inbox::{self, Inbox};
use crate::perform::{Performer, Tools};
use crate::recover::{RecoverError, recover};
use crate::session::{self, Account};
use crate::shadow::Shadowing;
use crate::shares::{self, Sharing, Shelf};
use crate::staging::Staging;
use crate::views;

/// Commands that may wait between the API and the inbox.
const COMMANDS: usize = 64;

/// Questions that may wait for the engine.
const QUESTIONS: usize = 16;

/// How long requests under way may take when the node stops.
const LAST_REQUESTS: Duration = Duration::from_secs(3);

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the log, the read models and the files on their way in.
    pub data: PathBuf,
    /// Folder of finished music.
    pub music: PathBuf,
    /// The Soulseek account.
    pub account: Account,
    /// Whether finished music is shared with others.
    pub share_finished: bool,
    /// What is shared beside what is published.
    pub sharing: Sharing,
    /// Address of MusicBrainz.
    pub musicbrainz_url: String,
    /// Address of AcoustID.
    pub acoustid_url: String,
    /// Key for AcoustID.
    pub acoustid_key: Option<String>,
    /// How we introduce ourselves to both.
    pub user_agent: String,
    /// Where the API listens; port 0 for any.
    pub api: SocketAddr,
    /// Further host names of the API.
    pub api_hosts: Vec<String>,
    /// Limits and thresholds of this run.
    pub policy: Policy,
    /// The build, for people who read histories.
    pub build: String,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be made.
    #[error("cannot use the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The event log cannot be opened.
    #[error("cannot open the event log in {path}")]
    Log {
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: eventlog::OpenError,
    },
    /// The engine cannot go on where the log ends.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The start cannot be recorded.
    #[error("the event log takes nothing")]
    Append(#[from] AppendError),
    /// The read models cannot be kept.
    #[error("cannot open the read models; they can be deleted and are made anew")]
    Views(#[from] projections::table::TableError),
    /// The read models cannot be followed.
    #[error("the read models cannot be started")]
    Follow(#[from] projections::follow::FollowError),
    /// Others than this machine could reach the API.
    #[error(transparent)]
    NotLoopback(api::ServeError),
    /// The API cannot listen.
    #[error("the API cannot listen at {address}")]
    Api {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread for the shadow replay.
    #[error("the shadow replay got no thread")]
    Shadow(#[source] io::Error),
    /// A metadata service cannot be set up.
    #[error("a metadata service cannot be used")]
    Metadata(#[from] metadata::SetupError),
}

/// Why a node stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// It could not record what happened. Nothing was done that is not recorded.
    #[error("the event log failed, so the node stopped")]
    Log(#[from] AppendError),
    /// A read model could not be kept up to date.
    #[error("a read model failed, so the node stopped: {0}")]
    View(String),
    /// The API could not go on.
    #[error("the API failed, so the node stopped")]
    Api(#[from] api::ServeError),
}

/// A running node.
pub struct Node {
    api: SocketAddr,
    reader: Reader,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), StopReason>>,
}

impl Node {
    /// Starts a node and returns once its API can be asked.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        // Said before anything is opened: a node that stopped for it later would have done things.
        if !settings.api.ip().is_loopback() {
            return Err(StartError::NotLoopback(api::ServeError::NotLoopback(settings.api)));
        }
        let folder = |path: PathBuf| {
            std::fs::create_dir_all(&path).map_err(|source| StartError::Folder { path, source })
        };
        folder(settings.data.clone())?;
        folder(settings.music.clone())?;
        let api_failed = |source| StartError::Api { address: settings.api, source };
        let listener = TcpListener::bind(settings.api).await.map_err(api_failed)?;
        let api = listener.local_addr().map_err(api_failed)?;

        let log_dir = settings.data.join("log");
        let (log, reader) =
            Log::open(&log_dir).map_err(|source| StartError::Log { path: log_dir, source })?;
        let (engine, last) = recover(reader.range(Seq(1)..=reader.durable()))?;

        let (stop, stopped) = watch::channel(false);
        let (failed, mut failures) = mpsc::channel::<StopReason>(4);
        let store = Store::open(&views::store(&settings.data))?;
        let (jobs, jobs_view) = Jobs::open(&store)?;
        let (trace, trace_view) = Trace::open(&store, reader.clone())?;
        let (chat, chat_view) = Chat::open(&store)?;
        let (search, search_view) = Search::open(&views::search(&settings.data))?;
        let views_failed = |failed: mpsc::Sender<StopReason>| {
            move |error: projections::follow::FollowError| {
                let _ = failed.blocking_send(StopReason::View(error.to_string()));
            }
        };
        let followers = [
            Follower::start(jobs, reader.clone(), views_failed(failed.clone()))?,
            Follower::start(trace, reader.clone(), views_failed(failed.clone()))?,
            Follower::start(chat, reader.clone(), views_failed(failed.clone()))?,
            Follower::start(search, reader.clone(), views_failed(failed.clone()))?,
        ];

        let (inbox, entries) = inbox::channel();
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let shelf = Shelf::new(&settings.music, settings.sharing);
        let staging_dir = settings.data.join("staging");
        let staging = Staging::open(staging_dir.clone())
            .map_err(|source| StartError::Folder { path: staging_dir, source })?;
        let (session, present) = session::slot();
        let leaving = present.clone();
        let tools = Tools {
            inbox: inbox.clone(),
            session: present,
            staging,
            music: settings.music.clone(),
            share_finished: settings.share_finished,
            shelf: shelf.clone(),
            musicbrainz: Arc::new(MusicBrainz::new(
                &settings.musicbrainz_url,
                &settings.user_agent,
            )?),
            musicbrainz_turns: Arc::new(Throttle::new(metadata::musicbrainz::MIN_INTERVAL)),
            acoustid_turns: Arc::new(Throttle::new(metadata::acoustid::MIN_INTERVAL)),
            acoustid: Arc::new(AcoustId::new(
                &settings.acoustid_url,
                settings.acoustid_key,
                &settings.user_agent,
            )?),
        };
        let mut drive = Drive {
            engine,
            log,
            reader: reader.clone(),
            clock: Clock::after(last),
            inbox: entries,
            questions: asked,
            performer: Performer::new(tools),
            stop: stopped.clone(),
        };
        let started = Observation::NodeStarted {
            policy: settings.policy,
            engine: engine::VERSION,
            build: settings.build.clone(),
        };
        drive.begin(started).await?;

        let shadow = Shadowing::start(reader.clone()).map_err(StartError::Shadow)?;
        let scanning = tokio::spawn(shares::keep::keep(shelf.clone(), settings.data));
        let keeping = session::keep(session, settings.account, shelf, inbox.clone());
        let state = ApiState {
            inbox: commands_into(inbox),
            questions: api::Questions::new(questions),
            log: reader.clone(),
            jobs: jobs_view,
            trace: trace_view,
            chat: chat_view,
            search: search_view,
            followers: followers.iter().map(Follower::control).collect(),
            shadow: shadow.board(),
            engine: engine::VERSION,
            build: settings.build,
            hosts: settings.api_hosts,
        };
        let mut ended = stopped;
        let served = tokio::spawn(api::serve(listener, state, async move {
            let _ = ended.wait_for(|stop| *stop).await;
        }));
        let stopping = stop.clone();
        let running = tokio::spawn(async move {
            let mut driving = tokio::spawn(drive.run());
            let mut served = served;
            let result = tokio::select! {
                driven = &mut driving => joined(driven).map_err(StopReason::from),
                Some(reason) = failures.recv() => Err(reason),
                done = &mut served => joined(done).map_err(StopReason::from),
            };
            stopping.send_replace(true);
            keeping.abort();
            let client = leaving.borrow().clone();
            if let Some(client) = client {
                client.close().await;
            }
            scanning.abort();
            if !driving.is_finished() {
                // The last append is let through; what comes after it is as if never seen.
                let _ = driving.await;
            }
            if !served.is_finished() {
                // Whoever reads slowly is cut off rather than waited for.
                drop(timeout(LAST_REQUESTS, &mut served).await);
                served.abort();
            }
            // Threads that read the log are waited for, so that it can be opened again at once.
            drop(tokio::task::spawn_blocking(move || drop((followers, store, shadow))).await);
            result
        });
        Ok(Self { api, reader, stop, running })
    }

    /// Where the API listens.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// The events, for whoever runs in the same process.
    #[must_use]
    pub fn log(&self) -> &Reader {
        &self.reader
    }

    /// Stops the node and waits until its log is closed.
    ///
    /// # Errors
    /// When it had failed before.
    pub async fn stop(self) -> Result<(), StopReason> {
        self.stop.send_replace(true);
        joined(self.running.await)
    }

    /// Waits until the node stops by itself.
    ///
    /// # Errors
    /// Why it did.
    pub async fn stopped(&mut self) -> Result<(), StopReason> {
        joined((&mut self.running).await)
    }
}

/// The API's way in: its commands join the queue of observations.
fn commands_into(inbox: Inbox) -> api::Inbox {
    let (sender, mut commands) = mpsc::channel::<api::Asked>(COMMANDS);
    tokio::spawn(async move {
        while let Some(asked) = commands.recv().await {
            inbox.ask(asked).await;
        }
    });
    api::Inbox::new(sender)
}

/// A panic in a task is a panic here.
fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
