//! The test vectors of `docs/wire.md`: the crate makes them, a second implementation reads them.
//!
//! `BRAIDCAST_WRITE_VECTORS=1 cargo test -p segment vectors` writes the file anew, after a change of
//! the format that was meant.

use segment::{Coding, Shard};
use serde_json::{Value, json};

use crate::second;
use crate::support::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors.json");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

/// A case: what goes in, what comes out, and the steps between as the second implementation sees them.
fn case(name: &str, coding: Coding, ts: &[u8]) -> Value {
    let secret: [u8; 32] = std::array::from_fn(|i| i as u8);
    let cut = cut(ts.to_vec().into());
    let shards = sealer(coding).seal(&cut).unwrap();
    let wires: Vec<String> = shards.iter().map(|shard| hex(shard.wire())).collect();

    let channel_key = crate::support::secret().channel_key().0;
    let swarm = second::swarm_id(&channel_key, "main");
    let read: Vec<second::Shard> =
        shards.iter().map(|shard| second::read(shard.wire(), &swarm, &channel_key)).collect();
    let first = &read[0];
    let key = second::content_key(&secret, &swarm, first.epoch);
    let layers: Vec<Value> = (first.layers.iter().enumerate())
        .map(|(at, layer)| {
            let sealed: Vec<u8> =
                read.iter().take(layer.k.into()).flat_map(|s| s.layers[at].piece.clone()).collect();
            let sealed = &sealed[..layer.len];
            let nonce = second::nonce(first.number, layer.number);
            let bound = second::bound(&swarm, layer.number, &first.content);
            let content = second::unseal(&key, nonce, &bound, sealed);
            json!({
                "layer": layer.number, "k": layer.k, "content": hex(&content),
                "nonce": hex(&nonce), "associated_data": hex(&bound), "sealed": hex(sealed),
                "root": hex(&layer.root),
            })
        })
        .collect();
    json!({
        "name": name,
        "secret": hex(&secret), "rendition": "main", "epoch_segments": 2400,
        "n": coding.n(), "number": cut.number, "capture": cut.capture,
        "duration_ms": cut.duration_ms, "random_access": cut.random_access, "ts": hex(ts),
        "channel_key": hex(&channel_key), "swarm_id": hex(&swarm), "epoch": first.epoch,
        "content_key": hex(&key), "layers": layers, "root": hex(&first.root),
        "signed_message": hex(&first.message), "signature": hex(&first.signature),
        "shards": wires,
    })
}

fn cases() -> Value {
    let mut mux = Mux::new(1);
    mux.noise(VIDEO);
    let one = mux.ts;
    let mut mux = Mux::new(2);
    mux.tables();
    mux.clock(VIDEO);
    mux.noise(VIDEO);
    mux.noise(AAC);
    mux.noise(VIDEO);
    json!([
        case("one layer, 2 of 3", Coding::new(3, 2, None).unwrap(), &one),
        case("two layers, 2 and 3 of 5", Coding::new(5, 3, Some(2)).unwrap(), &mux.ts),
    ])
}

#[test]
fn the_vectors_are_what_the_crate_makes() {
    let made = cases();
    if std::env::var_os("BRAIDCAST_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert!(made == kept, "the format has changed; if it was meant to, write the vectors anew");
}

/// From the file alone, by the second implementation: any K shards, parity first, give the segment.
#[test]
fn a_second_implementation_reads_the_vectors() {
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    for case in kept.as_array().unwrap() {
        let (key, swarm) = (bytes(&case["channel_key"]), bytes(&case["swarm_id"]));
        let shards: Vec<second::Shard> = (case["shards"].as_array().unwrap().iter())
            .map(|wire| second::read(&bytes(wire), &swarm, &key))
            .collect();
        let mut contents = Vec::new();
        for (at, layer) in shards[0].layers.iter().enumerate() {
            let piece = |shard: &second::Shard| (shard.index, shard.layers[at].piece.clone());
            let pieces: Vec<(u8, Vec<u8>)> = shards.iter().map(piece).collect();
            let points: Vec<(u8, &[u8])> = (pieces.iter().rev())
                .take(layer.k.into())
                .map(|(index, piece)| (*index, &piece[..]))
                .collect();
            for (index, piece) in &pieces {
                assert_eq!(&second::value(&points, *index), piece);
            }
            let mut sealed: Vec<u8> =
                (0..layer.k).flat_map(|index| second::value(&points, index)).collect();
            sealed.truncate(layer.len);
            let nonce = second::nonce(shards[0].number, layer.number);
            let bound = second::bound(&swarm, layer.number, &shards[0].content);
            let key = bytes(&case["content_key"]);
            contents.push(second::unseal(&key, nonce, &bound, &sealed));
        }
        let ts = match &contents[..] {
            [essential, full] => second::join(essential, full),
            [full] => full.clone(),
            _ => panic!("one or two layers"),
        };
        assert_eq!(ts, bytes(&case["ts"]));
        assert_eq!(shards.len(), usize::from(shards[0].n));
    }
}

#[test]
fn the_crate_reads_the_vectors() {
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    for case in kept.as_array().unwrap() {
        let swarm = hex_id(&case["swarm_id"]);
        let mut verifier = segment::Verifier::new(swarm, secret().channel_key());
        let shards: Vec<Shard> = (case["shards"].as_array().unwrap().iter())
            .map(|wire| Shard::decode(bytes(wire).into()).unwrap())
            .collect();
        let k = usize::from(shards[0].header().k());
        let last: Vec<usize> = (shards.len() - k..shards.len()).collect();
        let mut assembly = assembly(&mut verifier, &shards, &last);
        let opened = opened(&sealer(one_layer()), &mut assembly);
        assert_eq!(opened.ts, bytes(&case["ts"]));
    }
}

fn hex_id(text: &Value) -> segment::SwarmId {
    text.as_str().unwrap().parse().unwrap()
}
