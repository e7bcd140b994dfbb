//! Options that a module does not have.

use crate::playbook::keywords::is_of_a_task;
use crate::playbook::{Signature, WrittenArgument};
use crate::source::{Diagnostic, nearest};
use crate::vars::Value;

/// The first such option.
pub(super) fn unknown(signature: &Signature, arguments: &[WrittenArgument]) -> Option<Diagnostic> {
    let options = signature.options?;
    let unknown = arguments.iter().find(|a| !options.contains(&&*a.name))?;
    let (module, name) = (signature.name, &*unknown.name);
    let text = format!("`{module}` has no option `{name}`");
    let error = if signature.ignores {
        Diagnostic::warning(format!("{text}, and passes over it"))
    } else {
        Diagnostic::error(text)
    };
    let error = error.at(&unknown.name_span);
    if is_of_a_task(name) {
        return Some(error.help(format!(
            "`{name}` is a keyword of the task: indent it like `{module}`"
        )));
    }
    Some(match nearest(name, options.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("its options are {}", listed(options))),
    })
}

fn listed(options: &[&str]) -> String {
    let mut names: Vec<_> = options.iter().filter(|o| !o.starts_with('_')).copied().collect();
    names.sort_unstable();
    names.join(", ")
}

/// `mode: 644`, a number that is not octal: Ansible takes it for what it is, which nobody means.
pub(super) fn decimal_modes(arguments: &[WrittenArgument]) -> impl Iterator<Item = Diagnostic> {
    arguments.iter().filter_map(|a| {
        let text = a.value_span.text();
        let Value::Int(bits) = a.value else { return None };
        let octal =
            text.len() > 2 && !text.starts_with('0') && text.bytes().all(|b| (b'0'..b'8').contains(&b));
        if !matches!(&*a.name, "mode" | "directory_mode") || !octal {
            return None;
        }
        let warning = Diagnostic::warning(format!(
            "`{}: {text}` is the number {text}, which is `{:04o}` in octal",
            a.name,
            bits & 0o7777
        ));
        Some(warning.at(&a.value_span).help(format!("write `'0{text}'`")))
    })
}
