//! What the graph says is what the executor does: in random programs, under every strategy, no step begins before
//! one that it waits for has ended. And `dag` comes to what `linear` comes to, where nobody reads what a host that is
//! ahead may have set anew.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use vmstation::plan::{Graph, Pace, Planned, Strategy, batches, graph};
use vmstation::playbook::Playbook;
use vmstation::run::Event;

use crate::drive::{self, How, Seen};
use crate::program::{self, Node, Program};
use crate::world::Temper;

type Step = (usize, String, Vec<u32>);

/// The graph of what ran: each play with the hosts that it was reached with.
fn drawn(playbook: &Playbook, seen: &Seen, pace: Option<Pace>) -> Graph {
    let mut hosts: HashMap<usize, Vec<Arc<str>>> = HashMap::new();
    for event in &seen.events {
        if let Event::PlayStarted { play, hosts: its, .. } = event {
            hosts.insert(*play, its.iter().map(|h| h.as_str().into()).collect());
        }
    }
    let planned: Vec<Planned<'_>> = (playbook.plays.iter().enumerate())
        .map(|(number, play)| {
            let its = hosts.get(&number).cloned().unwrap_or_default();
            let batches = match &play.serial {
                Some(written) => batches(&written.value, &its).unwrap(),
                None => vec![its],
            };
            let name = play.strategy.as_ref().and_then(|w| w.value.as_str());
            let strategy = Strategy::named(name.unwrap_or("linear")).unwrap();
            Planned {
                play,
                batches: batches.into_iter().filter(|b| !b.is_empty()).collect(),
                gather: None,
                pace: pace.unwrap_or_else(|| Pace::of(strategy, play, false)),
            }
        })
        .collect();
    graph(&planned, &|_| true)
}

/// When each step began and ended.
fn times(seen: &Seen) -> (HashMap<Step, usize>, HashMap<Step, usize>) {
    let (mut begun, mut ended) = (HashMap::new(), HashMap::new());
    let mut now = 0;
    for (at, event) in seen.events.iter().enumerate() {
        match event {
            Event::PlayStarted { play, .. } => now = *play,
            Event::TaskStarted { host, position, .. } => {
                begun.entry((now, host.clone(), position.clone())).or_insert(at);
            }
            Event::TaskFinished { host, position, .. } => {
                let step = (now, host.clone(), position.clone());
                begun.entry(step.clone()).or_insert(at);
                ended.entry(step).or_insert(at);
            }
            _ => {}
        }
    }
    (begun, ended)
}

/// The steps that a step waits for, through the points at which hosts meet.
fn waited_for(graph: &Graph, step: NodeIndex, all: &mut Vec<NodeIndex>) {
    for earlier in graph.neighbors_directed(step, Direction::Incoming) {
        if graph[earlier].host.is_some() {
            all.push(earlier);
        } else {
            waited_for(graph, earlier, all);
        }
    }
}

/// How many waits were kept; the first that was not.
fn kept(graph: &Graph, seen: &Seen) -> Result<usize, String> {
    let (begun, ended) = times(seen);
    let key = |node: NodeIndex| {
        let step = &graph[node];
        let host = step.host.as_deref().unwrap_or_default().to_string();
        (step.play, host, step.position.clone())
    };
    let mut count = 0;
    for node in graph.node_indices().filter(|n| graph[*n].host.is_some()) {
        let Some(begin) = begun.get(&key(node)) else {
            continue;
        };
        let mut earlier = Vec::new();
        waited_for(graph, node, &mut earlier);
        for other in earlier {
            let Some(end) = ended.get(&key(other)) else {
                continue;
            };
            if end > begin {
                return Err(format!("{:?} began before {:?} had ended", key(node), key(other)));
            }
            count += 1;
        }
    }
    Ok(count)
}

fn how(program: &Program, ahead: bool, seed: u64) -> How {
    How {
        ahead,
        seed,
        temper: Temper {
            slowest: 8000,
            whims: 0,
        },
        hosts: program.hosts,
        check: program.check,
        forks: program.forks,
        tags: program.tags.clone(),
        force_handlers: program.force_handlers,
        furnished: false,
    }
}

fn played(program: &Program, folder: &Path, ahead: bool, seed: u64) -> (Playbook, Seen) {
    program.write(folder);
    let playbook = drive::load(folder).unwrap();
    let seen = drive::run(folder, &playbook, &how(program, ahead, seed));
    (playbook, seen)
}

/// Every play under a strategy, without what no engine can see: hosts that alter others behind its back.
fn under(strategy: &str, program: &Program) -> Option<Program> {
    if program.free {
        return None;
    }
    let mut program = program.clone();
    for play in &mut program.plays {
        play.keywords.push(format!("strategy: {strategy}"));
        for nodes in [&mut play.pre, &mut play.tasks, &mut play.handlers] {
            seen(nodes);
        }
    }
    Some(program)
}

fn seen(nodes: &mut [Node]) {
    for node in nodes {
        match node {
            Node::Task { lines, .. } => {
                for line in lines {
                    *line = line.replace("/shared/x", "/a").replace("/shared/y", "/b");
                    *line = line
                        .replace("unplug ", "say ")
                        .replace("plug ", "say ")
                        .replace("later 5 ", "");
                    for host in ["at h1 ", "at h2 ", "at h3 ", "at h4 "] {
                        *line = line.replace(host, "");
                    }
                }
            }
            Node::Block {
                body, rescue, always, ..
            } => [body, rescue, always].into_iter().for_each(|nodes| seen(nodes)),
            Node::Include { body, .. } => seen(body),
        }
    }
}

#[test]
fn no_step_begins_before_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for seed in 0..60 {
        let program = program::generate(seed);
        let dag = under("dag", &program);
        for program in std::iter::once(program).chain(dag) {
            for ahead in [true, false] {
                let (playbook, seen) = played(&program, folder.path(), ahead, seed);
                let kept = kept(&drawn(&playbook, &seen, None), &seen);
                let shown = || program.shown(folder.path());
                count += kept.unwrap_or_else(|e| panic!("seed {seed}, ahead {ahead}: {e}\n{}", shown()));
            }
        }
    }
    assert!(count > 2_000, "only {count}");
}

/// The check can fail: hosts that go freely do not keep step.
#[test]
fn a_wait_that_is_not_kept_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let broken = (0..150).map(program::generate).filter(|p| p.free).any(|program| {
        let (playbook, seen) = played(&program, folder.path(), true, 1);
        let linear = Pace {
            strategy: Strategy::Linear,
            kept: None,
        };
        kept(&drawn(&playbook, &seen, Some(linear)), &seen).is_err()
    });
    assert!(broken);
}

#[test]
fn dag_comes_to_what_linear_comes_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for seed in 0..150 {
        let program = program::generate(seed);
        let text = program.shown(folder.path());
        if text.contains("hostvars") || text.contains("ansible_play_") {
            continue;
        }
        let [Some(linear), Some(dag)] = ["linear", "dag"].map(|s| under(s, &program)) else {
            continue;
        };
        let (_, linear) = played(&linear, folder.path(), false, seed);
        for ahead in [false, true] {
            let (_, seen) = played(&dag, folder.path(), ahead, seed + 1);
            let shown = || dag.shown(folder.path());
            assert_eq!(seen.told, linear.told, "seed {seed}, ahead {ahead}\n{}", shown());
            assert_eq!(
                seen.files,
                linear.files,
                "seed {seed}, ahead {ahead}\n{}",
                shown()
            );
            assert_eq!(seen.summaries, linear.summaries, "seed {seed}\n{}", shown());
        }
        count += 1;
    }
    assert!(count > 20, "only {count}");
}
