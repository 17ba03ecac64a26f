//! The operator's XMLTV becomes the guide that everybody may read; a broken or empty feed never takes it away.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use serde_json::Value;

use crate::database::Database;
use crate::support::{ADMINISTRATOR, Auth, until};

crate::on_both!(
    what_the_administrator_gives_everybody_can_read,
    a_bad_feed_never_takes_the_guide_away,
    a_file_is_read_again_and_again
);

/// An XMLTV file with one programme that is on now, on each of these channels.
fn feed(title: &str, channels: &[&str]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (days, second) = (now / 86_400, now % 86_400);
    // Yesterday's to tomorrow's midnight, by way of a day that is counted here.
    let date = |days: u64| {
        let (mut year, mut left) = (1970, days);
        loop {
            let len = if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
            if left < len {
                break;
            }
            (year, left) = (year + 1, left - len);
        }
        let february = if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 };
        let mut month = 1;
        for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if left < len {
                break;
            }
            (month, left) = (month + 1, left - len);
        }
        format!("{year:04}{month:02}{:02}", left + 1)
    };
    assert!(second < 86_400);
    let (start, stop) = (date(days), date(days + 1));
    let programmes: String = channels
        .iter()
        .map(|channel| {
            format!(
                "<programme start=\"{start}000000 +0000\" stop=\"{stop}000000 +0000\" \
                 channel=\"{channel}\"><title>{title}</title></programme>\n"
            )
        })
        .collect();
    format!("<?xml version=\"1.0\"?>\n<tv>\n{programmes}</tv>\n")
}

async fn put(auth: &Auth, token: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let url = format!("{}/v1/admin/guide", auth.base);
    let answer = auth.http.put(url).bearer_auth(token).body(body).send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap())
}

async fn title(auth: &Auth, channel: &str) -> Option<String> {
    let reply = auth.get("/v1/guide").await;
    reply.body["channels"][channel][0]["title"].as_str().map(str::to_owned)
}

async fn what_the_administrator_gives_everybody_can_read(database: Database) {
    let auth = Auth::start_with(database, |config| {
        config.guide.channels.insert("one.example".into(), "one".into());
    })
    .await;
    let other = auth.beside().await;
    auth.get("/v1/guide").await.problem(404);
    assert_eq!(put(&auth, "guessed", feed("X", &["one"])).await.0, 401);
    let (status, said) = put(&auth, ADMINISTRATOR, feed("News", &["one.example", "two"])).await;
    assert_eq!((status.as_u16(), &said["programmes"]), (200, &2.into()), "{said}");
    assert_eq!(title(&auth, "one").await.as_deref(), Some("News"));
    until("the other auth has it too", || async {
        title(&other, "two").await.as_deref() == Some("News")
    })
    .await;

    // Who has it already is told so; who can unpack gets it packed.
    let url = format!("{}/v1/guide", auth.base);
    let plain = auth.http.get(&url).send().await.unwrap();
    let tag = plain.headers()["etag"].clone();
    let plain = plain.bytes().await.unwrap();
    let again = auth.http.get(&url).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let packed = auth.http.get(&url).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&packed[..]);
    std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);

    // A packed feed is understood.
    let feed = feed("Packed", &["one"]);
    let mut packer = flate2::read::GzEncoder::new(feed.as_bytes(), flate2::Compression::fast());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut packer, &mut bytes).unwrap();
    assert_eq!(put(&auth, ADMINISTRATOR, bytes).await.0, 200);
    assert_eq!(title(&auth, "one").await.as_deref(), Some("Packed"));
    assert_eq!(title(&auth, "two").await.as_deref(), Some("News"), "what it says nothing of stays");
}

async fn a_bad_feed_never_takes_the_guide_away(database: Database) {
    let auth = Auth::start_with(database, |config| {
        config.guide.max_size = serde_json::from_str("1").unwrap();
    })
    .await;
    put(&auth, ADMINISTRATOR, feed("Good", &["one"])).await;
    let good = feed("Bad", &["one"]);
    let old = "<tv><programme start=\"20200101000000\" stop=\"20200102000000\" channel=\"one\">\
               <title>Old</title></programme></tv>";
    for (bad, wanted) in [
        (String::new(), "ends early"),
        ("<tv></tv>".to_owned(), "holds no programme"),
        (good[..good.len() - 20].to_owned(), "line 3"),
        (format!("{good}<").replace("</tv>", "</vt>"), "line 4"),
        ("<html></html>".to_owned(), "no XMLTV"),
        (old.to_owned(), "are over"),
        (good.replace("</tv>", &" ".repeat(900_000)), "ends early"),
    ] {
        let (status, said) = put(&auth, ADMINISTRATOR, bad).await;
        assert_eq!(status, 400, "{said}");
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains(wanted), "{wanted} in {detail}");
        assert_eq!(title(&auth, "one").await.as_deref(), Some("Good"));
    }
    let (status, _) = put(&auth, ADMINISTRATOR, " ".repeat(2_000_000)).await;
    assert_eq!(status, 413);
    let status = auth.admin(reqwest::Method::GET, "/guide", None).await.expect(200);
    assert!(status["failure"].as_str().unwrap().contains("ends early"), "{status}");
    assert_eq!(status["programmes"], 1);
}

async fn a_file_is_read_again_and_again(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guide.xml");
    std::fs::write(&file, feed("First", &["one"])).unwrap();
    let auth = Auth::start_with(database, |config| {
        config.guide.source = Some(file.display().to_string().try_into().unwrap());
        config.guide.refresh = service::config::Duration::from_millis(100);
    })
    .await;
    until("the file is read", || async { title(&auth, "one").await.as_deref() == Some("First") })
        .await;
    std::fs::write(&file, "").unwrap();
    until("the empty file is noticed", || async {
        auth.admin(reqwest::Method::GET, "/guide", None).await.expect(200)["failure"].is_string()
    })
    .await;
    assert_eq!(title(&auth, "one").await.as_deref(), Some("First"));
    std::fs::write(&file, feed("Second", &["one"])).unwrap();
    until("the file is read again", || async {
        title(&auth, "one").await.as_deref() == Some("Second")
    })
    .await;
    let status = auth.admin(reqwest::Method::GET, "/guide", None).await.expect(200);
    assert!(status["failure"].is_null(), "{status}");
}
