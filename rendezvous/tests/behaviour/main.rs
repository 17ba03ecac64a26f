//! A real rendezvous over loopback, with an auth that the tests play themselves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod auth;
mod browser;
mod channels;
mod console;
mod limits;
mod meeting;
mod operator;
mod outage;
mod redis;
mod refusals;
mod schedule;
mod sessions;
mod shared;
mod stage;
mod viewers;

/// Runs each story with the map in memory, and with one that is shared through a real Redis; there
/// only where it is installed.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $story() {
                Box::pin(super::$story()).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $story() {
                if let Some(redis) = $crate::redis::Redis::shared() {
                    $crate::redis::MAP.scope(Some(redis.url()), Box::pin(super::$story())).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;
