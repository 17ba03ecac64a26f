//! A real router of a home: miniupnpd, which most of them run, in a network namespace.

use std::net::{Ipv4Addr, UdpSocket};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::mapping::keep;
use super::street::{Kind, Street};
use crate::home::Place;

/// For whatever is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const DAEMON: &str = "/usr/sbin/miniupnpd";
/// The router's second address outside: the daemon gives no ports at addresses that are not public.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
/// The chains that it fills.
const CHAINS: &str = "table inet mapped {
    chain forward { type filter hook forward priority 0; policy accept; jump ports; }
    chain ports { }
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump to; }
    chain postrouting { type nat hook postrouting priority 90; policy accept; jump from; }
    chain to { }
    chain from { }
}";

/// The router's daemon, ended with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemon of the first home's router, that speaks one of the protocols.
fn daemon(home: &str, folder: &Path, pcp: bool) -> Daemon {
    let router = home.replace("h1", "r1");
    let chains = folder.join("chains.nft");
    std::fs::write(&chains, CHAINS).unwrap();
    let run = |program: &str, argument: &Path| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &router, program, "-f"]).arg(argument);
        command
    };
    assert!(run("nft", &chains).status().unwrap().success());
    let servers = format!("{}s", home.trim_end_matches("h1"));
    for line in [
        format!("-n {router} addr add {PUBLIC}/32 dev wan0"),
        format!("-n {servers} route add {PUBLIC}/32 via 198.18.1.1"),
    ] {
        assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success(), "{line}");
    }
    let config = folder.join("miniupnpd.conf");
    let (pcp, upnp) = if pcp { ("yes", "no") } else { ("no", "yes") };
    let text = format!(
        "ext_ifname=wan0\nlistening_ip=lan0\next_ip={PUBLIC}\nenable_natpmp={pcp}\nenable_upnp={upnp}\n\
         secure_mode=yes\nsystem_uptime=yes\nhttp_port=0\nuuid=7e1a2c3b-0000-4000-8000-000000000001\n\
         upnp_table_name=mapped\nupnp_nat_table_name=mapped\nupnp_forward_chain=ports\nupnp_nat_chain=to\n\
         upnp_nat_postrouting_chain=from\nlease_file={}/leases\nallow 1024-65535 192.168.0.0/16 1024-65535\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = run(DAEMON, &config);
    command.arg("-d").arg("-P").arg(folder.join("pid"));
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    Daemon(child.unwrap())
}

/// What the world sends there arrives at the home, or does not.
fn passes(world: &Place, outside: std::net::SocketAddr, inside: &UdpSocket) -> bool {
    world
        .run(move || {
            let socket = UdpSocket::bind(("198.18.0.1", 0)).unwrap();
            for _ in 0..5 {
                socket.send_to(b"from a stranger", outside).unwrap();
            }
        })
        .join()
        .unwrap();
    let mut bytes = [0; 100];
    let came = inside.recv_from(&mut bytes).is_ok();
    inside.set_nonblocking(true).unwrap();
    while inside.recv_from(&mut bytes).is_ok() {}
    inside.set_nonblocking(false).unwrap();
    came
}

/// Behind a symmetric router, which hides every port otherwise.
fn a_port_is_asked_for_and_given_back(tag: &str, pcp: bool) {
    let (street, homes) = match Street::new(tag, &[Kind::SymmetricRandom]) {
        Ok(street) => street,
        Err(why) => return eprintln!("skipped: no network namespaces here ({why})"),
    };
    if !Path::new(DAEMON).exists() {
        return eprintln!("skipped: {DAEMON} is not there (package miniupnpd-nftables)");
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Place::named(&homes[0].namespace, homes[0].ip);
    let world = Place::named(&street.servers.namespace, street.servers.ip);
    let _daemon = daemon(&homes[0].namespace, folder.path(), pcp);
    let host = homes[0].ip;
    let socket = home.run(move || UdpSocket::bind((host, 0)).unwrap()).join().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    let port = NonZeroU16::new(socket.local_addr().unwrap().port()).unwrap();

    let stop = CancellationToken::new();
    let (tell, mut told) = watch::channel(None);
    let (until, router) = (stop.clone(), Ipv4Addr::new(192, 168, 1, 1));
    let keeper = home.block_on(move || async move {
        // The daemon may not listen yet.
        while !until.is_cancelled() {
            keep(router, host, port, tell.clone(), until.clone()).await;
        }
    });
    let outside = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let given = async { told.wait_for(Option::is_some).await.map(|told| *told) };
        runtime.block_on(async { timeout(PATIENCE, given).await })
    };
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let outside = outside.unwrap_or_else(|_| panic!("no port: {}", log())).unwrap().unwrap();
    assert_eq!(outside.ip(), PUBLIC);
    assert!(passes(&world, outside, &socket), "{}", log());
    stop.cancel();
    keeper.join().unwrap();
    assert!(!passes(&world, outside, &socket), "it was not given back: {}", log());
}

#[test]
fn a_port_by_pcp() {
    a_port_is_asked_for_and_given_back("mp", true);
}

#[test]
fn a_port_by_upnp() {
    a_port_is_asked_for_and_given_back("mu", false);
}
