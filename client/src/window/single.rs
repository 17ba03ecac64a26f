//! One window for one state folder: a second start brings the first window forward and ends. A socket in the folder does
//! that with and without a session bus.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::channel::mpsc;

const NAME: &str = "window.sock";
/// Who calls says so at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest message, bytes.
const LONGEST: u64 = 4096;

/// What a second start wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Call {
    /// The channel to play.
    pub(super) channel: Option<String>,
    /// What lets the window come forward on the desktop (XDG activation, startup notification).
    pub(super) token: Option<String>,
}

/// The only window's end.
pub(super) struct Only {
    path: PathBuf,
}

impl Call {
    /// What this start wants.
    pub(super) fn of_this_start(channel: Option<&str>) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = variable("XDG_ACTIVATION_TOKEN").or_else(|| variable("DESKTOP_STARTUP_ID"));
        Self { channel: channel.map(str::to_owned), token }
    }

    fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        let line =
            |text: &Option<String>| text.as_deref().unwrap_or_default().replace(['\n', '\r'], " ");
        writeln!(to, "{}\n{}", line(&self.channel), line(&self.token))
    }

    fn read(from: impl io::Read) -> Self {
        let mut lines = BufReader::new(from.take(LONGEST)).lines();
        let mut next = || lines.next().and_then(Result::ok).filter(|line| !line.is_empty());
        Self { channel: next(), token: next() }
    }
}

/// Asks the window that has the state folder `folder` to come forward.
///
/// # Errors
/// If there is none that answers.
pub(super) fn call(folder: &Path, call: &Call) -> io::Result<()> {
    let mut stream = UnixStream::connect(folder.join(NAME))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    call.write(&mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = [0; 1];
    stream.read_exact(&mut answer)
}

/// Listens for later starts. To be called by whoever has the lock of the folder: a socket that lies there is nobody's.
///
/// # Errors
/// If the socket cannot be made.
pub(super) fn listen(folder: &Path) -> io::Result<(Only, mpsc::UnboundedReceiver<Call>)> {
    let path = folder.join(NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The folder is its owner's alone, so nobody else can call.
    let listener = UnixListener::bind(&path)?;
    let (calls, called) = mpsc::unbounded();
    std::thread::Builder::new().name("second-start".into()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let ready = stream.set_read_timeout(Some(PATIENCE));
            if ready.is_err() || stream.set_write_timeout(Some(PATIENCE)).is_err() {
                continue;
            }
            let call = Call::read(&stream);
            let _caller_gone = stream.write_all(b"!");
            if calls.unbounded_send(call).is_err() {
                break;
            }
        }
    })?;
    Ok((Only { path }, called))
}

impl Drop for Only {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_second_start_reaches_the_first_and_a_socket_left_over_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Call { channel: Some("one".into()), token: Some("a\nb".into()) };
        assert!(call(folder.path(), &wanted).is_err(), "nobody is there");
        drop(UnixListener::bind(folder.path().join(NAME)).unwrap());
        assert!(call(folder.path(), &wanted).is_err(), "whoever was there is gone");

        let (only, mut called) = listen(folder.path()).unwrap();
        call(folder.path(), &wanted).unwrap();
        call(folder.path(), &Call::default()).unwrap();
        let first = called.next().await.unwrap();
        assert_eq!(first, Call { token: Some("a b".into()), ..wanted.clone() });
        assert_eq!(called.next().await.unwrap(), Call::default());
        drop(only);
        assert!(call(folder.path(), &wanted).is_err());
    }
}
