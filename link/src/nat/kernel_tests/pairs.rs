//! Every kind of home with every other: who meets whom, and how soon.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::mpsc;

use super::line::Lines;
use super::{Home, LETTER, WAY, Word, home, post, reflectors, settled};
use crate::home::Place;
use crate::nat::street::{KINDS, Kind, Spot, Street, ip};
use crate::nat::world_tests::shows_as;
use crate::nat::{is_local, same_home};

/// Each pair meets so often, each time as strangers.
const ROUNDS: usize = 20;
/// One begins so long after another: all at one moment would measure how fast this machine does sixty handshakes.
const APART: Duration = Duration::from_millis(25);
/// Until the last words of connections that are closed are over.
const SILENCE: Duration = Duration::from_millis(300);

/// Routers know of no flow any more, as when none has met before.
fn forget(street: &Street) {
    for name in street.namespaces() {
        ip(&format!("netns exec {name} conntrack -F")).unwrap();
        // Only address-restricted ones have it.
        let _ = ip(&format!("netns exec {name} nft flush set ip f peers"));
    }
}

/// What meets once: how long it took from the wish to the way, and until the connection stood.
async fn meet(one: &Home, other: &Home) -> [Duration; 2] {
    let (a, b) = (one.kind, other.kind);
    let begun = Instant::now();
    let way = one.ask(|reply| Word::Meet(other.peer, reply)).await;
    let found = begun.elapsed();
    let way = way.unwrap_or_else(|| panic!("{a:?} and {b:?} do not meet"));
    assert!(!is_local(way.addr.ip()), "{a:?} and {b:?}: {way:?}");
    let connected = one.ask(|reply| Word::Dial(way, other.peer, reply)).await;
    assert!(connected, "{a:?} dials {b:?} in vain");
    [found, begun.elapsed()]
}

/// The median and the 95th percentile, in milliseconds.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| times[(part * (times.len() - 1) as f64).round() as usize].as_millis();
    format!("{} / {}", at(0.5), at(0.95))
}

#[test]
fn every_pair_of_real_homes_does_as_was_foretold() {
    for program in ["ethtool", "conntrack"] {
        if Command::new(program).arg("--version").output().is_err() {
            return eprintln!("skipped: there is no {program} here");
        }
    }
    // Two homes of each kind, so that each kind meets its own too.
    let kinds: Vec<Kind> = KINDS.into_iter().chain(KINDS).collect();
    let (street, places) = match Street::new("m", &kinds) {
        Ok(street) => street,
        Err(why) => return eprintln!("skipped: no network namespaces here ({why})"),
    };
    let lines = Lines::lay(&street, WAY);
    let place = |spot: &Spot| Place::named(&spot.namespace, spot.ip);
    let reflectors = reflectors(&place(&street.servers));
    let (letters, post_office) = mpsc::unbounded_channel();
    let homes: Vec<Home> = kinds
        .iter()
        .zip(&places)
        .map(|(kind, spot)| home(*kind, &place(spot), reflectors.clone(), letters.clone()))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let doors = homes.iter().map(|home| (home.peer, home.words.clone())).collect();
        post(doors, post_office);
        let mut reaches = Vec::new();
        for home in &homes {
            let reach = home.reach().await;
            let (v4, v6) = shows_as(home.kind);
            assert_eq!((reach.v4, reach.v6), (settled(v4), settled(v6)), "{:?}", home.kind);
            reaches.push(reach);
        }
        let pairs = (0..KINDS.len()).flat_map(|i| (i..KINDS.len()).map(move |j| (i, j)));
        let (able, spared): (Vec<_>, Vec<_>) =
            pairs.partition(|(i, j)| reaches[*i].meets(&reaches[KINDS.len() + j], false));
        let mut times: BTreeMap<(usize, usize), Vec<[Duration; 2]>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            forget(&street);
            let met = join_all(able.iter().zip(0..).map(async |((i, j), turn)| {
                tokio::time::sleep(turn * APART).await;
                let (one, other) = (&homes[*i], &homes[KINDS.len() + j]);
                assert!(!same_home(one.seen, other.seen) || one.kind == Kind::Ipv6);
                ((*i, *j), meet(one, other).await)
            }));
            for (pair, took) in met.await {
                times.entry(pair).or_default().push(took);
            }
            tokio::time::sleep(SILENCE).await;
        }
        println!(
            "{ROUNDS} times each, {WAY:?} each way, introductions {LETTER:?}; ms, median / 95th percentile"
        );
        println!("pair: from the wish to the way that is dialled; until the connection stands");
        for ((i, j), times) in &times {
            let [found, stands] = [0, 1].map(|at| figures(times.iter().map(|all| all[at]).collect()));
            println!("{:?} and {:?}: {found}; {stands}", KINDS[*i], KINDS[*j]);
        }
        for (i, j) in &spared {
            println!("{:?} and {:?}: not tried", KINDS[*i], KINDS[*j]);
        }
        println!("{} pairs met, {} were not tried", able.len(), spared.len());
        assert_eq!(able.len() + spared.len(), 66);
        for home in homes {
            home.stop();
        }
    });
    drop((lines, street));
}
