//! Compiles the translations, which the program carries inside: no folder has to be found when it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=po");
    if std::env::var_os("CARGO_FEATURE_WINDOW").is_none() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = compile(Path::new("po/de.po"), &out.join("de.mo")) {
        println!("cargo::error=client/po/de.po cannot be compiled: {error}");
    }
}

fn compile(from: &Path, to: &Path) -> Result<(), String> {
    let done = Command::new("msgfmt").arg("--check").arg("-o").args([to, from]).output();
    let done = done.map_err(|error| format!("msgfmt (of gettext): {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into()) }
}
