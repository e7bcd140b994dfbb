//! `vmstation graph`: the plan as a graph, with the reason on each edge.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::deploy::project_playbook;
use super::options::HostOptions;
use super::print;
use super::project::{Project, text};
use crate::config::Gathering;
use crate::plan::{Pace, Planned, Strategy, Tags, batches, graph, picture};
use crate::playbook::{Play, TaskKind};
use crate::source::Diagnostic;
use crate::vars::Value;

/// Show what waits for what, and why
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Playbooks, one after another [default: playbooks/deploy.yml]
    pub playbooks: Vec<PathBuf>,
    /// A list, Graphviz, or Mermaid
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Only tasks with these tags
    #[arg(short, long, value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No tasks with these tags
    #[arg(long, value_delimiter = ',')]
    pub skip_tags: Vec<String>,
    #[command(flatten)]
    pub hosts: HostOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Text,
    Dot,
    Mermaid,
}

/// Does what the arguments say; the exit code of the program.
pub fn run(args: &GraphArgs) -> Result<u8, Diagnostic> {
    let playbooks = match args.playbooks.as_slice() {
        [] => vec![project_playbook("deploy", "graph")?],
        named => named.to_vec(),
    };
    Project::are_there(&playbooks, &args.hosts)?;
    let project = Project::load(&args.hosts, false)?;
    let playbook = project.playbook(&playbooks)?;
    let mut planned = Vec::new();
    let mut names = Vec::new();
    for play in &playbook.plays {
        let hosts = project.hosts(play)?;
        let pace = pace(&project, play)?;
        names.push(title(play, &hosts, pace));
        planned.push(plan(&project, play, &hosts, pace)?);
    }
    let tags = Tags {
        wanted: &args.tags,
        skipped: &args.skip_tags,
    };
    let graph = graph(&planned, &|task| {
        task.kind != TaskKind::Listed || tags.select(&project.tags(task))
    });
    print::data(&match args.format {
        Format::Text => picture::text(&graph, &names),
        Format::Dot => picture::dot(&graph, &names),
        Format::Mermaid => picture::mermaid(&graph, &names),
    });
    Ok(0)
}

/// How a play's hosts go, as far as it is known before anything runs.
fn pace(project: &Project, play: &Play) -> Result<Pace, Diagnostic> {
    let strategy = match &play.strategy {
        Some(written) => match project.known(written, &play.level) {
            Value::Template(_) => Strategy::Linear,
            name => Strategy::named(&text(&name)).map_err(|d| d.at(&written.span))?,
        },
        None => project.strategy()?,
    };
    Ok(Pace::of(strategy, play, project.config.any_errors_fatal))
}

fn title(play: &Play, hosts: &[Arc<str>], pace: Pace) -> String {
    let name = play.name.as_ref().unwrap_or(&play.hosts);
    let hosts = if hosts.is_empty() {
        "no hosts".to_string()
    } else {
        hosts.join(", ")
    };
    format!("{} ({hosts}; {pace})", text(&name.value))
}

fn plan<'a>(
    project: &Project,
    play: &'a Play,
    hosts: &[Arc<str>],
    pace: Pace,
) -> Result<Planned<'a>, Diagnostic> {
    let gathers = match &play.gather_facts {
        Some(written) => project.known(written, &play.level) != Value::Bool(false),
        None => project.config.gathering != Gathering::Explicit,
    };
    let serial = play
        .serial
        .as_ref()
        .map(|w| (project.known(w, &play.level), &w.span));
    let batches = match serial {
        Some((value, span)) => batches(&value, hosts).map_err(|d| d.within(span))?,
        None => vec![hosts.to_vec()],
    };
    Ok(Planned {
        play,
        batches: batches.into_iter().filter(|b| !b.is_empty()).collect(),
        gather: if gathers {
            project.catalogue.find("setup")
        } else {
            None
        },
        pace,
    })
}
