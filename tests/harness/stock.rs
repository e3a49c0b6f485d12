//! Unpatched clients of others, installed once and kept outside of the work tree.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// How long a conversation may take before it counts as hung, in seconds.
const PATIENCE: &str = "120";

/// A folder of this crate.
pub(crate) fn source(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Where things are kept that are costly to fetch.
fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("CHATCLUSTER_CACHE") {
        return PathBuf::from(cache);
    }
    let home = std::env::var_os("HOME").expect("HOME or CHATCLUSTER_CACHE");
    PathBuf::from(home).join(".cache/chatcluster")
}

/// Runs an installer in a new folder, unless one with these very inputs was installed before; answers the folder.
fn installed(name: &str, inputs: &[PathBuf], install: impl FnOnce(&Path)) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A failed installation of another test poisons nothing that this one needs.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut hash = DefaultHasher::new();
    for input in inputs {
        fs::read(input).unwrap_or_else(|error| panic!("{}: {error}", input.display())).hash(&mut hash);
    }
    let folder = cache().join("clients").join(format!("{name}-{:016x}", hash.finish()));
    if folder.join("installed").is_file() {
        return folder;
    }
    let parent = folder.parent().expect("a folder above");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    // Another run on this machine may install at the same time: whoever is first wins.
    let work = tempfile::TempDir::with_prefix_in(format!("{name}-"), parent).expect("a folder to install in");
    for input in inputs {
        fs::copy(input, work.path().join(input.file_name().expect("a name"))).expect("a copy of the input");
    }
    install(work.path());
    fs::write(work.path().join("installed"), "").expect("the mark that all is there");
    let work = work.keep();
    if fs::rename(&work, &folder).is_err() {
        assert!(folder.join("installed").is_file(), "cannot move {} to {}", work.display(), folder.display());
        fs::remove_dir_all(&work).expect("to remove what another run has installed as well");
    }
    folder
}

/// Runs a program to its end, which must be a good one; answers what it printed.
fn run(program: &OsStr, needed: &str, command: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut started = Command::new(program);
    let output = command(&mut started)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {} ({error}): `make test` needs {needed}", program.display()));
    let (printed, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{} ended with {} (124 is a time-out):\n{printed}\n{complained}",
        program.display(),
        output.status
    );
    printed.into_owned()
}

/// What npm installs by the lock file of a folder of this crate: its `node_modules`.
pub(crate) fn node_modules(below: &str) -> PathBuf {
    let inputs = ["package.json", "package-lock.json", ".npmrc"].map(|name| source(below).join(name));
    let folder = installed(&below.replace('/', "-"), &inputs, |folder| {
        run(OsStr::new("npm"), "Node.js with npm", |npm| {
            npm.args(["ci", "--ignore-scripts", "--no-progress"]).current_dir(folder)
        });
    });
    folder.join("node_modules")
}

/// Runs a script with Node.js and the modules of its folder.
pub(crate) fn node(below: &str, script: &str, args: &[&str]) -> String {
    let modules = node_modules(below);
    run(OsStr::new("timeout"), "coreutils", |timeout| {
        timeout.args([PATIENCE, "node"]).arg(source(below).join(script)).args(args).env("NODE_PATH", modules)
    })
}

/// Runs a script with Python and the packages of its folder's `requirements.txt`.
pub(crate) fn python(below: &str, script: &str, args: &[&str]) -> String {
    let packages = python_packages(below);
    run(OsStr::new("timeout"), "coreutils", |timeout| {
        timeout
            .args([PATIENCE, "python3", "-B"])
            .arg(source(below).join(script))
            .args(args)
            .env("PYTHONPATH", packages)
            .env("PYTHONUNBUFFERED", "1")
    })
}

/// What pip installs by the `requirements.txt` of a folder of this crate: a folder for `PYTHONPATH`.
pub(crate) fn python_packages(below: &str) -> PathBuf {
    let inputs = [source(below).join("requirements.txt")];
    let folder = installed(&below.replace('/', "-"), &inputs, |folder| {
        run(OsStr::new("python3"), "Python 3", |python| {
            python
                .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
                .args(["--only-binary", ":all:", "--target", "packages", "-r", "requirements.txt"])
                .current_dir(folder)
        });
    });
    folder.join("packages")
}
