//! `reprise serve`: runs the node with a configuration file until it is told to stop.

use std::num::NonZeroU16;
use std::path::Path;

use domain::Policy;
use miette::{GraphicalReportHandler, GraphicalTheme};
use node::config::{Config, ConfigError};
use node::{Account, Manners, Node, Settings, Sharing, StartError};

use crate::exit::Failure;

pub(crate) async fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::read(path).map_err(|error| Failure::usage(shown(&error)))?;
    let mut node = Node::start(settings(config)).await.map_err(|error| match error {
        StartError::NotLoopback(_) => Failure::usage(error.to_string()),
        error => error.into(),
    })?;
    eprintln!("reprise listens at http://{}/graphql; stop it with Ctrl-C", node.api());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        stopped = node.stopped() => return Ok(stopped?),
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("stopping");
    Ok(node.stop().await?)
}

fn settings(config: Config) -> Settings {
    let soulseek = config.soulseek;
    let contact = config.musicbrainz.contact;
    Settings {
        data: config.data,
        music: config.music,
        account: Account {
            server: soulseek.server,
            user: soulseek.user,
            password: soulseek.password.unwrap_or_default(),
            listen: soulseek.listen,
            advertised_port: soulseek.advertised_port.map(NonZeroU16::get),
            obfuscated_port: soulseek.obfuscated_port.map(NonZeroU16::get),
            upload_slots: soulseek.upload_slots.get(),
            upload_bytes_per_s: soulseek.upload_kib_per_s.map(|kib| kib.saturating_mul(1024)),
            description: soulseek.description,
            manners: Manners {
                download_bytes_per_s: soulseek
                    .download_kib_per_s
                    .map(|kib| kib.saturating_mul(1024)),
                waiting_files_per_user: soulseek.waiting_files_per_user.get(),
                waiting_bytes_per_user: soulseek.waiting_mib_per_user.get().saturating_mul(1 << 20),
                banned: soulseek.banned,
                ignored: soulseek.ignored,
            },
        },
        share_finished: soulseek.share_finished,
        sharing: Sharing { folders: config.shares, buddies: soulseek.buddies },
        musicbrainz_url: config.musicbrainz.url,
        acoustid_url: config.acoustid.url,
        acoustid_key: config.acoustid.key,
        user_agent: format!("Reprise/{} ( {contact} )", env!("CARGO_PKG_VERSION")),
        api: config.api.listen,
        api_hosts: config.api.hosts,
        policy: Policy::default(),
        build: build(),
    }
}

/// The build that a history names.
pub(crate) fn build() -> String {
    format!("reprise {}", env!("CARGO_PKG_VERSION"))
}

fn shown(error: &ConfigError) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    match handler.render_report(&mut text, error) {
        Ok(()) => text,
        Err(_) => error.to_string(),
    }
}
