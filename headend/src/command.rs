//! The command line beside running: channels of a headend that runs, by the administrator's calls.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use crate::Config;

/// What can be done beside running.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Channels of the headend that runs with this configuration (needs [http] admin_token)
    #[command(subcommand)]
    Channel(Channel),
}

/// What can be done with channels.
#[derive(Subcommand, Debug)]
pub enum Channel {
    /// Lists channels and how they fare
    List,
    /// Adds a channel, or gives it another configuration, at once
    Set {
        /// The channel's id
        id: String,
        /// Its section of the configuration, without heading and id; without a file, from standard input
        file: Option<PathBuf>,
    },
    /// Takes a channel off the air and out of the configuration
    Remove {
        /// The channel's id
        id: String,
    },
}

/// Does it.
///
/// # Errors
/// If the headend cannot be reached, or refuses.
pub async fn run(config: &Config, command: Command) -> Result<()> {
    let Command::Channel(command) = command;
    match command {
        Channel::List => {
            let answer = call(config, Method::GET, "channels", None).await?;
            for channel in answer["channels"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let on_air = channel["renditions"][0]["on_air"] == true;
                let sources = channel["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
                let sources: Vec<String> = sources
                    .iter()
                    .map(|source| format!("{} {}", text(&source["kind"]), text(&source["state"])))
                    .collect();
                println!(
                    "{}\t{}\t{}\t{}\t{}",
                    text(&channel["id"]),
                    text(&channel["name"]),
                    if on_air { "on air" } else { "off air" },
                    sources.join(", "),
                    text(&channel["trouble"]),
                );
            }
        }
        Channel::Set { id, file } => {
            let section = match &file {
                Some(file) => std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?,
                None => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text)?;
                    text
                }
            };
            let answer =
                call(config, Method::PUT, &format!("channels/{id}"), Some(section)).await?;
            if let Some(why) = answer["failed"][&id].as_str() {
                bail!("channel {id} cannot be started: {why}");
            }
            println!("channel {id} is set");
        }
        Channel::Remove { id } => {
            call(config, Method::DELETE, &format!("channels/{id}"), None).await?;
            println!("channel {id} is removed");
        }
    }
    Ok(())
}

/// Calls the headend that runs; what it answers.
async fn call(config: &Config, method: Method, path: &str, body: Option<String>) -> Result<Value> {
    let token = config.http.admin_token.as_ref().context("[http] admin_token is not configured")?;
    let token = token.read().context("cannot have the administrator's token")?;
    let mut address = config.http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request =
        http.request(method, format!("http://{address}/v1/{path}")).bearer_auth(token.expose());
    if let Some(body) = body {
        request = request.body(body);
    }
    let reply = request.send().await;
    let reply = reply.with_context(|| format!("no headend answers at {address}"))?;
    let status = reply.status();
    let answer: Value = reply.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let problems = answer["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let problems: Vec<&str> = problems.iter().filter_map(|p| p["what"].as_str()).collect();
    if problems.is_empty() {
        bail!("{}", answer["detail"].as_str().unwrap_or("the headend refuses"));
    }
    bail!("{}", problems.join("\n"))
}
