//! A play laid out: fact gathering, `pre_tasks`, roles, tasks, `post_tasks`, and where handlers are flushed.

use std::sync::Arc;

use crate::playbook::{Action, Block, Item, Keywords, Level, Meta, Play, Signature, Task, TaskKind, Written};
use crate::source::Span;
use crate::vars::Value;

/// All items of a play in Ansible's order. `gather`: the module that gathers facts, if they are wanted.
pub fn play_steps(play: &Play, gather: Option<Signature>) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(signature) = gather {
        items.push(gather_facts(play, signature));
    }
    let flush = || flush_handlers(&play.level, &play.span);
    if !play.pre_tasks.is_empty() {
        items.extend(play.pre_tasks.iter().cloned());
        items.push(flush());
    }
    for role in &play.roles {
        items.push(Item::Block(Arc::new(Block {
            level: role.level.clone(),
            body: role.tasks.clone(),
            rescue: Vec::new(),
            always: Vec::new(),
        })));
    }
    items.extend(play.tasks.iter().cloned());
    if !play.roles.is_empty() || !play.tasks.is_empty() {
        items.push(flush());
    }
    if !play.post_tasks.is_empty() {
        items.extend(play.post_tasks.iter().cloned());
        items.push(flush());
    }
    items
}

/// The place where notified handlers run.
pub fn flush_handlers(level: &Arc<Level>, span: &Span) -> Item {
    let action = Action::Meta(Meta::FlushHandlers);
    task(level, span, action, TaskKind::Implicit, None)
}

fn gather_facts(play: &Play, signature: Signature) -> Item {
    let mut arguments = Vec::new();
    for (name, written) in [
        ("gather_subset", &play.gather_subset),
        ("gather_timeout", &play.gather_timeout),
    ] {
        if let Some(written) = written {
            arguments.push(crate::playbook::WrittenArgument {
                name: name.into(),
                value: written.value.clone(),
                name_span: written.span.clone(),
                value_span: written.span.clone(),
            });
        }
    }
    let action = Action::Module {
        signature,
        arguments,
        more: None,
        span: play.span.clone(),
    };
    // Facts are gathered whatever tags are wanted.
    let mut keywords = Keywords::default();
    keywords.tags.push(written("always", &play.span));
    let level = Level::new(keywords, Some(&play.level));
    task(
        &level,
        &play.span,
        action,
        TaskKind::Listed,
        Some("Gathering Facts"),
    )
}

fn written(text: &str, span: &Span) -> Written {
    Written {
        value: Value::from(text),
        span: span.clone(),
    }
}

fn task(level: &Arc<Level>, span: &Span, action: Action, kind: TaskKind, name: Option<&str>) -> Item {
    // Fact gathering and flushing belong to the play: its tags and conditions are on its level already.
    Item::Task(Arc::new(Task {
        level: Level::new(Keywords::default(), Some(level)),
        kind,
        name: name.map(|n| written(n, span)),
        action,
        looped: None,
        register: None,
        until: Vec::new(),
        retries: None,
        delay: None,
        changed_when: None,
        failed_when: None,
        notify: Vec::new(),
        listen: Vec::new(),
        span: span.clone(),
        file: span.source.path.clone(),
    }))
}
