//! Players on the local address: any number of readers, channels on demand, nobody holds up anybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures::StreamExt as _;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::station::{Fate, Station, Viewer, browser, simple, swarm_of, until};

/// Reads `length` bytes of an endless reply.
async fn read(reply: reqwest::Response, length: usize) -> Vec<u8> {
    let mut body = reply.bytes_stream();
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&body.next().await.unwrap().unwrap());
    }
    bytes
}

#[tokio::test]
async fn a_player_gets_the_stream_from_a_random_access_point_on() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    for number in 1..7 {
        station.air_simple("one", number, Fate::Whole).await;
    }
    until("played", || one.counts().swarm.played == 6).await;
    let reply = browser().get(viewer.url("/channels/one/stream.ts")).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(reply.headers()["content-type"], "video/mp2t");
    station.air_simple("one", 7, Fate::Whole).await;
    let wanted = [simple(4), simple(5), simple(6), simple(7)].concat();
    assert_eq!(read(reply, wanted.len()).await, wanted);
    assert_eq!(station.joins.load(Ordering::SeqCst), 1, "the channel was joined already");
    viewer.end().await;
}

#[tokio::test]
async fn another_channel_is_joined_for_its_readers_and_left_after_them() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    viewer.player.play("one", Instant::now()).await.unwrap();
    let ask = |url: String| tokio::spawn(async move { browser().get(url).send().await.unwrap() });
    let readers = [(); 2].map(|()| ask(viewer.url("/channels/two/stream.ts")));
    until("joined", || station.joins.load(Ordering::SeqCst) == 2).await;
    let channels = viewer.player.channels().clone();
    let mut replies = Vec::new();
    for (number, reader) in (0..).map(|i| i * 4).zip(readers) {
        while !reader.is_finished() {
            station.air_simple("two", number, Fate::Whole).await;
            tokio::task::yield_now().await;
        }
        replies.push(reader.await.unwrap());
    }
    assert_eq!(station.joins.load(Ordering::SeqCst), 2, "both share it");
    assert!(channels.received().contains(&"two".to_owned()));
    drop(replies);
    let air = async {
        loop {
            // A closed connection is noticed when something is sent on it.
            station.air_simple("two", 100, Fate::Whole).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = until("left", || channels.received() == ["one"]) => {}
        () = air => {}
    }
    until("really left", || station.alive.load(Ordering::SeqCst) == 1).await;
    viewer.end().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    const BIG: usize = 188 * 4000;
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    let big = |number: u64| -> bytes::Bytes {
        let mut ts = simple(number).to_vec();
        while ts.len() < BIG {
            ts.extend_from_within(..752);
        }
        ts.truncate(BIG);
        ts.into()
    };
    station.air("one", 0, big(0), true, Fate::Whole).await;
    until("played", || one.counts().swarm.played == 1).await;

    let mut slow = tokio::net::TcpStream::connect(viewer.http).await.unwrap();
    slow.write_all(b"GET /channels/one/stream.ts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    slow.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let quick = browser().get(viewer.url("/channels/one/stream.ts")).send().await.unwrap();
    let mut quick = quick.bytes_stream();
    let mut got = Vec::new();
    // More than the system and the queue take for one who does not read: 45 MB.
    for number in 0..60 {
        if number > 0 {
            station.air("one", number, big(number), true, Fate::Whole).await;
        }
        while got.len() < (number as usize + 1) * BIG {
            got.extend_from_slice(&quick.next().await.unwrap().unwrap());
        }
        assert_eq!(got[number as usize * BIG + 187], number as u8);
    }
    viewer.end().await;
}

#[tokio::test]
async fn who_asks_for_too_much_or_for_nothing_is_told() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |settings| {
        settings.max_readers = 1;
        settings.max_channels = 2;
        settings.linger = service::config::Duration::from_secs(60);
    })
    .await;
    let get = async |path: &str| {
        let reply = browser().get(viewer.url(path)).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    assert_eq!(get("/nothing").await.0, 404);
    assert_eq!(get("/channels/absent/stream.ts").await.0, 404);
    assert_eq!(get("/channels/absent/index.m3u8").await.0, 404);
    assert_eq!(get("/channels/one/17.ts").await.0, 404);
    assert_eq!(get("/channels/one/notes.txt").await.0, 404);
    let (status, text) = get("/channels/secret/stream.ts").await;
    assert_eq!((status, text.as_str()), (403, "channel secret is not in your package\n"));
    assert_eq!(station.joins.load(Ordering::SeqCst), 0);

    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    station.air_simple("one", 0, Fate::Whole).await;
    until("played", || one.counts().swarm.played == 1).await;
    let reader = browser().get(viewer.url("/channels/one/stream.ts")).send().await.unwrap();
    let (status, text) = get("/channels/one/stream.ts").await;
    assert_eq!((status, text.contains("too many readers")), (503, true));
    drop(reader);

    let busy = viewer.player.channels().tune("two", std::time::Duration::ZERO).await.unwrap();
    let (status, text) = get("/channels/three/index.m3u8").await;
    assert_eq!((status, text.contains("local.max_channels")), (503, true), "{text}");
    drop(busy);
    viewer.end().await;
}

#[tokio::test]
async fn pages_of_other_sites_get_nothing() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    for path in ["/", "/stats.json", "/channels.m3u", "/channels/one/stream.ts"] {
        let rebound = browser().get(viewer.url(path)).header("host", "evil.example:7878");
        assert_eq!(rebound.send().await.unwrap().status(), 403, "{path}");
        let embedded = browser().get(viewer.url(path)).header("sec-fetch-site", "cross-site");
        let reply = embedded.send().await.unwrap();
        assert_eq!(reply.status(), 403, "{path}");
        assert!(!reply.headers().contains_key("access-control-allow-origin"));
    }
    assert_eq!(station.joins.load(Ordering::SeqCst), 0);
    viewer.end().await;
}

#[tokio::test]
async fn line_up_guide_figures_and_page_are_there() {
    let station = Station::new();
    let viewer = Viewer::start(&station, |_| {}).await;
    viewer.player.play("one", Instant::now()).await.unwrap();
    let get = async |path: &str| {
        let reply = browser().get(viewer.url(path)).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        (reply.headers()["content-type"].to_str().unwrap().to_owned(), reply.text().await.unwrap())
    };
    let (_, m3u) = get("/channels.m3u").await;
    assert!(m3u.contains(&format!("\n{}\n", viewer.url("/channels/one/stream.ts"))), "{m3u}");
    let (kind, guide) = get("/guide.xml").await;
    assert!(kind.starts_with("application/xml"));
    assert!(guide.contains("<display-name>Channel two</display-name>"), "{guide}");
    let (_, stats) = get("/stats.json").await;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["channel"], &stats["k"], &stats["n"]),
        (&"one".into(), &4.into(), &6.into())
    );
    assert_eq!(stats["wire_bytes"]["in"], 7);
    let (_, channels) = get("/channels.json").await;
    let channels: serde_json::Value = serde_json::from_str(&channels).unwrap();
    assert_eq!((&channels[0]["received"], &channels[1]["received"]), (&true.into(), &false.into()));
    let (kind, page) = get("/").await;
    assert!(kind.starts_with("text/html"));
    for outside in ["https:", "http:", "src=\"//"] {
        assert!(!page.contains(outside), "the page needs nothing from outside: {outside}");
    }
    viewer.end().await;
}

#[test]
fn channels_of_the_station_are_different_swarms() {
    let station: Arc<Station> = Station::new();
    assert_ne!(swarm_of(&station, "one"), swarm_of(&station, "three"));
}
