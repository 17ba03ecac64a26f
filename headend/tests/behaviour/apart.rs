//! Channels are apart: one that fails leaves the others alone.

use crate::common;
use crate::common::{check_joined, take, until};
use headend::config::Source;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn a_channel_that_fails_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense.mp4");
    std::fs::write(&nonsense, vec![0x55; 100_000]).unwrap();

    let mut good = common::start(common::channel(Source::Test));
    let mut undecodable = common::start(common::channel(Source::File { path: nonsense }));
    let mut channel = common::channel(Source::Test);
    channel.video.encoder = Some("nosuchenc".into());
    let broken = common::start(channel);

    // A source that fails: the slate, and the reason.
    let cuts = until(&mut undecodable, |_, media| media.stats.trouble().is_some());
    check_joined(&[cuts, take(&mut undecodable, 3)].concat());
    assert!(!undecodable.stats.source_up.load(Relaxed));
    // A channel that cannot even begin: tried again and again, nothing else.
    let cuts = until(&mut good, |_, _| broken.stats.restarts.load(Relaxed) >= 3);
    assert!(broken.stats.trouble().unwrap().contains("nosuchenc"));
    assert_eq!(broken.stats.outputs[0].segments.load(Relaxed), 0);
    // The good one noticed nothing.
    check_joined(&[cuts, take(&mut good, 4)].concat());
    assert_eq!(good.stats.restarts.load(Relaxed), 0);
    assert_eq!(good.stats.losses.load(Relaxed), 0);
    assert_eq!(good.stats.trouble(), None);
}

#[test]
fn stopping_a_channel_leaves_no_thread_behind() {
    // Threads that it starts, and those that GStreamer starts for it, inherit the name of the first.
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("media leak")).count()
    };
    for round in 0..3 {
        let mut channel = common::channel(Source::Test);
        channel.id = "leak".into();
        if round == 1 {
            channel.mode = headend::config::Mode::PassThrough;
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            channel.source = Source::Udp { address, interface: None };
        }
        let mut media = common::start(channel);
        take(&mut media, 2);
        assert!(threads() >= 1);
        media.stop();
        // What a thread did is over when it is joined; the system may show it for a moment more.
        let until = std::time::Instant::now() + common::PATIENCE;
        while threads() > 0 {
            assert!(std::time::Instant::now() < until, "{} threads are left", threads());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
