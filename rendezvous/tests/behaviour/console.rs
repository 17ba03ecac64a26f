//! The operator's console, as a browser sees it.

use link::protocol::{Condition, Event, Request, SourceCondition, SourceState};
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use ticket::Role;

use crate::stage::{ADMIN, Stage, publication, swarm_of, until};

pub(crate) struct Browser {
    http: reqwest::Client,
    pub(crate) base: String,
    cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(stage: &Stage) -> Self {
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(none).build().unwrap();
        Self { http, base: format!("http://{}", stage.server().http), cookie: None }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        form: impl Into<reqwest::Body>,
        origin: &str,
    ) -> reqwest::Response {
        let mut request = self.http.post(format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let kind = "application/x-www-form-urlencoded";
        let request = request.header("content-type", kind).header(ORIGIN, origin).body(form);
        request.send().await.unwrap()
    }

    pub(crate) async fn sign_in(&mut self) {
        assert_eq!(ADMIN, "the operator's token");
        let origin = self.base.clone();
        let reply = self.post("/sign-in", "token=the+operator%27s+token", &origin).await;
        assert_eq!(reply.status().as_u16(), 303);
        assert_eq!(reply.headers()[LOCATION], "/");
        let cookie = reply.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert!(!cookie.contains("operator"), "the token stays here");
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }
}

const PAGES: [&str; 11] = [
    "/channels",
    "/map",
    "/viewers",
    "/repeaters",
    "/accounts",
    "/packages",
    "/prefixes",
    "/nodes",
    "/keys",
    "/audit",
    "/channels/one",
];

async fn only_who_signed_in_sees_more_than_the_line_up() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut browser = Browser::new(&stage);
    for path in PAGES {
        let (_, page) = browser.get(path).await;
        assert!(page.contains("Administrator's token") && !page.contains("Sign out"), "{path}");
    }
    let origin = browser.base.clone();
    let reply = browser.post("/sign-in", "token=guess", &origin).await;
    assert_eq!(reply.status().as_u16(), 401);
    let elsewhere = browser.post("/sign-in", "token=the+operator%27s+token", "http://evil.example");
    assert_eq!(elsewhere.await.status().as_u16(), 403);
    browser.sign_in().await;
    for path in PAGES {
        let (code, page) = browser.get(path).await;
        assert_eq!(code, 200, "{path}");
        assert!(page.contains("Sign out") && page.contains("<h1>"), "{path}: {page}");
        assert!(!page.contains("127.0.0"), "{path} shows an address");
    }
    browser.post("/sign-out", "", &origin).await;
    assert!(browser.get("/").await.1.contains("Administrator's token"));
}

async fn the_pages_show_how_the_audience_fares() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    viewer.join("one").await.unwrap();
    let mut browser = Browser::new(&stage);
    browser.sign_in().await;
    let report = |viewer: u64| link::protocol::SwarmReport {
        swarm: swarm_of(1).0,
        have: (0..8).collect(),
        startup_ms: 432,
        stalls: 3,
        bytes_in: [1_000_000, 0, viewer],
        ..Default::default()
    };
    viewer.tell(link::protocol::Request::Report(vec![report(0)])).await;
    viewer.tell(link::protocol::Request::Report(vec![report(3_000_000)])).await;
    viewer.in_step().await;
    let (_, page) = browser.get("/").await;
    assert!(page.contains("carried by no repeater"), "problems first: {page}");
    assert!(page.contains("432 ms") && page.contains("100 %"), "{page}");
    let (_, page) = browser.get("/channels/one").await;
    assert!(page.contains("AS 64500") && page.contains("CH"), "{page}");
    assert!(page.contains("sub-stream 7: 1 of 1 viewers"), "{page}");
    assert!(page.contains("sub-stream 8: 0 of 1 viewers"), "{page}");
    assert!(page.contains("publishes"), "{page}");
    assert_eq!(browser.get("/channels/none").await.0, 404);
    let (_, data) = browser.get(&format!("/map.json?swarm={}", swarm_of(1))).await;
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&data["nodes"], &data["drawn"].as_array().unwrap().len()), (&2.into(), &2));
    assert_eq!(data["groups"][0]["name"], "AS 64500, CH");
    let (_, page) = browser.get("/viewers").await;
    assert!(page.contains("one for") && page.contains(&format!("account of {}", viewer.id())));
    // Auth's own pages say why they are empty: this auth has no administration.
    let (_, page) = browser.get("/accounts").await;
    assert!(page.contains("class=failed"), "{page}");
}

async fn a_channel_is_shown_when_somebody_looks() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut stranger = stage.node(Role::Headend, &["*"]).await;
    let mut browser = Browser::new(&stage);
    let picture = "/channels/one/preview.jpg";
    assert_eq!(browser.get(picture).await.0, 403, "only the operator sees it");
    browser.sign_in().await;
    let (_, page) = browser.get("/channels/one").await;
    assert!(page.contains("No picture yet") && page.contains("No headend tells"), "{page}");
    let looked = |event| matches!(event, Event::Look { channel } if channel == "one").then_some(());
    headend.find(looked).await;

    let source = |kind: &str, state, playing| SourceCondition { kind: kind.into(), state, playing };
    let gone = source("srt-listener", SourceState::Gone, false);
    let condition = Condition {
        channel: "one".into(),
        sources: vec![gone, source("file", SourceState::Fit, true)],
        up: true,
        encoded: true,
        behind_ms: 7,
        losses: 1,
        switches: 4,
        trouble: Some("nobody <calls>".into()),
    };
    headend.tell(Request::Conditions(vec![condition.clone()])).await;
    let jpeg = vec![0xff, 0xd8, 0xff, 1, 2, 3];
    headend.tell(Request::Preview { channel: "one".into(), jpeg: jpeg.clone() }).await;
    headend.in_step().await;
    // Who does not publish the channel has nothing to say of it; nor is anything boundless taken.
    let lie = Condition { up: false, ..condition.clone() };
    stranger.tell(Request::Conditions(vec![lie])).await;
    stranger.tell(Request::Preview { channel: "one".into(), jpeg: vec![9] }).await;
    stranger.in_step().await;
    let long = Condition { trouble: Some("x".repeat(257)), ..condition };
    headend.tell(Request::Conditions(vec![long])).await;
    headend.tell(Request::Preview { channel: "one".into(), jpeg: vec![9; 65_537] }).await;
    headend.in_step().await;

    let reply = browser.http.get(format!("{}{picture}", browser.base));
    let reply = reply.header(COOKIE, browser.cookie.clone().unwrap()).send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "image/jpeg");
    assert_eq!(reply.bytes().await.unwrap(), jpeg);
    let (_, page) = browser.get("/channels/one").await;
    assert!(page.contains("preview.jpg?at=") && page.contains("srt-listener"), "{page}");
    assert!(page.contains("nobody &lt;calls&gt;") && page.contains("source 2"), "{page}");
    let (_, page) = browser.get("/").await;
    assert!(
        page.contains("plays a backup: its first source is gone: nobody &lt;calls&gt;"),
        "{page}"
    );
}

async fn guessing_is_slowed_down() {
    let stage = Stage::new().await;
    let browser = Browser::new(&stage);
    let origin = browser.base.clone();
    until(async || browser.post("/sign-in", "token=guess", &origin).await.status().as_u16() == 429)
        .await;
}

crate::on_both!(
    only_who_signed_in_sees_more_than_the_line_up,
    the_pages_show_how_the_audience_fares,
    a_channel_is_shown_when_somebody_looks,
    guessing_is_slowed_down,
);
