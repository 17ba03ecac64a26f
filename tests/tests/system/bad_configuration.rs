//! A mistake in a configuration file is refused with the file's line, the key and the key that was meant.

use std::process::Command;

use anyhow::Result;

/// Program, a file with one mistake, and what must be said: the line, the wrong key, the right one.
const MISTAKES: [(&str, &str, [&str; 3]); 5] = [
    (
        "braidcast-auth",
        "platform = \"tv\"\n[http]\nlistn = \"127.0.0.1:1\"\n",
        ["line 3", "listn", "listen"],
    ),
    (
        "braidcast-rendezvous",
        "[quic]\nlisten = \"127.0.0.1:1\"\n[auth]\nurll = \"http://x\"\n",
        ["line 4", "urll", "url"],
    ),
    ("braidcast-headend", "\nauht = \"http://x\"\n", ["line 2", "auht", "auth"]),
    ("braidcast-repeater", "[limits]\nsubstream = 3\n", ["line 2", "substream", "substreams"]),
    ("braidcast", "# a viewer\nserfer = \"http://x\"\n", ["line 2", "serfer", "server"]),
];

#[test]
fn every_program_names_line_key_and_suggestion() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let here = std::env::current_exe()?;
    for (program, text, expected) in MISTAKES {
        let file = folder.path().join(format!("{program}.toml"));
        std::fs::write(&file, text)?;
        let path = here
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("{program} is not built"));
        let output = Command::new(path).arg("--check").arg("--config").arg(&file).output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(2), "{program}: {said}");
        for part in expected {
            assert!(said.contains(part), "{program} does not say `{part}`: {said}");
        }
        assert!(said.contains("did you mean"), "{program}: {said}");
    }
    Ok(())
}
