//! How many files, and so connections, the process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that clients don't get: connections to Redis, the admin port, logs, and what a library opens for a moment.
const RESERVED: usize = 128;

/// Raises the soft limit of open files to the hard one, as a process that waits with epoll may. Answers how many
/// connections of clients fit; `None` is as many as one likes.
pub(super) fn client_connections() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is not allowed, the soft limit stays.
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    files.map(|files| left(usize::try_from(files).unwrap_or(usize::MAX)))
}

/// What is left for clients of so many files: where there are few, three quarters.
fn left(files: usize) -> usize {
    files - RESERVED.min(files / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_not_for_clients() {
        assert_eq!((left(20_000), left(512), left(64)), (19_872, 384, 48));
    }
}
