//! What the operator sees, and who else does not.

use ticket::Role;

use crate::stage::{ADMIN, Stage, publication, swarm_of};

async fn the_live_map_is_for_the_administrator_only() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 3)).await.unwrap();
    let path = format!("/v1/swarms/{}", swarm_of(1));
    for path in ["/v1/swarms", path.as_str()] {
        for token in [None, Some("wrong"), Some(""), Some(&ADMIN[1..])] {
            let (code, body) = stage.get_as(path, token).await;
            assert_eq!((code, &body["code"]), (401, &"unauthorized".into()), "{path} {token:?}");
        }
    }
    let (code, body) = stage.get_as(&path, Some(ADMIN)).await;
    assert_eq!(code, 200);
    assert_eq!(body["swarm"]["channel"], "one");
    assert_eq!(body["swarm"]["epoch"], 4);
    let member = &body["members"][0];
    assert_eq!(member["peer"], headend.id().to_string());
    assert_eq!((&member["role"], &member["publishes"]), (&"headend".into(), &true.into()));
    assert_eq!(member["location"]["country"], "CH");
    // Neither addresses nor keys.
    let text = body.to_string();
    assert!(!text.contains("127.0.0"), "{text}");
    assert!(!text.contains("\"keys\""), "{text}");

    for wrong in ["/v1/swarms/xyz", "/v1/swarms/00000000000000000000000000000000"] {
        assert_eq!(stage.get_as(wrong, Some(ADMIN)).await.0, 404, "{wrong}");
    }
    assert_eq!(
        stage.get_as(&format!("{path}?skip=1"), Some(ADMIN)).await.1["members"],
        serde_json::json!([])
    );
    assert_eq!(stage.get_as(&format!("{path}?limit=x"), Some(ADMIN)).await.0, 400);
}

async fn without_a_configured_token_the_map_is_closed() {
    let stage = Stage::with(|config| config.admin_token = None).await;
    let (code, body) = stage.get_as("/v1/swarms", Some("")).await;
    assert_eq!((code, &body["code"]), (403, &"closed".into()));
}

async fn line_up_console_and_metrics_are_open_and_name_nobody() {
    let stage = Stage::with(|config| {
        config.channels.push(rendezvous::config::Channel {
            id: "one".into(),
            number: Some(5),
            name: Some("Channel <One>".into()),
            logo: None,
        });
    })
    .await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    viewer.join("one").await.unwrap();

    let (_, body) = stage.get("/v1/channels").await;
    let expected = serde_json::json!([{
        "id": "one", "number": 5, "name": "Channel <One>", "logo": null, "live": true,
        "renditions": [{"name": "main", "bitrate": 4_000_000}],
    }]);
    assert_eq!(body["channels"], expected);

    let url = format!("http://{}/", stage.server().http);
    let reply = stage.http.get(url).send().await.unwrap();
    let policy = reply.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = reply.text().await.unwrap();
    assert!(page.contains("Channel &lt;One&gt;") && page.contains("on air"), "{page}");
    for (path, part) in [("/console.js", "data-live"), ("/console.css", "table")] {
        assert!(stage.text(path).await.contains(part), "{path}");
    }

    crate::stage::until(async || {
        let metrics = stage.text("/metrics").await;
        let labels = r#"channel="one",rendition="main",role="viewer""#;
        let nodes = format!("braidcast_rendezvous_swarm_nodes{{{labels}}} 1");
        let sessions = r#"braidcast_rendezvous_sessions{role="viewer"} 1"#;
        metrics.contains(&nodes) && metrics.contains(sessions)
    })
    .await;
    let metrics = stage.text("/metrics").await;
    assert!(metrics.contains("braidcast_rendezvous_join_seconds_count 1"), "{metrics}");
    assert!(!metrics.contains("127.0.0") && !metrics.contains(&viewer.id().to_string()));
}

crate::on_both!(
    the_live_map_is_for_the_administrator_only,
    without_a_configured_token_the_map_is_closed,
    line_up_console_and_metrics_are_open_and_name_nobody,
);
