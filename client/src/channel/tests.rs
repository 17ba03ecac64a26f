//! Who uses a channel, and when it is joined and left.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use link::protocol::ChannelInfo;
use link::{NodeStats, Played, SessionError, SwarmStats};
use segment::{ChannelSecret, Coding, SwarmId};
use tokio::sync::watch;

use super::*;
use crate::platform::{Feed, Tuned};

/// Counts joins and feeds that are alive.
#[derive(Default)]
struct Counting {
    joins: AtomicUsize,
    alive: Arc<AtomicUsize>,
    refuse: bool,
}

struct Silent(Arc<AtomicUsize>);

impl Feed for Silent {
    fn next(&mut self) -> BoxFuture<'_, Option<Played>> {
        Box::pin(std::future::pending())
    }
    fn stats(&self) -> SwarmStats {
        SwarmStats::default()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Platform for Counting {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.refuse {
                return Err(SessionError::NotEntitled(channel.into()));
            }
            self.joins.fetch_add(1, Ordering::SeqCst);
            self.alive.fetch_add(1, Ordering::SeqCst);
            Ok(Tuned {
                feed: Box::new(Silent(self.alive.clone())),
                swarm: SwarmId::new(&ChannelSecret::new([1; 32]).channel_key(), channel),
                coding: Coding::default(),
                rendition: "main".into(),
                keys: watch::channel(Vec::new()).1,
                share: watch::channel(crate::settings::Share::default()).1,
            })
        })
    }
    fn line_up(&self) -> Vec<ChannelInfo> {
        Vec::new()
    }
    fn wire(&self) -> NodeStats {
        NodeStats::default()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn users_of_a_channel_share_it_and_the_last_one_ends_it() {
    let platform = Arc::new(Counting::default());
    let channels = Channels::new(platform.clone(), 4);
    let tune = || channels.tune("one", Duration::ZERO);
    let (first, second) = tokio::join!(tune(), tune());
    assert_eq!(platform.joins.load(Ordering::SeqCst), 1);
    drop(first.unwrap());
    assert_eq!(channels.received(), ["one"]);
    let second = second.unwrap();
    assert!(!second.channel().has_ended());
    drop(second);
    assert!(channels.received().is_empty());
    until("left", || platform.alive.load(Ordering::SeqCst) == 0).await;
    channels.close().await;
}

#[tokio::test]
async fn a_reader_who_returns_in_time_finds_the_same_channel() {
    let platform = Arc::new(Counting::default());
    let channels = Channels::new(platform.clone(), 4);
    drop(channels.tune("one", Duration::from_secs(60)).await.unwrap());
    let lease = channels.tune("one", Duration::ZERO).await.unwrap();
    assert_eq!(platform.joins.load(Ordering::SeqCst), 1);
    drop(lease);
    assert_eq!(channels.received(), ["one"], "the first user's time is not over");
    channels.inner.sweep(Instant::now() + Duration::from_secs(61));
    assert!(channels.received().is_empty());
    until("left", || platform.alive.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn the_number_of_channels_is_bounded_and_idle_ones_make_room() {
    let platform = Arc::new(Counting::default());
    let channels = Channels::new(platform.clone(), 2);
    let one = channels.tune("one", Duration::ZERO).await.unwrap();
    let two = channels.tune("two", Duration::from_secs(60)).await.unwrap();
    let error = channels.tune("three", Duration::ZERO).await.err().unwrap();
    assert!(matches!(error, Error::TooManyChannels(2)));
    drop(two);
    let _three = channels.tune("three", Duration::ZERO).await.unwrap();
    let mut received = channels.received();
    received.sort();
    assert_eq!(received, ["one", "three"]);
    assert!(!one.channel().has_ended());
    channels.close().await;
    assert_eq!(platform.alive.load(Ordering::SeqCst), 0);
    assert!(one.channel().has_ended());
}

#[tokio::test]
async fn a_refusal_leaves_nothing_behind() {
    let platform = Arc::new(Counting { refuse: true, ..Counting::default() });
    let channels = Channels::new(platform, 1);
    for name in ["one", "two"] {
        let error = channels.tune(name, Duration::from_secs(60)).await.err().unwrap();
        assert_eq!(error.to_string(), format!("channel {name} is not in your package"));
    }
    assert!(channels.received().is_empty());
}

#[tokio::test]
async fn who_gives_up_while_joining_leaves_nothing_behind() {
    let platform = Arc::new(Counting::default());
    let channels = Channels::new(platform.clone(), 1);
    let joining = channels.tune("one", Duration::from_secs(60));
    assert!(futures::FutureExt::now_or_never(joining).is_none());
    assert!(channels.received().is_empty());
    channels.tune("two", Duration::ZERO).await.unwrap();
    until("left", || platform.alive.load(Ordering::SeqCst) == 0).await;
}
