//! Tells scripts and tests where a program listens.

use std::{fs, io, path::Path};

use serde::Serialize;

/// Writes `value` as JSON to the file, if one is configured (the top-level key `announce`).
///
/// The file appears at once in full: it is written beside its place and renamed. Programs call
/// this when they are ready, so that waiting for the file means waiting for the program.
///
/// # Errors
/// If the file cannot be written; the message names it.
pub fn announce<T: Serialize + ?Sized>(path: Option<&Path>, value: &T) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let write = || -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let done = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
        if done.is_err() {
            // What the full disk took of it helps nobody.
            let _gone = fs::remove_file(&beside);
        }
        done
    };
    write().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_json_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("where.json");
        announce(Some(&path), &serde_json::json!({"http": "127.0.0.1:1"})).unwrap();
        announce(Some(&path), &serde_json::json!({"http": "127.0.0.1:2"})).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["http"], "127.0.0.1:2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = announce(Some(Path::new("/does/not/exist.json")), "x").unwrap_err();
        assert!(error.to_string().contains("/does/not/exist.json"), "{error}");
        announce(None, "nothing to do").unwrap();
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("where.json");
        // A file cannot take the place of a folder.
        fs::create_dir(&path).unwrap();
        announce(Some(&path), "x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
