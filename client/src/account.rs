//! Who signs in, and the sign-in that is remembered from one run to the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use link::Login;
use serde::{Deserialize, Serialize};
use service::config;
use url::Url;

use crate::Error;
use crate::draft;
use crate::settings::Account;

/// The state folder of a viewer, used by one at a time.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// What is remembered of a sign-in: a token that is good for one use. Never the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Auth's address.
    pub server: Url,
    /// The user's name, if it was given by name.
    pub user: Option<String>,
    /// The refresh token.
    pub refresh_token: String,
}

impl State {
    /// Makes the folder, readable by its owner only, and locks it.
    ///
    /// # Errors
    /// If that cannot be done, or another viewer uses it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt as _;

        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::State { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(Error::State { path, source }),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    /// The sign-in that is remembered, whoever it is of. A file that cannot be read counts as none.
    pub fn last(&self) -> Option<Remembered> {
        let text = fs::read(self.file()).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(%error, "the remembered sign-in cannot be read"))
            .ok()
    }

    /// The sign-in that is remembered for `server`, and for `user` if one is given. A file that cannot be read counts as
    /// none.
    pub fn remembered(&self, server: &Url, user: Option<&str>) -> Option<Remembered> {
        let remembered = self.last()?;
        let fits = remembered.server == *server
            && user.is_none_or(|user| remembered.user.as_deref() == Some(user));
        fits.then_some(remembered)
    }

    /// Remembers a sign-in instead of what was remembered before. The file appears whole, readable by its owner only.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember(&self, sign_in: &Remembered) -> Result<(), Error> {
        let path = self.file();
        let text = serde_json::to_vec(sign_in).map_err(io::Error::from);
        text.and_then(|text| draft::replace(&path, &text))
            .map_err(|source| Error::State { path, source })
    }

    /// Remembers nothing any more.
    pub fn forget(&self) {
        if let Err(error) = fs::remove_file(self.file())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the remembered sign-in cannot be removed");
        }
    }
}

/// How to sign in: with the user and password given, else as remembered.
///
/// # Errors
/// If the password cannot be read, or there is neither.
pub fn login(account: &Account, state: &State, server: &Url) -> Result<Login, config::Error> {
    let wrong = |key: &str, what: String| {
        config::Error::single("command line and configuration", key, what)
    };
    match (&account.user, &account.password) {
        (Some(user), Some(password)) => {
            let password = password.read().map_err(|error| {
                let causes = std::error::Error::source(&error);
                let cause = causes.map(|cause| format!(": {cause}")).unwrap_or_default();
                wrong("account.password", format!("{error}{cause}"))
            })?;
            Ok(Login::User { username: user.clone(), password: password.expose().to_owned() })
        }
        (user, _) => match state.remembered(server, user.as_deref()) {
            Some(remembered) => Ok(Login::Refresh { token: remembered.refresh_token }),
            None => {
                let (key, what) = match user {
                    None => (
                        "account.user",
                        "no sign-in is remembered: give --user NAME and --password-file FILE",
                    ),
                    Some(_) => (
                        "account.password",
                        "no sign-in of this user is remembered: give --password-file FILE",
                    ),
                };
                Err(wrong(key, what.to_owned()))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use service::config::Secret;

    use super::*;

    fn server() -> Url {
        "http://tv.example".parse().unwrap()
    }

    #[test]
    fn a_sign_in_is_remembered_for_its_server_and_user() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let mut account = Account::default();
        let error = login(&account, &state, &server()).err().unwrap().to_string();
        assert!(error.contains("--user"), "{error}");

        let kept = Remembered {
            server: server(),
            user: Some("anna".into()),
            refresh_token: "token-1".into(),
        };
        state.remember(&kept).unwrap();
        let mode = fs::metadata(state.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = |account: &Account, server: &Url| match login(account, &state, server) {
            Ok(Login::Refresh { token }) => Some(token),
            _ => None,
        };
        assert_eq!(token(&account, &server()).as_deref(), Some("token-1"));
        assert_eq!(token(&account, &"http://other.example".parse().unwrap()), None);
        account.user = Some("berta".into());
        assert_eq!(token(&account, &server()), None);
        account.user = Some("anna".into());
        assert_eq!(token(&account, &server()).as_deref(), Some("token-1"));
        state.forget();
        assert_eq!(token(&account, &server()), None);
        state.forget();
    }

    #[test]
    fn user_and_password_go_first_and_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "swordfish\n").unwrap();
        let mut account = Account {
            user: Some("anna".into()),
            password: Some(Secret::File(file)),
            ..Account::default()
        };
        match login(&account, &state, &server()) {
            Ok(Login::User { username, password }) => {
                assert_eq!((username.as_str(), password.as_str()), ("anna", "swordfish"));
            }
            _ => panic!("not a sign-in by password"),
        }
        account.password = Some(Secret::File(folder.path().join("absent")));
        let error = login(&account, &state, &server()).err().unwrap().to_string();
        assert!(error.contains("absent") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn a_state_folder_serves_one_viewer() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path()).unwrap();
        assert!(matches!(State::open(folder.path()), Err(Error::Locked(_))));
        drop(first);
        State::open(folder.path()).unwrap();
    }
}
