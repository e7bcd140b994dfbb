//! A module's options as the task writes them.

use super::free_form::free_form;
use super::{Action, WrittenArgument};
use crate::playbook::keywords::Written;
use crate::playbook::loader::Signature;
use crate::source::Diagnostic;
use crate::yaml::{Kind, Node};

pub(super) fn module(
    key: &Node,
    value: &Node,
    args: Option<&Node>,
    signature: Signature,
) -> Result<Action, Diagnostic> {
    let mut arguments = Vec::new();
    let mut more = None;
    match &value.kind {
        Kind::Map(pairs) => pairs.iter().for_each(|(k, v)| arguments.push(argument(k, v))),
        Kind::List(_) => {
            return Err(Diagnostic::error(format!(
                "the options of `{}` are a mapping, but this is a list",
                signature.name
            ))
            .at(&value.span));
        }
        _ if value.is_null() => {}
        Kind::String(text) if signature.free_form.is_none() && is_only_template(text) => {
            more = Some(Written::of(value));
        }
        _ => free_form(value, &signature, &mut arguments)?,
    }
    if let Some(args) = args {
        match &args.kind {
            Kind::Map(pairs) => {
                for (k, v) in pairs.iter() {
                    if !arguments.iter().any(|a| Some(&*a.name) == k.text()) {
                        arguments.push(argument(k, v));
                    }
                }
            }
            Kind::String(text) if is_only_template(text) => more = Some(Written::of(args)),
            _ if args.is_null() => {}
            _ => {
                return Err(
                    Diagnostic::error(format!("`args` is a mapping, but this is {}", args.what()))
                        .at(&args.span),
                );
            }
        }
    }
    Ok(Action::Module {
        signature,
        arguments,
        more,
        span: key.span.clone(),
    })
}

fn is_only_template(text: &str) -> bool {
    text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}")
}

pub(super) fn argument(key: &Node, value: &Node) -> WrittenArgument {
    WrittenArgument {
        name: key.text().unwrap_or_default().into(),
        value: value.value(),
        name_span: key.span.clone(),
        value_span: value.span.clone(),
    }
}
