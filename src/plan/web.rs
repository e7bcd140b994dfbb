//! What the steps of a batch wait for on other hosts, row after row, each wait once.

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::graph::NodeIndex;

use super::graph::Why;
use super::ties::{Standing, Target, Ties};

/// A host's step of a row.
pub(super) type Placed = (Arc<str>, NodeIndex);

/// Which waits a graph shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shown {
    /// `dag`: there are no others.
    All,
    /// Hosts keep step, so that all hold anyway: those that tell a reader something.
    #[default]
    Telling,
    /// Every host goes at its own pace.
    Needs,
}

/// Each of these waits for each of those.
pub(super) struct Link {
    pub why: Why,
    pub from: Vec<NodeIndex>,
    pub to: Vec<NodeIndex>,
    /// The row that is waited for.
    pub row: usize,
}

#[derive(Default)]
pub(super) struct Web {
    rows: Vec<Row>,
    /// The latest row that a host waits for on another, by reason: those before it are waited for with it.
    known: HashMap<(Why, Arc<str>, Arc<str>), usize>,
}

struct Row {
    ties: Ties,
    number: usize,
    steps: Vec<Placed>,
}

impl Web {
    /// What a new row waits for.
    pub fn add(&mut self, ties: Ties, number: usize, steps: Vec<Placed>, shown: Shown) -> Vec<Link> {
        let mut links = Vec::new();
        let rows = std::mem::take(&mut self.rows);
        for earlier in rows.iter().rev() {
            if are_apart(&earlier.ties, &ties, shown) {
                continue;
            }
            let mut pairs: Vec<(Why, NodeIndex, NodeIndex)> = Vec::new();
            for there in &earlier.steps {
                for here in steps.iter().filter(|here| here.0 != there.0) {
                    for why in self.reasons(earlier, there, &ties, here, shown) {
                        pairs.push((why, there.1, here.1));
                    }
                }
            }
            links.extend(joined(pairs, earlier, &steps));
        }
        self.rows = rows;
        self.rows.push(Row { ties, number, steps });
        links
    }

    fn reasons(
        &mut self,
        earlier: &Row,
        there: &Placed,
        ties: &Ties,
        here: &Placed,
        shown: Shown,
    ) -> Vec<Why> {
        let mut all = if shown == Shown::Needs {
            Ties::needed(&earlier.ties, ties)
        } else {
            Ties::between(&standing(&earlier.ties, there), &standing(ties, here))
        };
        let unknown = earlier.ties.target == Target::Unknown || ties.target == Target::Unknown;
        all.retain(|why| match why {
            // Drawn where one host runs for all.
            Why::RunOnce => false,
            Why::Delegate if unknown => false,
            Why::Delegate => shown == Shown::All || ties.target != Target::Own,
            Why::Include => shown == Shown::All,
            _ => true,
        });
        all.retain(|why| {
            let known = self
                .known
                .entry((why.clone(), here.0.clone(), there.0.clone()))
                .or_default();
            let new = *known < earlier.number;
            *known = earlier.number.max(*known);
            new
        });
        all
    }
}

/// Whether no host has anything to wait for on another between two rows: then no pair of them has to be looked at.
fn are_apart(earlier: &Ties, later: &Ties, shown: Shown) -> bool {
    let nothing_is_needed = || Ties::needed(earlier, later).is_empty();
    match shown {
        Shown::Needs => nothing_is_needed(),
        Shown::Telling => Ties::are_apart(earlier, later) && nothing_is_needed(),
        Shown::All => !earlier.opens && Ties::are_apart(earlier, later) && nothing_is_needed(),
    }
}

fn standing<'a>(ties: &'a Ties, placed: &'a Placed) -> Standing<'a> {
    Standing {
        ties,
        host: &placed.0,
        machine: match &ties.target {
            Target::Own => Some(&placed.0),
            Target::Host(host) => Some(host),
            Target::Unknown => None,
        },
    }
}

/// All pairs of two rows in one link, so that the graph grows with hosts, not with their squares.
fn joined(mut pairs: Vec<(Why, NodeIndex, NodeIndex)>, earlier: &Row, steps: &[Placed]) -> Vec<Link> {
    let count = |there: &Placed| steps.iter().filter(|here| here.0 != there.0).count();
    let all: usize = earlier.steps.iter().map(count).sum();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut links = Vec::new();
    for same in pairs.chunk_by(|a, b| a.0 == b.0) {
        let why = &same[0].0;
        let nodes = |placed: &[Placed]| placed.iter().map(|p| p.1).collect();
        let mut link = |from, to| {
            links.push(Link {
                why: why.clone(),
                from,
                to,
                row: earlier.number,
            });
        };
        if same.len() == all && all > earlier.steps.len() + steps.len() {
            link(nodes(&earlier.steps), nodes(steps));
        } else {
            for (_, from, to) in same {
                link(vec![*from], vec![*to]);
            }
        }
    }
    links
}
