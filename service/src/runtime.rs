//! The runtime of a program that moves much data over one socket.

use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A tokio runtime for the cores that the program may use. On one core everything runs on one thread: nothing is handed
/// from thread to thread there, which a runtime of many threads cannot know.
///
/// # Errors
/// If the system gives no threads.
pub fn runtime() -> std::io::Result<Runtime> {
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}
