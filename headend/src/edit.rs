//! Changes single channels in the files they stand in; the rest of a file, comments too, stays as it is.

use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::reload::{Refused, Reload};
use crate::roster::Changes;

/// Why a channel is not changed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What is asked for is no TOML.
    #[error("{}", .0.message())]
    Toml(#[from] toml_edit::TomlError),
    /// There is no such channel.
    #[error("there is no such channel")]
    Absent,
    /// The file cannot be changed part by part.
    #[error("the file writes its channels in one line: use [[channels]]")]
    OneLine,
    /// The file cannot be read.
    #[error("cannot read the configuration: {0}")]
    Read(#[from] std::io::Error),
    /// What would come out is wrong, or cannot be kept.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Sets a channel to a section of TOML without heading and id: where it stands, else in the further file of channels, if
/// there may be one.
///
/// # Errors
/// If that makes no configuration.
pub(crate) async fn set(reload: &Reload, id: &str, section: &str) -> Result<Changes, Error> {
    let mut section: DocumentMut = section.parse()?;
    section.insert("id", toml_edit::value(id));
    let section = section.as_table().clone();
    edit(reload, id, |channels| {
        match place(channels, id) {
            Some(index) => {
                if let Some(table) = channels.get_mut(index) {
                    let decor = table.decor().clone();
                    *table = section;
                    *table.decor_mut() = decor;
                    table.set_position(None);
                }
            }
            None => channels.push(section),
        }
        Ok(())
    })
    .await
}

/// Takes a channel out.
///
/// # Errors
/// If there is none.
pub(crate) async fn remove(reload: &Reload, id: &str) -> Result<Changes, Error> {
    edit(reload, id, |channels| {
        channels.remove(place(channels, id).ok_or(Error::Absent)?);
        Ok(())
    })
    .await
}

fn place(channels: &ArrayOfTables, id: &str) -> Option<usize> {
    let is = |table: &Table| table.get("id").and_then(Item::as_str) == Some(id);
    channels.iter().position(is)
}

async fn edit(
    reload: &Reload,
    id: &str,
    change: impl FnOnce(&mut ArrayOfTables) -> Result<(), Error>,
) -> Result<Changes, Error> {
    let further = match reload.further() {
        Some(further) if !reload.is_in_file(id).await => Some(further),
        _ => None,
    };
    let old = match further {
        Some(further) if !further.exists() => String::new(),
        further => text(further.unwrap_or(reload.file())).await?,
    };
    let mut document: DocumentMut = old.parse()?;
    let channels = document
        .entry("channels")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or(Error::OneLine)?;
    change(channels)?;
    let new = document.to_string();
    Ok(match further {
        Some(_) => reload.replace_further(&new).await?,
        None => reload.replace(&new).await?,
    })
}

/// What a file holds.
///
/// # Errors
/// If it cannot be read.
pub(crate) async fn text(file: &Path) -> Result<String, Error> {
    Ok(tokio::fs::read_to_string(file).await?)
}
