//! The stage: auth, rendezvous, a headend and repeaters, started from nothing and stopped together.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Channel, Plan, Program, Repeater, Source, Viewer, Watch};

/// The user that the stage knows.
pub const USER: &str = "anna";
/// Her password.
pub const PASSWORD: &str = "a viewer's password";
/// Opens the console and auth's administration.
pub const ADMIN_TOKEN: &str = "token-of-the-stage-administrator";

/// The secret of every channel on the stage.
pub const CHANNEL_SECRET: [u8; 32] = [0x5e; 32];

const HEADEND_CREDENTIAL: &str = "credential-of-the-stage-headend";
const RENDEZVOUS_CREDENTIAL: &str = "credential-of-the-stage-rendezvous";
/// How many networks the prefix table knows: 127.0.1.0/24 and on.
const NETWORKS: u8 = 16;
/// Their countries, in turn.
const COUNTRIES: [&str; 4] = ["CH", "DE", "FR", "AT"];

/// A platform that stands. Dropping it kills its programs and removes its files.
pub struct Stage {
    /// Auth.
    pub auth: Program,
    /// Rendezvous.
    pub rendezvous: Program,
    /// The headend.
    pub headend: Program,
    /// The repeaters, in the plan's order.
    pub repeaters: Vec<Program>,
    addresses: Addresses,
    viewers: u32,
    apart: bool,
    folder: TempDir,
}

/// What `/readyz` answers.
#[derive(serde::Deserialize)]
struct Readiness {
    missing: std::collections::BTreeMap<String, String>,
}

/// The stage's own loopback address with fixed ports, so that a program that is started again is found
/// again.
#[derive(Clone, Copy)]
struct Addresses {
    ip: Ipv4Addr,
    /// The servers' second address, for homes with IPv6.
    ipv6: Option<Ipv6Addr>,
}

impl Addresses {
    const AUTH: u16 = 7880;
    const RENDEZVOUS: u16 = 7881;
    const HEADEND: u16 = 7882;
    /// The first repeater's, where repeaters have fixed ones: they must be told to be listed with two addresses.
    const REPEATERS: u16 = 7890;

    /// An address on which nobody listens: stages of several tests and processes stand side by side.
    fn free() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..1000 {
            let turn = NEXT.fetch_add(1, Ordering::Relaxed);
            let seed = std::process::id().wrapping_mul(31).wrapping_add(turn);
            let [_, a, b, c] = seed.to_be_bytes();
            let ip = Ipv4Addr::new(127, 64 + a % 64, b, c.clamp(1, 254));
            let ports = [Self::AUTH, Self::RENDEZVOUS, Self::HEADEND];
            if ports.iter().all(|&port| TcpListener::bind((ip, port)).is_ok()) {
                return Ok(Self { ip, ipv6: None });
            }
        }
        bail!("no free loopback address")
    }

    fn auth(&self) -> String {
        format!("http://{}:{}", self.ip, Self::AUTH)
    }

    /// The same as a home sees it that has IPv6 alone.
    fn auth_over_ipv6(&self) -> Option<String> {
        self.ipv6.map(|ip| format!("http://[{ip}]:{}", Self::AUTH))
    }

    /// Where a server listens: at its address, or at all of them if it has two.
    fn listen(&self, port: u16) -> SocketAddr {
        let both = self.ipv6.map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        SocketAddr::new(both.unwrap_or(self.ip.into()), port)
    }

    /// What such a server must say for itself; nothing if it has one address.
    fn advertise(&self, port: u16) -> Vec<String> {
        let both = self.ipv6.map(|ipv6| [IpAddr::V4(self.ip), IpAddr::V6(ipv6)]);
        let both = both.into_iter().flatten();
        both.map(|ip| SocketAddr::new(ip, port).to_string()).collect()
    }
}

impl Stage {
    /// Sets up everything in `plan` and waits until all of it is ready. Ctrl-C in the terminal reaches
    /// everybody on the stage, so that nothing outlives a test that was interrupted.
    ///
    /// # Errors
    /// If a program is not built, does not start or does not get ready.
    pub async fn set(plan: Plan) -> Result<Self> {
        Self::stand(plan, false, "", None).await
    }

    /// The same, with `rendezvous` (TOML) at the end of the configuration of rendezvous.
    ///
    /// # Errors
    /// As of [`Stage::set`].
    pub async fn set_with(plan: Plan, rendezvous: &str) -> Result<Self> {
        Self::stand(plan, false, rendezvous, None).await
    }

    /// The same, but Ctrl-C reaches only the program that sets the stage: for one that strikes it then.
    ///
    /// # Errors
    /// As of [`Stage::set`].
    pub async fn set_apart(plan: Plan) -> Result<Self> {
        Self::stand(plan, true, "", None).await
    }

    /// As of [`Stage::set`], in a network namespace, at its address `ip`.
    ///
    /// # Errors
    /// As of [`Stage::set`].
    pub async fn set_in(plan: Plan, namespace: &str, ip: Ipv4Addr) -> Result<Self> {
        let addresses = Addresses { ip, ipv6: None };
        Self::stand(plan, false, "", Some((namespace.to_owned(), addresses))).await
    }

    /// The same at an address of each family: all servers listen at both, and are listed with both. All repeaters
    /// stand there, whatever address the plan gives them.
    ///
    /// # Errors
    /// As of [`Stage::set`].
    pub async fn set_in_both(
        plan: Plan,
        namespace: &str,
        ip: Ipv4Addr,
        ipv6: Ipv6Addr,
    ) -> Result<Self> {
        let addresses = Addresses { ip, ipv6: Some(ipv6) };
        Self::stand(plan, false, "", Some((namespace.to_owned(), addresses))).await
    }

    async fn stand(
        plan: Plan,
        apart: bool,
        more: &str,
        ground: Option<(String, Addresses)>,
    ) -> Result<Self> {
        // Secrets lie in it.
        let folder = tempfile::Builder::new()
            .prefix("braidcast-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let namespace = ground.as_ref().map(|(namespace, _)| namespace.as_str());
        let addresses = match &ground {
            Some((_, addresses)) => *addresses,
            None => Addresses::free()?,
        };
        let root = folder.path();
        std::fs::write(root.join("seed.toml"), seed(&plan))?;
        secrets(root, &plan)?;

        let auth_config = write(root, "auth.toml", &auth(root, addresses))?;
        let seed_file = root.join("seed.toml").to_string_lossy().into_owned();
        let mut apply = Program::start_in(
            namespace,
            root,
            "apply",
            "braidcast-auth",
            &["--config", &auth_config, "apply", &seed_file],
            apart,
        )?;
        let status = apply.ended(std::time::Duration::from_secs(60)).await?;
        if !status.success() {
            bail!("accounts cannot be set up ({status}):\n{}", apply.log());
        }
        let mut auth = Program::start_in(
            namespace,
            root,
            "auth",
            "braidcast-auth",
            &["--config", &auth_config],
            apart,
        )?;
        auth.ready(&root.join("auth.json")).await?;

        let config = write(root, "rendezvous.toml", &rendezvous(root, addresses, &plan, more))?;
        let mut rendezvous = Program::start_in(
            namespace,
            root,
            "rendezvous",
            "braidcast-rendezvous",
            &["--config", &config],
            apart,
        )?;
        rendezvous.ready(&root.join("rendezvous.json")).await?;

        let config = write(root, "headend.toml", &headend(root, addresses, &plan))?;
        let mut headend = Program::start_in(
            namespace,
            root,
            "headend",
            "braidcast-headend",
            &["--config", &config],
            apart,
        )?;
        headend.ready(&root.join("headend.json")).await?;

        let mut repeaters = Vec::new();
        for (i, plan) in plan.repeaters.iter().enumerate() {
            let name = format!("repeater-{i}");
            let port = Addresses::REPEATERS + i as u16;
            let text = repeater(root, addresses, &name, port, plan);
            let config = write(root, &format!("{name}.toml"), &text)?;
            let mut program = Program::start_in(
                namespace,
                root,
                &name,
                "braidcast-repeater",
                &["--config", &config],
                apart,
            )?;
            program.ready(&root.join(format!("{name}.json"))).await?;
            repeaters.push(program);
        }
        Ok(Self { auth, rendezvous, headend, repeaters, addresses, viewers: 0, apart, folder })
    }

    /// Starts a viewer.
    ///
    /// # Errors
    /// If its program cannot be started.
    pub fn watch(&mut self, watch: Watch) -> Result<Viewer> {
        self.viewers += 1;
        let name = format!("viewer-{}", self.viewers);
        let folder = self.folder.path().join(&name);
        let over_ipv6 = self.addresses.auth_over_ipv6().filter(|_| watch.over_ipv6);
        let auth = over_ipv6.unwrap_or_else(|| self.auth_url());
        Viewer::start(folder, &name, &auth, &watch, self.apart)
    }

    /// Auth's address: the one address that viewers and nodes are given.
    pub fn auth_url(&self) -> String {
        self.addresses.auth()
    }

    /// The console's address; what follows the mark opens the live map, and never leaves the browser.
    pub fn console(&self) -> String {
        format!("http://{}:{}/#token={ADMIN_TOKEN}", self.addresses.ip, Addresses::RENDEZVOUS)
    }

    /// What the headend says that it misses, such as a source; nothing if it misses nothing, or does not answer.
    pub async fn missing_at_headend(&self) -> Option<String> {
        let answer = async {
            let address = (self.addresses.ip, Addresses::HEADEND);
            let mut stream = TcpStream::connect(address).await.ok()?;
            stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            let body = answer.split_once("\r\n\r\n")?.1;
            let missing: Readiness = serde_json::from_str(body).ok()?;
            let said = missing.missing.iter().map(|(what, why)| format!("{what} ({why})"));
            Some(said.collect::<Vec<_>>().join(", ")).filter(|said| !said.is_empty())
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), answer).await.ok().flatten()
    }

    /// The folder with everybody's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs an administrator's command of auth (`["node", "revoke", "repeater-0"]`), and gives what it said.
    ///
    /// # Errors
    /// If it fails.
    pub async fn administer(&self, command: &[&str]) -> Result<String> {
        let config = self.folder.path().join("auth.toml").to_string_lossy().into_owned();
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let args = [&["--config", &config], command].concat();
        let mut program =
            Program::start(folder.path(), "administer", "braidcast-auth", &args, self.apart)?;
        let status = program.ended(std::time::Duration::from_secs(60)).await?;
        if !status.success() {
            bail!("{command:?}: {status}: {}", program.log());
        }
        Ok(program.log())
    }

    /// Stops all programs in an orderly way.
    ///
    /// # Errors
    /// If one fails or does not stop.
    pub async fn strike(&mut self) -> Result<()> {
        for repeater in &mut self.repeaters {
            repeater.stop().await?;
        }
        self.headend.stop().await?;
        self.rendezvous.stop().await?;
        self.auth.stop().await
    }
}

/// The clip that set-up fetched, if it could be had.
pub fn clip() -> Option<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/clip.mp4");
    Some(cache).filter(|path| path.is_file())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn seed(plan: &Plan) -> String {
    let mut text = format!(
        r#"
[[packages]]
name = "all"
channels = ["*"]
[[packages]]
name = "none"
channels = ["nothing"]
[[users]]
name = "{USER}"
password = "{PASSWORD}"
packages = ["all"]
[[users]]
name = "bert"
password = "{PASSWORD}"
packages = ["none"]
[[nodes]]
name = "headend"
role = "headend"
credential = "{HEADEND_CREDENTIAL}"
[[nodes]]
name = "rendezvous"
role = "rendezvous"
credential = "{RENDEZVOUS_CREDENTIAL}"
"#
    );
    for i in 0..plan.repeaters.len() {
        let credential = repeater_credential(i);
        let _ = write!(
            text,
            "[[nodes]]\nname = \"repeater-{i}\"\nrole = \"repeater\"\ncredential = \"{credential}\"\n"
        );
    }
    for network in 1..=NETWORKS {
        let country = COUNTRIES[usize::from(network) % COUNTRIES.len()];
        let _ = write!(
            text,
            "[[prefixes]]\nprefix = \"127.0.{network}.0/24\"\nsubset = {network}\nasn = {}\ncountry = \"{country}\"\n",
            64500 + u32::from(network)
        );
    }
    text
}

/// Secrets lie in files of their own, as an operator would keep them.
fn secrets(root: &Path, plan: &Plan) -> Result<()> {
    write(root, "admin-token", ADMIN_TOKEN)?;
    write(root, "headend-credential", HEADEND_CREDENTIAL)?;
    write(root, "rendezvous-credential", RENDEZVOUS_CREDENTIAL)?;
    write(root, "channel-secret", &"5e".repeat(32))?;
    for i in 0..plan.repeaters.len() {
        write(root, &format!("repeater-{i}-credential"), &repeater_credential(i))?;
    }
    Ok(())
}

fn repeater_credential(i: usize) -> String {
    format!("credential-of-the-stage-repeater-{i}")
}

fn auth(root: &Path, at: Addresses) -> String {
    let root = root.display();
    let (url, listen) = (at.auth(), at.listen(Addresses::AUTH));
    format!(
        r#"public_url = "{url}"
platform = "stage"
database = "sqlite:{root}/auth.db"
admin_token = {{ file = "{root}/admin-token" }}
announce = "{root}/auth.json"
[http]
listen = "{listen}"
"#
    )
}

fn rendezvous(root: &Path, at: Addresses, plan: &Plan, more: &str) -> String {
    let root = root.display();
    let (url, ip, port) = (at.auth(), at.ip, Addresses::RENDEZVOUS);
    let (listen, advertise) = (at.listen(port), at.advertise(port));
    let mut text = format!(
        r#"identity = "{root}/rendezvous.identity"
state = "{root}/rendezvous"
admin_token = {{ file = "{root}/admin-token" }}
announce = "{root}/rendezvous.json"
[http]
listen = "{ip}:{port}"
[quic]
listen = "{listen}"
[advertise]
quic = {advertise:?}
[auth]
url = "{url}"
bind = "{ip}"
credential = {{ file = "{root}/rendezvous-credential" }}
{more}"#
    );
    // Numbers would otherwise follow the order in which encoders happen to start.
    for (channel, number) in plan.channels.iter().zip(1..) {
        let _ = write!(text, "[[channels]]\nid = \"{}\"\nnumber = {number}\n", channel.id);
    }
    text
}

fn headend(root: &Path, at: Addresses, plan: &Plan) -> String {
    let (url, ip, port) = (at.auth(), at.ip, Addresses::HEADEND);
    let (listen, advertise) = (at.listen(port), at.advertise(port));
    let folder = root.display();
    let serve = if plan.headend_feeds_viewers { "all" } else { "repeaters" };
    let mut text = format!(
        r#"auth = "{url}"
credential = {{ file = "{folder}/headend-credential" }}
identity = "{folder}/headend.identity"
state = "{folder}/headend"
channels_file = "{folder}/channels.toml"
console = true
bind = "{listen}"
advertise = {advertise:?}
serve = "{serve}"
announce = "{folder}/headend.json"
[http]
listen = "{ip}:{port}"
"#
    );
    for channel in &plan.channels {
        text += &headend_channel(&folder.to_string(), channel);
    }
    text
}

fn headend_channel(folder: &str, channel: &Channel) -> String {
    let (width, height, kbit) = channel.video;
    let Channel { id, name, more, .. } = channel;
    let mode = if channel.pass_through { "pass-through" } else { "encode" };
    let source = match &channel.source {
        Source::Test => "kind = \"test\"".to_owned(),
        Source::File(path) => format!("kind = \"file\"\npath = \"{}\"", path.display()),
        Source::Toml(text) => text.clone(),
    };
    format!(
        r#"[[channels]]
id = "{id}"
name = "{name}"
mode = "{mode}"
secret = {{ file = "{folder}/channel-secret" }}
[channels.video]
width = {width}
height = {height}
bitrate_kbit = {kbit}
preset = "ultrafast"
[channels.source]
{source}
{more}
"#
    )
}

fn repeater(root: &Path, at: Addresses, name: &str, port: u16, plan: &Repeater) -> String {
    let root = root.display();
    let (url, ip) = (at.auth(), &plan.address);
    let bind = match at.ipv6 {
        Some(_) => at.listen(port).to_string(),
        None => format!("{ip}:0"),
    };
    let advertise = at.advertise(port);
    let asns = &plan.asns;
    let substreams = match plan.max_pushed {
        Some(most) => format!("substreams = {most}\n"),
        None => String::new(),
    };
    let drain = plan.drain_s;
    format!(
        r#"auth = "{url}"
credential = {{ file = "{root}/{name}-credential" }}
identity = "{root}/{name}.identity"
bind = "{bind}"
advertise = {advertise:?}
announce = "{root}/{name}.json"
[http]
listen = "{ip}:0"
[serve]
asns = {asns:?}
[limits]
drain = "{drain}s"
{substreams}"#
    )
}
