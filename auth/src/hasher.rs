//! Password hashes (Argon2id, RFC 9106), made beside the event loop and never more than the
//! machine has processors.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// Sign-ins that may wait for a processor; more are turned away.
const QUEUE: usize = 256;

/// Hashes and checks passwords. Clones share the processors.
#[derive(Clone)]
pub(crate) struct Hasher {
    places: Arc<Semaphore>,
    processors: Arc<Semaphore>,
    /// Checked where there is no account, so that the time does not tell.
    nobody: Arc<str>,
}

/// Too many wait already.
#[derive(Debug, thiserror::Error)]
#[error("too many sign-ins at once")]
pub(crate) struct Busy;

impl Hasher {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            places: Arc::new(Semaphore::new(QUEUE + processors)),
            processors: Arc::new(Semaphore::new(processors)),
            nobody: hash("nobody's password").into(),
        }
    }

    /// The hash of a password, in PHC form.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Busy> {
        let password = password.to_owned();
        self.run(move || hash(&password)).await
    }

    /// Whether the password fits; without a hash it takes as long and never fits.
    pub(crate) async fn fits(&self, password: &str, hash: Option<&str>) -> Result<bool, Busy> {
        let (password, there) = (password.to_owned(), hash.is_some());
        let hash = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        self.run(move || fits(&password, &hash) && there).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let processor = Arc::clone(&self.processors).acquire_owned().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(move || {
            // Held by the work and not by who waits for it, who may have gone.
            let _held = (place, processor);
            work()
        })
        .await
        .map_err(|_| Busy)
    }
}

/// The hash of a password, in PHC form.
pub(crate) fn hash(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("default parameters and a system with random numbers")
        .to_string()
}

/// Whether the password fits the hash.
pub(crate) fn fits(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_fits_and_no_other() {
        let hasher = Hasher::new();
        let hash = hasher.hash("swordfish").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(hasher.fits("swordfish", Some(&hash)).await.unwrap());
        assert!(!hasher.fits("Swordfish", Some(&hash)).await.unwrap());
        assert!(!hasher.fits("nobody's password", None).await.unwrap());
        assert!(!hasher.fits("swordfish", Some("damaged")).await.unwrap());
        assert_ne!(hash, hasher.hash("swordfish").await.unwrap(), "salted");
    }

    #[tokio::test]
    async fn beyond_the_queue_sign_ins_are_turned_away() {
        let hasher = Hasher::new();
        let all = u32::try_from(hasher.places.available_permits()).unwrap();
        let held = hasher.places.clone().acquire_many_owned(all).await.unwrap();
        assert!(hasher.fits("x", None).await.is_err());
        drop(held);
        assert!(hasher.fits("x", None).await.is_ok());
    }
}
