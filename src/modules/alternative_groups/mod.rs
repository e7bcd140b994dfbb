//! A group of alternatives as its state file has it; Debian's and RHEL's are nearly alike.
//!
//! The first line says `auto` or `manual`, the second the link; then come name and link of each follower, an empty
//! line, and each choice: its path, its priority, and a path for each follower (empty: it has none). RHEL writes
//! `@family@` before the priority and the name of an init script behind it.

/// All choices for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub auto: bool,
    pub link: String,
    /// Name and link.
    followers: Vec<(String, String)>,
    choices: Vec<Choice>,
}

/// One path, with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub path: String,
    pub priority: i64,
    pub family: Option<String>,
    /// One for each follower of the group.
    followers: Vec<Option<String>>,
}

impl Group {
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let auto = match lines.next()? {
            "auto" => true,
            "manual" => false,
            _ => return None,
        };
        let link = lines.next()?.to_string();
        let mut followers = Vec::new();
        while let Some(name) = lines.next().filter(|line| !line.is_empty()) {
            followers.push((name.to_string(), lines.next()?.to_string()));
        }
        let mut choices = Vec::new();
        while let Some(path) = lines.next().filter(|line| !line.is_empty()) {
            let (family, priority) = rank(lines.next()?)?;
            let of_choice = followers.iter().map(|_| {
                let path = lines.next().unwrap_or_default();
                (!path.is_empty()).then(|| path.to_string())
            });
            choices.push(Choice {
                path: path.to_string(),
                priority,
                family,
                followers: of_choice.collect(),
            });
        }
        Some(Self {
            auto,
            link,
            followers,
            choices,
        })
    }

    pub fn choice(&self, path: &str) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.path == path)
    }

    /// The choice of the highest priority, the first of equals.
    pub fn best(&self) -> Option<&Choice> {
        self.choices.iter().reduce(|best, choice| {
            if choice.priority > best.priority {
                choice
            } else {
                best
            }
        })
    }

    /// Name, link and path of each follower that a choice has.
    pub fn followers<'a>(&'a self, choice: &'a Choice) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.followers
            .iter()
            .zip(&choice.followers)
            .filter_map(|((name, link), path)| Some((name.as_str(), link.as_str(), path.as_deref()?)))
    }

    pub fn has_follower(&self, name: &str) -> bool {
        self.followers.iter().any(|(follower, _)| follower == name)
    }

    /// The choice that brings this path for a follower.
    pub fn choice_bringing(&self, follower: &str, path: &str) -> Option<&Choice> {
        self.choices.iter().find(|choice| {
            self.followers(choice)
                .any(|(name, _, leads_to)| name == follower && leads_to == path)
        })
    }
}

/// `20`, `20 initscript`, `@family@20`.
fn rank(line: &str) -> Option<(Option<String>, i64)> {
    let (family, rest) = match line.strip_prefix('@').and_then(|rest| rest.split_once('@')) {
        Some((family, rest)) => (Some(family.to_string()), rest),
        None => (None, line),
    };
    Some((family, rest.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_file() {
        let text = "manual\n/usr/bin/editor\neditor.1.gz\n/usr/share/man/man1/editor.1.gz\n\n\
            /bin/nano\n40\n/usr/share/man/man1/nano.1.gz\n/usr/bin/vi\n50\n\n\n";
        let group = Group::parse(text).unwrap();
        assert!(!group.auto);
        assert_eq!(group.link, "/usr/bin/editor");
        assert_eq!(group.best().unwrap().path, "/usr/bin/vi");
        let nano = group.choice("/bin/nano").unwrap();
        assert_eq!(nano.priority, 40);
        assert_eq!(group.followers(nano).count(), 1);
        assert_eq!(group.followers(group.choice("/usr/bin/vi").unwrap()).count(), 0);
        assert!(group.has_follower("editor.1.gz"));
    }

    #[test]
    fn rhels_file() {
        let text = "auto\n/usr/sbin/iptables\nip6tables\n/usr/sbin/ip6tables\n\n\
            /usr/sbin/iptables-nft\n@nft@10 iptables\n/usr/sbin/ip6tables-nft\n";
        let group = Group::parse(text).unwrap();
        let choice = group
            .choice_bringing("ip6tables", "/usr/sbin/ip6tables-nft")
            .unwrap();
        assert_eq!((choice.priority, choice.family.as_deref()), (10, Some("nft")));
        assert!(group.choice_bringing("ip6tables", "/x").is_none());
    }

    #[test]
    fn what_is_no_such_file_is_none() {
        for text in ["", "auto", "yes\n/x\n\n", "auto\n/x\nname", "auto\n/x\n\n/a\nb\n"] {
            assert_eq!(Group::parse(text), None, "{text}");
        }
    }
}
