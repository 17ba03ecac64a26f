//! `user ...`

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use service::config::Secret;

use super::{Context, print};
use crate::{hasher, names};

/// What can be done with users.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Adds a user; the password comes from a file, from standard input or from the keyboard
    Add {
        /// What the user types to sign in
        name: String,
        /// A package that the user has; may be repeated
        #[arg(long = "package", value_name = "PACKAGE", value_delimiter = ',', alias = "packages")]
        packages: Vec<String>,
        /// A file that holds the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Lists users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ends a user's sessions and refuses further sign-ins
    Disable {
        /// The user
        name: String,
    },
    /// Lets a disabled user sign in again
    Enable {
        /// The user
        name: String,
    },
    /// Sets another password and ends the user's sessions
    Passwd {
        /// The user
        name: String,
        /// A file that holds the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Sets the packages that a user has, instead of those there are
    Packages {
        /// The user
        name: String,
        /// Packages by name; none: the user has none
        packages: Vec<String>,
    },
    /// Removes a user and all that is kept of it
    Remove {
        /// The user
        name: String,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Context { store, now, .. } = context;
    match command {
        Command::Add { name, packages, password_file } => {
            names::username(&name)?;
            let password = password(password_file)?;
            store.add_account(&name, &hasher::hash(&password), &packages, *now).await?;
            println!("user {name} added");
        }
        Command::List { json } => {
            let mut users = Vec::new();
            let mut after = Some(String::new());
            while let Some(name) = after {
                let page = store.accounts(&name, crate::store::PAGE).await?;
                users.extend(page.users);
                after = page.next;
            }
            if json {
                return print::json(&users);
            }
            let rows: Vec<_> = users
                .into_iter()
                .map(|user| {
                    [
                        user.username,
                        if user.disabled { "disabled" } else { "active" }.to_owned(),
                        user.packages.join(","),
                        print::time(user.signed_in_at),
                        user.id,
                    ]
                })
                .collect();
            print::table(["USER", "STATE", "PACKAGES", "SIGNED IN (UTC)", "ID"], &rows)?;
        }
        Command::Disable { name } => {
            let ended = store.set_disabled(&name, true, *now).await?;
            println!("user {name} disabled, {ended} sessions ended");
        }
        Command::Enable { name } => {
            store.set_disabled(&name, false, *now).await?;
            println!("user {name} enabled");
        }
        Command::Passwd { name, password_file } => {
            store.account(&name).await?;
            let hash = hasher::hash(&password(password_file)?);
            let ended = store.set_password(&name, &hash, *now).await?;
            println!("password of user {name} set, {ended} sessions ended");
        }
        Command::Packages { name, packages } => {
            store.set_account_packages(&name, &packages).await?;
            println!("packages of user {name} set");
        }
        Command::Remove { name } => {
            let ended = store.remove_account(&name, *now).await?;
            println!("user {name} removed, {ended} sessions ended");
        }
    }
    Ok(())
}

fn password(file: Option<PathBuf>) -> anyhow::Result<String> {
    let password = match file {
        Some(file) => Secret::File(file).read()?.expose().to_owned(),
        None if std::io::stdin().is_terminal() => {
            let password = rpassword::prompt_password("Password: ")?;
            anyhow::ensure!(
                rpassword::prompt_password("Again: ")? == password,
                "the two passwords differ"
            );
            password
        }
        None => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    names::password(&password)?;
    Ok(password)
}
