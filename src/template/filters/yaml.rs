//! Writes YAML exactly as Ansible's does (`PyYAML` over libyaml): indentation, quoting, folding of long lines.
//!
//! Files on hosts were written by Ansible before; one byte of difference would be a change.

use std::sync::LazyLock;

use fancy_regex::Regex;
use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use crate::source::Source;
use crate::template::call::{complaint, defined, items, pairs};
use crate::template::python;
use crate::yaml;

/// Which collections stand on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Never,
    Always,
    /// Those that hold scalars only.
    Leaves,
}

#[derive(Debug, Clone)]
pub struct Style {
    pub indent: usize,
    pub width: usize,
    pub sorted: bool,
    pub explicit_start: bool,
    pub unicode: bool,
    pub flow: Flow,
}

/// A value with all decisions made but the layout.
enum Node {
    /// Text that is not quoted: numbers, booleans, null.
    Word(String),
    Text(String),
    List(Vec<Node>, bool),
    Map(Vec<(Node, Node)>, bool),
}

pub fn dump(value: &Jinja, style: &Style) -> Result<String, Error> {
    let node = node(value, style)?;
    let indent = if (2..10).contains(&style.indent) {
        style.indent
    } else {
        2
    };
    let width = if style.width > indent * 2 { style.width } else { 80 };
    let mut out = Emitter {
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        best_indent: indent,
        width,
        unicode: style.unicode,
        flow: 0,
    };
    if style.explicit_start {
        out.indicator("---", true);
    }
    out.node(&node, None, Context::Root);
    out.line_break();
    Ok(out.out)
}

fn node(value: &Jinja, style: &Style) -> Result<Node, Error> {
    Ok(match defined(value)?.kind() {
        ValueKind::None => Node::Word("null".into()),
        ValueKind::Bool => Node::Word(if value.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number if value.is_integer() => Node::Word(value.to_string()),
        ValueKind::Number => Node::Word(float(f64::try_from(value.clone())?)),
        ValueKind::String => Node::Text(value.as_str().unwrap_or_default().to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            let members: Result<Vec<Node>, Error> = items(value)?.iter().map(|v| node(v, style)).collect();
            let members = members?;
            let flow = flows(style, members.iter());
            Node::List(members, flow)
        }
        ValueKind::Map => {
            let mut members = pairs(value)?;
            let alike = members.windows(2).all(|w| w[0].0.kind() == w[1].0.kind());
            if style.sorted && alike {
                members.sort_by(|a, b| a.0.cmp(&b.0));
            }
            let members: Result<Vec<(Node, Node)>, Error> = members
                .iter()
                .map(|(k, v)| Ok((node(k, style)?, node(v, style)?)))
                .collect();
            let members = members?;
            let flow = flows(style, members.iter().flat_map(|(k, v)| [k, v]));
            Node::Map(members, flow)
        }
        _ => return Err(complaint("a function cannot be written as YAML")),
    })
}

fn flows<'n>(style: &Style, mut members: impl Iterator<Item = &'n Node>) -> bool {
    match style.flow {
        Flow::Never => false,
        Flow::Always => true,
        Flow::Leaves => members.all(|m| matches!(m, Node::Word(_) | Node::Text(_))),
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return ".nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let text = python::float(value);
    if text.contains('.') {
        text
    } else {
        text.replacen('e', ".0e", 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    Value,
    /// A key that stands before its colon on one line.
    Key,
}

/// What may be done with a text.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent findings about one text"
)]
struct Analysis {
    multiline: bool,
    flow_plain: bool,
    block_plain: bool,
    single: bool,
}

const BLANKS: [char; 5] = [' ', '\t', '\r', '\n', '\u{85}'];

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: Option<&char>) -> bool {
    c.is_none_or(|c| BLANKS.contains(c) || is_break(*c) || *c == '\0')
}

/// Signs that would mean something, in flow and in block context.
fn indicators(chars: &[char]) -> (bool, bool) {
    let start: String = chars.iter().take(3).collect();
    let marker = start == "---" || start == "...";
    let (mut flow, mut block) = (marker, marker);
    for (i, c) in chars.iter().enumerate() {
        let followed = is_blank(chars.get(i + 1));
        let preceded = i == 0 || is_blank(chars.get(i - 1));
        match c {
            _ if i == 0 && "#,[]{}&*!|>'\"%@`".contains(*c) => (flow, block) = (true, true),
            '?' | ':' if i == 0 => {
                flow = true;
                block |= followed;
            }
            '-' if i == 0 && followed => (flow, block) = (true, true),
            ',' | '?' | '[' | ']' | '{' | '}' if i > 0 => flow = true,
            ':' => {
                flow = true;
                block |= followed;
            }
            '#' if preceded => (flow, block) = (true, true),
            _ => {}
        }
    }
    (flow, block)
}

fn special(c: char, unicode: bool) -> bool {
    if c == '\n' || ('\x20'..='\x7e').contains(&c) {
        return false;
    }
    let printable = ('\u{a0}'..='\u{fffd}').contains(&c) && c != '\u{feff}';
    !(printable && unicode)
}

fn analyse(text: &str, unicode: bool) -> Analysis {
    let chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        return Analysis {
            multiline: false,
            flow_plain: false,
            block_plain: true,
            single: true,
        };
    }
    let (flow, block) = indicators(&chars);
    let breaks = chars.iter().any(|c| is_break(*c));
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let edges = edge(chars.first()) || edge(chars.last());
    let break_space = chars.windows(2).any(|w| is_break(w[0]) && w[1] == ' ');
    let space_break = chars.windows(2).any(|w| w[0] == ' ' && is_break(w[1]));
    let odd = space_break || chars.iter().any(|c| special(*c, unicode));
    let plain = !edges && !break_space && !odd && !breaks;
    Analysis {
        multiline: breaks,
        flow_plain: plain && !flow,
        block_plain: plain && !block,
        single: !break_space && !odd,
    }
}

/// Whether the text without quotes would be read as something else than text.
fn resolves(text: &str) -> bool {
    static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?x)^(?:\d{4}-\d\d-\d\d
            |\d{4}-\d\d?-\d\d?(?:[Tt]|[\ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[\ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)$",
        )
        .ok()
    });
    match text {
        "" | "~" | "null" | "Null" | "NULL" | "=" | "<<" => return true,
        _ => {}
    }
    if yaml::boolean(text).is_some() {
        return true;
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return false;
    }
    let date = DATE.as_ref().is_some_and(|d| d.is_match(text).unwrap_or(false));
    date || reads_as_number(text)
}

fn reads_as_number(text: &str) -> bool {
    let wordy = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | ':');
    if !text.chars().all(wordy) {
        return false;
    }
    let source = Source::new("scalar", text);
    let root = yaml::parse(&source).ok().and_then(|d| d.root);
    root.is_some_and(|node| matches!(node.kind, yaml::Kind::Plain { .. }))
}

struct Emitter {
    out: String,
    column: usize,
    whitespace: bool,
    indention: bool,
    best_indent: usize,
    width: usize,
    unicode: bool,
    flow: usize,
}

impl Emitter {
    fn write(&mut self, text: &str) {
        self.column += text.chars().count();
        self.out.push_str(text);
    }

    fn indicator(&mut self, sign: &str, need_whitespace: bool) {
        if need_whitespace && !self.whitespace {
            self.write(" ");
        }
        self.write(sign);
        self.whitespace = false;
        self.indention = false;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.whitespace = true;
        self.indention = true;
    }

    fn indent(&mut self, indent: usize) {
        let full = self.column == indent && !self.whitespace;
        if !self.indention || self.column > indent || full {
            self.line_break();
        }
        if self.column < indent {
            let pad = " ".repeat(indent - self.column);
            self.write(&pad);
            self.whitespace = true;
        }
    }

    fn deeper(&self, indent: Option<usize>) -> usize {
        indent.map_or(self.best_indent, |i| i + self.best_indent)
    }

    fn node(&mut self, node: &Node, indent: Option<usize>, context: Context) {
        match node {
            Node::Word(word) => self.plain(word, self.deeper(indent), context != Context::Key),
            Node::Text(text) => self.text(text, indent, context),
            Node::List(members, flow) if *flow || self.flow > 0 || members.is_empty() => {
                self.flow_list(members, indent);
            }
            Node::Map(members, flow) if *flow || self.flow > 0 || members.is_empty() => {
                self.flow_map(members, indent);
            }
            Node::List(members, _) => self.block_list(members, indent, context),
            Node::Map(members, _) => self.block_map(members, indent),
        }
    }

    fn block_list(&mut self, members: &[Node], indent: Option<usize>, context: Context) {
        let indentless = context == Context::Value && !self.indention;
        let here = match indent {
            None => 0,
            Some(i) if indentless => i,
            Some(i) => i + self.best_indent,
        };
        for member in members {
            self.indent(here);
            self.write("-");
            self.whitespace = false;
            // What follows may begin on this line.
            self.indention = true;
            self.node(member, Some(here), Context::Item);
        }
    }

    fn block_map(&mut self, members: &[(Node, Node)], indent: Option<usize>) {
        let here = indent.map_or(0, |i| i + self.best_indent);
        for (key, value) in members {
            self.indent(here);
            if self.is_simple_key(key) {
                self.node(key, Some(here), Context::Key);
                self.indicator(":", false);
                self.node(value, Some(here), Context::Value);
            } else {
                self.indicator("?", true);
                self.indention = true;
                self.node(key, Some(here), Context::Value);
                self.indent(here);
                self.write(":");
                self.whitespace = false;
                self.indention = true;
                self.node(value, Some(here), Context::Value);
            }
        }
    }

    fn is_simple_key(&self, key: &Node) -> bool {
        match key {
            Node::Word(_) => true,
            Node::Text(text) => {
                text.len() <= 128 && !analyse(text, self.unicode).multiline && !text.is_empty()
                    || text.is_empty()
            }
            Node::List(members, _) => members.is_empty(),
            Node::Map(members, _) => members.is_empty(),
        }
    }

    fn flow_list(&mut self, members: &[Node], indent: Option<usize>) {
        let inside = self.deeper(indent);
        self.indicator("[", true);
        self.whitespace = true;
        self.flow += 1;
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                self.indicator(",", false);
            }
            if self.column > self.width {
                self.indent(inside);
            }
            self.node(member, Some(inside), Context::Item);
        }
        self.flow -= 1;
        self.indicator("]", false);
    }

    fn flow_map(&mut self, members: &[(Node, Node)], indent: Option<usize>) {
        let inside = self.deeper(indent);
        self.indicator("{", true);
        self.whitespace = true;
        self.flow += 1;
        for (i, (key, value)) in members.iter().enumerate() {
            if i > 0 {
                self.indicator(",", false);
            }
            if self.column > self.width {
                self.indent(inside);
            }
            if self.is_simple_key(key) {
                self.node(key, Some(inside), Context::Key);
                self.indicator(":", false);
            } else {
                self.indicator("?", true);
                self.node(key, Some(inside), Context::Value);
                self.indicator(":", true);
            }
            self.node(value, Some(inside), Context::Value);
        }
        self.flow -= 1;
        self.indicator("}", false);
    }

    fn plain_text(&self, text: &str, analysis: &Analysis, context: Context) -> bool {
        let key = context == Context::Key && (text.is_empty() || analysis.multiline);
        let allowed = if self.flow > 0 {
            analysis.flow_plain
        } else {
            analysis.block_plain
        };
        !key && allowed && !resolves(text)
    }

    fn text(&mut self, text: &str, indent: Option<usize>, context: Context) {
        let analysis = analyse(text, self.unicode);
        let split = context != Context::Key;
        let indent = self.deeper(indent);
        if self.plain_text(text, &analysis, context) {
            self.plain(text, indent, split);
        } else if analysis.single && !(context == Context::Key && analysis.multiline) {
            self.single_quoted(text, indent, split);
        } else {
            self.double_quoted(text, indent, split);
        }
    }

    fn plain(&mut self, text: &str, indent: usize, split: bool) {
        if text.is_empty() {
            return;
        }
        if !self.whitespace {
            self.write(" ");
        }
        self.whitespace = false;
        self.indention = false;
        self.words(text, indent, split, false);
    }

    /// Words, folded at a single blank once the line is longer than the width.
    fn words(&mut self, text: &str, indent: usize, split: bool, quoted: bool) {
        let mut rest = text;
        while !rest.is_empty() {
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            if blanks > 0 {
                let inside = !quoted || (rest.len() < text.len() && blanks < rest.len());
                if blanks == 1 && self.column > self.width && split && inside {
                    self.indent(indent);
                    self.whitespace = false;
                    self.indention = false;
                } else {
                    self.write(&rest[..blanks]);
                }
                rest = &rest[blanks..];
                continue;
            }
            let breaks = rest.len() - rest.trim_start_matches(is_break).len();
            if breaks > 0 {
                self.breaks(&rest[..breaks], indent);
                rest = &rest[breaks..];
                continue;
            }
            let end = rest.find(|c| c == ' ' || is_break(c)).unwrap_or(rest.len());
            let word = if quoted {
                rest[..end].replace('\'', "''")
            } else {
                rest[..end].to_string()
            };
            self.write(&word);
            self.whitespace = false;
            self.indention = false;
            rest = &rest[end..];
        }
    }

    fn breaks(&mut self, breaks: &str, indent: usize) {
        if breaks.starts_with('\n') {
            self.line_break();
        }
        for c in breaks.chars() {
            if c == '\n' {
                self.line_break();
            } else {
                self.out.push(c);
                self.column = 0;
                self.whitespace = true;
                self.indention = true;
            }
        }
        self.indent(indent);
    }

    fn single_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.indicator("'", true);
        self.words(text, indent, split, true);
        self.indicator("'", false);
    }

    fn double_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.indicator("\"", true);
        let chars: Vec<char> = text.chars().collect();
        let mut blank_before = false;
        for (i, c) in chars.iter().enumerate() {
            if let Some(escape) = escape(*c, self.unicode) {
                self.write(&escape);
                blank_before = false;
                continue;
            }
            if *c != ' ' {
                self.write(c.encode_utf8(&mut [0; 4]));
                blank_before = false;
                continue;
            }
            let inside = i > 0 && i + 1 < chars.len();
            if split && !blank_before && self.column > self.width && inside {
                self.indent(indent);
                if chars.get(i + 1) == Some(&' ') {
                    self.write("\\");
                }
            } else {
                self.write(" ");
            }
            blank_before = true;
        }
        self.indicator("\"", false);
    }
}

fn escape(c: char, unicode: bool) -> Option<String> {
    let simple = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => '\u{1}',
    };
    if simple != '\u{1}' {
        return Some(format!("\\{simple}"));
    }
    let code = u32::from(c);
    let fine =
        ('\x20'..='\x7e').contains(&c) || (unicode && (0xa0..=0xfffd).contains(&code) && c != '\u{feff}');
    match code {
        _ if fine => None,
        0xa0 => Some("\\_".into()),
        0..=0xff => Some(format!("\\x{code:02X}")),
        0x100..=0xffff => Some(format!("\\u{code:04X}")),
        _ => Some(format!("\\U{code:08X}")),
    }
}
