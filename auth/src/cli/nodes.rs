//! `node ...`

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use service::config::Secret;
use ticket::Role;

use super::{Context, print};
use crate::names;

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Adds a node, or a revoked one anew, and prints its credential, once
    Add {
        /// The node's name
        name: String,
        /// What it does
        #[arg(long, value_enum)]
        role: NodeRole,
        /// A channel that it may carry or publish; may be repeated; without it, all
        #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',', alias = "channels")]
        channels: Vec<String>,
        /// A file that holds the credential, instead of a new one that is printed
        #[arg(long, value_name = "FILE")]
        credential_file: Option<PathBuf>,
    },
    /// Lists nodes
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Voids a node's credential and ends its sessions
    Revoke {
        /// The node
        name: String,
    },
}

/// Roles that nodes may have.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum NodeRole {
    /// Takes sources in and publishes channels
    Headend,
    /// Fans channels out
    Repeater,
    /// Gives peers, channel tickets and keys
    Rendezvous,
}

impl From<NodeRole> for Role {
    fn from(role: NodeRole) -> Self {
        match role {
            NodeRole::Headend => Role::Headend,
            NodeRole::Repeater => Role::Repeater,
            NodeRole::Rendezvous => Role::Rendezvous,
        }
    }
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Context { store, now, public_url } = context;
    match command {
        Command::Add { name, role, mut channels, credential_file } => {
            if channels.is_empty() {
                channels.push(names::EVERY.to_owned());
            }
            let given = credential_file.map(|file| Secret::File(file).read()).transpose()?;
            let given = given.as_ref().map(|secret| secret.expose());
            let credential = store.add_node(&name, role.into(), &channels, given, *now).await?;
            if given.is_none() {
                eprintln!("node {name} added; its credential, shown this once:");
                println!("{credential}");
                if let (NodeRole::Repeater, Some(url)) = (role, public_url) {
                    eprintln!(
                        "with the address of auth, in the one line that its configuration needs:"
                    );
                    eprintln!("{}#{credential}", url.trim_end_matches('/'));
                }
            } else {
                eprintln!("node {name} added");
            }
        }
        Command::List { json } => {
            let nodes = store.nodes().await?;
            if json {
                return print::json(&nodes);
            }
            let rows: Vec<_> = nodes
                .into_iter()
                .map(|node| {
                    [
                        node.name,
                        crate::store::role_name(node.role).to_owned(),
                        if node.revoked { "revoked" } else { "active" }.to_owned(),
                        node.channels.join(" "),
                        print::time(node.seen_at),
                    ]
                })
                .collect();
            print::table(["NODE", "ROLE", "STATE", "CHANNELS", "SEEN (UTC)"], &rows)?;
        }
        Command::Revoke { name } => {
            let ended = store.revoke_node(&name, *now).await?;
            println!("node {name} revoked, {ended} sessions ended");
        }
    }
    Ok(())
}
