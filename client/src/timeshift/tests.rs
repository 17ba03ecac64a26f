use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::output::testing::piece;
use crate::ts::PACKET;

/// Long enough for any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A piece of 200 packets, so that a few fill a chunk.
fn large(number: u64) -> Piece {
    let packet = |i: u64| {
        let mut packet = vec![0x47, 1, 0, 0x10 | ((number * 200 + i) & 15) as u8];
        packet.resize(PACKET, number as u8);
        packet
    };
    Piece { ts: (0..200).flat_map(packet).collect::<Vec<u8>>().into(), ..piece(number) }
}

/// Waits until the cache is as wanted.
async fn until(shift: &TimeShift, what: impl Fn(&Status) -> bool) -> Status {
    let wait = async {
        loop {
            let status = shift.status();
            if what(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(LIMIT, wait).await {
        Ok(status) => status,
        Err(_) => panic!("it stays {:?}", shift.status()),
    }
}

/// Takes everything out of memory that is on disk, as a long time would.
fn forget_memory(shift: &TimeShift) {
    shift.shared.lock().empty_memory();
}

fn number(chunk: &Chunk) -> u64 {
    assert_eq!(chunk.ts.len() % PACKET, 0);
    chunk.position.0 / 250_000
}

fn position(number: u64) -> Position {
    Position(number * 250_000)
}

#[tokio::test]
async fn what_was_put_in_is_read_from_disk_from_any_place() {
    let folder = tempfile::tempdir().unwrap();
    let shift = TimeShift::new(&folder.path().join("cache"), 64 << 20);
    (0..40).for_each(|n| shift.put(&large(n)));
    until(&shift, |status| status.on_disk == 40 * large(0).ts.len() as u64).await;
    forget_memory(&shift);
    let mut source = shift.source(Start::At(position(18)));
    for n in 16..40 {
        let chunk = source.next().await.unwrap();
        assert_eq!((number(&chunk), chunk.gap), (n, false), "it begins at a random access point");
        assert_eq!(chunk.ts, large(n).ts);
    }
    // At the edge it waits for what comes.
    let next = tokio::spawn(async move { source.next().await.map(|chunk| number(&chunk)) });
    tokio::task::yield_now().await;
    shift.put(&large(40));
    assert_eq!(next.await.unwrap(), Some(40));
    let first = async |start| number(&shift.source(start).next().await.unwrap());
    assert_eq!(first(Start::Live).await, 40);
    assert_eq!(first(Start::At(Position(0))).await, 0);
    assert_eq!(first(Start::At(position(1000))).await, 40);
    let left = folder.path().join("cache").read_dir().unwrap().count();
    assert_eq!(left, 0, "the files have no names");
    let mode =
        std::os::unix::fs::MetadataExt::mode(&folder.path().join("cache").metadata().unwrap());
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn the_oldest_goes_first_and_a_reader_there_goes_on_at_the_oldest_left() {
    let folder = tempfile::tempdir().unwrap();
    let shift = TimeShift::new(folder.path(), 1 << 20);
    shift.put(&large(0));
    let mut slow = shift.source(Start::At(Position(0)));
    assert_eq!(number(&slow.next().await.unwrap()), 0);
    for n in 1..200 {
        shift.put(&large(n));
        let upto = n + 1;
        // The disk keeps up.
        until(&shift, |_| shift.shared.lock().is_written(upto)).await;
        forget_memory(&shift);
    }
    let status = shift.status();
    assert!(status.on_disk <= 1 << 20, "{status:?}");
    let oldest = status.oldest.unwrap();
    assert!(oldest > position(150), "{status:?}");
    let chunk = slow.next().await.unwrap();
    assert_eq!((chunk.position, chunk.gap, chunk.random_access), (oldest, true, true));
    assert!(chunk.ts.len() > large(0).ts.len(), "the jump is marked");
}

#[tokio::test]
async fn a_full_disk_shrinks_the_cache_and_playing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, made) = (folder.path().to_owned(), AtomicUsize::new(0));
    // After three chunks the disk is full: the system says so itself.
    let shift = TimeShift::over(8 << 20, move || match made.fetch_add(1, Ordering::Relaxed) {
        0..3 => tempfile::tempfile_in(&path),
        _ => std::fs::OpenOptions::new().write(true).open("/dev/full"),
    });
    let mut live = shift.source(Start::Live);
    for n in 0..60 {
        shift.put(&large(n));
        assert_eq!(number(&live.next().await.unwrap()), n);
    }
    let status = until(&shift, |status| matches!(status.trouble, Some(Trouble::Off(_)))).await;
    assert!(
        matches!(&status.trouble, Some(Trouble::Off(why)) if why.contains("space")),
        "{status:?}"
    );
    // Two of the three chunks (of seven pieces) made room, in vain.
    assert_eq!(status.on_disk, 7 * large(0).ts.len() as u64);
    shift.put(&large(60));
    assert_eq!(number(&live.next().await.unwrap()), 60);
    let mut back = shift.source(Start::At(position(57)));
    assert_eq!(number(&back.next().await.unwrap()), 56, "memory can be rewound all the same");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told_and_the_channel_plays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "no folder").unwrap();
    let shift = TimeShift::new(&path, 8 << 20);
    shift.put(&large(0));
    until(&shift, |status| matches!(status.trouble, Some(Trouble::Off(_)))).await;
    assert_eq!(number(&shift.source(Start::Live).next().await.unwrap()), 0);
}

#[tokio::test]
async fn memory_is_bounded_without_a_disk() {
    let shift = TimeShift::over(8 << 20, || Err(std::io::ErrorKind::PermissionDenied.into()));
    for n in 0..1000 {
        shift.put(&large(n));
    }
    let kept = shift.shared.lock().bytes_in_memory();
    assert!(kept <= 2 * index::MEMORY, "{kept}");
    assert!(shift.status().oldest > Some(position(100)));
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_turn_the_order() {
    let shift = TimeShift::over(0, || Err(std::io::ErrorKind::PermissionDenied.into()));
    (100..104).for_each(|n| shift.put(&piece(n)));
    (0..8).for_each(|n| shift.put(&piece(n)));
    let mut source = shift.source(Start::At(Position(0)));
    let mut last = Position(0);
    for _ in 0..12 {
        let chunk = source.next().await.unwrap();
        assert!(chunk.position > last);
        last = chunk.position;
    }
    drop(shift);
    assert_eq!(source.next().await, None, "the channel was left");
}
