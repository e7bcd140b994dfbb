//! Scripts that read what they are asked about, so that one call answers many.

use bytes::Bytes;

use super::{Answered, Batch, Section, split_at_lines};
use crate::host::machine::{Output, Unanswered, quote};
use crate::host::question::Answer;

pub(super) struct Feeds {
    /// The same for all.
    pub script: String,
    pub inputs: Vec<String>,
}

impl Batch for Feeds {
    /// All together first; if that fails, because of one of them perhaps, each alone.
    fn script(&self, mark: &str) -> String {
        let call = |input: &str| {
            format!(
                "printf '%s\\n' {} | vmstation_f; vmstation_s=$?\n\
                 echo \"{mark} $vmstation_s\"; echo {mark} >&2",
                quote(input)
            )
        };
        let mut script = format!(
            "vmstation_f() {{ ( eval {} ); }}\n{}",
            quote(&self.script),
            call(&self.inputs.join("\n"))
        );
        if self.inputs.len() > 1 {
            let each: Vec<String> = self.inputs.iter().map(|input| call(input)).collect();
            script.push_str("\nif [ $vmstation_s != 0 ]; then\n");
            script.push_str(&each.join("\n"));
            script.push_str("\nfi");
        }
        script
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        let stdout = split_at_lines(&section.stdout, mark);
        let stderr = split_at_lines(&section.stderr, mark);
        let mut outputs = stdout
            .into_iter()
            .zip(stderr)
            .map(|((stdout, line), (stderr, _))| output(stdout, stderr, &line));
        let Some(all) = outputs.next() else {
            return vec![Err(Unanswered::TooSlow); self.inputs.len()];
        };
        let alone: Vec<Output> = outputs.collect();
        let answer = |i: usize| Ok(Answer::Feed(alone.get(i).unwrap_or(&all).clone()));
        (0..self.inputs.len()).map(answer).collect()
    }
}

fn output(stdout: Bytes, stderr: Bytes, line: &Bytes) -> Output {
    Output {
        stdout,
        stderr,
        status: String::from_utf8_lossy(line).trim().parse().unwrap_or(-1),
        left_behind: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(script: &str, inputs: &[&str]) -> Vec<(String, i32)> {
        let feeds = Feeds {
            script: script.to_string(),
            inputs: inputs.iter().map(ToString::to_string).collect(),
        };
        let output = std::process::Command::new("sh")
            .args(["-c", &feeds.script("@mark")])
            .output()
            .unwrap();
        let section = Section {
            stdout: output.stdout.into(),
            stderr: output.stderr.into(),
            status: 0,
        };
        let answers = feeds.answers(&section, "@mark");
        let text = |answer: Answered| match answer {
            Ok(Answer::Feed(output)) => (output.stdout_text(), output.status),
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(text).collect()
    }

    #[test]
    fn one_call_answers_all() {
        let all = ("a\nb's\n".to_string(), 0);
        assert_eq!(asked("cat", &["a", "b's"]), [all.clone(), all]);
    }

    #[test]
    fn of_those_that_fail_together_each_is_asked_alone() {
        let script = "t=$(cat); echo \"$t\"; case $t in *b*) exit 3;; esac";
        assert_eq!(
            asked(script, &["a", "b"]),
            [("a\n".to_string(), 0), ("b\n".to_string(), 3)]
        );
        assert_eq!(asked(script, &["b"]), [("b\n".to_string(), 3)]);
    }
}
