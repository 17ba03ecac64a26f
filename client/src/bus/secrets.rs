//! The system's secret store (freedesktop.org Secret Service API, draft 0.2), as GNOME Keyring, KWallet and KeePassXC
//! offer it. Secrets travel in plain over the user's own bus, which nobody else can read.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use zbus::{Connection, proxy};
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use super::within;

/// How long a person may take to unlock the store.
const PERSON: Duration = Duration::from_secs(120);

/// A secret as it travels: session, parameters, value, content type.
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

#[proxy(
    interface = "org.freedesktop.Secret.Service",
    default_service = "org.freedesktop.secrets",
    default_path = "/org/freedesktop/secrets"
)]
trait Service {
    fn open_session(
        &self,
        algorithm: &str,
        input: &Variant<'_>,
    ) -> zbus::Result<(OwnedVariant, OwnedObjectPath)>;
    fn search_items(
        &self,
        attributes: HashMap<&str, &str>,
    ) -> zbus::Result<(Vec<OwnedObjectPath>, Vec<OwnedObjectPath>)>;
    fn unlock(
        &self,
        objects: &[OwnedObjectPath],
    ) -> zbus::Result<(Vec<OwnedObjectPath>, OwnedObjectPath)>;
    fn read_alias(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.freedesktop.Secret.Collection",
    default_service = "org.freedesktop.secrets"
)]
trait Collection {
    fn create_item(
        &self,
        properties: HashMap<&str, Variant<'_>>,
        secret: &Secret,
        replace: bool,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath)>;
}

#[proxy(interface = "org.freedesktop.Secret.Item", default_service = "org.freedesktop.secrets")]
trait Item {
    fn get_secret(&self, session: &ObjectPath<'_>) -> zbus::Result<(Secret,)>;
    fn delete(&self) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.Secret.Prompt", default_service = "org.freedesktop.secrets")]
trait Prompt {
    fn prompt(&self, window: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn completed(&self, dismissed: bool, result: Variant<'_>) -> zbus::Result<()>;
}

/// The store, with one secret of ours in it.
#[derive(Clone)]
pub(crate) struct SecretStore {
    bus: Connection,
    service: ServiceProxy<'static>,
    session: OwnedObjectPath,
    /// Names our secret.
    owner: String,
}

impl SecretStore {
    /// The store of this bus, if there is one. `owner` tells one user's several programs apart.
    pub(crate) async fn open(bus: Connection, owner: String) -> Option<Self> {
        let service = within(ServiceProxy::new(&bus)).await?;
        let plain = Variant::from("");
        let (_, session) = within(service.open_session("plain", &plain)).await?;
        Some(Self { bus, service, session, owner })
    }

    fn attributes(&self) -> HashMap<&str, &str> {
        [("application", "tv.braidcast.Braidcast"), ("state", self.owner.as_str())].into()
    }

    /// Our secret, if there is one. If the store is locked a person may be asked to unlock it.
    pub(crate) async fn get(&self) -> Option<Vec<u8>> {
        let (mut unlocked, locked) = within(self.service.search_items(self.attributes())).await?;
        if unlocked.is_empty() && !locked.is_empty() {
            unlocked = self.unlock(&locked).await?;
        }
        let path = unlocked.into_iter().next()?;
        let item = within(ItemProxy::builder(&self.bus).path(path).build()).await?;
        let (secret,) = within(item.get_secret(&self.session)).await?;
        Some(secret.2)
    }

    async fn unlock(&self, locked: &[OwnedObjectPath]) -> Option<Vec<OwnedObjectPath>> {
        let (unlocked, prompt) = within(self.service.unlock(locked)).await?;
        if prompt.as_str() == "/" {
            return Some(unlocked);
        }
        let prompt = within(PromptProxy::builder(&self.bus).path(prompt).build()).await?;
        let mut completed = within(prompt.receive_completed()).await?;
        within(prompt.prompt("")).await?;
        let answer = tokio::time::timeout(PERSON, completed.next()).await.ok()??;
        let dismissed = *answer.args().ok()?.dismissed();
        (!dismissed).then(|| locked.to_vec())
    }

    /// Puts our secret in, instead of the one before. `false` if the store does not take it, because it is locked for one.
    pub(crate) async fn put(&self, secret: &[u8]) -> bool {
        let put = async {
            let path = within(self.service.read_alias("default")).await?;
            if path.as_str() == "/" {
                return None;
            }
            let collection = CollectionProxy::builder(&self.bus).path(path).build();
            let collection = within(collection).await?;
            let properties = [
                ("org.freedesktop.Secret.Item.Label", Variant::from("Braidcast: sign-in")),
                ("org.freedesktop.Secret.Item.Attributes", Variant::from(self.attributes())),
            ];
            let secret =
                (self.session.clone(), Vec::new(), secret.to_vec(), "application/json".to_owned());
            let (item, _) =
                within(collection.create_item(properties.into(), &secret, true)).await?;
            // Without an item somebody would have to be asked.
            (item.as_str() != "/").then_some(())
        };
        put.await.is_some()
    }

    /// Takes our secret out.
    pub(crate) async fn remove(&self) {
        let Some((unlocked, _)) = within(self.service.search_items(self.attributes())).await else {
            return;
        };
        for path in unlocked {
            let builder = ItemProxy::builder(&self.bus).path(path);
            if let Some(item) = within(builder.build()).await {
                let _prompt = within(item.delete()).await;
            }
        }
    }
}
