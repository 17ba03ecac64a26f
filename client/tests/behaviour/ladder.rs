//! A line that does not carry a rendition gets a lower one, at a random access point, and the better one again once it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::channel::Running;

use crate::station::{Fate, Station, Viewer, until};

/// On the air: the segment of both renditions, the better one as it is fated.
async fn air(station: &Station, number: u64, better: Fate) {
    station.air_simple("one", number, better).await;
    station.air_simple("one/low", number, Fate::Whole).await;
}

/// The numbers of the segments that were played, by their packets.
fn numbers(running: Arc<Running>) -> tokio::sync::mpsc::UnboundedReceiver<u64> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let reader = running.hub().read();
    tokio::spawn(async move {
        while let Some(ts) = reader.next().await {
            // The last packet: one that marks a hole may be before the first. Of sound alone nothing is left here.
            if let Some(number) = ts.last() {
                let _over = tell.send(u64::from(*number));
            }
        }
    });
    told
}

#[tokio::test]
async fn it_goes_down_at_a_random_access_point_and_nothing_is_left_out() {
    let station = Station::laddered();
    let viewer = Viewer::start(&station, |_| ()).await;
    let running = viewer.player.play("one", Instant::now()).await.unwrap();
    let mut told = numbers(running.clone());
    for number in 0..8 {
        air(&station, number, Fate::Whole).await;
    }
    // The line carries sound alone: two such segments are too many.
    for number in 8..10 {
        air(&station, number, Fate::SoundOnly).await;
    }
    until("the lower one is joined", || station.joins.load(Ordering::SeqCst) == 2).await;
    assert_eq!(running.rendition().0, "main", "not before a random access point");
    let mut end = 10;
    let began = Instant::now();
    while running.rendition().0 != "low" {
        assert!(began.elapsed() < Duration::from_secs(60), "the lower one does not play");
        air(&station, end, Fate::SoundOnly).await;
        end += 1;
        // Four times as fast as on the air.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    until("the better one is left", || station.alive.load(Ordering::SeqCst) == 1).await;
    for number in end..end + 4 {
        air(&station, number, Fate::SoundOnly).await;
    }
    let end = end + 4;
    until("all are played", || viewer.player.stats().segments.played >= end).await;
    let stats = viewer.player.stats();
    viewer.end().await;
    let mut whole = Vec::new();
    while let Some(number) = told.recv().await {
        whole.push(number);
    }
    // With sound alone until the next random access point, each segment once.
    let from = 8 + stats.segments.sound_only;
    assert!(from >= 12 && from % 4 == 0, "{stats:#?}");
    assert_eq!(whole, (0..8).chain(from..end).collect::<Vec<_>>());
    assert_eq!((stats.segments.played, stats.segments.lost), (end, 0));
    assert_eq!((stats.rendition.as_str(), stats.stalls), ("low", 0));
}

#[tokio::test]
async fn it_comes_back_once_the_better_one_comes_whole_and_not_before() {
    let station = Station::laddered();
    let viewer = Viewer::start(&station, |_| ()).await;
    let running = viewer.player.play("one", Instant::now()).await.unwrap();
    let mut number = 0;
    let mut on = async |better: Fate, seconds: u64, wanted: &str| -> bool {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end && running.rendition().0 != wanted {
            air(&station, number, better).await;
            number += 1;
            // Four times as fast as on the air.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        running.rendition().0 == wanted
    };
    assert!(on(Fate::SoundOnly, 60, "low").await, "down");
    // Long enough for one attempt at the better one, and no more.
    assert!(!on(Fate::SoundOnly, 9, "main").await, "the better one does not come whole");
    assert!(station.joins.load(Ordering::SeqCst) >= 3, "it was tried");
    assert!(on(Fate::Whole, 60, "main").await, "up");
    viewer.end().await;
}
