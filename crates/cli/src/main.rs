//! The `reprise` binary: the node, the commands that talk to a running one, and the tools that need
//! none. Each command has its file; what a command's exit code means is in [`exit`].

mod backup;
mod chat;
mod client;
mod demo;
mod exit;
mod forget;
mod job;
mod log;
mod paste;
mod progress;
mod replay;
mod sched;
mod search;
mod serve;
mod simulate;
mod soak;
mod status;
mod views;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// How long work that cannot be called back, such as the copying of a log, is waited for at the end.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// Finds, downloads, verifies and curates music by identity instead of by file name.
#[derive(Parser)]
#[command(name = "reprise", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Complete an album in a world of our own on loopback: no account, no internet
    Demo(demo::Options),
    /// Run the node
    Serve {
        /// The configuration file; see config.example.yml
        #[arg(long, default_value = "config.yml")]
        config: PathBuf,
    },
    /// Ask a running node about albums
    Job {
        /// Where the node's API listens
        #[arg(long, global = true, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        #[command(subcommand)]
        command: job::Command,
    },
    /// Ask a running node how it is doing
    Node {
        /// Where the node's API listens
        #[arg(long, global = true, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        #[command(subcommand)]
        command: status::Command,
    },
    /// Find jobs, tracks, offered files and finished files of a running node by words
    Search {
        /// Where the node's API listens
        #[arg(long, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        #[command(flatten)]
        options: search::Options,
    },
    /// Talk to Soulseek users: list conversations, show one, or say something
    Chat {
        /// Where the node's API listens
        #[arg(long, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        #[command(flatten)]
        options: chat::Options,
    },
    /// Look after the views of a running node: what it answers from
    Views {
        /// Where the node's API listens
        #[arg(long, global = true, default_value_t = node::config::DEFAULT_API)]
        api: SocketAddr,
        #[command(subcommand)]
        command: views::Command,
    },
    /// Look at recorded histories; needs no node and no network
    Replay {
        #[command(subcommand)]
        command: replay::Command,
    },
    /// Let the scheduler fetch files in simulated worlds that files describe, and print what came of it
    SchedSim(sched::Options),
    /// Look after the event log of a node that is not running, or copy that of one that is
    Log {
        #[command(subcommand)]
        command: log::Command,
    },
    /// Print the GraphQL schema
    Schema,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("REPRISE_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default_log(&cli.command))),
        )
        .with_writer(std::io::stderr)
        .init();
    // Whoever reads no further, such as `head`, ends a tool; a node goes on without anybody to talk to.
    if !matches!(cli.command, Command::Serve { .. } | Command::Demo(_)) {
        sigpipe::reset();
    }
    // One provider for all TLS of the process; nobody else may have chosen one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match cli.command {
        Command::Replay { command } => replay::run(&command),
        Command::Log { command } => log::run(&command),
        Command::SchedSim(options) => sched::run(&options),
        Command::Schema => {
            print!("{}", api::sdl());
            Ok(())
        }
        Command::Demo(options) => block_on(demo::run(options)),
        Command::Serve { config } => block_on(serve::run(&config)),
        Command::Job { api, command } => block_on(job::run(api, command)),
        Command::Node { api, command } => block_on(status::run(api, command)),
        Command::Search { api, options } => block_on(search::run(api, options)),
        Command::Chat { api, options } => block_on(chat::run(api, options)),
        Command::Views { api, command } => block_on(views::run(api, command)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

fn default_log(command: &Command) -> &'static str {
    match command {
        Command::Serve { .. } => "info,async_graphql=warn,sled=warn",
        // What matters there is on the screen already.
        Command::Demo(_)
        | Command::Job { .. }
        | Command::Node { .. }
        | Command::Search { .. }
        | Command::Chat { .. }
        | Command::Views { .. }
        | Command::Replay { .. }
        | Command::SchedSim(_)
        | Command::Log { .. }
        | Command::Schema => "error",
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LONGEST_GOODBYE);
    done
}
