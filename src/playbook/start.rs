//! A playbook without what stands before one of its tasks: `--start-at-task`.

use std::sync::Arc;

use super::{Block, Item, Play, PlayRole, Playbook, Task, each_task};
use crate::source::{Diagnostic, nearest};

impl Playbook {
    /// What is left when everything before the first task of this name is taken away, a play's fact gathering
    /// excepted.
    pub fn starting_at(&self, name: &str) -> Result<Self, Diagnostic> {
        let Some(first) = self.plays.iter().position(|play| holds(play, name)) else {
            let mut titles = Vec::new();
            for items in self.plays.iter().flat_map(|p| p.lists()) {
                each_task(items, &mut |task| titles.push(task.title()));
            }
            let near = nearest(name, titles.iter().map(String::as_str));
            let missing = Diagnostic::error(format!("there is no task `{name}` to begin with"));
            return Err(match near {
                Some(near) => missing.did_you_mean(Some(near)),
                None => missing.help("`--list-tasks` lists the names of those that there are"),
            });
        };
        let mut plays = self.plays[first..].to_vec();
        plays[0] = Arc::new(trimmed(&plays[0], name));
        Ok(Self { plays })
    }
}

fn is_it(task: &Task, name: &str) -> bool {
    let title = task.title();
    title == name
        || task
            .role()
            .is_some_and(|role| format!("{} : {title}", role.name) == name)
}

fn holds(play: &Play, name: &str) -> bool {
    play.lists().any(|items| list_holds(items, name))
}

fn list_holds(items: &[Item], name: &str) -> bool {
    let mut found = false;
    each_task(items, &mut |task| found |= is_it(task, name));
    found
}

fn trimmed(play: &Play, name: &str) -> Play {
    let mut play = play.clone();
    let mut found = false;
    play.pre_tasks = from(&play.pre_tasks, name, &mut found);
    play.roles = play
        .roles
        .iter()
        .map(|role| PlayRole {
            role: role.role.clone(),
            level: role.level.clone(),
            tasks: from(&role.tasks, name, &mut found),
        })
        .collect();
    play.tasks = from(&play.tasks, name, &mut found);
    play.post_tasks = from(&play.post_tasks, name, &mut found);
    play
}

fn from(items: &[Item], name: &str, found: &mut bool) -> Vec<Item> {
    let mut left = Vec::new();
    for item in items {
        if *found {
            left.push(item.clone());
            continue;
        }
        match item {
            Item::Task(task) if is_it(task, name) => {
                *found = true;
                left.push(item.clone());
            }
            Item::Task(_) => {}
            Item::Block(block) if list_holds(std::slice::from_ref(item), name) => {
                left.push(Item::Block(Arc::new(Block {
                    level: block.level.clone(),
                    body: from(&block.body, name, found),
                    rescue: block.rescue.clone(),
                    always: block.always.clone(),
                })));
                // It may be in `rescue` or `always`, which are kept whole.
                *found = true;
            }
            Item::Block(_) => {}
        }
    }
    left
}
