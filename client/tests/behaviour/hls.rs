//! HLS over HTTP: what the playlist names can be fetched and is what was played.

use std::time::Instant;

use crate::station::{Fate, Station, Viewer, browser, simple, until};

#[tokio::test]
async fn the_playlist_names_what_can_be_fetched() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    let url = viewer.url("/channels/one/index.m3u8");
    // Whoever comes first waits for the first media segments.
    let early = tokio::spawn(browser().get(url.clone()).send());
    for number in 0..13 {
        station.air_simple("one", number, Fate::Whole).await;
    }
    let reply = early.await.unwrap().unwrap();
    assert_eq!(reply.headers()["content-type"], "application/vnd.apple.mpegurl");
    assert_eq!(reply.text().await.unwrap().matches("#EXTINF:1.000,").count(), 3);

    station.air_simple("one", 13, Fate::Lost).await;
    for number in 14..25 {
        station.air_simple("one", number, Fate::Whole).await;
    }
    until("played", || one.counts().swarm.played == 24).await;
    let playlist = browser().get(&url).send().await.unwrap().text().await.unwrap();
    let names: Vec<&str> = playlist.lines().filter(|line| line.ends_with(".ts")).collect();
    assert_eq!(names.len(), 6, "{playlist}");
    let before_mark = playlist.split("#EXT-X-DISCONTINUITY\n").next().unwrap();
    assert_eq!(
        before_mark.matches(".ts").count(),
        4,
        "0-3, 4-7, 8-11, 12 | 16-19, 20-23: {playlist}"
    );
    let media = async |name: &str| {
        let url = viewer.url(&format!("/channels/one/{name}"));
        let reply = browser().get(url).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "video/mp2t");
        reply.bytes().await.unwrap()
    };
    assert_eq!(media(names[1]).await, [4, 5, 6, 7].map(|number| simple(number).to_vec()).concat());
    assert_eq!(media(names[3]).await, simple(12));
    viewer.end().await;
}

#[tokio::test]
async fn a_channel_on_demand_stays_while_its_playlist_is_fetched() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |settings| {
        settings.linger = service::config::Duration::from_secs(60);
    })
    .await;
    let url = viewer.url("/channels/three/index.m3u8");
    let first = tokio::spawn(browser().get(url).send());
    until("joined", || viewer.player.channels().received() == ["three"]).await;
    for number in 0..13 {
        station.air_simple("three", number, Fate::Whole).await;
    }
    let playlist = first.await.unwrap().unwrap().text().await.unwrap();
    assert_eq!(viewer.player.channels().received(), ["three"], "nobody reads just now");
    let name = playlist.lines().find(|line| line.ends_with(".ts")).unwrap();
    let url = viewer.url(&format!("/channels/three/{name}"));
    assert_eq!(browser().get(url).send().await.unwrap().status(), 200);
    viewer.end().await;
}
