//! The text of a `JUnit` file: suites of cases, as servers that build and test read it.

use std::fmt::Write as _;

/// Cases that belong together.
#[derive(Debug, Default)]
pub struct Suite {
    pub name: String,
    pub host: Option<String>,
    /// In UTC, without saying so.
    pub started: Option<String>,
    pub cases: Vec<Case>,
    /// What there is to say of all of them.
    pub noted: Option<String>,
}

/// One thing that went well, or did not.
#[derive(Debug, Default)]
pub struct Case {
    pub name: String,
    pub class: String,
    pub place: Option<(String, u32)>,
    pub milliseconds: u64,
    pub verdict: Verdict,
    /// Its output; nothing if empty.
    pub said: String,
}

/// How a case ended, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Passed,
    Skipped(String),
    Failed(String),
    /// Not its own fault, which is said in a word.
    Broken(&'static str, String),
}

/// The whole file. `milliseconds` is what all of it took.
pub fn text(name: &str, milliseconds: u64, suites: &[Suite]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"{}\" {} time=\"{}\">",
        attribute(name),
        counts(suites.iter().flat_map(|suite| &suite.cases)),
        seconds(milliseconds)
    );
    for suite in suites {
        suite.write(&mut text);
    }
    text.push_str("</testsuites>\n");
    text
}

impl Suite {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "  <testsuite name=\"{}\"", attribute(&self.name));
        if let Some(host) = &self.host {
            let _ = write!(text, " hostname=\"{}\"", attribute(host));
        }
        if let Some(started) = &self.started {
            let _ = write!(text, " timestamp=\"{}\"", attribute(started));
        }
        let took = self.cases.iter().map(|case| case.milliseconds).sum();
        let _ = writeln!(text, " {} time=\"{}\">", counts(self.cases.iter()), seconds(took));
        for case in &self.cases {
            case.write(text);
        }
        if let Some(noted) = &self.noted {
            let _ = writeln!(text, "    <system-err>{}</system-err>", content(noted));
        }
        text.push_str("  </testsuite>\n");
    }
}

impl Case {
    fn write(&self, text: &mut String) {
        let _ = write!(
            text,
            "    <testcase name=\"{}\" classname=\"{}\"",
            attribute(&self.name),
            attribute(&self.class)
        );
        if let Some((file, line)) = &self.place {
            let _ = write!(text, " file=\"{}\" line=\"{line}\"", attribute(file));
        }
        let _ = write!(text, " time=\"{}\"", seconds(self.milliseconds));
        let inner = self.inner();
        if inner.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = writeln!(text, ">\n{inner}    </testcase>");
        }
    }

    fn inner(&self) -> String {
        let first = |said: &str| attribute(said.lines().next().unwrap_or_default());
        let element = |tag: &str, kind: &str, said: &str| {
            format!(
                "      <{tag} message=\"{}\" type=\"{kind}\">{}</{tag}>\n",
                first(said),
                content(said)
            )
        };
        let mut text = match &self.verdict {
            Verdict::Passed => String::new(),
            Verdict::Skipped(why) => format!("      <skipped message=\"{}\"/>\n", first(why)),
            Verdict::Failed(said) => element("failure", "failed", said),
            Verdict::Broken(kind, said) => element("error", kind, said),
        };
        if !self.said.is_empty() {
            let _ = writeln!(text, "      <system-out>{}</system-out>", content(&self.said));
        }
        text
    }
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in cases {
        tests += 1;
        match case.verdict {
            Verdict::Passed => {}
            Verdict::Skipped(_) => skipped += 1,
            Verdict::Failed(_) => failures += 1,
            Verdict::Broken(..) => errors += 1,
        }
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// What is inside of an element. What XML has no way to write is left out.
fn content(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The same inside of quotes, where the ends of lines would be read as blanks.
fn attribute(text: &str) -> String {
    content(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "a<\"b\"&'c'\u{1b}[1m>\u{fffe}\u{ffff}\0\u{7f}\u{85}]]>\tä\u{1f600}\nnext";
    const LEFT: &str = "a<\"b\"&'c'[1m>]]>\tä\u{1f600}\nnext";

    fn case(verdict: Verdict) -> Case {
        Case {
            name: ODD.to_string(),
            class: ODD.to_string(),
            place: Some((ODD.to_string(), 7)),
            milliseconds: 1005,
            verdict,
            said: ODD.to_string(),
        }
    }

    /// A reader of XML takes it, and reads what was written.
    #[test]
    fn whatever_is_said_can_be_read() {
        let suite = Suite {
            name: ODD.to_string(),
            host: Some(ODD.to_string()),
            started: Some(ODD.to_string()),
            cases: vec![
                case(Verdict::Passed),
                case(Verdict::Skipped(ODD.to_string())),
                case(Verdict::Failed(ODD.to_string())),
                case(Verdict::Broken("unreachable", ODD.to_string())),
            ],
            noted: Some(ODD.to_string()),
        };
        let text = text(ODD, 61_007, &[suite]);
        let read = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let all = read.root_element();
        assert_eq!(all.attribute("name"), Some(LEFT));
        assert_eq!(all.attribute("time"), Some("61.007"));
        for node in [all, all.first_element_child().unwrap()] {
            let counts = ["tests", "failures", "errors", "skipped"].map(|name| node.attribute(name).unwrap());
            assert_eq!(counts, ["4", "1", "1", "1"]);
        }
        let first = LEFT.lines().next();
        let named = |tag: &str| {
            let tag = tag.to_string();
            read.descendants()
                .filter(move |node| node.has_tag_name(tag.as_str()))
        };
        assert_eq!(named("testcase").count(), 4);
        for case in named("testcase") {
            assert_eq!(case.attribute("name"), Some(LEFT));
            assert_eq!(case.attribute("file"), Some(LEFT));
            assert_eq!(case.attribute("line"), Some("7"));
        }
        for tag in ["skipped", "failure", "error"] {
            let node = named(tag).next().unwrap();
            assert_eq!(node.attribute("message"), first, "{tag}");
            if tag != "skipped" {
                assert_eq!(node.text(), Some(LEFT), "{tag}");
            }
        }
        for tag in ["system-out", "system-err"] {
            assert!(named(tag).all(|node| node.text() == Some(LEFT)), "{tag}");
        }
    }

    #[test]
    fn nothing_said_is_nothing_written() {
        let suite = Suite {
            name: "smoke".to_string(),
            cases: vec![Case::default()],
            ..Suite::default()
        };
        assert_eq!(
            text("smoke", 0, &[suite]),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"smoke\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\" time=\"0.000\">\n  \
             <testsuite name=\"smoke\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\" time=\"0.000\">\n    \
             <testcase name=\"\" classname=\"\" time=\"0.000\"/>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
