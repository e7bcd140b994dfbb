//! The program texts that a long-lived shell is fed: its greeting, and each request in one of two forms.
//!
//! Every detail here was a failing test first:
//!
//! - The script is one quoted word for `eval` in a subshell, so that a syntax error, an unterminated quote,
//!   `exit`, `exec`, `set -e`, `trap`, `cd`, `umask` or a closed descriptor cannot touch the shell itself, and
//!   each script starts with the working directory, umask and environment of a fresh login.
//! - Marks are in the program text, never in a variable: `set` and `env` cannot print them. `echo` prints them
//!   because it is a builtin everywhere.
//! - Output goes to `/proc/self/fd/N`, opened anew: `O_NONBLOCK` belongs to an open file, and a command that
//!   sets it (ssh, node, Python) would make every later command lose what does not fit into the pipe.
//! - The shell's own standard error is `/dev/null`, with the real one kept at 9: its "Terminated" is not a
//!   command's output.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _};

use super::machine::{Form, quote};
use super::scanner::Marks;

/// One argument may have 128 KiB on Linux (`MAX_ARG_STRLEN`); above this a command's script goes by pipe.
const LONGEST_ARGUMENT: usize = 100_000;

/// Where a request's standard input comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'a> {
    Null,
    /// By `printf`, in the program text.
    Inline(&'a [u8]),
    /// The rest of the channel: written once the request has started. The shell ends after such a request,
    /// or it would read what the script left unread as its next commands.
    Channel,
}

/// Text that nobody can foresee, different every time.
pub(super) fn token() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

pub(super) fn marks() -> Marks {
    Marks {
        start: format!("@{}", token()),
        end: format!("@{}", token()),
    }
}

/// What a new shell is told before its first request; nothing comes back.
///
/// `_left`: whether a process of the group `$_p` holds our standard output or error. Only builtins, and only run
/// when the group outlived its leader.
pub(super) const SETTING_UP: &str = r#"trap : HUP INT TERM; unset ENV HISTFILE MAIL; exec 8>&1 9>&2 2>/dev/null
command -v setsid >/dev/null || setsid() { "$@"; }
_left() { for _f in /proc/[0-9]*/fd/[12]; do if [ "$_f" -ef /proc/self/fd/8 ] || [ "$_f" -ef /proc/self/fd/9 ]; then read -r _s <"${_f%/fd/*}/stat" || continue; set -- ${_s##*) }; [ "$3" = "$_p" ] && return 0; fi; done; return 1; }
"#;

/// Asks a shell that has been set up for its name and whether it is root's.
pub(super) fn greeting(marks: &Marks) -> String {
    let Marks { start, end } = marks;
    format!(
        r#"echo "{start} $$"; echo {start} >&9
echo "${{BASH_VERSION:+bash}}"; [ -O /proc ] && echo root
echo "{end} 0"; echo {end} >&9
"#
    )
}

/// What goes with the command that starts a shell: a greeting and scripts of ours, which are over before the shell
/// reads its input.
pub(super) fn prelude(greeting: &Marks, scripts: &[(&str, &Marks)]) -> String {
    let mut text = format!(
        "trap : HUP INT TERM; unset ENV HISTFILE MAIL; exec 8>&1 9>&2 2>/dev/null\n{}",
        self::greeting(greeting)
    );
    for (script, marks) in scripts {
        let program = program("", script, Input::Null, Form::Internal, marks);
        text.push_str(&String::from_utf8_lossy(&program));
    }
    text.push_str("exec 2>&9 8>&- 9>&-\n");
    text
}

/// Ends the shell, before anything that was sent behind it is read, if the groups that the databases give the
/// user are no longer those it was logged in with.
pub(super) fn membership(marks: &Marks) -> String {
    let Marks { start, end } = marks;
    format!(
        r#"echo "{start} $$"; echo {start} >&9
[ -O /proc ] || ( _n=$(id -G "${{LOGNAME:-$(id -un)}}") || exit 0
while read -r _k _v; do case $_k in Gid:) _h="$_h ${{_v%%[!0-9]*}}";; Groups:) _h="$_h $_v"; break;; esac; done </proc/self/status
for _g in $_n; do case " $_h " in *" $_g "*) ;; *) exit 1;; esac; done
for _g in $_h; do case " $_n " in *" $_g "*) ;; *) exit 1;; esac; done ) || exit 3
echo "{end} 0"; echo {end} >&9
"#
    )
}

/// A script as the shell is to read it, with its marks; `shell` runs the commands of users.
pub(super) fn program(shell: &str, script: &str, input: Input<'_>, form: Form, marks: &Marks) -> Vec<u8> {
    let Marks { start, end } = marks;
    let mut text = Vec::with_capacity(script.len() + 512);
    if matches!(input, Input::Channel) {
        // One compound command: the shell has read it to the end before it runs any of it.
        text.extend_from_slice(b"{ ");
    }
    if matches!(form, Form::Command) {
        // With a space, or a subshell in it would begin an arithmetic expression.
        text.extend_from_slice(b"_p=$( ");
    }
    if let Input::Inline(bytes) = input {
        text.extend_from_slice(b"printf ");
        quote_format(bytes, &mut text);
        text.extend_from_slice(b" | ");
    }
    match form {
        Form::Internal => internal(script, start, &mut text),
        Form::Command => command(&quote(shell), script, start, &mut text),
    }
    if matches!(input, Input::Null) {
        text.extend_from_slice(b" </dev/null");
    }
    if matches!(form, Form::Command) {
        text.extend_from_slice(b" 7>&1");
    }
    text.extend_from_slice(b" >/proc/self/fd/8 2>/proc/self/fd/9 8>&- 9>&-");
    let epilogue = match form {
        Form::Internal => format!("\necho \"{end} $?\"; echo {end} >&9\n"),
        Form::Command => format!(
            ")\n_r=$?; [ \"$_p\" ] && kill -0 \"-$_p\" && _left && _r=\"$_r left\"; echo \"{end} $_r\"; echo {end} >&9\n"
        ),
    };
    text.extend_from_slice(epilogue.as_bytes());
    if matches!(input, Input::Channel) {
        text.extend_from_slice(b"exit 0; }\n");
    }
    text
}

fn internal(script: &str, start: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(format!("( echo \"{start} $$\"; echo {start} >&2; eval ").as_bytes());
    text.extend_from_slice(single_quoted(script).as_bytes());
    text.extend_from_slice(b" )");
}

/// In a session of its own. It tells its process id twice: to us, so that it can be killed, and by descriptor 7
/// to the shell, so that it can look for what it leaves behind.
fn command(shell: &str, script: &str, start: &str, text: &mut Vec<u8>) {
    let announce = format!("echo \"{start} $$\"; echo {start} >&2; echo $$ >&7; exec 7>&-");
    let quoted = single_quoted(script);
    if quoted.len() <= LONGEST_ARGUMENT {
        text.extend_from_slice(
            format!("setsid {shell} -c '{announce}; eval \"set --\n$1\"' {shell} ").as_bytes(),
        );
        text.extend_from_slice(quoted.as_bytes());
        return;
    }
    text.extend_from_slice(b"( exec 3<&0; printf %s ");
    text.extend_from_slice(quoted.as_bytes());
    text.extend_from_slice(
        format!(
            " | setsid {shell} -c '{announce}; _s=$(cat; echo x); exec <&3 3<&-; eval \"unset _s\n${{_s%x}}\"' {shell} )"
        )
        .as_bytes(),
    );
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Any bytes as the format of the builtin `printf`: 2 % longer, and no program is needed to decode them.
fn quote_format(bytes: &[u8], text: &mut Vec<u8>) {
    text.push(b'\'');
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            0 => text.extend_from_slice(b"\\000"),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'%' => text.extend_from_slice(b"%%"),
            b'\'' => text.extend_from_slice(b"'\\''"),
            // It would be read as an option.
            b'-' if i == 0 => text.extend_from_slice(b"\\055"),
            other => text.push(*other),
        }
    }
    text.push(b'\'');
}

/// Starts `shell` so that its output can be opened anew through `/proc`; where it cannot (a socket, or another
/// user's pipe), behind two relays with pipes of its own.
pub(super) fn bootstrap(shell: &str, prelude: &str) -> String {
    let shell = quote(shell);
    format!(
        "_b() {{ {prelude}exec {shell}; }}; if true >/proc/self/fd/1 && true >/proc/self/fd/2; then _b; fi; \
         {{ {{ _b 2>&3 3>&- 4>&- | cat 3>&- 4>&-; }} 3>&1 1>&4 | cat 4>&- >&2; }} 4>&1"
    )
}

/// `script` run by `sh`, in words that every login shell reads alike, fish and csh among them.
pub(super) fn for_any_login_shell(script: &str) -> String {
    let troublesome = |c: char| matches!(c, '\'' | '\\' | '!') || c.is_control() || !c.is_ascii();
    if !script.contains(troublesome) {
        return format!("exec /bin/sh -c '{script}'");
    }
    let mut format = String::with_capacity(script.len() * 2);
    for byte in script.bytes() {
        match byte {
            b'%' => format.push_str("%%"),
            b'\'' | b'\\' | b'!' | b'"' | b'$' | b'`' | 0..=31 | 127.. => {
                let _ = write!(format, "\\{byte:03o}");
            }
            other => format.push(char::from(other)),
        }
    }
    format!("exec /bin/sh -c 'eval \"$(printf \"{format}\")\"'")
}

/// Ends a command's process group: politely, and after two seconds for good. The leader, a shell of ours, is given
/// another second to clean up.
pub(super) fn kill_group(leader: u32) -> String {
    format!(
        r#"kill -TERM -{leader}; {}
for f in /proc/[0-9]*/stat; do read -r s <"$f" || continue; p=${{s%% *}}; set -- ${{s##*) }}; [ "$3" = {leader} ] && [ "$p" != {leader} ] && kill -KILL "$p"; done
{}
kill -KILL -{leader}"#,
        wait_while(&format!("kill -0 -{leader}"), 20),
        wait_while(&format!("kill -0 {leader}"), 10),
    )
}

/// Ends what a shell is running, and not the shell: a script of ours has no process group of its own. Its subshell,
/// too, is given time to clean up.
pub(super) fn kill_below(shell: u32) -> String {
    format!(
        r#"below() {{ all=; for f in /proc/[0-9]*/stat; do read -r s <"$f" || continue; p=${{s%% *}}; s=${{s##*) }}; s=${{s#* }}; all="$all $p:${{s%% *}}"; done
found=" {shell} "; more=1; while [ "$more" ]; do more=; for e in $all; do case $found in *" ${{e%:*}} "*) ;; *) case $found in *" ${{e#*:}} "*) found="$found${{e%:*}} "; more=1;; esac;; esac; done; done; found=${{found# {shell} }}; }}
below; [ "$found" ] && kill -TERM $found; {}
for e in $all; do case " $found" in *" ${{e%:*}} "*) [ "${{e#*:}}" = {shell} ] || kill -KILL "${{e%:*}}";; esac; done
{}
[ "$found" ] && kill -KILL $found"#,
        wait_while(r#"below && [ "$found" ]"#, 20),
        wait_while(r#"below && [ "$found" ]"#, 10),
    )
}

/// Waits while something is so, as many tenths of a second at most.
fn wait_while(condition: &str, tenths: u32) -> String {
    format!("i=0; while {condition} && [ $i -lt {tenths} ]; do sleep 0.1; i=$((i+1)); done")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn tokens_differ() {
        assert_ne!(token(), token());
        assert_eq!(token().len(), 32);
    }

    #[test]
    fn any_bytes_pass_through_printf() {
        let bytes: Vec<u8> = b"-".iter().copied().chain(0..=255).chain(*b"%s\\n'\\0").collect();
        let mut text = b"printf ".to_vec();
        quote_format(&bytes, &mut text);
        let script = std::ffi::OsString::from_vec(text);
        let output = std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        assert_eq!(output.stdout, bytes);
    }

    #[test]
    fn any_script_passes_through_a_login_shell() {
        let script = "printf '%s|' \"it's\" 'a\\b' '!x' \"`echo $((1+1))`\"\necho 'end'";
        let command = for_any_login_shell(script);
        assert!(!command.contains('\n'));
        let output = std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's|a\\b|!x|2|end\n");
    }
}
