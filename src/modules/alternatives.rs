//! `alternatives`: which of several programs a name stands for, on Debian and on RHEL.
//!
//! ```yaml
//! - community.general.alternatives:
//!     name: iptables
//!     path: /usr/sbin/iptables-nft
//! - alternatives:
//!     name: java
//!     path: /opt/jdk/bin/java
//!     link: /usr/bin/java
//!     priority: 100
//!     state: selected
//!     subcommands:
//!       - name: javac
//!         path: /opt/jdk/bin/javac
//!         link: /usr/bin/javac
//! - alternatives:
//!     name: editor
//!     path: /usr/bin/vim.basic
//!     state: auto
//! ```
//!
//! Read from the state file and the link in `/etc/alternatives`, so a group that is as it should be is not touched:
//! on RHEL, registering a path again would drop its followers. Where that has to be (another priority), they are
//! given again, and the mode stays.
//!
//! On RHEL `ip6tables` is a follower of `iptables`, no group of its own: such a name is as it should be when its link
//! is, and otherwise the leader is set to the path that brings it.
//!
//! Returns `msg`: what was done.

use serde::Deserialize;

use super::alternative_groups::{Choice, Group};
use super::{Module, Rule};
use crate::host::question::{Answer, Contents, Look, Question, Read, Stat};
use crate::host::{Change, Failure, Halt, Host, Outcome, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternatives {
    name: String,
    path: Option<String>,
    family: Option<String>,
    link: Option<String>,
    priority: Option<i64>,
    #[serde(default)]
    state: State,
    #[serde(alias = "slaves")]
    subcommands: Option<Vec<Subcommand>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    #[default]
    Selected,
    Auto,
    Absent,
}

#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Subcommand {
    name: String,
    path: String,
    link: String,
}

/// Where Debian and RHEL keep their groups.
const DEBIAN: &str = "/var/lib/dpkg/alternatives";
const RHEL: &str = "/var/lib/alternatives";

/// The program's name differs; what it takes does not.
const PROGRAM: &str =
    "$(command -v update-alternatives || command -v alternatives || echo update-alternatives)";

impl Module for Alternatives {
    const NAME: &'static str = "alternatives";
    const COLLECTION: &'static str = "community.general";
    const RULES: &'static [Rule] = &[Rule::OneOf(&["path", "family"])];

    fn check(&self) -> Result<(), Halt> {
        if self.name.contains('/') {
            return Err(fail(format!(
                "`{}` cannot be the name of a group: it has a `/`",
                self.name
            )));
        }
        Ok(())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let known = self.look(host).await?;
        if known.group.is_none()
            && self.state != State::Absent
            && let Some(leader) = leader(host, &self.name).await?
        {
            return self.follow(host, &known, &leader).await;
        }
        let steps = self.steps(&known)?;
        let messages: Vec<String> = steps.iter().map(|s| s.message.clone()).collect();
        let msg = messages.join(" ");
        if steps.is_empty() {
            return Ok(Outcome::new().with("msg", msg));
        }
        let commands: Vec<&str> = steps.iter().map(|s| s.command.as_str()).collect();
        let after = self.path.as_deref().or(self.family.as_deref());
        self.change(host, &known, &commands.join(" && "), after.unwrap_or_default())
            .await?;
        Ok(Outcome::new().with("msg", msg))
    }
}

/// What the host has.
struct Known {
    group: Option<Group>,
    /// Where the link leads.
    current: Option<String>,
    path_exists: bool,
    is_rhel: bool,
}

/// A group that another one's name follows.
struct Leader {
    name: String,
    group: Group,
}

/// One call of the program.
struct Step {
    command: String,
    message: String,
}

impl Alternatives {
    async fn look(&self, host: &Host) -> Result<Known, Halt> {
        let mut questions: Vec<Question> = vec![
            Read::of(format!("{DEBIAN}/{}", self.name)).into(),
            Read::of(format!("{RHEL}/{}", self.name)).into(),
            Stat::of(format!("/etc/alternatives/{}", self.name)).into(),
        ];
        questions.extend(self.path.iter().map(|path| Stat::following(path).into()));
        let mut answers = host.ask_each(questions).await?.into_iter();
        let mut group = || match answers.next() {
            Some(Answer::Read(Contents::Bytes(bytes))) => Group::parse(&String::from_utf8_lossy(&bytes)),
            _ => None,
        };
        let (debian, rhel) = (group(), group());
        let current = match answers.next() {
            Some(Answer::Stat(Some(stat))) => stat.target,
            _ => None,
        };
        let path_exists = matches!(answers.next(), Some(Answer::Stat(Some(_))));
        Ok(Known {
            is_rhel: debian.is_none() && rhel.is_some(),
            group: debian.or(rhel),
            current,
            path_exists,
        })
    }

    fn steps(&self, known: &Known) -> Result<Vec<Step>, Halt> {
        if self.state == State::Absent {
            return Ok(self.removal(known).into_iter().collect());
        }
        let mut steps = Vec::new();
        if let Some(step) = self.registration(known)? {
            steps.push(step);
        }
        let registers = !steps.is_empty();
        let mode_was_auto = known.group.as_ref().is_none_or(|group| group.auto);
        match self.state {
            State::Selected if !self.is_selected(known) => {
                let what = self
                    .path
                    .as_ref()
                    .or(self.family.as_ref())
                    .map_or("", String::as_str);
                steps.push(step(
                    &["--set", &self.name, what],
                    format!("Set alternative '{what}' for '{}'.", self.name),
                ));
            }
            State::Auto if !Self::is_automatic(known) => steps.push(step(
                &["--auto", &self.name],
                format!("Set alternative to auto for '{}'.", self.name),
            )),
            // RHEL turns a group to manual when a path is registered again with a lower priority.
            State::Present | State::Auto if registers && known.is_rhel && mode_was_auto => {
                let mut step = step(&["--auto", &self.name], String::new());
                if let Some(last) = steps.last_mut() {
                    last.command = format!("{} && {}", last.command, std::mem::take(&mut step.command));
                }
            }
            _ => {}
        }
        Ok(steps)
    }

    fn removal(&self, known: &Known) -> Option<Step> {
        let path = self.path.as_deref()?;
        known.group.as_ref()?.choice(path)?;
        Some(step(
            &["--remove", &self.name, path],
            format!("Remove alternative '{path}' from '{}'.", self.name),
        ))
    }

    fn is_selected(&self, known: &Known) -> bool {
        let Some(current) = &known.current else {
            return false;
        };
        let family = known
            .group
            .as_ref()
            .and_then(|group| group.choice(current))
            .and_then(|choice| choice.family.as_ref());
        self.path.as_ref() == Some(current) || (self.family.is_some() && self.family.as_ref() == family)
    }

    /// Whether the group goes by priority, and its link leads where that says.
    fn is_automatic(known: &Known) -> bool {
        let Some(group) = &known.group else {
            return true;
        };
        let best = group.best().map(|choice| &choice.path);
        group.auto && (best == known.current.as_ref() || best.is_none())
    }

    /// `--install`, if the path is not there as it should be.
    fn registration(&self, known: &Known) -> Result<Option<Step>, Halt> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let registered = known.group.as_ref().and_then(|group| group.choice(path));
        if registered.is_some_and(|choice| self.is_as_wanted(known, choice)) {
            return Ok(None);
        }
        if !known.path_exists {
            return Err(fail(format!("Specified path {path} does not exist")));
        }
        let link = self
            .link
            .as_ref()
            .or(known.group.as_ref().map(|group| &group.link));
        let Some(link) = link else {
            return Err(fail(
                "Needed to install the alternative, but unable to do so as we are missing the link",
            ));
        };
        let priority = self
            .priority
            .or(registered.map(|choice| choice.priority))
            .unwrap_or(50)
            .to_string();
        let mut words = vec!["--install", link, &self.name, path, &priority];
        if let Some(family) = &self.family {
            words.extend(["--family", family]);
        }
        let subcommands = self.subcommands_to_install(known, registered);
        for subcommand in &subcommands {
            words.extend(["--slave", &subcommand.link, &subcommand.name, &subcommand.path]);
        }
        let message = format!("Install alternative '{path}' for '{}'.", self.name);
        Ok(Some(step(&words, message)))
    }

    /// Those of the task, else those that the path has: on RHEL they would be gone.
    fn subcommands_to_install(&self, known: &Known, registered: Option<&Choice>) -> Vec<Subcommand> {
        match (&self.subcommands, &known.group, registered) {
            (Some(subcommands), ..) => subcommands.clone(),
            (None, Some(group), Some(choice)) => followers(group, choice),
            _ => Vec::new(),
        }
    }

    fn is_as_wanted(&self, known: &Known, choice: &Choice) -> bool {
        let priority = self.priority.is_none_or(|priority| priority == choice.priority);
        let Some(wanted) = &self.subcommands else {
            return priority;
        };
        let has = known
            .group
            .as_ref()
            .map_or(Vec::new(), |group| followers(group, choice));
        priority && wanted.len() == has.len() && wanted.iter().all(|subcommand| has.contains(subcommand))
    }

    async fn change(&self, host: &Host, known: &Known, script: &str, after: &str) -> Result<(), Halt> {
        let before = known.current.clone().unwrap_or_default();
        let what = format!("set the alternative {} to {after}", self.name);
        let after = if self.state == State::Absent { "" } else { after };
        let change =
            Change::new(&*what).difference(format!("/etc/alternatives/{}", self.name), before, after);
        let output = host.change(change, Script::new(what, script)).await?;
        if output.ok() {
            return Ok(());
        }
        let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
        let said = if stderr.trim().is_empty() {
            &stdout
        } else {
            &stderr
        };
        Err(Failure::new(said.trim())
            .with("rc", i64::from(output.status))
            .with("stderr", stderr.clone())
            .with("stdout", stdout.clone())
            .into())
    }

    /// The name follows another group: its link is right, or the leader has to be set.
    async fn follow(&self, host: &Host, known: &Known, leader: &Leader) -> Result<Outcome, Halt> {
        if self.path == known.current {
            return Ok(Outcome::new().with("msg", ""));
        }
        let wanted = self.path.as_deref().unwrap_or_default();
        let Some(choice) = leader.group.choice_bringing(&self.name, wanted) else {
            return Err(fail(format!(
                "`{}` is a follower of `{}` on this host, and no path of `{}` brings {wanted}",
                self.name, leader.name, leader.name
            )));
        };
        let step = step(
            &["--set", &leader.name, &choice.path],
            format!("Set alternative '{}' for '{}'.", choice.path, leader.name),
        );
        self.change(host, known, &step.command, wanted).await?;
        Ok(Outcome::new().with("msg", step.message).warn(format!(
            "`{}` is a follower of `{}` on this host, so that was set",
            self.name, leader.name
        )))
    }
}

fn step(words: &[&str], message: String) -> Step {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    Step {
        command: format!("{PROGRAM} {}", words.join(" ")),
        message,
    }
}

fn followers(group: &Group, choice: &Choice) -> Vec<Subcommand> {
    group
        .followers(choice)
        .map(|(name, link, path)| Subcommand {
            name: name.to_string(),
            path: path.to_string(),
            link: link.to_string(),
        })
        .collect()
}

/// The group whose follower has this name.
async fn leader(host: &Host, name: &str) -> Result<Option<Leader>, Halt> {
    let script = format!(
        "for f in $(grep -lxsF -- {name} {DEBIAN}/* {RHEL}/*); do printf '%s\\n' \"$f\"; cat \"$f\"; exit; done",
        name = quote(name)
    );
    let output = host
        .ask(Look::new("leading alternative", script))
        .await?
        .stdout_text();
    let Some((file, text)) = output.split_once('\n') else {
        return Ok(None);
    };
    let leader = file.rsplit('/').next().unwrap_or_default().to_string();
    let group = Group::parse(text).filter(|group| group.has_follower(name));
    Ok(group.map(|group| Leader { name: leader, group }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(state: State) -> Alternatives {
        Alternatives {
            name: "iptables".into(),
            path: Some("/usr/sbin/iptables-nft".into()),
            family: None,
            link: None,
            priority: None,
            state,
            subcommands: None,
        }
    }

    const GROUP: &str = "auto\n/usr/sbin/iptables\nip6tables\n/usr/sbin/ip6tables\n\n\
        /usr/sbin/iptables-legacy\n10\n/usr/sbin/ip6tables-legacy\n\
        /usr/sbin/iptables-nft\n20\n/usr/sbin/ip6tables-nft\n\n";

    fn known(current: &str, is_rhel: bool) -> Known {
        Known {
            group: Group::parse(GROUP),
            current: Some(current.into()),
            path_exists: true,
            is_rhel,
        }
    }

    fn commands(module: &Alternatives, known: &Known) -> Vec<String> {
        let steps = module.steps(known).unwrap();
        steps
            .into_iter()
            .map(|s| s.command.replace(&format!("{PROGRAM} "), ""))
            .collect()
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let right = known("/usr/sbin/iptables-nft", false);
        for state in [State::Selected, State::Present, State::Auto] {
            assert!(commands(&wanted(state), &right).is_empty());
        }
    }

    #[test]
    fn only_the_choice_is_set_where_the_path_is_registered() {
        let other = known("/usr/sbin/iptables-legacy", false);
        assert_eq!(
            commands(&wanted(State::Selected), &other),
            ["--set iptables /usr/sbin/iptables-nft"]
        );
        assert_eq!(commands(&wanted(State::Auto), &other), ["--auto iptables"]);
        assert!(commands(&wanted(State::Present), &other).is_empty());
        assert_eq!(
            commands(&wanted(State::Absent), &other),
            ["--remove iptables /usr/sbin/iptables-nft"]
        );
    }

    #[test]
    fn another_priority_keeps_followers_and_mode() {
        let mut module = wanted(State::Present);
        module.priority = Some(5);
        assert_eq!(
            commands(&module, &known("/usr/sbin/iptables-nft", true)),
            [
                "--install /usr/sbin/iptables iptables /usr/sbin/iptables-nft 5 --slave /usr/sbin/ip6tables ip6tables \
              /usr/sbin/ip6tables-nft && --auto iptables"
            ]
        );
    }

    #[test]
    fn what_is_not_registered_needs_a_link() {
        let mut nothing = known("", false);
        nothing.group = None;
        assert!(wanted(State::Selected).steps(&nothing).is_err());
        let mut module = wanted(State::Selected);
        module.link = Some("/usr/sbin/iptables".into());
        assert_eq!(
            commands(&module, &nothing),
            [
                "--install /usr/sbin/iptables iptables /usr/sbin/iptables-nft 50",
                "--set iptables /usr/sbin/iptables-nft"
            ]
        );
    }
}
