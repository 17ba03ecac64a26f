//! A recording holds exactly the bytes of the segments that were played, over changes of channel.

use std::time::Instant;

use client::output::file::Recorder;

use crate::station::{Fate, Station, Viewer, simple, until};

#[tokio::test]
async fn a_recording_is_what_was_played_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let recorder = Recorder::open(&path).await.unwrap();
    viewer.player.record(Some(recorder.sink()));

    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    for number in 2..9 {
        let fate = if number == 5 { Fate::Lost } else { Fate::Whole };
        station.air_simple("one", number, fate).await;
    }
    until("all of it is played", || one.counts().swarm.played == 6).await;
    assert!(one.first().borrow().is_some());

    let two = viewer.player.play("two", Instant::now()).await.unwrap();
    station.air_simple("one", 9, Fate::Whole).await;
    station.air_simple("two", 40, Fate::Whole).await;
    until("the other channel is played", || two.counts().swarm.played == 1).await;
    assert!(one.has_ended());
    viewer.end().await;
    recorder.finish().await.unwrap();

    let wanted = [2, 3, 4, 6, 7, 8, 40].map(|number| simple(number).to_vec()).concat();
    assert_eq!(std::fs::read(&path).unwrap(), wanted);
}

#[tokio::test]
async fn what_cannot_be_opened_is_neither_recorded_nor_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let recorder = Recorder::open(&path).await.unwrap();
    viewer.player.record(Some(recorder.sink()));
    let one = viewer.player.play("one", Instant::now()).await.unwrap();

    station.air_simple("one", 0, Fate::Whole).await;
    until("played", || one.counts().swarm.played == 1).await;
    station.give_keys("one", false);
    station.air_simple("one", 1, Fate::Whole).await;
    station.air_simple("one", 2, Fate::Whole).await;
    until("taken", || one.counts().swarm.played == 3).await;
    station.give_keys("one", true);
    station.air_simple("one", 3, Fate::Whole).await;
    until("played again", || one.counts().swarm.played == 4).await;

    let stats = viewer.player.stats();
    assert_eq!((stats.segments.played, stats.segments.lost), (2, 2));
    assert_eq!((stats.stalls, stats.stall_ms), (1, 500));
    assert_eq!(stats.stall_causes.get("decoder"), Some(&1));
    viewer.end().await;
    recorder.finish().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), [simple(0), simple(3)].concat());
}
