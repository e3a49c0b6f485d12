//! What an image is here: a program of this build or of this machine.

use std::path::PathBuf;

use super::super::cluster::binary;

/// What can be run.
#[derive(Clone)]
pub(super) struct Image {
    /// What is put in the place of its program: the file here, and the path there.
    pub(super) program: Option<(PathBuf, &'static str)>,
    pub(super) entrypoint: &'static [&'static str],
    /// Who runs it if the Pod does not say.
    pub(super) user: u32,
    pub(super) group: u32,
    /// Without a shell and other programs.
    pub(super) distroless: bool,
    pub(super) workdir: &'static str,
}

/// Why there is no image.
pub(super) enum Missing {
    /// This is no name of an image.
    Invalid(String),
    /// No registry has it.
    Unknown(String),
}

/// Finds the image of that name, by the last part of its repository. One whose tag begins with `missing` is not there.
pub(super) fn find(name: &str) -> Result<Image, Missing> {
    let Some((repository, tag)) = parse(name) else {
        let message = format!(
            "Failed to apply default image tag \"{name}\": couldn't parse image name \"{name}\": invalid reference format"
        );
        return Err(Missing::Invalid(message));
    };
    let distroless = |program: &str, there, entrypoint| Image {
        program: Some((binary(program), there)),
        entrypoint,
        user: 65532,
        group: 65532,
        distroless: true,
        workdir: "/",
    };
    let debian = |entrypoint| Image { program: None, entrypoint, user: 0, group: 0, distroless: false, workdir: "/" };
    let last = repository.rsplit('/').next().unwrap_or_default();
    if !tag.starts_with("missing") {
        match last {
            "chat-server" => {
                let path = "/usr/local/bin/chat-server";
                return Ok(distroless("chat-server", path, &["/usr/local/bin/chat-server"]));
            }
            "operator" => return Ok(distroless("operator", "/usr/local/bin/operator", &["/usr/local/bin/operator"])),
            "redis" => return Ok(Image { workdir: "/data", ..debian(&["redis-server"]) }),
            "debian" => return Ok(debian(&["bash"])),
            _ => {}
        }
    }
    Err(Missing::Unknown(format!(
        "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
    )))
}

/// The repository and the tag or digest of a name.
fn parse(name: &str) -> Option<(&str, &str)> {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], &rest[slash + colon + 1..]),
        None => (rest, "latest"),
    };
    let (host, path) = match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("", repository),
    };
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
    let is_part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with(['.', '_', '-'])
            && !part.ends_with(['.', '_', '-'])
    };
    let is_tag = !tag.is_empty()
        && tag.len() <= 128
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !tag.starts_with(['.', '-']);
    let is_digest = digest.is_none_or(|digest| {
        digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    });
    (is_host && path.split('/').all(is_part) && is_tag && is_digest).then_some((repository, tag))
}
