//! `meta:`, by its names.

use crate::source::{Diagnostic, nearest};
use crate::yaml::Node;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    Noop,
    FlushHandlers,
    EndPlay,
    EndHost,
    EndBatch,
    EndRole,
    ClearFacts,
    ClearHostErrors,
    ResetConnection,
    RefreshInventory,
}

pub(super) fn meta(value: &Node) -> Result<Meta, Diagnostic> {
    let text = value
        .text()
        .or_else(|| value.get("_raw_params").and_then(Node::text))
        .unwrap_or_default();
    let all = [
        ("noop", Meta::Noop),
        ("flush_handlers", Meta::FlushHandlers),
        ("end_play", Meta::EndPlay),
        ("end_host", Meta::EndHost),
        ("end_batch", Meta::EndBatch),
        ("end_role", Meta::EndRole),
        ("clear_facts", Meta::ClearFacts),
        ("clear_host_errors", Meta::ClearHostErrors),
        ("reset_connection", Meta::ResetConnection),
        ("refresh_inventory", Meta::RefreshInventory),
    ];
    if let Some((_, meta)) = all.iter().find(|(name, _)| *name == text) {
        return Ok(*meta);
    }
    Err(Diagnostic::error(format!("`meta` knows no `{text}`"))
        .at(&value.span)
        .did_you_mean(nearest(text, all.iter().map(|(n, _)| *n))))
}
