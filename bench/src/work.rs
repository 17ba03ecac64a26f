//! Pieces of work on the hot paths, repeated so often as is asked: what the guard on instruction counts runs.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use segment::{Assembly, ChannelSecret, Coding, Cut, Layer, Proven, Sealer, Shard, Verifier};
use swarm::{Availability, Message};
use ticket::{
    ChannelTicket, Confirmation, Identity, Issuer, KeyPurpose, KeySet, Location, PublishedKey, Role,
};

/// 250 ms of 4 Mbit/s, transport-stream packets.
const PACKETS: usize = 664;

/// A piece of work.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Work {
    /// A segment's transport stream to twelve signed shards.
    Seal,
    /// Eight shards of a segment from their bytes to their proof.
    Prove,
    /// Eight proven shards, four of them parity, to the sealed segment.
    Rebuild,
    /// A channel ticket read and its signature checked.
    Ticket,
    /// A message between engines written and read.
    Message,
}

impl Work {
    /// Does it `times` times.
    ///
    /// # Errors
    /// If the work fails, which would make its count meaningless.
    pub(crate) fn repeat(self, times: u32) -> Result<()> {
        match self {
            Self::Seal => seal(times),
            Self::Prove => prove(times),
            Self::Rebuild => rebuild(times),
            Self::Ticket => check_ticket(times),
            Self::Message => message(times),
        }
    }
}

/// Packets of tables (PID 0x11, a sixth) and of a picture (PID 0x100).
fn cut(number: u64) -> Cut {
    let mut ts = vec![0x5a; PACKETS * 188];
    for (i, packet) in ts.chunks_exact_mut(188).enumerate() {
        let pid: u16 = if i % 6 == 0 { 0x11 } else { 0x100 };
        packet[..4].copy_from_slice(&[0x47, (pid >> 8) as u8, pid as u8, 0x10]);
    }
    Cut { ts: ts.into(), number, capture: 1, duration_ms: 250, random_access: true }
}

fn secret() -> ChannelSecret {
    ChannelSecret::new([7; 32])
}

fn sealer() -> Result<Sealer> {
    Ok(Sealer::new(secret(), "main", Coding::new(12, 8, None)?, 2400))
}

/// The second half of what a segment is sent as: four data shards and all parity.
fn shards(number: u64) -> Result<(Verifier, Vec<Shard>)> {
    let mut sealer = sealer()?;
    let verifier = Verifier::new(*sealer.swarm(), secret().channel_key());
    Ok((verifier, sealer.seal(&cut(number))?.split_off(4)))
}

fn seal(times: u32) -> Result<()> {
    let mut sealer = sealer()?;
    for number in 0..u64::from(times) {
        black_box(sealer.seal(&cut(number))?);
    }
    Ok(())
}

fn proven(verifier: &mut Verifier, shards: &[Shard]) -> Result<Vec<Proven>> {
    let prove = |shard: &Shard| Ok(verifier.check(Shard::decode(shard.wire().clone())?)?);
    shards.iter().map(prove).collect()
}

fn prove(times: u32) -> Result<()> {
    let (_, shards) = shards(1)?;
    let (swarm, key) = (*sealer()?.swarm(), secret().channel_key());
    for _ in 0..times {
        // A new one each time: the first shard of a segment pays for the signature.
        let mut verifier = Verifier::new(swarm, key);
        black_box(proven(&mut verifier, &shards)?);
    }
    Ok(())
}

fn rebuild(times: u32) -> Result<()> {
    let (mut verifier, shards) = shards(1)?;
    let proven = proven(&mut verifier, &shards)?;
    for _ in 0..times {
        let mut shards = proven.iter().cloned();
        let mut assembly = Assembly::new(shards.next().context("eight shards")?);
        for shard in shards {
            assembly.add(shard);
        }
        black_box(assembly.sealed(Layer::Full).context("eight are enough")?);
    }
    Ok(())
}

fn check_ticket(times: u32) -> Result<()> {
    let (rendezvous, device) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let kid = rendezvous.id().to_string();
    let key =
        PublishedKey { kid: kid.clone(), key: rendezvous.id(), purpose: KeyPurpose::ChannelTicket };
    let keys = KeySet::new(vec![key]);
    let token = Issuer::new(kid, &rendezvous).channel(&ChannelTicket {
        iss: rendezvous.id(),
        aud: "bench".into(),
        jti: "1".into(),
        iat: 1_000,
        exp: 2_000,
        cnf: Confirmation::new(device.id()),
        role: Role::Viewer,
        channels: vec!["one".into()],
        loc: Location::default(),
    });
    for _ in 0..times {
        black_box(ChannelTicket::check(&token, &keys, "bench", device.id(), 1_500)?);
    }
    Ok(())
}

fn message(times: u32) -> Result<()> {
    let path = || (0..6).map(ticket::ShortId).collect();
    let available = (0..12)
        .map(|index| Availability { index, newest: 7_168_000_123, path: path(), rank: 6 })
        .collect();
    let message = Message::Have { available, free: 4 };
    for _ in 0..times {
        let bytes = black_box(&message).encode();
        black_box(Message::decode(&bytes)?.context("the whole message is there")?);
    }
    Ok(())
}
