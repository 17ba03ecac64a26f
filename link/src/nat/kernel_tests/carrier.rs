//! Two homes of one provider, whose router translates for both.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Home, Word, home, post, reflectors};
use crate::home::Place;
use crate::nat::Access;
use crate::nat::street::{Kind, Spot, Street, forward, link, nft, rules};

/// Two homes behind a router each, and both routers behind one provider's, which turns packets round or does not.
fn neighbours(tag: &str, hairpin: bool) -> Result<(Street, Vec<Spot>), String> {
    let mut street = Street::internet(tag)?;
    let provider = street.router(1);
    street.namespace(&provider)?;
    street.join(&provider, 1)?;
    forward(&provider);
    rules(&provider, Kind::PortRestricted, 1)?;
    let mut homes = Vec::new();
    for (number, side) in [(1, "lan0"), (2, "lan1")] {
        let (router, home) = (format!("{provider}i{number}"), format!("{provider}h{number}"));
        street.namespace(&router)?;
        street.namespace(&home)?;
        link(&provider, side, &router, "wan0", &format!("100.64.{number}"), None)?;
        forward(&router);
        let inside = format!("192.168.{number}");
        link(&router, "lan0", &home, "eth0", &inside, None)?;
        rules(&router, Kind::PortRestricted, number)?;
        homes.push(Spot { namespace: home, ip: format!("{inside}.2").parse().unwrap() });
    }
    if hairpin {
        // Ports are kept, as there are only two: what comes from one side to the provider's own address is for the other,
        // and seems to come from there.
        let text = r#"table ip hairpin {
            chain pre { type nat hook prerouting priority -110;
                iifname "lan0" ip daddr 198.18.1.1 meta l4proto udp dnat to 100.64.2.2
                iifname "lan1" ip daddr 198.18.1.1 meta l4proto udp dnat to 100.64.1.2
            }
            chain post { type nat hook postrouting priority 90;
                oifname { "lan0", "lan1" } meta l4proto udp snat to 198.18.1.1
            }
        }"#;
        nft(&provider, text)?;
    }
    // Inside, the provider lets its customers' addresses reach only itself.
    let walls = r#"table ip walls {
        chain between {
            type filter hook forward priority -20; policy accept;
            iifname { "lan0", "lan1" } oifname { "lan0", "lan1" } ct status & dnat != dnat drop
        }
    }"#;
    nft(&provider, walls)?;
    Ok((street, homes))
}

async fn meets(homes: &[Home]) -> bool {
    let way = homes[0].ask(|reply| Word::Meet(homes[1].peer, reply)).await;
    match way {
        Some(way) => {
            assert_eq!(way.addr.ip().to_canonical().to_string(), "198.18.1.1");
            assert!(homes[0].ask(|reply| Word::Dial(way, homes[1].peer, reply)).await);
            true
        }
        None => false,
    }
}

#[test]
fn two_real_homes_of_one_provider_meet_if_it_turns_packets_round() {
    for (tag, hairpin) in [("hp", true), ("nh", false)] {
        if let Err(why) = Street::possible(tag) {
            return eprintln!("skipped: no network namespaces here ({why})");
        }
        let (street, places) = neighbours(tag, hairpin).unwrap();
        let place = |spot: &Spot| Place::named(&spot.namespace, spot.ip);
        let reflectors = reflectors(&place(&street.servers));
        let (letters, post_office) = mpsc::unbounded_channel();
        let homes: Vec<Home> = places
            .iter()
            .map(|spot| home(Kind::Carrier, &place(spot), reflectors.clone(), letters.clone()))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            post(homes.iter().map(|home| (home.peer, home.words.clone())).collect(), post_office);
            for home in &homes {
                assert_eq!(home.reach().await.v4, Access::PortRestricted);
            }
            let met = tokio::time::timeout(Duration::from_secs(60), meets(&homes)).await;
            assert_eq!(met.ok(), Some(hairpin), "it turns packets round: {hairpin}");
            for home in homes {
                home.stop();
            }
        });
    }
}
