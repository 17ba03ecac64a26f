//! `package ...`

use clap::{Args, Subcommand};

use super::{Context, print};
use crate::store::Error;

/// What can be done with packages.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Adds a package
    Add(Channels),
    /// Gives a package these channels instead of those that it has, or adds it
    Set(Channels),
    /// Lists packages
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes a package; users who have it have it no more
    Remove {
        /// The package
        name: String,
    },
}

/// A package and its channels.
#[derive(Args, Debug)]
pub(super) struct Channels {
    /// The package
    pub(super) name: String,
    /// Channels by name; '*' stands for all
    channels: Vec<String>,
    /// The same, for those who prefer it
    #[arg(long = "channel", value_name = "CHANNEL", value_delimiter = ',', alias = "channels")]
    more: Vec<String>,
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Context { store, now, .. } = context;
    match command {
        Command::Add(package) => {
            match store.package(&package.name).await {
                Err(Error::Missing(_)) => {}
                Ok(_) => {
                    anyhow::bail!("package {} exists already; use `package set`", package.name)
                }
                Err(error) => return Err(error.into()),
            }
            let channels = [package.channels, package.more].concat();
            let package = store.set_package(&package.name, &channels, *now).await?;
            println!("package {} added: {}", package.name, package.channels.join(" "));
        }
        Command::Set(package) => {
            let channels = [package.channels, package.more].concat();
            let package = store.set_package(&package.name, &channels, *now).await?;
            println!("package {} set: {}", package.name, package.channels.join(" "));
        }
        Command::List { json } => {
            let packages = store.packages().await?;
            if json {
                return print::json(&packages);
            }
            let rows: Vec<_> = packages
                .into_iter()
                .map(|package| [package.name, package.channels.join(" ")])
                .collect();
            print::table(["PACKAGE", "CHANNELS"], &rows)?;
        }
        Command::Remove { name } => {
            store.remove_package(&name).await?;
            println!("package {name} removed");
        }
    }
    Ok(())
}
