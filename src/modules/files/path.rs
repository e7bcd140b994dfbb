//! Paths on the host, as text.

use crate::host::question::Look;
use crate::host::{Halt, Host, fail, quote};
use crate::modules::process::{self, words};

/// The path as the host's user means it: `~` and variables of the environment expanded there.
pub async fn expand(host: &Host, path: &str) -> Result<String, Halt> {
    if !path.starts_with('~') && !path.contains('$') {
        return Ok(path.to_string());
    }
    let script = format!(
        "{}printf %s {}",
        process::environment(host)?,
        words::expanded(path)
    );
    host.look("path", &script).await
}

/// As Python joins: an absolute second part stands alone.
pub fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') || directory.is_empty() {
        return name.to_string();
    }
    if directory.ends_with('/') {
        return format!("{directory}{name}");
    }
    format!("{directory}/{name}")
}

/// What is before the last `/`; empty where there is none.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(at) => path[..at].trim_end_matches('/'),
        None => "",
    }
}

/// What is behind the last `/`.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The question where a link leads, the last part of the way needs not exist.
pub fn real(path: &str) -> Look {
    Look::new("real path", format!("readlink -f -- {}", quote(path)))
}

/// The answer to [`real`].
pub fn led(path: &str, output: &crate::host::Output) -> Result<String, Halt> {
    let real = output.stdout_text();
    let real = real.strip_suffix('\n').unwrap_or(&real);
    if real.is_empty() {
        return Err(fail(format!(
            "the link `{path}` leads nowhere: {}",
            output.stderr_text().trim()
        )));
    }
    Ok(real.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_apart() {
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("a"), "");
        assert_eq!(parent("/a//b"), "/a");
        assert_eq!(name("/a/b"), "b");
        assert_eq!(name("/a/"), "");
        assert_eq!(join("/a/", "b"), "/a/b");
        assert_eq!(join("/a", "b/c"), "/a/b/c");
        assert_eq!(join("/a", "/b"), "/b");
    }
}
