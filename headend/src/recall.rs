//! The tracks that a source had last time, kept over a restart: a slate that speaks their codecs can
//! then show before the source does, and a player meets no other codec when it comes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ts::psi::{self, Map};
use crate::unit::Track;

/// Keeps the tracks of one channel as a programme map section.
#[derive(Clone, Debug)]
pub struct Recall {
    path: Option<PathBuf>,
}

impl Recall {
    /// Kept in `folder`, if there is one, under the channel's id.
    pub fn open(folder: Option<&Path>, channel: &str) -> Self {
        Self { path: folder.map(|folder| folder.join(format!("{channel}.tracks"))) }
    }

    /// The tracks of last time. A file that cannot be read is as good as none.
    pub fn load(&self) -> Option<Map> {
        psi::parse_pmt(&fs::read(self.path.as_ref()?).ok()?)
    }

    /// Keeps tracks. What cannot be written is only a codec that changes at the next start.
    pub fn save(&self, tracks: &[Track]) {
        let (Some(path), Some(first)) = (&self.path, tracks.first()) else { return };
        let beside = path.with_extension("tracks.new");
        let section = psi::write_pmt(1, 0, first.pid, tracks);
        if let Err(error) = fs::write(&beside, section).and_then(|()| fs::rename(&beside, path)) {
            tracing::debug!(%error, "tracks of the source cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::unit::Kind;

    #[test]
    fn tracks_are_there_after_a_restart_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let recall = Recall::open(Some(folder.path()), "one");
        assert_eq!(recall.load(), None);
        let track = Track { pid: 257, stream_type: 0x24, kind: Kind::Video, info: Bytes::new() };
        recall.save(std::slice::from_ref(&track));
        assert_eq!(recall.load().unwrap().tracks, [track]);
        fs::write(folder.path().join("one.tracks"), b"nonsense").unwrap();
        assert_eq!(recall.load(), None);
    }
}
