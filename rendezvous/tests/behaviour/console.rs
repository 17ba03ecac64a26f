//! The operator's console, as a browser sees it.

use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use ticket::Role;

use crate::stage::{ADMIN, Stage, publication, swarm_of, until};

struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

impl Browser {
    fn new(stage: &Stage) -> Self {
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(none).build().unwrap();
        Self { http, base: format!("http://{}", stage.server().http), cookie: None }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    async fn post(&self, path: &str, form: &'static str, origin: &str) -> reqwest::Response {
        let mut request = self.http.post(format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let kind = "application/x-www-form-urlencoded";
        let request = request.header("content-type", kind).header(ORIGIN, origin).body(form);
        request.send().await.unwrap()
    }

    async fn sign_in(&mut self) {
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

const PAGES: [&str; 10] = [
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
    guessing_is_slowed_down,
);
