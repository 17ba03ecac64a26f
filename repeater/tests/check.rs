//! `--check` and the exit codes, as an operator meets them.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::process::{Command, Output};

fn repeater(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_braidcast-repeater")).args(arguments).output().unwrap()
}

fn check(text: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repeater.toml");
    std::fs::write(&path, text).unwrap();
    let output = repeater(&["--check", "--config", path.to_str().unwrap()]);
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), said(output.stdout), said(output.stderr))
}

#[test]
fn a_good_configuration_is_said_to_be_valid() {
    let (code, out, _) = check("auth = 'https://tv.example'\ncredential = { env = 'PATH' }\n");
    assert_eq!(code, Some(0));
    assert!(out.contains("repeater.toml: the configuration is valid"), "{out}");
}

#[test]
fn every_mistake_is_printed_and_the_exit_code_is_two() {
    let text = "auht = 'https://tv.example'\n\n[http]\nlisten = 'here'\n[limits]\nsubstreams = 0\n";
    let (code, _, said) = check(text);
    assert_eq!(code, Some(2), "{said}");
    for says in [
        "repeater.toml: unknown key `auht` at line 1; did you mean `auth`?",
        "repeater.toml: key `listen` at line 4 in section [http]: invalid socket address",
        "repeater.toml: key `substreams` at line 6 in section [limits]: must be at least 1",
        "repeater.toml: key `credential`: must be given",
    ] {
        assert!(said.contains(says), "{said}\n lacks: {says}");
    }
}

#[test]
fn wrong_usage_is_two_as_well() {
    assert_eq!(repeater(&["--no-such-thing"]).status.code(), Some(2));
    assert_eq!(repeater(&["--config", "/does/not/exist.toml"]).status.code(), Some(2));
    assert_eq!(repeater(&["--version"]).status.code(), Some(0));
}
