//! The command line of `braidcast`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};
use service::Stop;
use service::config::{self, Secret};
use url::Url;

use crate::headless;
use crate::settings::{Config, Share};

/// Where a channel can be seen that is played without a window.
const ELSEWHERE: &str = "open the local address in a browser, VLC or mpv";

/// Watch live television that viewers help to carry. Without a command: in a window.
#[derive(Debug, Parser)]
#[command(name = "braidcast", version, about)]
struct Arguments {
    #[command(flatten)]
    common: service::Common,
    /// For the window; a command has its own.
    #[command(flatten)]
    account: Account,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Play a channel
    Play(Box<Play>),
    /// List the channels of your package
    Channels(Account),
    /// Sign out and forget the remembered sign-in
    SignOut(Account),
}

/// What every command needs to know of the platform and the account.
#[derive(Debug, Clone, Default, clap::Args)]
struct Account {
    /// Address of the platform's auth service
    #[arg(long, value_name = "URL")]
    server: Option<Url>,
    /// Who signs in; without it the sign-in that is remembered
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Folder for what is kept between runs; each viewer that runs at one time needs its own
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// UDP address for peers; its IP address is used for calls to auth too
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<SocketAddr>,
    /// If something of the platform cannot be reached, try again for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

#[derive(Debug, Clone, clap::Args)]
struct Play {
    /// The channel's id
    channel: String,
    #[command(flatten)]
    account: Account,
    /// Play on the wall clock without a picture
    #[arg(long)]
    headless: bool,
    /// End so long after the first segment was played
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// The local address for players on this machine
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Write the transport stream that is played into this file; what it held is replaced once something is played
    #[arg(long, value_name = "FILE.ts")]
    output: Option<PathBuf>,
    /// Write figures into this file, each second and at the end
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// What may be sent to other viewers: off, or kbit/s
    #[arg(long, value_name = "off|N_kbit")]
    share: Option<Share>,
    /// When ready, write the bound addresses as JSON into this file
    #[arg(long, value_name = "FILE")]
    announce: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(duration) }
}

/// The program.
pub fn main() -> ExitCode {
    let started = Instant::now();
    let arguments = Arguments::parse();
    service::exit(run(&arguments, started))
}

fn run(arguments: &Arguments, started: Instant) -> anyhow::Result<()> {
    let common = &arguments.common;
    service::logs::init(common);
    let Some(mut config) = common.configuration::<Config>()? else { return Ok(()) };
    arguments.account.apply(&mut config);
    let account = match &arguments.command {
        Some(Command::Play(play)) => &play.account,
        Some(Command::Channels(account) | Command::SignOut(account)) => account,
        None => &arguments.account,
    };
    account.apply(&mut config);
    if let Some(Command::Play(play)) = &arguments.command {
        play.apply(&mut config);
    }
    let mut problems = config::Problems::new();
    config::Check::check(&config, &mut problems);
    let problems = problems.into_vec();
    if !problems.is_empty() {
        return Err(config::Error::Invalid { path: "command line".into(), problems }.into());
    }
    if let Some(window) = Window::of(arguments, started) {
        return window.show(config);
    }
    let Some(server) = config.server.clone() else {
        let what = "give the platform's address with --server URL or in the configuration";
        return Err(config::Error::single("command line and configuration", "server", what).into());
    };

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let wait = Duration::from_secs(account.wait);
    let done = runtime.block_on(async {
        let stop = Stop::on_signals().context("cannot listen to signals")?;
        match &arguments.command {
            Some(Command::Play(play)) => {
                let order = play.order(started, wait);
                headless::play(&config, server, &order, &stop).await
            }
            Some(Command::SignOut(_)) => headless::sign_out(&config, server, &stop).await,
            _ => headless::channels(&config, server, wait, &stop).await,
        }
    });
    // Nothing that still runs is worth waiting for: all that must be orderly has been awaited.
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}

/// A start that shows a window.
struct Window {
    #[cfg(feature = "window")]
    start: crate::window::Start,
}

impl Window {
    /// What is to be shown; `None` if the command shows nothing, or plays without a picture because it cannot.
    #[cfg(feature = "window")]
    fn of(arguments: &Arguments, started: Instant) -> Option<Self> {
        use crate::window::{Start, is_possible};
        let started = Some(started);
        match &arguments.command {
            None if !is_possible() => no_command("there is no display for a window"),
            None => Some(Self { start: Start { started, ..Start::default() } }),
            Some(Command::Play(play)) if !play.headless && play.output.is_none() => {
                if !is_possible() {
                    eprintln!("There is no display for a window; {ELSEWHERE}");
                    return None;
                }
                Some(Self {
                    start: Start {
                        channel: Some(play.channel.clone()),
                        stats: play.stats_json.clone(),
                        duration: play.duration,
                        started,
                    },
                })
            }
            Some(_) => None,
        }
    }

    #[cfg(feature = "window")]
    fn show(self, config: Config) -> anyhow::Result<()> {
        crate::window::run(config, self.start)
    }

    #[cfg(not(feature = "window"))]
    fn of(arguments: &Arguments, _started: Instant) -> Option<Self> {
        match &arguments.command {
            None => no_command("this build has no window"),
            Some(Command::Play(play)) if !play.headless => {
                eprintln!("This build has no window; {ELSEWHERE}");
                None
            }
            Some(_) => None,
        }
    }

    #[cfg(not(feature = "window"))]
    fn show(self, _config: Config) -> anyhow::Result<()> {
        anyhow::bail!("this build has no window")
    }
}

/// Ends the program: without a window it needs a command.
fn no_command(why: &str) -> ! {
    let text = format!("{why}: a command is needed, such as `play CHANNEL`");
    Arguments::command().error(clap::error::ErrorKind::MissingSubcommand, text).exit()
}

impl Account {
    fn apply(&self, config: &mut Config) {
        if let Some(server) = &self.server {
            config.server = Some(server.clone());
        }
        if let Some(user) = &self.user {
            config.account.user = Some(user.clone());
        }
        if let Some(file) = &self.password_file {
            config.account.password = Some(Secret::File(file.clone()));
        }
        if let Some(state) = &self.state {
            config.state = Some(state.clone());
        }
        if let Some(bind) = self.bind {
            config.network.bind = bind;
        }
    }
}

impl Play {
    fn apply(&self, config: &mut Config) {
        if let Some(listen) = self.http {
            config.local.listen = listen;
        }
        if let Some(share) = self.share {
            config.share = share;
        }
        if let Some(announce) = &self.announce {
            config.announce = Some(announce.clone());
        }
    }

    fn order(&self, started: Instant, wait: Duration) -> headless::Order {
        headless::Order {
            channel: self.channel.clone(),
            started,
            wait,
            duration: self.duration,
            output: self.output.clone(),
            stats: self.stats_json.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_goes_before_the_file() {
        Arguments::command().debug_assert();
        let line = "braidcast play one --headless --server http://a --user u --password-file p \
                    --duration 2.5 --http 127.0.0.1:0 --output o.ts --stats-json s.json --share 500 \
                    --config c.toml --log warn";
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Some(Command::Play(play)) = arguments.command else { panic!("not play") };
        let mut config = Config::default();
        play.account.apply(&mut config);
        play.apply(&mut config);
        assert_eq!(config.server.as_ref().unwrap().as_str(), "http://a/");
        assert_eq!(config.account.user.as_deref(), Some("u"));
        assert_eq!(config.account.password, Some(Secret::File("p".into())));
        assert_eq!(config.local.listen.port(), 0);
        assert_eq!(config.share.uplink(), 500_000);
        let order = play.order(Instant::now(), Duration::ZERO);
        assert_eq!(order.duration, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "braidcast play",
            "braidcast play one --share lots",
            "braidcast play one --duration -1",
            "braidcast play one --duration 0",
            "braidcast play one --http localhost",
            "braidcast dance",
        ] {
            assert!(Arguments::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
