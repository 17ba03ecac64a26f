//! Against real programs on buses of their own: a D-Bus daemon, GNOME Keyring where it is installed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zbus::{Connection, connection, interface};

use super::*;
use crate::account::{Remembered, State};
use crate::vault::{Kept, Vault};

/// Long enough for any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A D-Bus daemon, as a desktop session starts one.
struct Bus {
    daemon: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Bus {
    /// A bus; `None` where no daemon is installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let config = folder.path().join("bus.conf");
        // Without folders of services: nothing of the machine's own is started.
        let text = format!(
            "<busconfig><type>session</type><listen>unix:dir={}</listen>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            folder.path().display()
        );
        std::fs::write(&config, text).ok()?;
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut address = String::new();
        BufReader::new(daemon.stdout.take()?).read_line(&mut address).ok()?;
        Some(Self { daemon, address: address.trim().to_owned(), _folder: folder })
    }

    async fn connect(&self) -> Connection {
        connection::Builder::address(self.address.as_str()).build().await.unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _gone = self.daemon.kill();
        let _reaped = self.daemon.wait();
    }
}

fn sign_in(token: &str) -> Remembered {
    Remembered {
        server: "http://tv.example".parse().unwrap(),
        user: Some("anna".into()),
        refresh_token: token.into(),
    }
}

#[tokio::test]
async fn a_sign_in_is_kept_by_the_keyring_and_not_in_a_file() {
    let Some(bus) = Bus::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let keyring = Command::new("gnome-keyring-daemon")
        .args(["--foreground", "--components=secrets", "--unlock"])
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .env("HOME", &home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_RUNTIME_DIR", &home)
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut keyring) = keyring else { return };
    // The password that unlocks the login keyring, which is made with it.
    keyring.stdin.take().unwrap().write_all(b"password of the test").unwrap();
    let state = Arc::new(State::open(&folder.path().join("state")).unwrap());
    let there = async {
        loop {
            let vault = Vault::on(bus.connect().await, state.clone()).await;
            if vault.kept() == Kept::SecretStore {
                return vault;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let vault = tokio::time::timeout(LIMIT, there).await.expect("the keyring answers");
    assert!(vault.last().await.is_none());
    for token in ["first", "second"] {
        vault.keep(&sign_in(token)).await.unwrap();
        assert_eq!(vault.kept(), Kept::SecretStore);
        assert_eq!(vault.last().await.unwrap().refresh_token, token);
    }
    assert!(state.last().is_none(), "nothing lies in the file");
    let other = Vault::on(bus.connect().await, state.clone()).await;
    assert_eq!(other.last().await.unwrap().refresh_token, "second", "the next run finds it");
    vault.forget().await;
    assert!(other.last().await.is_none());
    keyring.kill().unwrap();
    keyring.wait().unwrap();
    // The store is gone: the file takes its place.
    vault.keep(&sign_in("third")).await.unwrap();
    assert_eq!(vault.kept(), Kept::File);
    assert_eq!(state.last().unwrap().refresh_token, "third");
}

#[tokio::test]
async fn without_a_secret_store_a_file_is_used() {
    let Some(bus) = Bus::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(folder.path()).unwrap());
    let vault = Vault::on(bus.connect().await, state).await;
    assert_eq!(vault.kept(), Kept::File);
    vault.keep(&sign_in("token")).await.unwrap();
    assert_eq!(vault.last().await.unwrap().refresh_token, "token");
}

/// NetworkManager, as far as it says what a connection costs.
struct Manager(u32);

#[interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.0
    }
}

#[tokio::test]
async fn a_connection_that_becomes_paid_by_volume_is_noticed_at_once() {
    let Some(bus) = Bus::start() else { return };
    let path = "/org/freedesktop/NetworkManager";
    let manager = connection::Builder::address(bus.address.as_str())
        .serve_at(path, Manager(2))
        .name("org.freedesktop.NetworkManager")
        .build()
        .await
        .unwrap();
    let (tell, mut metered) = watch::channel(true);
    let client = bus.connect().await;
    let following = tokio::spawn(async move { metered::follow_manager(&client, &tell).await });
    let mut wait = async |wanted: bool| {
        tokio::time::timeout(LIMIT, metered.wait_for(|now| *now == wanted)).await.unwrap().unwrap();
    };
    wait(false).await;
    let server = manager.object_server().interface::<_, Manager>(path).await.unwrap();
    for (value, wanted) in [(1, true), (4, false), (3, true), (0, false)] {
        server.get_mut().await.0 = value;
        server.get().await.metered_changed(server.signal_emitter()).await.unwrap();
        wait(wanted).await;
    }
    following.abort();
}

#[tokio::test]
async fn without_anybody_to_ask_a_connection_is_not_paid_by_volume() {
    let Some(bus) = Bus::start() else { return };
    let (tell, metered) = watch::channel(false);
    let client = bus.connect().await;
    metered::follow_manager(&client, &tell).await;
    metered::follow_portal(&client, &tell).await;
    assert!(!*metered.borrow());
}

#[zbus::proxy(
    interface = "org.mpris.MediaPlayer2.Player",
    default_service = "org.mpris.MediaPlayer2.braidcast",
    default_path = "/org/mpris/MediaPlayer2"
)]
trait Remote {
    fn play_pause(&self) -> zbus::Result<()>;
    #[zbus(property)]
    fn playback_status(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn volume(&self) -> zbus::Result<f64>;
    #[zbus(property)]
    fn set_volume(&self, volume: f64) -> zbus::Result<()>;
    #[zbus(property)]
    fn can_go_next(&self) -> zbus::Result<bool>;
}

#[zbus::proxy(
    interface = "org.mpris.MediaPlayer2",
    default_service = "org.mpris.MediaPlayer2.braidcast",
    default_path = "/org/mpris/MediaPlayer2"
)]
trait Desktop {
    fn raise(&self) -> zbus::Result<()>;
    #[zbus(property)]
    fn identity(&self) -> zbus::Result<String>;
}

#[tokio::test]
async fn a_remote_sees_the_player_and_turns_its_volume() {
    let Some(bus) = Bus::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::settings::Config {
        state: Some(folder.path().join("state")),
        ..crate::settings::Config::default()
    };
    config.local.listen = "127.0.0.1:0".parse().unwrap();
    let tv = crate::television::Television::start(config).unwrap();
    let mut wishes = tv.wishes();
    let builder = connection::Builder::address(bus.address.as_str());
    tokio::spawn(mpris::serve(builder, tv.handle(), tv.view()));
    let client = bus.connect().await;
    let there = async {
        loop {
            let desktop = DesktopProxy::new(&client).await.unwrap();
            if let Ok(name) = desktop.identity().await {
                return (desktop, name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (desktop, name) = tokio::time::timeout(LIMIT, there).await.unwrap();
    assert_eq!(name, "Braidcast");
    let remote = RemoteProxy::new(&client).await.unwrap();
    assert_eq!(remote.playback_status().await.unwrap(), "Stopped");
    assert!(!remote.can_go_next().await.unwrap());
    remote.play_pause().await.unwrap();
    remote.set_volume(0.25).await.unwrap();
    let mut view = tv.view();
    let turned = view.wait_for(|view| view.settings.volume == 25);
    tokio::time::timeout(LIMIT, turned).await.unwrap().unwrap();
    desktop.raise().await.unwrap();
    let wish = tokio::time::timeout(LIMIT, wishes.recv()).await.unwrap().unwrap();
    assert_eq!(wish, crate::television::Wish::Raise);
    tv.close().await;
}
