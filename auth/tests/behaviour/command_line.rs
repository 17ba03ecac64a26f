//! The program itself: commands, a running auth beside them, and wrong configurations.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::device;

struct Platform {
    folder: tempfile::TempDir,
    config: PathBuf,
    running: Option<Child>,
}

impl Platform {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("auth.toml");
        let text = format!(
            "platform = 'tv'\ndatabase = 'sqlite:{0}/data/auth.db'\nannounce = '{0}/where.json'\n\
             [http]\nlisten = '127.0.0.1:0'\n",
            folder.path().display()
        );
        std::fs::write(&config, text).unwrap();
        Self { folder, config, running: None }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = program()
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn does(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts the service and gives its address.
    fn start(&mut self) -> String {
        let child = program().arg("--config").arg(&self.config).spawn().unwrap();
        self.running = Some(child);
        let announced = self.folder.path().join("where.json");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !announced.exists() {
            assert!(Instant::now() < deadline, "auth does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::fs::read_to_string(announced).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        format!("http://{}", value["http"].as_str().unwrap())
    }

    /// Asks the service to end as its operator would, and gives its exit code.
    fn end(&mut self) -> Option<i32> {
        let mut child = self.running.take().unwrap();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        child.wait().unwrap().code()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_braidcast-auth"))
}

#[test]
fn everything_is_administered_from_the_command_line() {
    let platform = Platform::new();
    platform.does(&["package", "add", "basic", "one", "two"], "");
    platform.does(&["package", "set", "sport", "--channel", "three"], "");
    assert!(platform.fails(&["package", "add", "basic"], "").contains("exists already"));
    platform.does(&["user", "add", "anna", "--package", "basic"], "correct horse\n");
    let said = platform.fails(&["user", "add", "anna"], "correct horse\n");
    assert!(said.contains("user anna exists already"), "{said}");
    assert!(
        platform.fails(&["user", "add", "b", "--package", "x"], "abcdef\n").contains("package x")
    );
    assert!(platform.fails(&["user", "add", "b"], "abc\n").contains("at least"));
    platform.does(&["user", "packages", "anna", "basic", "sport"], "");
    platform.does(&["user", "disable", "anna"], "");
    let users: Value =
        serde_json::from_str(&platform.does(&["user", "list", "--json"], "")).unwrap();
    assert_eq!(users[0]["packages"], json!(["basic", "sport"]));
    assert_eq!(users[0]["disabled"], true);
    let table = platform.does(&["user", "list"], "");
    assert!(table.starts_with("USER") && table.contains("disabled"), "{table}");

    let credential = platform.does(&["node", "add", "rep", "--role", "repeater"], "");
    assert_eq!(credential.trim().len(), 43, "the credential alone: {credential:?}");
    assert!(!platform.does(&["node", "list"], "").contains(credential.trim()));
    platform.does(&["node", "revoke", "rep"], "");
    assert!(platform.does(&["node", "list"], "").contains("revoked"));
    assert!(platform.fails(&["node", "revoke", "x"], "").contains("there is no node x"));

    let row =
        ["prefix", "add", "127.0.1.9/24", "--subset", "1", "--asn", "64501", "--country", "ch"];
    platform.does(&row, "");
    let table = platform.does(&["prefix", "list"], "");
    assert!(table.contains("127.0.1.0/24  1       64501  CH"), "{table}");
    platform.does(&["prefix", "remove", "127.0.1.0/24"], "");
    platform.does(&["prefix", "add", "192.0.2.1", "--subset", "2"], "");
    assert!(platform.does(&["prefix", "list"], "").contains("192.0.2.1/32  2       -    -"));
    assert_eq!(platform.run(&["prefix", "add", "home"], "").status.code(), Some(2));
    platform.does(&["keys", "rotate"], "");
    assert_eq!(platform.does(&["keys", "list"], "").lines().count(), 3);
    assert_eq!(platform.does(&["session", "list"], "").lines().count(), 1);
    assert!(platform.fails(&["session", "revoke", "x"], "").contains("no living session x"));
}

#[tokio::test]
async fn a_running_auth_notices_what_the_command_line_does() {
    let mut platform = Platform::new();
    let base = platform.start();
    platform.does(&["user", "add", "anna"], "correct horse\n");
    platform.does(&["prefix", "add", "127.0.0.0/8", "--subset", "3"], "");
    let http = reqwest::Client::new();
    let phone = device();
    let sign_in = async || {
        let body = json!({"username": "anna", "password": "correct horse", "device_key": phone});
        let reply = http.post(format!("{base}/v1/sessions")).json(&body).send().await.unwrap();
        let status = reply.status().as_u16();
        (status, reply.json::<Value>().await.unwrap())
    };
    crate::support::until("the prefix is known", || async {
        let (status, reply) = sign_in().await;
        assert_eq!(status, 201, "{reply}");
        reply["location"]["subset"] == 3
    })
    .await;
    platform.does(&["user", "disable", "anna"], "");
    assert_eq!(sign_in().await.0, 403);
    let metrics = http.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("braidcast_auth_sign_ins_total{result=\"ok\"}"), "{metrics}");
    assert_eq!(platform.end(), Some(0));
}

#[test]
fn programs_that_open_a_new_database_at_once_wait_for_each_other() {
    let platform = Platform::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| platform.does(&["keys", "list"], ""));
        }
    });
    assert_eq!(platform.does(&["keys", "list"], "").lines().count(), 2, "one key was made");
}

#[test]
fn a_seed_file_can_be_applied_twice() {
    let platform = Platform::new();
    let seed = platform.folder.path().join("seed.toml");
    let file = seed.to_str().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviour/seed.toml");
    std::fs::copy(example, &seed).unwrap();
    let state = || {
        let json = |what| platform.does(&[what, "list", "--json"], "");
        ["user", "package", "node", "prefix"].map(json)
    };
    platform.does(&["apply", file], "");
    let first = state();
    platform.does(&["apply", file], "");
    assert_eq!(state(), first);
    let nodes: Value = serde_json::from_str(&first[2]).unwrap();
    assert_eq!(nodes[0]["role"], "headend");
    assert_eq!((&nodes[1]["role"], &nodes[1]["channels"]), (&json!("rendezvous"), &json!(["*"])));
    assert_eq!(nodes[2]["channels"], json!(["one"]));

    let text = std::fs::read_to_string(&seed).unwrap();
    std::fs::write(&seed, text.replace("role = \"headend\"", "rolle = \"headend\"")).unwrap();
    let output = platform.run(&["apply", file], "");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("rolle") && said.contains("did you mean `role`"), "{said}");
}

#[test]
fn wrong_configurations_are_refused_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("auth.toml");
    let check = |text: &str| {
        std::fs::write(&config, text).unwrap();
        refused(&config)
    };
    let said = check("platform = 'tv'\n[locations]\n");
    assert!(said.contains("line 2") && said.contains("did you mean `location`"), "{said}");
    assert!(check("[http]\nlisten = 'here'\n").contains("line 2"));
    assert!(program().arg("--check").stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(program().arg("nonsense").output().unwrap().status.code(), Some(2));
    assert!(program().arg("--version").output().unwrap().status.success());
}

fn refused(config: &Path) -> String {
    let output = program().arg("--check").arg("--config").arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}
