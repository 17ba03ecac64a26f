//! What desktops and software catalogues read of the program.

use std::path::Path;
use std::process::Command;

/// A file of `client/data` fits its format, as the format's own checker has it.
fn fits(checker: &str, arguments: &[&str], file: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let output = Command::new(checker).args(arguments).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("warning"), "{checker}: {said}");
}

#[test]
fn the_desktop_entry_fits() {
    fits("desktop-file-validate", &[], "tv.braidcast.Braidcast.desktop");
}

#[test]
fn the_metainfo_fits() {
    fits("appstreamcli", &["validate", "--no-net"], "tv.braidcast.Braidcast.metainfo.xml");
}
