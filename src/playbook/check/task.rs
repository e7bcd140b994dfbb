//! What can be known of a task by looking at it.

use super::templates::{self, Text};
use super::{Circumstances, Finding, Stage, options};
use crate::playbook::{Action, Keywords, Task, Written, WrittenArgument};
use crate::source::Diagnostic;

/// Everything that is wrong with a task, in the order in which it would come to light.
pub(super) fn findings(task: &Task, circumstances: &Circumstances) -> Vec<Finding> {
    let mut look = Look {
        circumstances,
        found: Vec::new(),
    };
    if let Some(looped) = &task.looped {
        look.texts(Stage::Loop, templates::of(&looped.items));
    }
    look.conditions(Stage::Condition, &task.level.conditions());
    keywords(task, &mut look);
    match &task.action {
        Action::Module {
            signature, arguments, ..
        } => {
            for argument in arguments {
                look.argument(argument, signature.unrendered);
            }
        }
        Action::IncludeTasks(include) => look.texts(Stage::Run, templates::of(&include.file)),
        Action::IncludeRole(include) => look.texts(Stage::Run, templates::of(&include.name)),
        Action::Meta(_) => {}
    }
    look.module(&task.action);
    for behind in [&task.failed_when, &task.changed_when] {
        let behind: Vec<&Written> = behind.iter().flatten().collect();
        look.conditions(Stage::Run, &behind);
    }
    let until: Vec<&Written> = task.until.iter().collect();
    look.conditions(Stage::Run, &until);
    look.found
}

/// What is rendered before the module begins.
fn keywords(task: &Task, look: &mut Look) {
    let picks: [fn(&Keywords) -> Option<&Written>; 5] = [
        |k| k.delegate_to.as_ref(),
        |k| k.r#become.as_ref(),
        |k| k.become_user.as_ref(),
        |k| k.check_mode.as_ref(),
        |k| k.no_log.as_ref(),
    ];
    let level = &task.level;
    let nearest = picks.iter().filter_map(|pick| level.nearest(pick));
    let label = task.looped.as_ref().and_then(|l| l.label.as_ref());
    for written in nearest
        .chain(level.environments())
        .chain(&task.notify)
        .chain(label)
    {
        look.texts(Stage::Run, templates::of(written));
    }
}

struct Look<'a> {
    circumstances: &'a Circumstances<'a>,
    found: Vec<Finding>,
}

impl Look<'_> {
    fn texts(&mut self, at: Stage, texts: Vec<Text>) {
        for text in texts {
            for finding in text.findings(self.circumstances.engine) {
                let at = if finding.certain { at } else { Stage::Perhaps };
                let diagnostic = finding.diagnostic;
                self.found.push(Finding { at, diagnostic });
            }
        }
    }

    /// The first is asked for certain; the others if those before them hold.
    fn conditions(&mut self, at: Stage, written: &[&Written]) {
        let texts = written
            .iter()
            .flat_map(|w| templates::conditions(&w.value, &w.span));
        for (number, text) in texts.enumerate() {
            let at = if number == 0 { at } else { Stage::Perhaps };
            self.texts(at, vec![text]);
        }
    }

    fn argument(&mut self, argument: &WrittenArgument, unrendered: &[&str]) {
        if !unrendered.contains(&&*argument.name) {
            self.texts(Stage::Run, templates::templates(&argument.value));
            return;
        }
        let texts = templates::conditions(&argument.value, &argument.value_span);
        for (number, text) in texts.into_iter().enumerate() {
            let at = if number == 0 {
                Stage::Module
            } else {
                Stage::Perhaps
            };
            self.texts(at, vec![text]);
        }
    }

    fn module(&mut self, action: &Action) {
        let Action::Module {
            signature,
            arguments,
            more,
            span,
        } = action
        else {
            return;
        };
        let mut found: Vec<Diagnostic> = options::unknown(signature, arguments).into_iter().collect();
        if found.is_empty() {
            found = self
                .circumstances
                .catalogue
                .check(signature.name, arguments, more.is_some(), span);
        }
        found.extend(options::decimal_modes(arguments));
        let at = Stage::Module;
        self.found
            .extend(found.into_iter().map(|diagnostic| Finding { at, diagnostic }));
    }
}
