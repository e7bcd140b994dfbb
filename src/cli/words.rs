//! Words of the command line that are not ours: what is said of them.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::source::{Diagnostic, nearest};

/// Options of `ansible-playbook` and `ansible` that are not here, and what is.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["--step"],
        "`--start-at-task` and `--tags` choose tasks; `vmstation plan` says beforehand what each would change",
    ),
    (
        &[
            "-J",
            "--ask-vault-pass",
            "--ask-vault-password",
            "--vault-id",
            "--vault-pass-file",
            "--vault-password-file",
        ],
        "what `ansible-vault` encrypted is not read yet; `-e @FILE` gives variables that are kept elsewhere",
    ),
    (
        &["--scp-extra-args", "--sftp-extra-args"],
        "files go over the connection that commands go over: `--ssh-extra-args`",
    ),
    (
        &["-M", "--module-path"],
        "all modules are part of the program; what it has not is refused by name",
    ),
    (
        &["--flush-cache"],
        "facts are not kept from run to run: leave it out",
    ),
    (
        &[
            "--become-pass-file",
            "--become-password-file",
            "--conn-pass-file",
            "--connection-password-file",
        ],
        "`-K` and `-k` read the password from standard input: `vmstation run -K site.yml < FILE`",
    ),
    (&["--inventory-file"], "it is `--inventory`"),
    (
        &["-m", "--module-name", "-a", "--args"],
        "a single module is a playbook of one task: `vmstation run PLAYBOOK`",
    ),
];

/// What is wrong in the words, as a sentence of ours; `None`: clap says it better.
pub fn wrong(
    said: &clap::Error,
    program: &Command,
    words: impl Iterator<Item = OsString>,
) -> Option<Diagnostic> {
    let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
    let context = |kind| match said.get(kind) {
        Some(ContextValue::String(text)) => Some(vec![text.clone()]),
        Some(ContextValue::Strings(texts)) => Some(texts.clone()),
        _ => None,
    };
    match said.kind() {
        ErrorKind::UnknownArgument => {
            let word = context(ContextKind::InvalidArg)?.pop()?;
            let (named, command) = command(program, &words, &word);
            // What is no option is a word too many; clap says that.
            word.starts_with('-').then(|| option(&word, &named, command))
        }
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand)?.pop()?;
            let (named, command) = command(program, &words, &word);
            Some(subcommand(&word, &named, command))
        }
        ErrorKind::MissingRequiredArgument => {
            let lacking = context(ContextKind::InvalidArg)?.join(" ");
            let usage = said.get(ContextKind::Usage)?.to_string();
            let usage = console::strip_ansi_codes(&usage).replace("Usage: ", "");
            let (named, _) = command(program, &words, "");
            Some(Diagnostic::error(format!("`{named}` lacks {lacking}")).help(usage.trim().to_string()))
        }
        _ => None,
    }
}

/// The command that the words before a wrong one name, and how they call it.
fn command<'a>(program: &'a Command, words: &[String], wrong: &str) -> (String, &'a Command) {
    let (mut named, mut command) = (program.get_name().to_string(), program);
    let is_wrong = |word: &str| word == wrong || word.split_once('=').is_some_and(|(name, _)| name == wrong);
    for word in words.iter().skip(1).take_while(|word| !is_wrong(word)) {
        if let Some(inner) = command.find_subcommand(word) {
            named = format!("{named} {word}");
            command = inner;
        }
    }
    (named, command)
}

fn option(word: &str, named: &str, command: &Command) -> Diagnostic {
    let wrong = Diagnostic::error(format!("`{named}` has no option `{word}`"));
    if !command.has_subcommands()
        && let Some((_, help)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&word))
    {
        return wrong.help(*help);
    }
    // Most of them are those of `run`.
    if command.has_subcommands()
        && let Some(run) = command.find_subcommand("run")
        && options(run).any(|o| o == word)
    {
        return wrong.help(format!("options stand behind the command: `{named} run {word}`"));
    }
    let options: Vec<String> = options(command).collect();
    match nearest(word, options.iter().map(String::as_str)) {
        // All letters are near to one another.
        Some(near) if word.starts_with("--") => wrong.did_you_mean(Some(near)),
        _ => wrong.help(format!("`{named} --help` lists its options")),
    }
}

/// As they are typed.
fn options(command: &Command) -> impl Iterator<Item = String> {
    command.get_arguments().flat_map(|argument| {
        let short = argument.get_short().map(|c| format!("-{c}"));
        let long = argument.get_long_and_visible_aliases().unwrap_or_default();
        let long: Vec<String> = long.iter().map(|l| format!("--{l}")).collect();
        short.into_iter().chain(long)
    })
}

fn subcommand(word: &str, named: &str, command: &Command) -> Diagnostic {
    let wrong = Diagnostic::error(format!("there is no command `{named} {word}`"));
    if Path::new(word)
        .extension()
        .is_some_and(|e| e == "yml" || e == "yaml")
    {
        return wrong.help(format!("`vmstation run {word}` runs a playbook"));
    }
    let names = || {
        command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .map(Command::get_name)
    };
    match nearest(word, names()) {
        Some(near) => wrong.help(format!("did you mean `{named} {near}`?")),
        None => wrong.help(format!("there are: {}", names().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_is_elsewhere_is_not_here() {
        let program = Cli::command();
        let run: Vec<String> = options(program.find_subcommand("run").unwrap()).collect();
        assert!(run.iter().any(|o| o == "-K") && run.iter().any(|o| o == "--ask-become-pass"));
        for name in ELSEWHERE.iter().flat_map(|(names, _)| *names) {
            assert!(!run.iter().any(|o| o == name), "{name}");
        }
    }
}
