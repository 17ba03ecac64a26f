//! Memory in large pages.

/// Starts this program anew with memory in pages of 2 MiB, where the system gives them: a program that goes over much
/// memory and comes back to each piece late spends a good part of its time on looking up where pages of 4 KiB lie. The C
/// library reads that from the environment, once, so this is called before anything else. Whoever has set the variable
/// decides.
///
/// All threads take memory from one place. Those with a place of their own would get no large pages there, and what one has
/// just freed would not be used by the next while it is still in the caches.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn take_large_pages() {
    use std::os::unix::process::CommandExt as _;

    const TUNABLES: &str = "GLIBC_TUNABLES";
    // A C library takes the variable away from a program with more rights than its user; it must not begin anew for ever.
    const STARTED: &str = "BRAIDCAST_STARTED_ANEW";
    if [TUNABLES, STARTED].into_iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let tunables = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1";
    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        let mut again = std::process::Command::new(program);
        // It gives an error or does not come back; without large pages all is the same, but slower.
        let _ = again.arg0(name).args(arguments).env(TUNABLES, tunables).env(STARTED, "1").exec();
    }
}

/// Other systems and C libraries are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn take_large_pages() {}
