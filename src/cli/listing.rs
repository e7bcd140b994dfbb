//! `--syntax-check`, `--list-hosts`, `--list-tasks`, `--list-tags`: what playbooks hold, without running them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::options::RunOptions;
use super::print;
use super::project::{Project, text};
use crate::plan::Tags;
use crate::playbook::{Action, Play, Task, each_task};
use crate::source::Diagnostic;

/// What is to be listed
#[derive(Debug, Args, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct Listing {
    /// Only read the playbooks and say what is wrong in them
    #[arg(long)]
    pub syntax_check: bool,
    /// List the hosts of each play
    #[arg(long)]
    pub list_hosts: bool,
    /// List the tasks of each play
    #[arg(long)]
    pub list_tasks: bool,
    /// List all tags
    #[arg(long)]
    pub list_tags: bool,
}

impl Listing {
    pub fn is_wanted(self) -> bool {
        self.syntax_check || self.list_hosts || self.list_tasks || self.list_tags
    }
}

/// Prints the lists in Ansible's layout.
pub fn list(wanted: Listing, playbooks: &[PathBuf], options: &RunOptions) -> Result<u8, Diagnostic> {
    let project = Project::load(&options.hosts, options.verbose > 0)?;
    let mut out = String::new();
    for path in playbooks {
        let playbook = project.playbook(std::slice::from_ref(path))?;
        project.check(&playbook, &options.selection(&project.config).tags())?;
        let _ = writeln!(out, "\nplaybook: {}", path.display());
        if wanted.syntax_check {
            continue;
        }
        for (number, play) in playbook.plays.iter().enumerate() {
            one(wanted, number + 1, play, &project, options, &mut out)?;
        }
    }
    print::data(&out);
    Ok(0)
}

fn one(
    wanted: Listing,
    number: usize,
    play: &Play,
    project: &Project,
    options: &RunOptions,
    out: &mut String,
) -> Result<(), Diagnostic> {
    let pattern = text(&project.known(&play.hosts, &play.level));
    let name = play
        .name
        .as_ref()
        .map_or_else(|| pattern.clone(), |n| text(&n.value));
    let tags = project.level_tags(&play.level).join(", ");
    let _ = writeln!(out, "\n  play #{number} ({pattern}): {name}\tTAGS: [{tags}]");
    if wanted.list_hosts {
        let hosts = project.hosts(play)?;
        let _ = writeln!(out, "    pattern: ['{pattern}']\n    hosts ({}):", hosts.len());
        for host in hosts {
            let _ = writeln!(out, "      {host}");
        }
    }
    if wanted.list_tasks {
        out.push_str("    tasks:\n");
    }
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut visit = |task: &Task| {
        let tags = project.tags(task);
        let selection = Tags {
            wanted: &options.tags,
            skipped: &options.skip_tags,
        };
        if matches!(task.action, Action::Meta(_)) || !selection.select(&tags) {
            return;
        }
        if wanted.list_tasks {
            let role = task.role().map(|r| format!("{} : ", r.name)).unwrap_or_default();
            let _ = writeln!(out, "      {role}{}\tTAGS: [{}]", task.title(), sorted(&tags));
        }
        all.extend(tags);
    };
    for items in play.lists() {
        each_task(items, &mut |task| visit(task));
    }
    if wanted.list_tags {
        let all: Vec<String> = all.into_iter().collect();
        let _ = writeln!(out, "      TASK TAGS: [{}]", all.join(", "));
    }
    Ok(())
}

fn sorted(tags: &[String]) -> String {
    let tags: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
    tags.into_iter().collect::<Vec<_>>().join(", ")
}
