//! The description of the interface and the interface are the same.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every address and method, as outside programs rely on them.
const ADDRESSES: &[&str] = &[
    "get /.well-known/braidcast",
    "get /v1/jwks.json",
    "get /v1/guide",
    "post /v1/sessions",
    "post /v1/sessions/refresh",
    "delete /v1/sessions/current",
    "post /v1/nodes/sessions",
    "get /v1/revocations",
    "get /v1/admin/users",
    "post /v1/admin/users",
    "get /v1/admin/users/{username}",
    "patch /v1/admin/users/{username}",
    "delete /v1/admin/users/{username}",
    "get /v1/admin/packages",
    "get /v1/admin/packages/{name}",
    "put /v1/admin/packages/{name}",
    "delete /v1/admin/packages/{name}",
    "get /v1/admin/nodes",
    "post /v1/admin/nodes",
    "delete /v1/admin/nodes/{name}",
    "get /v1/admin/prefixes",
    "put /v1/admin/prefixes",
    "delete /v1/admin/prefixes",
    "get /v1/admin/sessions",
    "delete /v1/admin/sessions/{id}",
    "get /v1/admin/audit",
    "post /v1/admin/audit",
    "get /v1/admin/guide",
    "put /v1/admin/guide",
    "get /v1/admin/keys",
    "post /v1/admin/keys/rotate",
];

fn document() -> Value {
    serde_json::to_value(super::openapi()).unwrap()
}

#[test]
fn every_address_is_described_and_none_has_vanished() {
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(described, ADDRESSES.iter().map(|&address| address.to_owned()).collect());
}

#[test]
fn every_shape_that_is_named_is_there() {
    let document = document();
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is not described");
    }
    // Two types of one name would hide each other.
    let fields = |name: &str| -> Vec<&str> {
        schemas[name]["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    };
    assert!(fields("SignedIn").contains(&"refresh_token"));
    assert!(fields("SignedInNode").contains(&"ticket"));
    assert!(fields("Session").contains(&"ended_reason"));
    assert!(fields("ProblemBody").contains(&"detail"));
}

#[test]
fn problems_are_described_as_problems() {
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with(['4', '5']) {
                    let kinds: Vec<_> = response["content"].as_object().unwrap().keys().collect();
                    assert_eq!(kinds, ["application/problem+json"], "{method} {path} {status}");
                }
            }
        }
    }
}
