//! The plan's graph as text, for Graphviz, and for Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef as _;

use super::graph::{Graph, Step, Why};

/// A list of the tasks of each play, with their hosts where not all run them, and what they wait for beside the order of the file;
/// `plays`: what each is called.
pub fn text(graph: &Graph, plays: &[String]) -> String {
    let mut out = String::new();
    let mut rows: BTreeMap<(usize, usize), Vec<NodeIndex>> = BTreeMap::new();
    for index in graph.node_indices().filter(|i| graph[*i].host.is_some()) {
        rows.entry((graph[index].play, graph[index].row))
            .or_default()
            .push(index);
    }
    for (number, name) in plays.iter().enumerate() {
        let _ = writeln!(out, "play {}: {name}", number + 1);
        let all = hosts_of(graph, number);
        for ((_, row), steps) in rows.range((number, 0)..(number + 1, 0)) {
            let first = &graph[steps[0]];
            let handler = if first.handler { " (handler)" } else { "" };
            let hosts: Vec<&str> = steps.iter().filter_map(|s| graph[*s].host.as_deref()).collect();
            let some = if hosts.len() == all.len() {
                String::new()
            } else {
                format!("  [{}]", hosts.join(" "))
            };
            let _ = writeln!(out, "{row:>4}  {}{handler}{some}", first.title);
            for line in notes(first).into_iter().chain(reasons(graph, steps)) {
                let _ = writeln!(out, "        {line}");
            }
        }
    }
    let _ = writeln!(out, "{}", counts(graph));
    out
}

fn hosts_of(graph: &Graph, play: usize) -> BTreeSet<&str> {
    let steps = graph.node_weights().filter(|s| s.play == play);
    steps.filter_map(|s| s.host.as_deref()).collect()
}

/// What holds for a step beside what it waits for.
fn notes(step: &Step) -> Vec<String> {
    let delegated = step.delegated.iter().map(|to| format!("delegated to {to}"));
    let throttle = step.throttle.iter().map(|n| format!("at most {n} at a time"));
    delegated.chain(throttle).collect()
}

/// What the steps of a row wait for, beside what every step waits for: a line for each reason and row.
fn reasons(graph: &Graph, steps: &[NodeIndex]) -> Vec<String> {
    let mut hosts: BTreeMap<(&Why, usize), BTreeSet<&str>> = BTreeMap::new();
    for step in steps {
        for edge in graph.edges_directed(*step, Direction::Incoming) {
            let from = &graph[edge.source()];
            let key = match edge.weight() {
                // Which one it is says nothing.
                Why::Rescue | Why::Serial => (edge.weight(), 0),
                why => (why, from.row),
            };
            hosts.entry(key).or_default().extend(from.host.as_deref());
        }
    }
    let notifiers: Vec<String> = hosts
        .keys()
        .filter(|(why, _)| **why == Why::Notify)
        .map(|(_, row)| row.to_string())
        .collect();
    let mut lines: Vec<String> = hosts
        .iter()
        .filter_map(|((why, row), hosts)| sentence(why, *row, hosts))
        .collect();
    if !notifiers.is_empty() {
        lines.push(format!("notified by {}", notifiers.join(", ")));
    }
    lines
}

/// `hosts`: whom it waits for; none: all.
fn sentence(why: &Why, row: usize, hosts: &BTreeSet<&str>) -> Option<String> {
    let of = match hosts.len() {
        0 => "all hosts".to_string(),
        _ => hosts.iter().copied().collect::<Vec<_>>().join(", "),
    };
    Some(match why {
        Why::Order | Why::Barrier | Why::Play | Why::Notify => return None,
        Why::Reads(name) => format!("reads `{name}` of {of} ({row})"),
        Why::RunOnce if hosts.is_empty() => "once for all hosts".to_string(),
        Why::RunOnce => format!("once for all hosts ({row} on {of})"),
        Why::Delegate => format!("on the same machine as {row} of {of}"),
        Why::Needs(name) => format!("needs `{name}` of {of} ({row})"),
        Why::Include => format!("behind the include {row} of {of}: it may bring anything"),
        Why::Serial => "behind the batch before".to_string(),
        Why::Rescue => "only where something before it failed".to_string(),
    })
}

fn counts(graph: &Graph) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for why in graph.edge_weights() {
        *counts.entry(word(why)).or_default() += 1;
    }
    let steps = graph.node_weights().filter(|s| s.host.is_some()).count();
    let edges: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    format!("{steps} steps; edges: {}", edges.join(", "))
}

fn word(why: &Why) -> &'static str {
    match why {
        Why::Order => "order",
        Why::Barrier => "barrier",
        Why::Play => "play",
        Why::Reads(_) => "reads",
        Why::RunOnce => "run once",
        Why::Delegate => "delegate",
        Why::Needs(_) => "needs",
        Why::Include => "include",
        Why::Serial => "serial",
        Why::Notify => "notify",
        Why::Rescue => "rescue",
    }
}

fn label(why: &Why) -> String {
    match why {
        Why::Reads(name) => format!("reads {name}"),
        Why::Needs(name) => format!("needs {name}"),
        other => word(other).to_string(),
    }
}

fn caption(step: &Step, host: &str) -> String {
    let mut lines = vec![step.title.clone(), host.to_string()];
    lines.extend(notes(step));
    lines.join("\n")
}

/// For `dot -Tsvg`.
pub fn dot(graph: &Graph, plays: &[String]) -> String {
    let mut out = "digraph plan {\n  node [shape=box, fontname=\"sans-serif\"];\n".to_string();
    for (number, name) in plays.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label={};", quoted(name));
        for index in graph.node_indices().filter(|i| graph[*i].play == number) {
            let step = &graph[index];
            let _ = match &step.host {
                Some(host) => writeln!(
                    out,
                    "    n{} [label={}];",
                    index.index(),
                    quoted(&caption(step, host))
                ),
                None => writeln!(out, "    n{} [shape=point];", index.index()),
            };
        }
        out.push_str("  }\n");
    }
    for edge in graph.edge_references() {
        let (from, to) = (edge.source().index(), edge.target().index());
        let _ = match edge.weight() {
            Why::Order => writeln!(out, "  n{from} -> n{to};"),
            Why::Barrier => writeln!(out, "  n{from} -> n{to} [style=dotted];"),
            why => writeln!(
                out,
                "  n{from} -> n{to} [label={}, style=dashed];",
                quoted(&label(why))
            ),
        };
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// For Markdown that draws Mermaid.
pub fn mermaid(graph: &Graph, plays: &[String]) -> String {
    let mut out = "flowchart TD\n".to_string();
    for (number, name) in plays.iter().enumerate() {
        let _ = writeln!(out, "  subgraph p{number}[{}]", entities(name));
        for index in graph.node_indices().filter(|i| graph[*i].play == number) {
            let step = &graph[index];
            let _ = match &step.host {
                Some(host) => writeln!(out, "    n{}[{}]", index.index(), entities(&caption(step, host))),
                None => writeln!(out, "    n{}(( ))", index.index()),
            };
        }
        out.push_str("  end\n");
    }
    for edge in graph.edge_references() {
        let (from, to) = (edge.source().index(), edge.target().index());
        let _ = match edge.weight() {
            Why::Order => writeln!(out, "  n{from} --> n{to}"),
            Why::Barrier => writeln!(out, "  n{from} -.-> n{to}"),
            why => writeln!(out, "  n{from} -. {} .-> n{to}", entities(&label(why))),
        };
    }
    out
}

fn entities(text: &str) -> String {
    let escaped = text
        .replace('#', "#35;")
        .replace('"', "#quot;")
        .replace('<', "#lt;")
        .replace('\n', "<br>");
    format!("\"{escaped}\"")
}
