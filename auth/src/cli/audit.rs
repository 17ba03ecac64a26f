//! `audit`, and the note that each command leaves there.

use anyhow::Context as _;

use super::{Command, Context, guide, nodes, packages, prefixes, print, sessions, users};

pub(super) async fn run(context: &Context, limit: i64) -> anyhow::Result<()> {
    let acts = context.store.acts(i64::MAX, limit).await?;
    let rows: Vec<_> = acts
        .into_iter()
        .map(|act| [print::time(Some(act.at)), act.actor, act.act, act.subject])
        .collect();
    print::table(["WHEN (UTC)", "WHO", "DID", "TO"], &rows)?;
    Ok(())
}

/// What is to be noted of a command that succeeds; nothing of one that only lists.
pub(super) fn act(command: &Command) -> Option<(&'static str, String)> {
    Some(match command {
        Command::User(command) => match command {
            users::Command::Add { name, .. } => ("user added", name.clone()),
            users::Command::List { .. } => return None,
            users::Command::Disable { name } => ("user disabled", name.clone()),
            users::Command::Enable { name } => ("user enabled", name.clone()),
            users::Command::Passwd { name, .. } => ("user's password set", name.clone()),
            users::Command::Packages { name, .. } => ("user's packages set", name.clone()),
            users::Command::Remove { name } => ("user removed", name.clone()),
        },
        Command::Package(command) => match command {
            packages::Command::Add(package) | packages::Command::Set(package) => {
                ("package set", package.name.clone())
            }
            packages::Command::List { .. } => return None,
            packages::Command::Remove { name } => ("package removed", name.clone()),
        },
        Command::Node(command) => match command {
            nodes::Command::Add { name, .. } => ("node added", name.clone()),
            nodes::Command::List { .. } => return None,
            nodes::Command::Revoke { name } => ("node revoked", name.clone()),
        },
        Command::Prefix(command) => match command {
            prefixes::Command::Add { cidr, .. } => ("prefix set", cidr.to_string()),
            prefixes::Command::List { .. } => return None,
            prefixes::Command::Remove { cidr } => ("prefix removed", cidr.to_string()),
        },
        Command::Keys(sessions::Keys::Rotate) => ("keys rotated", String::new()),
        Command::Keys(sessions::Keys::List) | Command::Audit { .. } => return None,
        Command::Guide(guide::Command::Load { file }) => ("guide set", file.display().to_string()),
        Command::Guide(_) => return None,
        Command::Session(command) => match command {
            sessions::Command::Revoke { id } => ("session ended", id.clone()),
            sessions::Command::List { .. } => return None,
        },
        Command::Apply { file } => ("file applied", file.display().to_string()),
    })
}

/// Notes what was just done, by the system's user who did it.
pub(super) async fn note(context: &Context, act: &str, subject: &str) -> anyhow::Result<()> {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let actor =
        user.map_or_else(|_| "command line".into(), |user| format!("{user} (command line)"));
    let noted = context.store.note(&actor, act, subject, "", context.now).await;
    noted.context("it is done, but could not be noted in the audit log")
}
