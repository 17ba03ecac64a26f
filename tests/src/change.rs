//! What happens to a home while somebody plays there: it moves, its router gets another address, UDP is shut off.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::street::{Spot, Street, ip, nft};

impl Street {
    /// A home behind a router gets another address there, as after a change from Wi-Fi to cable; for `gap` it has none.
    ///
    /// # Errors
    /// If the system does not let it.
    pub async fn readdress(&self, home: &mut Spot, gap: Duration) -> Result<(), String> {
        let [a, b, c, last] = home.ip.octets();
        let new = Ipv4Addr::new(a, b, c, last + 1);
        self.replug(home, new, gap).await
    }

    /// The same, with this address of that home; it may be the old one, as when a cable is pulled and put back.
    ///
    /// # Errors
    /// If the system does not let it.
    pub async fn replug(
        &self,
        home: &mut Spot,
        new: Ipv4Addr,
        gap: Duration,
    ) -> Result<(), String> {
        let Spot { namespace, ip: old } = &*home;
        let [a, b, c, _] = old.octets();
        ip(&format!("-n {namespace} addr del {old}/24 dev eth0"))?;
        tokio::time::sleep(gap).await;
        ip(&format!("-n {namespace} addr add {new}/24 dev eth0"))?;
        // It has gone with the address.
        ip(&format!("-n {namespace} route replace default via {a}.{b}.{c}.1"))?;
        home.ip = new;
        Ok(())
    }

    /// The router of this home (from 1) gets another address on the internet, as providers do it at night. What it has
    /// translated so far is forgotten with the old one.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn renumber(&self, number: usize) -> Result<(), String> {
        let router = self.router(number);
        ip(&format!("-n {router} addr del 198.18.1.{number}/16 dev wan0"))?;
        ip(&format!("-n {router} addr add 198.18.2.{number}/16 dev wan0"))
    }

    /// What comes down the line of this home (from 1, behind a router) is so fast from now on: `20mbit`. What comes faster
    /// waits for a tenth of a second at most, and is dropped then.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn downlink(&self, number: usize, rate: &str) -> Result<(), String> {
        let router = self.router(number);
        let line = format!(
            "netns exec {router} tc qdisc replace dev lan0 root tbf rate {rate} burst 16k latency 100ms"
        );
        ip(&line)
    }

    /// The router of this home (from 1) lets nothing of this protocol through from now on: `udp` or `tcp`.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn shut(&self, number: usize, protocol: &str) -> Result<(), String> {
        let hook = "type filter hook forward priority -10; policy accept";
        let text = format!(
            "table inet shut_{protocol} {{\nchain forward {{ {hook}; meta l4proto {protocol} drop; }}\n}}\n"
        );
        nft(&self.router(number), &text)
    }

    /// It does so again.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn open(&self, number: usize, protocol: &str) -> Result<(), String> {
        nft(&self.router(number), &format!("delete table inet shut_{protocol}"))
    }
}
