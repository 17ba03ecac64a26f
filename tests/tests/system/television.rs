//! The core of the viewer's window against the real platform: what a viewer is told, in order, through an evening.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use client::problem::Problem;
use client::settings::Config;
use client::television::{Mode, Phase, SignIn, Television, View};
use demo::{Channel, Plan, Source, Stage};

/// Long enough for any machine.
const LIMIT: Duration = Duration::from_secs(90);

/// Waits until the view is as wanted.
async fn until(tv: &Television, what: &str, wanted: impl Fn(&View) -> bool) -> Result<Arc<View>> {
    let mut view = tv.view();
    let outcome = tokio::time::timeout(LIMIT, view.wait_for(|view| wanted(view))).await;
    match outcome {
        Ok(Ok(view)) => {
            let words: Vec<String> =
                view.problems.iter().map(|p| format!("{} {}", p.words(), p.doing())).collect();
            println!("{what}: {:?} {words:?}", view.phase);
            Ok(view.clone())
        }
        _ => {
            let View { phase, problems, transport, .. } = &**tv.view().borrow();
            bail!("not {what}: {phase:?}, {problems:?}, {transport:?}")
        }
    }
}

fn plays(channel: &'static str) -> impl Fn(&View) -> bool {
    move |view| view.phase == Phase::Playing { channel: channel.into() }
}

fn config(folder: &std::path::Path) -> Config {
    let mut config = Config { state: Some(folder.join("state")), ..Config::default() };
    config.network.bind = "127.0.1.30:0".parse().expect("an address");
    config.local.listen = "127.0.0.1:0".parse().expect("an address");
    config
}

/// A guide in which "Today" is on all of yesterday, today and tomorrow.
fn guide() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut out = String::from("<tv>\n");
    for (start, stop, title) in
        [(now - 600, now + 3600, "Today"), (now + 3600, now + 7200, "Later")]
    {
        let time = |at: u64| {
            let (days, second) = (at / 86_400, at % 86_400);
            // Civil date from days since 1970, counted up year by year and month by month.
            let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let (mut year, mut left) = (1970, days);
            while left >= 365 + u64::from(leap(year)) {
                left -= 365 + u64::from(leap(year));
                year += 1;
            }
            let lens = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut month = 0;
            while left >= lens[month] {
                left -= lens[month];
                month += 1;
            }
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            format!("{year:04}{:02}{:02}{hour:02}{minute:02}{second:02} +0000", month + 1, left + 1)
        };
        let _ = write!(
            out,
            "<programme start=\"{}\" stop=\"{}\" channel=\"one\"><title>{title}</title></programme>\n",
            time(start),
            time(stop)
        );
    }
    out + "</tv>"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evening_in_front_of_the_set() -> Result<()> {
    let channel = |id: &str| Channel { video: (320, 180, 400), ..Channel::new(id, Source::Test) };
    let mut stage = Stage::set(Plan {
        channels: vec![channel("one"), channel("two")],
        repeaters: Vec::new(),
        headend_feeds_viewers: true,
    })
    .await?;
    let file = stage.folder().join("guide.xml");
    std::fs::write(&file, guide())?;
    stage.administer(&["guide", "load", &file.to_string_lossy()]).await?;
    let folder = tempfile::tempdir()?;
    let tv = Television::start(config(folder.path()))?;
    assert!(Television::start(config(folder.path())).is_err(), "one viewer to a state folder");

    // Signing in: each mistake is told apart.
    until(&tv, "asks who watches", |view| view.phase == Phase::SignInWanted).await?;
    let sign_in = |server: &str, password: &str| SignIn {
        server: server.parse().expect("an address"),
        user: "anna".into(),
        password: password.into(),
        remember: true,
    };
    let told = |wanted: fn(&Problem) -> bool| {
        move |view: &View| view.phase == Phase::SignInWanted && view.problems.iter().any(wanted)
    };
    tv.sign_in(sign_in("http://127.0.0.1:9", "a viewer's password"));
    until(&tv, "wrong server", told(|p| matches!(p, Problem::WrongServer { .. }))).await?;
    tv.sign_in(sign_in(&stage.auth_url(), "guessed"));
    until(&tv, "wrong password", told(|p| *p == Problem::WrongPassword)).await?;
    tv.sign_in(sign_in(&stage.auth_url(), "a viewer's password"));
    let view = until(&tv, "plays at once", plays("one")).await?;
    assert_eq!(view.line_up.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["one", "two"]);

    // Fast zapping ends where the last key led.
    for channel in ["two", "one", "two", "one", "two"] {
        tv.zap(channel);
    }
    until(&tv, "plays the last that was chosen", plays("two")).await?;
    tv.zap_back();
    until(&tv, "plays the one before", plays("one")).await?;

    // The guide has come.
    let view = until(&tv, "has a guide", |view| !view.guide.is_empty()).await?;
    assert_eq!(view.guide.on("one", SystemTime::now()).map(|p| p.title.as_str()), Some("Today"));
    let address = view.local.expect("there is a local address");
    let xml = reqwest::get(format!("http://{address}/guide.xml")).await?.text().await?;
    assert!(xml.contains("<title>Later</title>"), "{xml}");

    // Pause, go back, go live: without the network.
    let behind = |view: &View| {
        let transport = &view.transport;
        transport.edge.zip(transport.oldest).is_some_and(|(e, o)| e.since(o).as_secs() >= 8)
    };
    let view = until(&tv, "has eight seconds to rewind", behind).await?;
    let generation = view.transport.generation;
    let mut source = tv.open().expect("a channel is received");
    let live = source.next().await.expect("it plays");
    assert!(live.random_access);
    tv.shown(live.position);
    tv.pause();
    until(&tv, "is paused", |view| view.transport.mode == Mode::Paused).await?;
    tv.resume();
    tv.seek_by(-5);
    let view = until(&tv, "is behind", |view| view.transport.generation > generation).await?;
    assert_eq!(view.transport.mode, Mode::Behind);
    let mut source = tv.open().expect("a channel is received");
    let first = source.next().await.expect("it is kept");
    let back = live.position.since(first.position);
    assert!((4..=8).contains(&back.as_secs()), "{back:?}");
    assert!(first.random_access && !first.gap);
    let mut last = first.position;
    while last < live.position {
        let chunk = source.next().await.expect("it is kept");
        assert!(!chunk.gap && chunk.position > last);
        last = chunk.position;
    }
    tv.live();
    until(&tv, "is live", |view| view.transport.mode == Mode::Live).await?;

    // The headend goes away and comes back: the picture freezes and goes on by itself.
    stage.headend.kill().await;
    let frozen =
        |view: &View| matches!(view.phase, Phase::Frozen { .. }) && !view.problems.is_empty();
    until(&tv, "is frozen", frozen).await?;
    stage.headend.restart().await?;
    until(&tv, "goes on after the headend's restart", plays("one")).await?;

    // Auth and rendezvous away: what runs goes on, and it is told.
    stage.auth.kill().await;
    stage.rendezvous.kill().await;
    let away = |view: &View| plays("one")(view) && view.problems.contains(&Problem::PlatformAway);
    until(&tv, "plays without the platform", away).await?;
    stage.auth.restart().await?;
    stage.rendezvous.restart().await?;
    let well = |view: &View| plays("one")(view) && !view.problems.contains(&Problem::PlatformAway);
    until(&tv, "knows the platform is back", well).await?;

    // The next start signs in by itself and plays what was played last.
    tv.close().await;
    drop(tv);
    let tv = Television::start(config(folder.path()))?;
    let view = until(&tv, "signs in by itself", plays("one")).await?;
    assert!(view.account.is_some());
    let report = tv.report().await;
    assert!(report.contains("Playing") && !report.contains("127.0."), "{report}");

    // The account is closed: a new sign-in is wanted, in words.
    stage.administer(&["user", "disable", "anna"]).await?;
    let expired = told(|p| matches!(p, Problem::SessionExpired | Problem::WrongPassword));
    until(&tv, "is signed out", expired).await?;
    tv.close().await;
    stage.strike().await
}
