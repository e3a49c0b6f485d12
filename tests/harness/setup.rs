//! What `tests/setup` installs or builds beforehand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What a script of `tests/setup` has put into the cache. A scenario builds nothing: what is missing is said, with the
/// verb that sets it up.
pub(crate) fn find(script: &str, arguments: &[&str]) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup").join(script);
    let found = Command::new(path).arg("--find").args(arguments).stdin(Stdio::null()).output();
    let found = found.unwrap_or_else(|error| panic!("tests/setup/{script}: {error}"));
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr).trim_end());
    PathBuf::from(String::from_utf8(found.stdout).expect("UTF-8").trim_end())
}

/// A program that `tests/setup/go-tools` builds.
pub(crate) fn go_tool(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| find("go-tools", &[])).join(name)
}
