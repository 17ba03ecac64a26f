//! What sources say is on reaches the viewers who may watch them, whichever server they are connected to.

use link::protocol::{Event, Programme, Request, Schedule};
use ticket::Role;

use crate::stage::{Guest, Stage, publication};

fn on(channel: &str, title: &str) -> Schedule {
    let programme =
        Programme { start: 1000, end: 2000, title: title.into(), about: "What it is".into() };
    Schedule { channel: channel.into(), programmes: vec![programme] }
}

/// What is told next of what is on.
async fn told(viewer: &mut Guest) -> Vec<Schedule> {
    viewer
        .find(|event| match event {
            Event::OnAir(schedules) => Some(schedules),
            _ => None,
        })
        .await
}

async fn viewers_hear_what_is_on_where_they_may_watch() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    headend.publish(publication("two", 2, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    headend.tell(Request::OnAir(on("two", "Not for everybody"))).await;
    headend.tell(Request::OnAir(on("one", "News"))).await;
    assert_eq!(told(&mut viewer).await, [on("one", "News")]);

    // Who comes later is told at once, of all that it may watch.
    let mut all = stage.node(Role::Viewer, &["*"]).await;
    assert_eq!(told(&mut all).await, [on("one", "News"), on("two", "Not for everybody")]);

    // Who does not publish a channel has nothing to say of it, and nothing boundless is taken.
    let mut stranger = stage.node(Role::Headend, &["*"]).await;
    stranger.tell(Request::OnAir(on("one", "A lie"))).await;
    stranger.in_step().await;
    headend.tell(Request::OnAir(on("one", &"x".repeat(257)))).await;
    headend.tell(Request::OnAir(on("one", "News"))).await;
    headend.tell(Request::OnAir(on("one", "Weather"))).await;
    assert_eq!(told(&mut viewer).await, [on("one", "Weather")], "the same again is no news");
    let over = Schedule { channel: "one".into(), programmes: Vec::new() };
    headend.tell(Request::OnAir(over.clone())).await;
    assert_eq!(told(&mut viewer).await, [over]);
}

async fn an_order_needs_the_administrators_permission() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    let mut browser = crate::console::Browser::new(&stage);
    browser.sign_in().await;
    let (_, page) = browser.get("/channels").await;
    assert!(page.contains(&format!("<option value={}>", headend.id())), "{page}");
    // This auth knows no administration, so it cannot say that who asks may.
    let form = format!(
        "act=set&headend={}&id=one&name=One&kind=test&width=16&height=16&bitrate=1",
        headend.id()
    );
    let origin = browser.base.clone();
    let reply = browser.post("/channels", form, &origin).await;
    assert_eq!(reply.status().as_u16(), 303);
    let (_, page) = browser.get("/channels").await;
    assert!(page.contains("class=failed"), "{page}");
    headend.tell(Request::Clock { sent: 1 }).await;
    let next = headend.next().await;
    assert!(matches!(next, Some(Event::Clock { .. })), "no order was given: {next:?}");
}

crate::on_both!(
    viewers_hear_what_is_on_where_they_may_watch,
    an_order_needs_the_administrators_permission,
);

#[tokio::test]
async fn another_server_tells_its_viewers_too() {
    let Some(redis) = crate::redis::Redis::shared() else { return };
    let story = async {
        let here = Stage::new().await;
        let there = here.beside().await;
        let mut headend = here.node(Role::Headend, &["*"]).await;
        headend.publish(publication("one", 1, 0)).await.unwrap();
        let mut viewer = there.node(Role::Viewer, &["*"]).await;
        viewer.line_up(|line_up| line_up.len() == 1).await;
        headend.tell(Request::OnAir(on("one", "News"))).await;
        assert_eq!(told(&mut viewer).await, [on("one", "News")]);
        // An order finds its headend, and what became of it who asked.
        let hub = there.server().hub().clone();
        let number = hub.order(headend.id(), "two", None).expect("the headend is there");
        let order = headend
            .find(|event| match event {
                Event::Order(order) => Some(order),
                _ => None,
            })
            .await;
        assert_eq!((order.number, order.channel.as_str(), order.section), (number, "two", None));
        let problem = Some("there is no such channel".to_owned());
        headend.tell(Request::Done { number, problem }).await;
        let outcome = || hub.look(|map, _| map.monitor().outcome(headend.id(), number));
        crate::stage::until(async || outcome().is_some()).await;
        assert_eq!(outcome(), Some(Err("there is no such channel".into())));
    };
    crate::redis::MAP.scope(Some(redis.url()), Box::pin(story)).await;
}
