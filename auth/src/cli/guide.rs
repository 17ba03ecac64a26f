//! `guide ...`

use std::path::PathBuf;

use clap::Subcommand;

use super::Context;
use crate::config::Config;
use crate::guide::{Keeper, Source};

/// What can be done with the guide.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Reads an XMLTV file and says what is in it, or what is wrong with it in which line
    Check {
        /// XMLTV, packed with gzip or not
        file: PathBuf,
    },
    /// Takes an XMLTV file as the guide; one that is broken, empty or over leaves the guide as it is
    Load {
        /// XMLTV, packed with gzip or not
        file: PathBuf,
    },
    /// Says what is in the guide
    Show,
}

pub(super) async fn run(
    context: &Context,
    config: &Config,
    command: Command,
) -> anyhow::Result<()> {
    let keeper = Keeper::new(None, config.guide.refresh.get(), config.guide.rules());
    let store = &context.store;
    let status = match command {
        Command::Check { file } => {
            let taken = Source::File(file).read(&keeper.rules, context.now).await?;
            let (channels, programmes) = (taken.guide.channels.len(), taken.guide.len());
            println!(
                "{programmes} programmes of {channels} channels; {} could not be read",
                taken.left_out
            );
            return Ok(());
        }
        Command::Load { file } => keeper.take(Err(&Source::File(file)), store, context.now).await?,
        Command::Show => {
            keeper.load(store).await?;
            keeper.status().await
        }
    };
    match status.loaded_at {
        Some(_) => println!("{} programmes of {} channels", status.programmes, status.channels),
        None => println!("there is no guide"),
    }
    Ok(())
}
