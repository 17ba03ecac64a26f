//! The command line: runs auth, or administers its database directly. A running auth notices such
//! changes within a second.

mod audit;
mod guide;
mod nodes;
mod packages;
mod prefixes;
mod print;
mod sessions;
mod users;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use service::Stop;

use crate::apply::{Seed, apply};
use crate::clock::Clock;
use crate::config::Config;
use crate::server;
use crate::store::Store;

/// Accounts, packages, nodes, sessions, locations and keys of a platform. Without a command, auth
/// runs until it is told to end.
#[derive(Parser, Debug)]
#[command(name = "braidcast-auth", version)]
pub struct Arguments {
    #[command(flatten)]
    common: service::Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Users: who may sign in with a password
    #[command(subcommand)]
    User(users::Command),
    /// Packages: named sets of channels
    #[command(subcommand)]
    Package(packages::Command),
    /// Nodes: headends, repeaters and rendezvous servers
    #[command(subcommand)]
    Node(nodes::Command),
    /// The prefix table: which addresses are where
    #[command(subcommand)]
    Prefix(prefixes::Command),
    /// Keys that sign user tickets
    #[command(subcommand)]
    Keys(sessions::Keys),
    /// Sessions of users and nodes
    #[command(subcommand)]
    Session(sessions::Command),
    /// What administrators did, the latest first
    Audit {
        /// At most so many acts
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// The guide: what is on
    #[command(subcommand)]
    Guide(guide::Command),
    /// Brings packages, users, nodes and prefixes to what a TOML file says; twice does no harm
    Apply {
        /// With [[packages]], [[users]], [[nodes]] and [[prefixes]]
        file: PathBuf,
    },
}

/// What commands work on.
struct Context {
    store: Store,
    now: i64,
    /// Auth's address as others reach it, if that is configured.
    public_url: Option<String>,
}

/// Runs the program.
///
/// # Errors
/// What `service::exit` turns into an exit code.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    service::logs::init(&arguments.common);
    let Some(config) = arguments.common.configuration::<Config>()? else { return Ok(()) };
    let mut runtime = match &arguments.command {
        None => tokio::runtime::Builder::new_multi_thread(),
        Some(_) => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        match arguments.command {
            None => run(config).await,
            Some(command) => administer(config, command).await,
        }
    })
}

async fn run(config: Config) -> anyhow::Result<()> {
    let stop = Stop::on_signals()?;
    let running = server::start(config, Clock::system(), stop.clone()).await?;
    stop.requested().await;
    running.ended().await;
    Ok(())
}

async fn administer(config: Config, command: Command) -> anyhow::Result<()> {
    // Read before the database is touched.
    let seed = match &command {
        Command::Apply { file } => Some(service::config::load::<Seed>(file)?),
        _ => None,
    };
    let store = server::open(&config)?;
    let now = Clock::system().seconds();
    let public_url = config.public_url.as_ref().map(ToString::to_string);
    store.prepare(now).await.context("cannot use the database")?;
    let context = Context { store, now, public_url };
    let act = audit::act(&command);
    let result = match command {
        Command::User(command) => users::run(&context, command).await,
        Command::Package(command) => packages::run(&context, command).await,
        Command::Node(command) => nodes::run(&context, command).await,
        Command::Prefix(command) => prefixes::run(&context, command).await,
        Command::Keys(command) => sessions::keys(&context, command).await,
        Command::Session(command) => sessions::run(&context, command).await,
        Command::Audit { limit } => audit::run(&context, limit).await,
        Command::Guide(command) => guide::run(&context, &config, command).await,
        Command::Apply { .. } => apply(&context.store, &seed.unwrap_or_default(), now).await,
    };
    let result = match (result, act) {
        (Ok(()), Some((act, subject))) => audit::note(&context, act, &subject).await,
        (result, _) => result,
    };
    context.store.close().await;
    result
}
