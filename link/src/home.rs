//! A home behind a slow uplink with a deep queue, made of two network namespaces. Tests only.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};

/// One end of the line.
#[derive(Clone)]
pub(crate) struct Place {
    name: String,
    pub(crate) ip: Ipv4Addr,
}

impl Place {
    /// A namespace that stands.
    pub(crate) fn named(name: &str, ip: Ipv4Addr) -> Self {
        Self { name: name.to_owned(), ip }
    }

    /// Runs something there, in a thread of its own.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = format!("/run/netns/{}", self.name);
        thread::spawn(move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
    }

    /// Runs something asynchronous there.
    pub(crate) fn block_on<T: Send + 'static, F: Future<Output = T>>(
        &self,
        act: impl FnOnce() -> F + Send + 'static,
    ) -> JoinHandle<T> {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(act())
        })
    }
}

/// The home and the rest of the world.
pub(crate) struct Home {
    pub(crate) inside: Place,
    pub(crate) world: Place,
}

fn ip(line: &str) -> Result<(), String> {
    run("ip", line)
}

fn run(program: &str, line: &str) -> Result<(), String> {
    let output = Command::new(program).args(line.split_whitespace()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Home {
    /// An uplink of so many Mbit/s, whose queue holds a second. `tag` tells tests apart.
    ///
    /// # Errors
    /// Where namespaces cannot be made: why.
    pub(crate) fn new(tag: &str, mbits: u32) -> Result<Self, String> {
        let place = |kind: &str, last| Place {
            name: format!("bc{}{tag}{kind}", std::process::id()),
            ip: Ipv4Addr::new(10, 99, 0, last),
        };
        let home = Self { inside: place("h", 1), world: place("w", 2) };
        let (inside, world) = (&home.inside.name, &home.world.name);
        ip(&format!("netns add {inside}"))?;
        ip(&format!("netns add {world}"))?;
        ip(&format!("link add dev up0 netns {inside} type veth peer name down0 netns {world}"))?;
        for (place, device) in [(&home.inside, "up0"), (&home.world, "down0")] {
            let Place { name, ip: address } = place;
            ip(&format!("-n {name} addr add {address}/24 dev {device}"))?;
            ip(&format!("-n {name} link set dev {device} up"))?;
            ip(&format!("-n {name} link set dev lo up"))?;
        }
        let queue = format!("rate {mbits}mbit burst 2000 latency 1000ms");
        run("tc", &format!("-n {inside} qdisc add dev up0 root tbf {queue}"))?;
        Ok(home)
    }
}

impl Home {
    /// The home gets another address, as behind another router.
    pub(crate) fn readdress(&mut self, last: u8) {
        let Place { name, ip: old } = &self.inside;
        let new = Ipv4Addr::new(10, 99, 0, last);
        ip(&format!("-n {name} addr del {old}/24 dev up0")).unwrap();
        ip(&format!("-n {name} addr add {new}/24 dev up0")).unwrap();
        self.inside.ip = new;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for place in [&self.inside, &self.world] {
            let _ = ip(&format!("netns del {}", place.name));
        }
    }
}
