//! What stands for something else in the values of `ssh_config`: `~`, `%h` and its like, `${NAME}`.

use std::path::{Path, PathBuf};

/// What the tokens of one destination stand for.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    pub(super) home: &'a Path,
    pub(super) local_user: &'a str,
    /// `%n`: the host as it was asked for, before `HostName`.
    pub(super) original: &'a str,
    /// `HostKeyAlias`.
    pub(super) alias: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
}

impl Tokens<'_> {
    /// A file's name: tokens, then variables, then `~`.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = variables(&self.tokens(text)?)?;
        Ok(tilde(&text, self.home))
    }

    /// Replaces `%h` and the others that `ssh_config(5)` lists.
    pub(super) fn tokens(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                expanded.push(character);
                continue;
            }
            match characters.next() {
                Some('%') => expanded.push('%'),
                Some('h') => expanded.push_str(self.host),
                Some('k') => expanded.push_str(self.alias.unwrap_or(self.original)),
                Some('n') => expanded.push_str(self.original),
                Some('p') => expanded.push_str(&self.port.to_string()),
                Some('r') => expanded.push_str(self.user),
                Some('u') => expanded.push_str(self.local_user),
                Some('d') => expanded.push_str(&self.home.to_string_lossy()),
                Some('i') => expanded.push_str(&own_user_id()),
                Some('l') => expanded.push_str(&own_host_name()),
                Some('L') => expanded.push_str(own_host_name().split('.').next().unwrap_or_default()),
                Some(other) => return Err(format!("the token %{other} is not supported")),
                None => return Err("a % stands at the end".to_owned()),
            }
        }
        Ok(expanded)
    }
}

/// `~`, `~/…` and `~user/…`; a user whom nobody knows is left as it is written.
pub(super) fn tilde(text: &str, home: &Path) -> PathBuf {
    let Some(rest) = text.strip_prefix('~') else {
        return PathBuf::from(text);
    };
    let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() {
        Some(home.to_path_buf())
    } else {
        home_of(user)
    };
    match home {
        Some(home) if below.is_empty() => home,
        Some(home) => home.join(below),
        None => PathBuf::from(text),
    }
}

fn home_of(user: &str) -> Option<PathBuf> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then(|| fields.nth(4).map(PathBuf::from))?
    })
}

/// `${NAME}`; a variable that is not set is an error, as in ssh.
fn variables(text: &str) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        let value = std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn own_user_id() -> String {
    std::fs::metadata("/proc/self")
        .map(|found| std::os::unix::fs::MetadataExt::uid(&found).to_string())
        .unwrap_or_default()
}

fn own_host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens<'static> {
        Tokens {
            home: Path::new("/home/me"),
            local_user: "me",
            original: "web",
            alias: None,
            host: "10.0.0.5",
            port: 2222,
            user: "admin",
        }
    }

    #[test]
    fn tokens_stand_for_the_destination() {
        assert_eq!(
            tokens().tokens("%r@%h:%p %n %u 100%%").unwrap(),
            "admin@10.0.0.5:2222 web me 100%"
        );
        assert!(tokens().tokens("%Z").is_err());
        assert!(tokens().tokens("%").is_err());
    }

    #[test]
    fn a_path_begins_at_home() {
        assert_eq!(
            tokens().path("~/.ssh/%h").unwrap(),
            Path::new("/home/me/.ssh/10.0.0.5")
        );
        assert_eq!(tokens().path("~").unwrap(), Path::new("/home/me"));
        assert_eq!(tokens().path("~root/key").unwrap(), Path::new("/root/key"));
        assert_eq!(
            tokens().path("~nobody-has-this-name/key").unwrap(),
            Path::new("~nobody-has-this-name/key")
        );
    }

    #[test]
    fn variables_must_be_set() {
        assert!(variables("${VMSTATION_NOT_SET}/x").is_err());
        assert_eq!(variables("${open").unwrap(), "${open");
    }
}
