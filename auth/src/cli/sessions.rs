//! `session ...` and `keys ...`

use clap::Subcommand;

use super::{Context, print};
use crate::store::Subject;

/// What can be done with sessions.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Lists sessions, the latest renewed first
    List {
        /// Only those of this user
        #[arg(long, conflicts_with = "node")]
        user: Option<String>,
        /// Only those of this node
        #[arg(long)]
        node: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ends a session; its tickets are void at once
    Revoke {
        /// As it stands in the list
        id: String,
    },
}

/// What can be done with keys.
#[derive(Subcommand, Debug)]
pub(super) enum Keys {
    /// Makes a new key that signs from now on; older tickets stay valid until they expire
    Rotate,
    /// Lists keys that sign or are still published
    List,
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let Context { store, now, .. } = context;
    match command {
        Command::List { user, node, json } => {
            let subject = match (&user, &node) {
                (Some(user), _) => Subject::User(user),
                (None, Some(node)) => Subject::Node(node),
                (None, None) => Subject::Anybody,
            };
            let sessions = store.sessions(subject).await?;
            if json {
                return print::json(&sessions);
            }
            let rows: Vec<_> = sessions
                .into_iter()
                .map(|session| {
                    let whose = match (session.user, session.node) {
                        (Some(user), _) => user,
                        (None, node) => format!("node {}", print::or_dash(node)),
                    };
                    [
                        session.id,
                        whose,
                        session.ended_reason.unwrap_or_else(|| "active".into()),
                        print::time(Some(session.renewed_at)),
                        print::or_dash(session.subset),
                        print::or_dash(session.asn),
                        print::or_dash(session.country),
                    ]
                })
                .collect();
            print::table(
                ["SESSION", "OF", "STATE", "RENEWED (UTC)", "SUBSET", "ASN", "COUNTRY"],
                &rows,
            )?;
        }
        Command::Revoke { id } => {
            let reason = "ended by the administrator";
            anyhow::ensure!(
                store.end_session(&id, reason, *now).await?,
                "there is no living session {id}"
            );
            println!("session {id} ended");
        }
    }
    Ok(())
}

pub(super) async fn keys(context: &Context, command: Keys) -> anyhow::Result<()> {
    let Context { store, now, .. } = context;
    match command {
        Keys::Rotate => println!("key {} signs from now on", store.rotate_keys(*now).await?),
        Keys::List => {
            let rows: Vec<_> = store
                .signing_keys(*now)
                .await?
                .into_iter()
                .map(|key| {
                    let state = if key.retired_at.is_none() { "signs" } else { "published" };
                    [
                        key.kid,
                        state.to_owned(),
                        print::time(Some(key.created_at)),
                        print::time(key.retired_at),
                    ]
                })
                .collect();
            print::table(["KEY", "STATE", "MADE (UTC)", "RETIRED (UTC)"], &rows)?;
        }
    }
    Ok(())
}
