//! The administrator's side over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::database::Database;
use crate::support::{Auth, device};

crate::on_both!(
    users_are_administered,
    packages_nodes_and_prefixes_are_administered,
    sessions_and_keys_are_administered,
    what_administrators_do_is_noted,
    without_a_token_administration_is_closed,
);

async fn users_are_administered(database: Database) {
    let auth = Auth::start(database).await;
    let admin = async |method, path: &str, body| auth.admin(method, path, body).await;
    let berta = json!({"username": "berta", "password": "swordfish", "packages": ["basic"]});
    let added = admin(Method::POST, "/users", Some(berta.clone())).await.expect(201);
    assert_eq!(added["packages"], json!(["basic"]));
    assert_eq!(admin(Method::POST, "/users", Some(berta)).await.problem(409), "exists");
    let nope = json!({"username": "c", "password": "swordfish", "packages": ["nope"]});
    assert_eq!(admin(Method::POST, "/users", Some(nope)).await.problem(404), "missing");
    let short = json!({"username": "c", "password": "abc"});
    assert_eq!(admin(Method::POST, "/users", Some(short)).await.problem(422), "invalid");

    let session = auth.sign_in("berta", "swordfish", device()).await.expect(201);
    let change = json!({"password": "another one", "packages": []});
    let changed = admin(Method::PATCH, "/users/berta", Some(change)).await.expect(200);
    assert_eq!(changed["packages"], json!([]));
    let reply = auth.refresh(&session["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "the password was changed");
    auth.sign_in("berta", "swordfish", device()).await.problem(401);
    auth.sign_in("berta", "another one", device()).await.expect(201);

    let page = admin(Method::GET, "/users?limit=1", None).await.expect(200);
    assert_eq!((&page["users"][0]["username"], &page["next"]), (&json!("anna"), &json!("anna")));
    let page = admin(Method::GET, "/users?limit=1&after=anna", None).await.expect(200);
    assert_eq!(page["users"][0]["username"], "berta");
    assert_eq!(page["next"], Value::Null);
    let odd = json!({"username": "Ä b/c", "password": "swordfish"});
    admin(Method::POST, "/users", Some(odd)).await.expect(201);
    let one = admin(Method::GET, "/users/%C3%84%20b%2Fc", None).await.expect(200);
    assert_eq!(one["username"], "Ä b/c");

    admin(Method::DELETE, "/users/berta", None).await.expect(204);
    assert_eq!(admin(Method::GET, "/users/berta", None).await.problem(404), "missing");
    assert_eq!(admin(Method::DELETE, "/users/berta", None).await.problem(404), "missing");
    let change = json!({"disabled": true});
    assert_eq!(admin(Method::PATCH, "/users/berta", Some(change)).await.problem(404), "missing");
}

async fn packages_nodes_and_prefixes_are_administered(database: Database) {
    let auth = Auth::start(database).await;
    let admin = async |method, path: &str, body| auth.admin(method, path, body).await;
    let sport = json!({"channels": ["b", "a"]});
    let set = admin(Method::PUT, "/packages/sport", Some(sport)).await.expect(200);
    assert_eq!(set, json!({"name": "sport", "channels": ["a", "b"]}));
    assert_eq!(admin(Method::GET, "/packages/sport", None).await.expect(200), set);
    let all = admin(Method::GET, "/packages", None).await.expect(200);
    assert_eq!(all["packages"].as_array().unwrap().len(), 2);
    admin(Method::DELETE, "/packages/sport", None).await.expect(204);
    let bad = json!({"channels": ["a b"]});
    assert_eq!(admin(Method::PUT, "/packages/x", Some(bad)).await.problem(422), "invalid");

    let node = json!({"name": "r9", "role": "repeater"});
    let added = admin(Method::POST, "/nodes", Some(node.clone())).await.expect(201);
    let credential = added["credential"].as_str().unwrap();
    auth.node(credential, device(), &[]).await.expect(201);
    assert_eq!(admin(Method::POST, "/nodes", Some(node.clone())).await.problem(409), "exists");
    admin(Method::DELETE, "/nodes/r9", None).await.expect(204);
    assert_eq!(auth.node(credential, device(), &[]).await.problem(403), "node-revoked");
    let anew = admin(Method::POST, "/nodes", Some(node)).await.expect(201);
    assert_ne!(anew["credential"], added["credential"]);
    let viewer = json!({"name": "v", "role": "viewer"});
    assert_eq!(admin(Method::POST, "/nodes", Some(viewer)).await.problem(422), "invalid");
    let nodes = admin(Method::GET, "/nodes", None).await.expect(200);
    let names: Vec<_> =
        nodes["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["r9", "rep", "rv"]);
    assert!(!nodes.to_string().contains("credential"), "shown once");

    let row = json!({"prefix": "127.0.0.9/24", "subset": 8, "asn": 5, "country": "de"});
    let set = admin(Method::PUT, "/prefixes", Some(row)).await.expect(200);
    assert_eq!(set["prefix"], "127.0.0.0/24");
    let location = auth.anna(device()).await["location"].clone();
    assert_eq!(location, json!({"subset": 8, "asn": 5, "country": "DE"}), "at once");
    let table = admin(Method::GET, "/prefixes", None).await.expect(200);
    assert_eq!(table["prefixes"].as_array().unwrap().len(), 1);
    admin(Method::DELETE, "/prefixes?prefix=127.0.0.0/24", None).await.expect(204);
    let location = auth.anna(device()).await["location"].clone();
    assert_eq!(location, json!({"subset": null, "asn": null, "country": null}));
    let gone = admin(Method::DELETE, "/prefixes?prefix=127.0.0.0/24", None).await;
    assert_eq!(gone.problem(404), "missing");
    let bad = json!({"prefix": "home", "subset": 8});
    assert_eq!(admin(Method::PUT, "/prefixes", Some(bad)).await.problem(400), "malformed");
}

async fn sessions_and_keys_are_administered(database: Database) {
    let auth = Auth::start(database).await;
    let admin = async |method, path: &str| auth.admin(method, path, None).await;
    let session = auth.anna(device()).await;
    auth.node("a credential of the repeater", device(), &[]).await.expect(201);
    let list = async |path: &str| {
        admin(Method::GET, path).await.expect(200)["sessions"].as_array().unwrap().clone()
    };
    assert_eq!(list("/sessions").await.len(), 2);
    assert_eq!(list("/sessions?node=rep").await.len(), 1);
    let annas = list("/sessions?user=anna").await;
    assert_eq!(annas.len(), 1);
    assert_eq!((&annas[0]["user"], &annas[0]["subset"]), (&json!("anna"), &json!(7)));
    let path = format!("/sessions/{}", annas[0]["id"].as_str().unwrap());
    admin(Method::DELETE, &path).await.expect(204);
    assert_eq!(admin(Method::DELETE, &path).await.problem(404), "missing");
    let reply = auth.refresh(&session["refresh_token"]).await;
    assert_eq!(reply.body["detail"], "ended by the administrator");

    let before = auth.keys().await;
    let kid = admin(Method::POST, "/keys/rotate").await.expect(201)["kid"].clone();
    let keys = admin(Method::GET, "/keys").await.expect(200);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert!(keys.to_string().find("seed").is_none());
    let after = auth.keys().await;
    assert_eq!(after.keys().len(), before.keys().len() + 1, "published at once");
    assert!(after.keys().iter().any(|key| kid == key.kid));
}

async fn without_a_token_administration_is_closed(database: Database) {
    let auth = Auth::start_with(database, |config| config.admin_token = None).await;
    let reply = auth.admin(Method::GET, "/users", None).await;
    assert_eq!(reply.problem(403), "forbidden");
    let document = auth.get("/v1/openapi.json").await.expect(200);
    assert!(document["paths"]["/v1/sessions"]["post"].is_object());
}

async fn what_administrators_do_is_noted(database: Database) {
    let auth = Auth::start(database).await;
    let admin = async |method, path: &str, body| auth.admin(method, path, body).await;
    let berta = json!({"username": "berta", "password": "swordfish"});
    admin(Method::POST, "/users", Some(berta.clone())).await.expect(201);
    admin(Method::POST, "/users", Some(berta)).await.problem(409);
    let change = json!({"disabled": true, "packages": ["basic"]});
    admin(Method::PATCH, "/users/berta", Some(change)).await.expect(200);
    admin(Method::POST, "/keys/rotate", None).await.expect(201);
    admin(Method::DELETE, "/users/berta", None).await.expect(204);
    let page = admin(Method::GET, "/audit", None).await.expect(200);
    let acts = page["acts"].as_array().unwrap();
    let said: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    let expected =
        ["user removed", "keys rotated", "user disabled", "user's packages set", "user added"];
    assert_eq!(said, expected);
    assert_eq!(
        (&acts[0]["subject"], &acts[0]["actor"]),
        (&json!("berta"), &json!("administrator"))
    );
    assert_eq!(acts[0]["request"].as_str().unwrap().len(), 16, "as in the logs");
    assert!(!page.to_string().contains("swordfish"));
    let before = acts[3]["seq"].as_i64().unwrap();
    let page =
        admin(Method::GET, &format!("/audit?before={before}&limit=5"), None).await.expect(200);
    assert_eq!(page["acts"].as_array().unwrap().len(), 1);
}
