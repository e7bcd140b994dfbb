//! What the asking user may do with paths, by the shell's own means: no process, but one for each link.

use bytes::Bytes;

use super::{Answered, Batch, Section, operands, split_at_lines};
use crate::host::question::{Answer, Permitted};

pub(super) struct Accesses {
    pub paths: Vec<String>,
}

impl Batch for Accesses {
    fn script(&self, mark: &str) -> String {
        format!(
            "for _f in {}; do [ -r \"$_f\" ] && echo r; [ -w \"$_f\" ] && echo w; [ -x \"$_f\" ] && echo x; \
             [ -L \"$_f\" ] && echo l && readlink -f -- \"$_f\"; echo {mark}; done",
            operands(&self.paths)
        )
    }

    fn answers(&self, section: &Section, mark: &str) -> Vec<Answered> {
        let said = split_at_lines(&section.stdout, mark);
        said.iter().map(|(said, _)| Ok(answer(said))).collect()
    }
}

fn answer(said: &Bytes) -> Answer {
    let text = String::from_utf8_lossy(said);
    // Behind `l` is a path, whatever it holds.
    let (letters, real) = match text.split_once("l\n") {
        Some((letters, real)) => (letters, Some(real.trim_end_matches('\n').to_owned())),
        None => (&*text, None),
    };
    Answer::Access(Permitted {
        read: letters.contains('r'),
        write: letters.contains('w'),
        execute: letters.contains('x'),
        real,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_anywhere() {
        let section = Section {
            stdout: "r\nx\n@m\n@m\nr\nw\nl\n/a l\nb\n@m\nl\n@m\n".into(),
            ..Section::default()
        };
        let accesses = Accesses { paths: Vec::new() };
        let permitted = |letters: &str, real: Option<&str>| {
            Ok(Answer::Access(Permitted {
                read: letters.contains('r'),
                write: letters.contains('w'),
                execute: letters.contains('x'),
                real: real.map(str::to_owned),
            }))
        };
        let expected = vec![
            permitted("rx", None),
            permitted("", None),
            permitted("rw", Some("/a l\nb")),
            permitted("", Some("")),
        ];
        assert_eq!(accesses.answers(&section, "@m"), expected);
    }
}
