//! What scripts rely on: exit codes, and one clear line on standard error.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use link::{Endpoint, Purpose};
use serde_json::json;

/// Runs the program with a state folder of its own. Exit code, standard output, standard error.
fn braidcast(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_braidcast"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "swordfish\n").unwrap();
    folder
}

/// `play one` as `anna` at `server`.
fn play(folder: &Path, server: &str) -> (Option<i32>, String, String) {
    let account = ["--server", server, "--user", "anna", "--password-file", "password"];
    let here = ["--http", "127.0.0.1:0", "--bind", "127.0.0.1:0", "--log", "error"];
    braidcast(folder, &[&["play", "one", "--headless"][..], &account, &here].concat())
}

/// A line that begins with `error: ` and says `what`, the only one of its kind.
fn tells(stderr: &str, what: &str) {
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(errors[0].contains(what), "{stderr}");
}

#[test]
fn help_version_and_check_work_without_a_platform() {
    let folder = folder();
    for arguments in [&["--help"][..], &["--version"], &["--check"], &["play", "--help"]] {
        let (code, out, error) = braidcast(folder.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?} {error}");
        assert!(!out.is_empty(), "{arguments:?}");
    }
    let (_, help, _) = braidcast(folder.path(), &["play", "--help"]);
    for option in [
        "--headless",
        "--config",
        "--server",
        "--user",
        "--password-file",
        "--duration",
        "--http",
        "--output",
        "--stats-json",
        "--share",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn wrong_usage_and_configuration_give_two() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "[local]\nmax_chanels = 3\n").unwrap();
    std::fs::write(folder.path().join("good.toml"), "server = 'http://127.0.0.1:1'\n").unwrap();
    for (arguments, what) in [
        (&["play", "one", "--headless"][..], "--server"),
        (
            &["play", "one", "--config", "bad.toml"],
            "`max_chanels` at line 2 in section [local]; did you mean `max_channels`?",
        ),
        (&["--check", "--config", "bad.toml"], "max_chanels"),
        (&["play", "one", "--config", "absent.toml"], "absent.toml"),
        (&["play", "one", "--config", "good.toml"], "--user NAME"),
        (&["play", "one", "--config", "good.toml", "--user", "anna"], "--password-file FILE"),
        (&["play", "one", "--config", "good.toml", "--http", "0.0.0.0:0"], "local.remote = true"),
        (&["play", "one", "--config", "good.toml", "--share", "lots"], "lots"),
        (&["play"], "CHANNEL"),
        (&[], "`play CHANNEL`"),
        (
            &["play", "one", "--config", "good.toml", "--user", "a", "--password-file", "absent"],
            "absent",
        ),
    ] {
        let (code, _, error) = braidcast(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(what), "{arguments:?}: {error}");
    }
}

#[test]
fn an_auth_that_is_not_there_is_named() {
    let folder = folder();
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{address}");
    let (code, _, error) = play(folder.path(), &server);
    assert_eq!(code, Some(1), "{error}");
    tells(&error, &format!("auth at {server}"));
    tells(&error, "cannot be reached");
}

/// An auth that knows nobody, with a rendezvous: no password or token is shown before one answers.
async fn strict_auth() -> SocketAddr {
    let identity = Arc::new(ticket::Identity::generate());
    let local = "127.0.0.1:0".parse().unwrap();
    let rendezvous = Endpoint::bind(local, identity.clone(), &[Purpose::Rendezvous]).unwrap();
    let found = json!([{"peer_id": identity.id(), "quic": [rendezvous.local_addr()]}]);
    tokio::spawn(async move {
        let mut guests = Vec::new();
        while let Some(incoming) = rendezvous.accept().await {
            guests.push(incoming.establish().await);
        }
    });
    let problem = |code: &'static str, detail: &'static str| {
        let kind = [("content-type", "application/problem+json")];
        let body = json!({"title": detail, "status": 401, "detail": detail, "code": code});
        (StatusCode::UNAUTHORIZED, kind, Json(body))
    };
    let directory = json!({"platform": "test", "rendezvous": found, "time": 0});
    let wrong = move || async move { problem("wrong-credentials", "wrong user or password") };
    let over = move || async move { problem("session-over", "the session is over") };
    let app = Router::new()
        .route("/.well-known/braidcast", get(move || async move { Json(directory.clone()) }))
        .route("/v1/jwks.json", get(|| async { Json(json!({"keys": []})) }))
        .route("/v1/sessions", post(wrong))
        .route("/v1/sessions/refresh", post(over));
    let (address, _task) =
        service::serve("127.0.0.1:0".parse().unwrap(), app, service::Stop::new()).await.unwrap();
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told() {
    let folder = folder();
    let server = format!("http://{}", strict_auth().await);
    let (code, _, error) =
        tokio::task::spawn_blocking(move || play(folder.path(), &server)).await.unwrap();
    assert_eq!(code, Some(1), "{error}");
    tells(&error, "wrong user or password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_sign_in_that_no_longer_holds_is_forgotten_and_told() {
    let folder = folder();
    let server = format!("http://{}/", strict_auth().await);
    let kept = folder.path().join("braidcast/session.json");
    std::fs::create_dir(kept.parent().unwrap()).unwrap();
    let session = json!({"server": server, "user": "anna", "refresh_token": "old"});
    std::fs::write(&kept, session.to_string()).unwrap();
    let (code, error) = tokio::task::spawn_blocking(move || {
        let line = [
            "play",
            "one",
            "--headless",
            "--server",
            &server,
            "--bind",
            "127.0.0.1:0",
            "--log",
            "error",
        ];
        let (code, _, error) = braidcast(folder.path(), &line);
        assert!(!kept.exists(), "it is forgotten");
        (code, error)
    })
    .await
    .unwrap();
    assert_eq!(code, Some(1), "{error}");
    tells(&error, "--password-file");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_recording_outlives_a_wrong_password() {
    let folder = folder();
    let old = folder.path().join("old.ts");
    std::fs::write(&old, "precious").unwrap();
    let server = format!("http://{}", strict_auth().await);
    let told = tokio::task::spawn_blocking(move || {
        let line = ["play", "one", "--headless", "--server", &server, "--user", "anna"];
        let files = ["--password-file", "password", "--output", "old.ts", "--bind", "127.0.0.1:0"];
        braidcast(folder.path(), &[&line[..], &files].concat()).0.zip(std::fs::read(old).ok())
    });
    assert_eq!(told.await.unwrap(), Some((1, b"precious".to_vec())));
}

#[test]
fn a_fifo_that_nobody_reads_does_not_hold_up_the_end() {
    let folder = folder();
    assert!(Command::new("mkfifo").arg(folder.path().join("p")).status().unwrap().success());
    let mut viewer = Command::new(env!("CARGO_BIN_EXE_braidcast"))
        .args(["play", "one", "--headless", "--server", "http://127.0.0.1:1", "--user", "anna"])
        .args(["--password-file", "password", "--output", "p", "--bind", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("XDG_STATE_HOME", folder.path())
        .spawn()
        .unwrap();
    // Until its handler is there a signal ends it with no code; then it is asked again, and stops in order.
    let status = Command::new("sh")
        .args([
            "-c",
            "until grep -q 'SigCgt:.*[4-7c-f]...$' /proc/$0/status; do sleep 0.05; done; kill $0",
        ])
        .arg(viewer.id().to_string())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(viewer.wait().unwrap().code(), Some(1));
}
