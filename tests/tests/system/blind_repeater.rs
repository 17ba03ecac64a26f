//! What a repeater holds cannot be decrypted with anything that it was given: the keys that open the channel are
//! nowhere in its memory, while they are in the viewer's.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use segment::{ChannelSecret, SwarmId};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_content_keys_are_not_in_its_memory() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 400), ..Channel::new("one", Source::Test) }],
        repeaters: vec![Repeater::at("127.0.1.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewer = stage.watch(Watch { seconds: None, ..Watch::new("127.0.1.11", "one") })?;
    viewer.playing().await?;

    let secret = ChannelSecret::of_channel(demo::CHANNEL_SECRET, "one");
    let swarm = SwarmId::new(&secret.channel_key(), "main");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    // Half an hour of media to an epoch, and one on either side.
    let epoch = (now / 1800) as u32;
    let keys: Vec<[u8; 32]> =
        (epoch - 1..=epoch + 1).map(|epoch| secret.content_key(&swarm, epoch).key).collect();

    let held = keys_in_memory(viewer.pid().context("the viewer runs")?, &keys)?;
    assert!(held >= 1, "the viewer's memory shows no key: the search finds nothing");
    let repeater = stage.repeaters[0].pid().context("the repeater runs")?;
    assert_eq!(keys_in_memory(repeater, &keys)?, 0, "a content key is in the repeater's memory");
    let figures = viewer.figures()?;
    assert!(figures.bytes_in.repeater > 0, "the repeater carried nothing: {figures:#?}");
    viewer.stop().await?;
    stage.strike().await
}

/// How many of `keys` stand anywhere in the writable memory of a process.
fn keys_in_memory(pid: u32, keys: &[[u8; 32]]) -> Result<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem")).context("read a process' memory")?;
    let mut found = vec![false; keys.len()];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line
            .split_whitespace()
            .next()
            .and_then(|range| range.split_once('-'))
            .context("a range of addresses")?;
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut bytes = vec![0; (to - from) as usize];
        // Some mappings cannot be read, or shrink meanwhile.
        let Ok(read) = memory.read_at(&mut bytes, from) else { continue };
        for (key, found) in keys.iter().zip(&mut found) {
            *found = *found || contains(&bytes[..read], key);
        }
    }
    Ok(found.into_iter().filter(|&found| found).count())
}

fn contains(bytes: &[u8], key: &[u8; 32]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == key[0]) {
        if rest[at..].starts_with(key) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
