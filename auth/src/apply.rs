//! Brings the database to what a file says: packages, users, nodes, prefixes. For the demo, for
//! tests and for set-up by tools; doing it twice changes nothing more.

use anyhow::Context as _;
use ipnet::IpNet;
use serde::Deserialize;
use service::config::{Check, Problems, Secret};
use ticket::{Country, Location, Role};

use crate::store::{Prefix, Store};
use crate::{hasher, names};

/// The file. What it does not name is left alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Packages of channels.
    pub packages: Vec<PackageSeed>,
    /// Users.
    pub users: Vec<UserSeed>,
    /// Nodes.
    pub nodes: Vec<NodeSeed>,
    /// Rows of the prefix table.
    pub prefixes: Vec<PrefixSeed>,
}

/// `[[packages]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSeed {
    /// Its name.
    pub name: String,
    /// Its channels; `["*"]` stands for all.
    pub channels: Vec<String>,
}

/// `[[users]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSeed {
    /// What the user types.
    pub name: String,
    /// The password itself: for demos and tests.
    pub password: Option<String>,
    /// Where the password is.
    pub password_from: Option<Secret>,
    /// Packages by name.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Whether the user may not sign in.
    #[serde(default)]
    pub disabled: bool,
}

/// `[[nodes]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSeed {
    /// Its name.
    pub name: String,
    /// headend, repeater or rendezvous.
    pub role: Role,
    /// The credential itself, at least 20 characters: for demos and tests.
    pub credential: Option<String>,
    /// Where the credential is.
    pub credential_from: Option<Secret>,
    /// The channels that it may carry or publish.
    #[serde(default = "every")]
    pub channels: Vec<String>,
}

/// `[[prefixes]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixSeed {
    /// The addresses.
    pub prefix: IpNet,
    /// The operator's number for them.
    pub subset: Option<u32>,
    /// Their AS.
    pub asn: Option<u32>,
    /// Their country.
    pub country: Option<Country>,
}

fn every() -> Vec<String> {
    vec![names::EVERY.to_owned()]
}

fn one_of(text: &Option<String>, from: &Option<Secret>) -> bool {
    text.is_some() != from.is_some()
}

fn secret(text: &Option<String>, from: &Option<Secret>) -> anyhow::Result<String> {
    match (text, from) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(from)) => Ok(from.read()?.expose().to_owned()),
        (None, None) => anyhow::bail!("no secret is given"),
    }
}

impl Check for Seed {
    fn check(&self, problems: &mut Problems) {
        for (i, package) in self.packages.iter().enumerate() {
            let names = names::plain("package", &package.name)
                .and_then(|()| names::channels(&package.channels).map(drop));
            if let Err(error) = names {
                problems.add(format!("packages.{i}"), error.to_string());
            }
        }
        for (i, user) in self.users.iter().enumerate() {
            if let Err(error) = names::username(&user.name) {
                problems.add(format!("users.{i}.name"), error.to_string());
            }
            if !one_of(&user.password, &user.password_from) {
                problems.add(format!("users.{i}"), "needs password or password_from");
            }
            if let Some(Err(error)) = user.password.as_deref().map(names::password) {
                problems.add(format!("users.{i}.password"), error.to_string());
            }
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if let Err(error) = names::plain("node", &node.name) {
                problems.add(format!("nodes.{i}.name"), error.to_string());
            }
            if node.role == Role::Viewer {
                problems.add(format!("nodes.{i}.role"), "viewers are users, not nodes");
            }
            if !one_of(&node.credential, &node.credential_from) {
                problems.add(format!("nodes.{i}"), "needs credential or credential_from");
            }
            if let Some(Err(error)) = node.credential.as_deref().map(names::credential) {
                problems.add(format!("nodes.{i}.credential"), error.to_string());
            }
            if let Err(error) = names::channels(&node.channels) {
                problems.add(format!("nodes.{i}.channels"), error.to_string());
            }
        }
    }
}

/// Brings the database to what the seed says. `now` in seconds since 1970.
///
/// # Errors
/// At the first thing that is not possible; what was done before it stays.
pub async fn apply(store: &Store, seed: &Seed, now: i64) -> anyhow::Result<()> {
    for package in &seed.packages {
        store
            .set_package(&package.name, &package.channels, now)
            .await
            .with_context(|| format!("package {}", package.name))?;
    }
    for user in &seed.users {
        apply_user(store, user, now).await.with_context(|| format!("user {}", user.name))?;
    }
    for node in &seed.nodes {
        apply_node(store, node, now).await.with_context(|| format!("node {}", node.name))?;
    }
    for row in &seed.prefixes {
        let location = Location { subset: row.subset, asn: row.asn, country: row.country };
        store
            .set_prefix(&Prefix { prefix: row.prefix, location })
            .await
            .with_context(|| format!("prefix {}", row.prefix))?;
    }
    Ok(())
}

async fn apply_user(store: &Store, user: &UserSeed, now: i64) -> anyhow::Result<()> {
    let password = secret(&user.password, &user.password_from)?;
    names::password(&password)?;
    match store.credentials(&user.name).await? {
        None => {
            store.add_account(&user.name, &hasher::hash(&password), &user.packages, now).await?;
        }
        Some(credentials) => {
            if !hasher::fits(&password, &credentials.password_hash) {
                store.set_password(&user.name, &hasher::hash(&password), now).await?;
            }
            store.set_account_packages(&user.name, &user.packages).await?;
        }
    }
    if store.account(&user.name).await?.disabled != user.disabled {
        store.set_disabled(&user.name, user.disabled, now).await?;
    }
    Ok(())
}

async fn apply_node(store: &Store, node: &NodeSeed, now: i64) -> anyhow::Result<()> {
    let credential = secret(&node.credential, &node.credential_from)?;
    if store.has_node(&node.name, node.role, &node.channels, &credential).await? {
        return Ok(());
    }
    if store.nodes().await?.iter().any(|known| known.name == node.name) {
        store.revoke_node(&node.name, now).await?;
    }
    store.add_node(&node.name, node.role, &node.channels, Some(&credential), now).await?;
    Ok(())
}
