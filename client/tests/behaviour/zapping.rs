//! Ten rapid channel changes leave nothing behind: tasks, feeds, open files.

use std::sync::atomic::Ordering;
use std::time::Instant;

use client::channel::Channels;
use client::player::Player;
use tokio::runtime::Handle;

use crate::station::{Fate, Station, Viewer, until};

#[tokio::test]
async fn ten_rapid_changes_leave_nothing_behind() {
    let station = Station::new();
    // No server beside it, whose own tasks would be counted.
    let player = Player::new(Channels::new(station.clone(), 4));
    let tasks = || Handle::current().metrics().num_alive_tasks();
    player.play("one", Instant::now()).await.unwrap();
    let before = tasks();
    for number in 0..10 {
        let channel = ["two", "three", "one"][number % 3];
        let running = player.play(channel, Instant::now()).await.unwrap();
        if number % 2 == 0 {
            station.air_simple(channel, number as u64 * 4, Fate::Whole).await;
            until("played", || running.counts().swarm.played == 1).await;
        }
        assert_eq!(player.channels().received(), [channel]);
    }
    until("old feeds are gone", || station.alive.load(Ordering::SeqCst) == 1).await;
    until("old tasks are gone", || tasks() == before).await;
    assert_eq!(station.joins.load(Ordering::SeqCst), 11);
    player.stop().await;
    until("all is left", || station.alive.load(Ordering::SeqCst) == 0).await;
    assert!(player.playing().is_none());
    player.channels().close().await;
}

#[tokio::test]
async fn changes_from_many_sides_end_with_one_channel() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let play = |channel: &'static str| {
        let player = viewer.player.clone();
        tokio::spawn(async move { player.play(channel, Instant::now()).await.map(drop) })
    };
    let changes: Vec<_> = (0..30).map(|i| play(["one", "two", "three"][i % 3])).collect();
    for change in changes {
        change.await.unwrap().unwrap();
    }
    until("one is left", || station.alive.load(Ordering::SeqCst) == 1).await;
    let playing = viewer.player.playing().unwrap();
    assert_eq!(viewer.player.channels().received(), [&*playing.channel]);
    assert_eq!(viewer.player.stats().channel, playing.channel);
    viewer.end().await;
}

#[tokio::test]
async fn a_refused_channel_leaves_the_player_silent_and_able() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    viewer.player.play("one", Instant::now()).await.unwrap();
    let error = viewer.player.play("secret", Instant::now()).await.err().unwrap();
    assert_eq!(error.to_string(), "channel secret is not in your package");
    assert!(viewer.player.playing().is_none());
    viewer.player.play("two", Instant::now()).await.unwrap();
    assert_eq!(viewer.player.channels().received(), ["two"]);
    viewer.end().await;
}
