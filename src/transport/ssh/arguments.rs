//! `ansible_ssh_common_args` and `ansible_ssh_extra_args`: the words of an `ssh` command line.

use super::keywords::{self, Meaning};
use super::options::Setting;

/// What the words ask for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    /// In the order of the words; the first of a keyword wins.
    pub(super) settings: Vec<Setting>,
    /// `-F`; `none` reads no file.
    pub(super) config_file: Option<String>,
}

/// Reads the words; the error names the one that cannot be honoured.
pub(super) fn read(words: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-') else {
            return Err(format!("`{word}` is not an option"));
        };
        read_flags(word, flags, &mut words, &mut arguments)?;
    }
    Ok(arguments)
}

/// One word: any number of flags without a value, then perhaps one that has its value behind it or in the next word.
fn read_flags<'a>(
    word: &str,
    flags: &str,
    words: &mut impl Iterator<Item = &'a String>,
    arguments: &mut Arguments,
) -> Result<(), String> {
    let mut rest = flags.chars();
    while let Some(flag) = rest.next() {
        if read_switch(flag, arguments) {
            continue;
        }
        if !"oipJlF".contains(flag) {
            return Err(format!("the ssh argument `{word}` is not supported"));
        }
        let attached: String = rest.collect();
        let value = if attached.is_empty() {
            words
                .next()
                .cloned()
                .ok_or_else(|| format!("the ssh argument `{word}` lacks its value"))?
        } else {
            attached
        };
        return read_value(flag, &value, arguments);
    }
    Ok(())
}

/// A flag without a value; most say nothing about a connection that has no terminal.
fn read_switch(flag: char, arguments: &mut Arguments) -> bool {
    match flag {
        '4' => arguments.settings.push(Setting::new("addressfamily", "inet")),
        '6' => arguments.settings.push(Setting::new("addressfamily", "inet6")),
        'A' => arguments.settings.push(Setting::new("forwardagent", "yes")),
        'a' | 'C' | 'k' | 'n' | 'q' | 'T' | 'v' | 'x' => {}
        _ => return false,
    }
    true
}

fn read_value(flag: char, value: &str, arguments: &mut Arguments) -> Result<(), String> {
    let keyword = match flag {
        'F' => {
            arguments.config_file.get_or_insert(value.to_owned());
            return Ok(());
        }
        'o' => return read_option(value, arguments),
        'i' => "identityfile",
        'p' => "port",
        'l' => "user",
        _ => "proxyjump",
    };
    arguments.settings.push(Setting::new(keyword, value));
    Ok(())
}

fn read_option(text: &str, arguments: &mut Arguments) -> Result<(), String> {
    let setting =
        Setting::parse(text).ok_or_else(|| format!("the ssh argument `-o {text}` is not KEYWORD=VALUE"))?;
    match keywords::meaning(&setting.keyword) {
        Meaning::Unknown => Err(format!("the ssh argument `-o {text}` is not supported")),
        Meaning::Used | Meaning::Missing | Meaning::Idle => {
            arguments.settings.push(setting);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn settings(text: &str) -> Vec<(String, String)> {
        read(&words(text))
            .unwrap()
            .settings
            .into_iter()
            .map(|setting| (setting.keyword, setting.value))
            .collect()
    }

    #[test]
    fn flags_and_options_become_settings() {
        assert_eq!(
            settings("-qC -o StrictHostKeyChecking=no -p2222 -i key -l me -J a,b -4"),
            [
                ("stricthostkeychecking", "no"),
                ("port", "2222"),
                ("identityfile", "key"),
                ("user", "me"),
                ("proxyjump", "a,b"),
                ("addressfamily", "inet"),
            ]
            .map(|(keyword, value)| (keyword.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_ansible_users_pass_is_accepted() {
        read(&words(
            "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/x -o ForwardAgent=yes -F /dev/null",
        ))
        .unwrap();
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (text, named) in [
            ("-o Nonsense=1", "Nonsense=1"),
            ("-q -D 1080", "-D"),
            ("host", "host"),
            ("-o novalue", "novalue"),
            ("-p", "-p"),
        ] {
            let error = read(&words(text)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
