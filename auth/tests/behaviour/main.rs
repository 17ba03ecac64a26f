//! Auth as its users see it: over HTTP and on the command line, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod administration;
mod command_line;
mod database;
mod guessing;
mod guide;
mod location;
mod nodes;
mod outage;
mod revocation;
mod sessions;
mod several;
mod support;
mod upgrade;

/// Runs each story on both databases; on PostgreSQL only where it is installed.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $story() {
                super::$story($crate::database::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $story() {
                if let Some(database) = $crate::database::Database::postgres().await {
                    super::$story(database).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;
