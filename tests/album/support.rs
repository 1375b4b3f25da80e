//! A node in a world on loopback, as tests start it: music pressed once, each world with its own
//! servers, each node in its own folder. Talks to the node over its API, as a user does.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use domain::{Envelope, Policy, Seq};
use eventlog::Log;
use loopback::discs::Discs;
use loopback::peer::{Manner, Offer};
use loopback::world::World;
use node::{Account, Manners, Node, Settings, Sharing};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The album, pressed once for all tests.
pub(crate) fn discs() -> &'static Discs {
    static DISCS: OnceLock<(TempDir, Discs)> = OnceLock::new();
    let (_, discs) = DISCS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let discs = Discs::press(dir.path()).unwrap();
        (dir, discs)
    });
    discs
}

/// An honest peer that has the whole album.
pub(crate) fn honest(user: &str, bytes_per_s: u64) -> (Manner, Vec<Offer>) {
    let offers = (0u8..)
        .zip(&discs().flac)
        .map(|(index, disc)| disc.offered_as(index, r"Music\The Tin Orchard - Harbour Lights"))
        .collect();
    (manner(user, bytes_per_s), offers)
}

pub(crate) fn manner(user: &str, bytes_per_s: u64) -> Manner {
    Manner { user: user.into(), bytes_per_s, slots: 3, dies_after: None }
}

/// A policy for a world where nobody has to be waited for.
pub(crate) fn brisk() -> Policy {
    Policy {
        search_open_ms: 1000,
        gather_ms: 400,
        search_repeat_ms: 1500,
        stall_after_ms: 2500,
        peer_rest_ms: 500,
        lookup_retry_ms: 100,
        disk_retry_ms: 500,
        ..Policy::default()
    }
}

/// A policy for a test that needs the answers of all peers before it chooses, however busy the machine.
pub(crate) fn patient() -> Policy {
    Policy { search_open_ms: 6000, gather_ms: 5000, ..brisk() }
}

/// A port that refuses whoever connects for as long as the socket lives: it is taken, and nobody listens.
pub(crate) fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub(crate) fn settings(dir: &Path, world: &World, policy: Policy) -> Settings {
    // Tests run side by side, so each node has an address of its own.
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let listen = IpAddr::from([127, 0, 2, NUMBER.fetch_add(1, Ordering::Relaxed)]);
    let services = world.metadata().url();
    Settings {
        data: dir.join("data"),
        music: dir.join("music"),
        account: Account {
            server: world.soulseek().to_string(),
            user: "node".into(),
            password: "secret".into(),
            listen: SocketAddr::new(listen, 0),
            advertised_port: None,
            obfuscated_port: None,
            upload_slots: 2,
            upload_bytes_per_s: None,
            description: String::new(),
            manners: Manners::default(),
        },
        share_finished: true,
        sharing: Sharing::default(),
        musicbrainz_url: services.clone(),
        acoustid_url: services,
        acoustid_key: Some("test".into()),
        user_agent: "Reprise/test ( test )".into(),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        api_hosts: Vec::new(),
        policy,
        build: "test".into(),
    }
}

/// Writes the configuration of a node of its own process; its folders are in `dir`.
pub(crate) fn config(dir: &Path, world: &World, listen: &str) -> PathBuf {
    let path = dir.join("config.yml");
    let services = world.metadata().url();
    std::fs::write(
        &path,
        format!(
            "data: data\nmusic: music\nsoulseek:\n  server: {}\n  user: served\n  password: secret\n  \
             listen: {listen}\nacoustid:\n  url: {services}\n  key: test\nmusicbrainz:\n  url: \
             {services}\n  contact: test\napi:\n  listen: 127.0.0.1:0\n",
            world.soulseek()
        ),
    )
    .unwrap();
    path
}

/// Asks a node's GraphQL API and returns `data`.
pub(crate) async fn ask(api: SocketAddr, query: &str, variables: Value) -> Value {
    let answer = answer(api, query, variables).await;
    assert!(answer["errors"].is_null(), "{answer:#}");
    answer["data"].clone()
}

/// The whole answer of a node's GraphQL API, errors and all.
pub(crate) async fn answer(api: SocketAddr, query: &str, variables: Value) -> Value {
    // Where the node is a process of its own, nobody has chosen one in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
        .post(format!("http://{api}/graphql"))
        .json(&json!({ "query": query, "variables": variables }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Adds the album and returns its job's ID.
pub(crate) async fn add_album(api: SocketAddr) -> String {
    add(api, &format!("https://musicbrainz.org/release/{}", loopback::album::RELEASE)).await["job"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) async fn add(api: SocketAddr, reference: &str) -> Value {
    let data = ask(
        api,
        "mutation($reference: String!) { addJob(reference: $reference) { __typename \
         ... on JobReceipt { job } ... on UserError { code message hint } } }",
        json!({ "reference": reference }),
    )
    .await;
    data["addJob"].clone()
}

pub(crate) async fn job(api: SocketAddr, id: &str) -> Value {
    ask(
        api,
        "query($id: ID!) { job(id: $id) { state reason nextAction tracksCompleted tracksTotal tracks { \
         title state reason bytesHeld size path takeovers acoustid \
         sources { peer path state reason bytesAccepted } refused { reason peers } } } }",
        json!({ "id": id }),
    )
    .await["job"]
        .clone()
}

/// Waits until a job is as wanted, and shows it when it does not become so.
pub(crate) async fn job_until(
    api: SocketAddr,
    id: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let start = tokio::time::Instant::now();
    loop {
        let job = job(api, id).await;
        if wanted(&job) {
            return job;
        }
        assert!(start.elapsed() < PATIENCE, "the job never {what}: {job:#}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub(crate) async fn completed(api: SocketAddr, id: &str) -> Value {
    job_until(api, id, "completed", |job| job["state"] == "COMPLETED").await
}

/// All events of a node that is not running.
pub(crate) fn recorded(dir: &Path) -> Vec<Envelope> {
    let (_log, reader) = Log::open(&dir.join("data/log")).unwrap();
    reader.range(Seq(1)..=reader.durable()).collect::<Result<_, _>>().unwrap()
}

/// Everything that must be true of a real history, too.
pub(crate) fn obeys_the_laws(log: &[Envelope], policy: &Policy) {
    sim::check::replays(log).unwrap();
    sim::check::of_the_log(log, policy).unwrap();
}

/// The music files below a folder, relative to it, in order.
pub(crate) fn music(dir: &Path) -> Vec<PathBuf> {
    let root = dir.join("music");
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// A world, a node in it, and the folder of the node.
pub(crate) struct Setting {
    pub(crate) dir: TempDir,
    pub(crate) world: World,
    pub(crate) node: Node,
    policy: Policy,
}

impl Setting {
    pub(crate) async fn with(peers: Vec<(Manner, Vec<Offer>)>) -> Self {
        Self::under(brisk(), peers).await
    }

    pub(crate) async fn under(policy: Policy, peers: Vec<(Manner, Vec<Offer>)>) -> Self {
        let mut world = World::empty(discs()).await.unwrap();
        for (manner, offers) in peers {
            world.join(manner, offers).await.unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(settings(dir.path(), &world, policy)).await.unwrap();
        Self { dir, world, node, policy }
    }

    /// Stops the node, checks its history, and returns it.
    pub(crate) async fn end(self) -> Vec<Envelope> {
        self.node.stop().await.unwrap();
        let log = recorded(self.dir.path());
        obeys_the_laws(&log, &self.policy);
        log
    }
}
