//! From parser events to a tree with places.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::scalar::resolve;
use super::{Kind, Node};
use crate::source::{Diagnostic, Source, Span};
use crate::vars::Value;

/// Deeper nesting than this is an attack, not a playbook.
const MAX_DEPTH: usize = 200;

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    /// `None`: the file holds nothing but comments.
    pub root: Option<Node>,
    /// Duplicate keys, with both places.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a file that holds one document at most.
pub fn parse(source: &Arc<Source>) -> Result<Document, Diagnostic> {
    let (mut roots, warnings) = parse_many(source)?;
    if roots.len() > 1 {
        return Err(
            Diagnostic::error("expected a single YAML document, found another one")
                .at(&roots.swap_remove(1).span)
                .help("put each document into a file of its own, or take the `---` out"),
        );
    }
    Ok(Document {
        root: roots.pop(),
        warnings,
    })
}

/// Reads all documents of a file.
pub fn parse_many(source: &Arc<Source>) -> Result<(Vec<Node>, Vec<Diagnostic>), Diagnostic> {
    let mut reader = Reader::new(source);
    let mut roots = Vec::new();
    while let Some((event, span)) = reader.next()? {
        if let Event::DocumentStart(..) = event {
            let (event, span) = reader.expect_next(&span)?;
            if !matches!(event, Event::DocumentEnd) {
                roots.push(reader.node(event, &span, 0)?);
            }
            reader.anchors.clear();
        }
    }
    // A file of comments, or an empty one, is one empty document to the parser.
    if roots.len() == 1 && roots[0].is_null() && roots[0].span.text().is_empty() {
        roots.clear();
    }
    Ok((roots, reader.warnings))
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    /// Bytes of a leading byte-order mark, which the parser does not see.
    skipped: usize,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Arc<Source>) -> Self {
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
        let options = granit_parser::options! {
            bom_inside_document_as_content: true,
            block_scalar_eof_without_line_feed: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
        };
        Self {
            source,
            skipped: source.text.len() - text.len(),
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Diagnostic> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let span = self.span(&span);
                Ok(Some((event, span)))
            }
            Some(Err(e)) => {
                let at = e.marker().byte_offset().unwrap_or(e.marker().index()) + self.skipped;
                Err(syntax_error(self.source, &e.info(), at))
            }
        }
    }

    fn expect_next(&mut self, after: &Span) -> Result<(Event<'a>, Span), Diagnostic> {
        self.next()?
            .ok_or_else(|| Diagnostic::error("the YAML text ends in the middle of a value").at(after))
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let byte = |m: &granit_parser::Marker| m.byte_offset().unwrap_or(m.index()) + self.skipped;
        Span::new(self.source, byte(&span.start), byte(&span.end))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::error(format!("nested more than {MAX_DEPTH} levels deep")).at(span));
        }
        let (node, anchor) = match event {
            Event::Alias(id) => {
                let known = self.anchors.get(&id).cloned();
                return known.ok_or_else(|| {
                    Diagnostic::error("an alias stands inside the value that it names").at(span)
                });
            }
            Event::UnresolvedAlias(name) => {
                return Err(
                    Diagnostic::error(format!("there is no anchor `&{name}` for this alias"))
                        .at(span)
                        .help("text that begins with `*` needs quotes"),
                );
            }
            Event::Scalar(text, style, anchor, tag) => {
                // The parser writes an empty node as `~` without a place.
                let text = if style == ScalarStyle::Plain && text == "~" && span.start == span.end {
                    ""
                } else {
                    &text
                };
                let kind = scalar(text, style, tag.as_deref(), span)?;
                (
                    Node {
                        kind,
                        span: trimmed(span),
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), "seq", span)?;
                (self.list(span, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), "map", span)?;
                (self.map(span, depth)?, anchor)
            }
            _ => return Err(Diagnostic::error("expected a value here").at(span)),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: &Span, depth: usize) -> Result<Node, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.expect_next(start)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node {
                    kind: Kind::List(Arc::new(items)),
                    span: self.collection(start, &span),
                });
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, start: &Span, depth: usize) -> Result<Node, Diagnostic> {
        let mut own: Vec<(Node, Node)> = Vec::new();
        let mut merged: Vec<(Node, Node)> = Vec::new();
        loop {
            let (event, span) = self.expect_next(start)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Node {
                    kind: Kind::Map(Arc::new(merge(merged, own))),
                    span: self.collection(start, &span),
                });
            }
            let merge_key = matches!(&event, Event::Scalar(t, ScalarStyle::Plain, _, None) if t == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.expect_next(&key.span)?;
            let value = self.node(event, &span, depth + 1)?;
            if merge_key {
                merged.extend(merge_sources(&value)?);
                continue;
            }
            self.insert(&mut own, key, value)?;
        }
    }

    fn insert(&mut self, own: &mut Vec<(Node, Node)>, key: Node, value: Node) -> Result<(), Diagnostic> {
        if key.text().is_none() {
            return Err(unhashable(&key));
        }
        let Some(first) = own.iter_mut().find(|(k, _)| k.key() == key.key()) else {
            own.push((key, value));
            return Ok(());
        };
        let name = key.text().unwrap_or_default();
        self.warnings.push(
            Diagnostic::warning(format!(
                "the key `{name}` stands twice in this mapping; the last one counts"
            ))
            .at(&key.span)
            .note_at("first here", &first.0.span),
        );
        *first = (key, value);
        Ok(())
    }

    fn collection(&self, start: &Span, end: &Span) -> Span {
        trimmed(&Span::new(self.source, start.start, end.end))
    }
}

/// Merged pairs first, later sources and own keys winning in place.
fn merge(merged: Vec<(Node, Node)>, own: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    if merged.is_empty() {
        return own;
    }
    let mut all: Vec<(Node, Node)> = Vec::with_capacity(merged.len() + own.len());
    for pair in merged {
        if !all.iter().any(|(k, _)| k.key() == pair.0.key()) {
            all.push(pair);
        }
    }
    for pair in own {
        match all.iter_mut().find(|(k, _)| k.key() == pair.0.key()) {
            Some(slot) => *slot = pair,
            None => all.push(pair),
        }
    }
    all
}

fn merge_sources(value: &Node) -> Result<Vec<(Node, Node)>, Diagnostic> {
    let wrong = |node: &Node| {
        Diagnostic::error(format!("`<<` merges mappings, but this is {}", node.what())).at(&node.span)
    };
    match &value.kind {
        Kind::Map(pairs) => Ok(pairs.to_vec()),
        Kind::List(items) => {
            let mut all = Vec::new();
            for item in items.iter() {
                all.extend_from_slice(item.as_map().ok_or_else(|| wrong(item))?);
            }
            Ok(all)
        }
        _ => Err(wrong(value)),
    }
}

/// A mapping as a key: nearly always a template that lost its quotes.
fn unhashable(key: &Node) -> Diagnostic {
    let error = Diagnostic::error(format!("{} cannot be a key", key.what())).at(&key.span);
    if key.span.text().starts_with('{') {
        return error.help("a value that begins with `{{` needs quotes: \"{{ … }}\"");
    }
    error
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Kind, Diagnostic> {
    let Some(tag) = tag else {
        if style != ScalarStyle::Plain {
            return Ok(Kind::String(text.into()));
        }
        return Ok(plain(text));
    };
    let (handle, suffix) = tag.parts();
    match (handle, suffix) {
        ("!", "unsafe") => Ok(Kind::Unsafe(text.into())),
        ("!", "") | ("tag:yaml.org,2002:", "str") => Ok(Kind::String(text.into())),
        ("tag:yaml.org,2002:", "int" | "float" | "bool" | "null") => Ok(plain(text)),
        ("!", "vault" | "vault-encrypted") => {
            Err(Diagnostic::error("vault-encrypted values cannot be read yet")
                .at(span)
                .help("decrypt it, or give the variable with `-e`"))
        }
        _ => Err(Diagnostic::error(format!("unknown YAML tag `{handle}{suffix}`"))
            .at(span)
            .help("known are !unsafe and YAML's own, such as !!str")),
    }
}

fn plain(text: &str) -> Kind {
    match resolve(text) {
        Value::String(text) => Kind::String(text),
        value => Kind::Plain {
            text: text.into(),
            value,
        },
    }
}

fn known_tag(tag: Option<&Tag>, own: &str, span: &Span) -> Result<(), Diagnostic> {
    let Some(tag) = tag else { return Ok(()) };
    let (handle, suffix) = tag.parts();
    if handle == "tag:yaml.org,2002:" && suffix == own {
        return Ok(());
    }
    Err(Diagnostic::error(format!("unknown YAML tag `{handle}{suffix}`")).at(span))
}

/// Without the white space that block values carry at their end.
fn trimmed(span: &Span) -> Span {
    let kept = span.text().trim_end().len();
    Span::new(&span.source, span.start, span.start + kept)
}

/// A parser's complaint, with what it nearly always means in a playbook.
fn syntax_error(source: &Arc<Source>, complaint: &str, at: usize) -> Diagnostic {
    let mut complaint = complaint.trim().trim_end_matches('.').to_string();
    if let Some(first) = complaint.get_mut(0..1) {
        first.make_ascii_lowercase();
    }
    let span = Span::new(source, at, at + 1);
    let (number, _) = source.line_column(at);
    let error = Diagnostic::error(format!("not valid YAML: {complaint}")).at(&span);
    match cause(source, number).or_else(|| meaning(&complaint)) {
        Some(help) => error.help(help),
        None => error,
    }
}

/// What a complaint asks for, where the line itself tells nothing.
fn meaning(complaint: &str) -> Option<&'static str> {
    let hints = [
        (
            "did not find expected key",
            "this line is indented like none above it",
        ),
        (
            "mapping values are not allowed",
            "is this line indented too far, or the value above not ended?",
        ),
        ("trailing content", "the quotes must enclose the whole value"),
        (
            "unexpected character",
            "a value that begins with this character needs quotes",
        ),
        ("illegal placement of ':'", "is a `[` or `{` above not closed?"),
        ("unclosed quote", "the text that begins here has no end"),
    ];
    hints
        .into_iter()
        .find(|(said, _)| complaint.contains(said))
        .map(|(_, help)| help)
}

fn cause(source: &Source, number: usize) -> Option<&'static str> {
    let near = || {
        [number, number.saturating_sub(1)]
            .into_iter()
            .map(|n| source.line(n))
    };
    if near().any(|l| l.starts_with('\t') || l.trim_start_matches(' ').starts_with('\t')) {
        return Some("YAML is indented with spaces, this line has a tab");
    }
    if near().any(|l| l.contains(": {{") || l.contains("- {{")) {
        return Some("a value that begins with `{{` needs quotes: \"{{ … }}\"");
    }
    let colons = |l: &str| !l.trim_start().starts_with('#') && l.matches(": ").count() > 1;
    if near().any(colons) {
        return Some("a value with `: ` in it needs quotes");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document, Diagnostic> {
        parse(&Source::new("t.yml", text))
    }

    fn value(text: &str) -> Value {
        read(text).unwrap().root.unwrap().value()
    }

    fn json(text: &str) -> String {
        serde_json::to_string(&value(text)).unwrap()
    }

    #[test]
    fn reads_yaml_1_1() {
        assert_eq!(
            json("a: yes\nb: 0644\nc: 12:30\nd: 1_000\ne: '0644'\nf: ~\ng:\nh: 1.5\ni: 1e3\n"),
            r#"{"a":true,"b":420,"c":750,"d":1000,"e":"0644","f":null,"g":null,"h":1.5,"i":"1e3"}"#
        );
    }

    #[test]
    fn merges_and_lets_own_keys_win() {
        assert_eq!(
            json("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n"),
            r#"{"x":{"a":1,"b":2},"y":{"a":1,"b":3}}"#
        );
    }

    #[test]
    fn accepts_a_byte_order_mark_crlf_and_nothing_at_all() {
        assert_eq!(json("\u{feff}a: 1\r\nb: 2\r\n"), r#"{"a":1,"b":2}"#);
        assert!(read("# only this\n").unwrap().root.is_none());
        assert!(read("").unwrap().root.is_none());
        assert!(read("---\n").unwrap().root.is_none());
    }

    #[test]
    fn refuses_two_documents() {
        let error = read("a: 1\n---\nb: 2\n").unwrap_err();
        assert_eq!(error.span.unwrap().to_string(), "t.yml:3:1");
    }

    #[test]
    fn warns_of_a_duplicate_key_with_both_places() {
        let document = read("a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!(document.root.unwrap().get("a").unwrap().text(), Some("3"));
        let warning = &document.warnings[0];
        assert_eq!(warning.span.as_ref().unwrap().to_string(), "t.yml:3:1");
        assert_eq!(warning.notes[0].1.as_ref().unwrap().to_string(), "t.yml:1:1");
    }

    #[test]
    fn a_template_without_quotes_is_told_to_have_them() {
        let error = read("a: {{ x }}\n").unwrap_err();
        assert!(error.help.unwrap().contains("needs quotes"), "{}", error.message);
    }

    #[test]
    fn unsafe_text_is_no_template() {
        assert_eq!(
            value("a: !unsafe '{{ x }}'").get("a"),
            Some(&Value::from("{{ x }}"))
        );
        assert!(matches!(value("a: '{{ x }}'").get("a"), Some(Value::Template(_))));
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = read("a:\n  - b: ü x\n").unwrap().root.unwrap();
        let b = root.get("a").unwrap().as_list().unwrap()[0].get("b").unwrap();
        assert_eq!(b.span.text(), "ü x");
        assert_eq!(b.span.to_string(), "t.yml:2:8");
    }
}
