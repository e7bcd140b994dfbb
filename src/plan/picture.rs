//! The plan's graph as text, for Graphviz, and for Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef as _;

use super::graph::{Graph, Step, Why};

/// A list of the tasks of each play with their hosts and what they wait for beside the order of the file;
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
        for ((_, row), steps) in rows.range((number, 0)..(number + 1, 0)) {
            let first = &graph[steps[0]];
            let handler = if first.handler { " (handler)" } else { "" };
            let hosts: Vec<&str> = steps.iter().filter_map(|s| graph[*s].host.as_deref()).collect();
            let _ = writeln!(out, "{row:>4}  {}{handler}  [{}]", first.title, hosts.join(" "));
            for why in reasons(graph, steps) {
                let _ = writeln!(out, "        {why}");
            }
        }
    }
    let _ = writeln!(out, "{}", counts(graph));
    out
}

/// What the steps of a row wait for, beside what every step waits for.
fn reasons(graph: &Graph, steps: &[NodeIndex]) -> BTreeSet<String> {
    let incoming = steps
        .iter()
        .flat_map(|s| graph.edges_directed(*s, Direction::Incoming));
    incoming
        .filter_map(|edge| sentence(edge.weight(), &graph[edge.source()]))
        .collect()
}

fn sentence(why: &Why, from: &Step) -> Option<String> {
    let host = from.host.as_deref().unwrap_or("all hosts");
    let row = from.row;
    Some(match why {
        Why::Order | Why::Barrier | Why::Play => return None,
        Why::Reads(name) => format!("reads `{name}` of {host} ({row})"),
        Why::RunOnce if from.host.is_some() => format!("once for all hosts ({row} on {host})"),
        Why::RunOnce => "once for all hosts".to_string(),
        Why::Delegate => format!("on the same machine as {row} of {host}"),
        Why::Needs(name) => format!("needs `{name}` of {host} ({row})"),
        Why::Include => format!("behind the include {row} of {host}: it may bring anything"),
        Why::Serial => "behind the batch before".to_string(),
        Why::Notify => format!("notified by {row}"),
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
                    quoted(&format!("{}\n{host}", step.title))
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
                Some(host) => writeln!(
                    out,
                    "    n{}[{}]",
                    index.index(),
                    entities(&format!("{}\n{host}", step.title))
                ),
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
