//! Translates Ansible's Jinja into the engine's.
//!
//! The engine reads almost the same language. What differs is changed here, token by token, with a map back
//! to the written text:
//!
//! - a step into a member (`a.b`, `a['b']`, `a.b()`) becomes a filter of ours, because in Ansible a step
//!   into something undefined is undefined again, and an error only when it is used;
//! - backslashes in strings: literal in `{{ }}` of a playbook, Python's escapes elsewhere;
//! - a difference in brackets where there are dates becomes a filter;
//! - in a template that changes a list or mapping (`l.append(x)`), those that it writes or sets become its own;
//! - `ansible.builtin.` before a filter or test is dropped.

use std::ops::Range;

use super::escapes::{quoted, unescape};
use super::lexer::{self, Delimiters, Kind, Token};
use super::owned::MUTATING;

/// The filter that steps into a member: `a|(step)('b', chain start, member start, member end)`.
pub(super) const STEP: &str = "__step";
/// The filter that takes a slice.
pub(super) const SLICE: &str = "__slice";
/// The filter that stands for Python's `%` on text.
pub(super) const PERCENT: &str = "__percent";
/// The filter that takes one date from another.
pub(super) const MINUS: &str = "__minus";
/// The filter that makes a list or mapping the template's own, so that methods may change it.
pub(super) const OWN: &str = "__own";
/// The filter that calls a method.
pub(super) const CALL: &str = "__call";

/// How backslashes in string literals are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Backslashes {
    /// As they stand, inside `{{ }}`; escapes inside `{% %}`.
    Literal,
    /// As Python reads them.
    Escapes,
}

#[derive(Debug, Clone)]
pub(super) struct Rewritten {
    pub text: String,
    /// Places where the texts part: (offset in the new text, offset in the old one), ascending.
    map: Vec<(usize, usize)>,
    /// If the whole template is one `{{ }}`: the expression inside, in the new text.
    pub single: Option<Range<usize>>,
    pub filters: Vec<Token>,
    pub tests: Vec<Token>,
    /// String literals that name a filter or a test, as in `map('upper')`.
    pub named_filters: Vec<Token>,
    pub named_tests: Vec<Token>,
    /// String literals that name a lookup: `lookup('file', …)`.
    pub lookups: Vec<Token>,
    /// Whether a part of it may never be evaluated.
    pub branches: bool,
}

impl Rewritten {
    /// The offset in the text as it was written.
    pub fn written(&self, new: usize) -> usize {
        let i = self.map.partition_point(|m| m.0 <= new);
        let Some(&(start, old)) = i.checked_sub(1).and_then(|i| self.map.get(i)) else {
            return new;
        };
        let limit = self.map.get(i).map_or(usize::MAX, |next| next.1);
        (old + (new - start)).min(limit)
    }

    pub fn written_range(&self, new: Range<usize>) -> Range<usize> {
        let start = self.written(new.start);
        start..self.written(new.end).max(start)
    }
}

/// Translates a template. `members: false` leaves `a.b` alone (for listing names).
pub(super) fn template(
    text: &str,
    delimiters: &Delimiters,
    backslashes: Backslashes,
    members: bool,
) -> Rewritten {
    let tokens = lexer::template(text, delimiters);
    let single = single_expression(text, &tokens);
    run(text, &tokens, backslashes, members, single)
}

/// Translates a bare expression.
pub(super) fn expression(text: &str, backslashes: Backslashes, members: bool) -> Rewritten {
    let tokens = lexer::expression(text);
    run(text, &tokens, backslashes, members, Some(0..text.len()))
}

/// The inside of the only `{{ }}` of a text that has nothing beside it.
fn single_expression(text: &str, tokens: &[Token]) -> Option<Range<usize>> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let closed = first.kind == Kind::VariableStart && last.kind == Kind::VariableEnd;
    let others = [Kind::Data, Kind::BlockStart, Kind::VariableStart];
    let alone = !tokens[1..].iter().any(|t| others.contains(&t.kind));
    if !closed || !alone || tokens.len() < 3 {
        return None;
    }
    let marker = usize::from(text[first.end..].starts_with(['-', '+']));
    Some(first.end + marker..last.start)
}

fn run(
    text: &str,
    tokens: &[Token],
    backslashes: Backslashes,
    members: bool,
    single: Option<Range<usize>>,
) -> Rewritten {
    let mut walk = Walk {
        text,
        tokens,
        backslashes,
        members,
        edits: Vec::new(),
        levels: vec![Level::default()],
        in_block: false,
        dates: members && tokens.iter().any(|t| DATES.contains(&t.of(text))),
        owns: members && changes_values(text, tokens),
        out: Rewritten {
            text: String::with_capacity(text.len() + 32),
            map: Vec::new(),
            single: None,
            filters: Vec::new(),
            tests: Vec::new(),
            named_filters: Vec::new(),
            named_tests: Vec::new(),
            lookups: Vec::new(),
            branches: false,
        },
    };
    walk.all();
    walk.finish(single)
}

struct Edit {
    start: usize,
    end: usize,
    new: String,
}

/// Whether a method is called that changes a list or mapping: `.append(`.
fn changes_values(text: &str, tokens: &[Token]) -> bool {
    tokens.windows(3).any(|three| {
        let [dot, method, open] = three else { return false };
        dot.of(text) == "." && open.of(text) == "(" && MUTATING.contains(&method.of(text))
    })
}

/// What is known between one bracket and its counterpart.
#[derive(Debug, Clone, Default)]
struct Level {
    /// The token before ended an operand, so that `.`, `[` and `(` continue it.
    operand: bool,
    /// Where the operand began.
    chain: usize,
    /// The engine would bind a filter differently here (`-a.b`, `is sameas a.b`).
    plain: bool,
    /// The next operand is such a place.
    next_plain: bool,
    /// What to write instead of the closing bracket.
    close: Option<String>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct Walk<'t> {
    text: &'t str,
    tokens: &'t [Token],
    backslashes: Backslashes,
    members: bool,
    edits: Vec<Edit>,
    levels: Vec<Level>,
    in_block: bool,
    /// Lists and mappings are to be the template's own.
    owns: bool,
    /// There are dates, which the engine cannot subtract.
    dates: bool,
    out: Rewritten,
}

/// Words behind which something may be left out, or be evaluated later or never.
const BRANCHES: &[&str] = &["if", "elif", "and", "or", "for", "macro", "call"];

/// Functions whose first argument names a lookup.
const LOOKUPS: &[&str] = &["lookup", "query", "q"];

/// What makes a date.
const DATES: &[&str] = &["to_datetime", "now"];

/// Words that are no operand.
const KEYWORDS: [&str; 22] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "recursive",
    "as",
    "import",
    "with",
    "without",
    "context",
    "ignore",
    "missing",
    "for",
    "set",
    "include",
    "extends",
    "from",
    "scoped",
];

/// Statements whose head is not an ordinary expression.
const OTHER_HEADS: [&str; 5] = ["call", "filter", "do", "macro", "block"];

impl Walk<'_> {
    fn word(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", |t| t.of(self.text))
    }

    fn kind(&self, i: usize) -> Option<Kind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn edit(&mut self, start: usize, end: usize, new: impl Into<String>) {
        self.edits.push(Edit {
            start,
            end,
            new: new.into(),
        });
    }

    fn all(&mut self) {
        let mut i = 0;
        while i < self.tokens.len() {
            i = self.one(i);
        }
    }

    /// Handles a token and returns the index of the next.
    fn one(&mut self, i: usize) -> usize {
        let token = self.tokens[i];
        match token.kind {
            Kind::Data | Kind::VariableEnd | Kind::BlockEnd => {
                self.in_block = false;
                i + 1
            }
            Kind::VariableStart => {
                self.levels = vec![Level::default()];
                i + 1
            }
            Kind::BlockStart => {
                self.levels = vec![Level::default()];
                self.in_block = true;
                self.statement(i + 1)
            }
            Kind::Text => {
                self.string(token);
                self.begin_operand(i);
                i + 1
            }
            Kind::Number => {
                self.begin_operand(i);
                i + 1
            }
            Kind::Name => self.name(i),
            Kind::Sign => self.sign(i),
        }
    }

    /// The head of a `{% %}`: skips what is not an expression.
    fn statement(&mut self, i: usize) -> usize {
        let until = match self.word(i) {
            "set" => &["="] as &[&str],
            "for" => &["in"],
            head if OTHER_HEADS.contains(&head) => &[],
            _ => return i + 1,
        };
        let mut j = i + 1;
        while j < self.tokens.len() && self.kind(j) != Some(Kind::BlockEnd) {
            if until.contains(&self.word(j)) {
                if self.owns && self.word(i) == "set" {
                    self.own_what_is_set(j);
                }
                return j;
            }
            if self.kind(j) == Some(Kind::Text) {
                self.string(self.tokens[j]);
            }
            j += 1;
        }
        j
    }

    /// `{% set x = expression %}`; a namespace stays what it is.
    fn own_what_is_set(&mut self, equals: usize) {
        let end = (equals..self.tokens.len()).find(|j| self.kind(*j) == Some(Kind::BlockEnd));
        let Some(last) = end.filter(|end| *end > equals + 1) else {
            return;
        };
        if self.word(equals + 1) == "namespace" {
            return;
        }
        let (start, end) = (self.tokens[equals + 1].start, self.tokens[last - 1].end);
        self.edit(start, start, "(");
        self.edit(end, end, format!(")|{OWN}"));
    }

    fn begin_operand(&mut self, i: usize) {
        let level = self.level();
        if level.operand {
            return;
        }
        level.operand = true;
        level.chain = i;
        level.plain = std::mem::take(&mut level.next_plain);
    }

    fn operator(&mut self) {
        let level = self.level();
        level.operand = false;
        level.next_plain = false;
    }

    fn name(&mut self, i: usize) -> usize {
        let word = self.word(i).to_string();
        if word == "is" {
            return self.test(i + 1);
        }
        self.out.branches |= BRANCHES.contains(&word.as_str());
        if KEYWORDS.contains(&word.as_str()) {
            self.operator();
            return i + 1;
        }
        self.begin_operand(i);
        if word == "self" {
            self.level().plain = true;
        }
        if LOOKUPS.contains(&word.as_str()) && self.word(i + 1) == "(" && self.kind(i + 2) == Some(Kind::Text)
        {
            let name = self.tokens[i + 2];
            self.out.lookups.push(name);
        }
        i + 1
    }

    /// After `is`: the test's name, and whether an argument without brackets follows.
    fn test(&mut self, i: usize) -> usize {
        let i = if self.word(i) == "not" { i + 1 } else { i };
        let (token, next) = self.dotted(i);
        if let Some(token) = token {
            self.out.tests.push(token);
        }
        let level = self.level();
        level.operand = false;
        if self.word(next) == "(" {
            self.push_level(None);
            return next + 1;
        }
        self.level().next_plain = true;
        next
    }

    /// A name with dots in it; `ansible.builtin.` is dropped.
    fn dotted(&mut self, i: usize) -> (Option<Token>, usize) {
        if self.kind(i) != Some(Kind::Name) {
            return (None, i);
        }
        let mut last = i;
        while self.word(last + 1) == "." && self.kind(last + 2) == Some(Kind::Name) {
            last += 2;
        }
        let (start, end) = (self.tokens[i].start, self.tokens[last].end);
        let full = &self.text[start..end];
        let short = ["ansible.builtin.", "ansible.legacy."]
            .into_iter()
            .find_map(|p| full.strip_prefix(p));
        let start = match short {
            Some(short) => {
                let cut = end - short.len();
                self.edit(start, cut, "");
                cut
            }
            None => start,
        };
        let token = Token {
            kind: Kind::Name,
            start,
            end,
        };
        (Some(token), last + 1)
    }

    fn push_level(&mut self, close: Option<String>) {
        self.levels.push(Level {
            close,
            ..Level::default()
        });
    }

    fn sign(&mut self, i: usize) -> usize {
        match self.word(i) {
            "|" => self.filter(i + 1),
            "." => self.dot(i),
            "[" => {
                self.bracket(i);
                i + 1
            }
            "{" if self.owns => {
                self.own_literal(i);
                i + 1
            }
            "(" if self.dates => {
                let groups = !self.level().operand;
                self.begin_operand(i);
                let close = (groups && self.difference(i)).then(|| "))".to_string());
                self.push_level(close);
                i + 1
            }
            "(" | "{" => {
                self.begin_operand(i);
                self.push_level(None);
                i + 1
            }
            ")" | "]" | "}" => {
                self.close(i);
                i + 1
            }
            "%" if i > 0 && self.kind(i - 1) == Some(Kind::Text) && self.members => {
                self.percent(i);
                self.operator();
                i + 1
            }
            "-" | "+" => {
                let level = self.level();
                level.next_plain = !level.operand;
                level.operand = false;
                i + 1
            }
            _ => {
                self.operator();
                i + 1
            }
        }
    }

    fn filter(&mut self, i: usize) -> usize {
        let (token, next) = self.dotted(i);
        let name = token.map(|t| t.of(self.text).to_string());
        self.out.filters.extend(token);
        self.operator();
        if self.word(next) == "(" {
            self.note_named(name.as_deref(), next + 1);
            self.push_level(None);
            return next + 1;
        }
        next
    }

    /// `map('upper')`, `select('match', …)`, `selectattr('x', 'match', …)`.
    fn note_named(&mut self, filter: Option<&str>, first: usize) {
        let text = |i: usize| (self.kind(i) == Some(Kind::Text)).then(|| self.tokens[i]);
        match filter {
            Some("map") if self.word(first + 1) != "=" => {
                let token = text(first);
                self.out.named_filters.extend(token);
            }
            Some("select" | "reject") => {
                let token = text(first);
                self.out.named_tests.extend(token);
            }
            Some("selectattr" | "rejectattr") if self.word(first + 1) == "," => {
                let token = text(first + 2);
                self.out.named_tests.extend(token);
            }
            _ => {}
        }
    }

    fn rewrites(&mut self) -> bool {
        let members = self.members;
        let level = self.level();
        members && level.operand && !level.plain
    }

    /// `.name`, `.0` or `.name(`.
    fn dot(&mut self, i: usize) -> usize {
        let member = i + 1;
        let known = matches!(self.kind(member), Some(Kind::Name | Kind::Number));
        if !known {
            self.level().operand = false;
            return i + 1;
        }
        if !self.rewrites() {
            return member + 1;
        }
        let (dot, token) = (self.tokens[i], self.tokens[member]);
        let name = token.of(self.text);
        let key = match token.kind {
            Kind::Number => name.to_string(),
            _ => format!("'{name}'"),
        };
        let chain = self.chain_start();
        if self.word(member + 1) == "(" {
            let open = self.tokens[member + 1];
            let comma = if self.word(member + 2) == ")" { "" } else { "," };
            self.edit(
                dot.start,
                open.end,
                format!("|{CALL}({key},{chain},{},{}{comma}", token.start, token.end),
            );
            self.push_level(None);
            return member + 2;
        }
        self.edit(
            dot.start,
            token.end,
            format!("|{STEP}({key},{chain},{},{})", token.start, token.end),
        );
        member + 1
    }

    fn chain_start(&mut self) -> usize {
        let chain = self.level().chain;
        self.tokens.get(chain).map_or(0, |t| t.start)
    }

    /// A subscript, a slice or a list.
    fn bracket(&mut self, i: usize) {
        let close = self.closing(i);
        if self.owns && !self.level().operand {
            return self.own_literal(i);
        }
        let Some(end) = close.filter(|_| self.rewrites()) else {
            self.begin_operand(i);
            return self.push_level(None);
        };
        let colons = self.colons(i, end);
        if !colons.is_empty() {
            return self.slice(i, end, &colons);
        }
        let (open, chain) = (self.tokens[i], self.chain_start());
        let last = close.map_or(open, |c| self.tokens[c]);
        self.edit(open.start, open.end, format!("|{STEP}("));
        let close = format!(",{chain},{},{})", open.end, last.start);
        self.push_level(Some(close));
    }

    /// A list or a mapping that is written out.
    fn own_literal(&mut self, i: usize) {
        self.begin_operand(i);
        let token = self.tokens[i];
        self.edit(token.start, token.start, "(");
        self.push_level(Some(format!("{}|{OWN})", closing_of(token.of(self.text)))));
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (i, token) in self.tokens.iter().enumerate().skip(open) {
            match token.of(self.text) {
                _ if token.kind != Kind::Sign => {}
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Some(i);
            }
        }
        None
    }

    /// The colons between these brackets that are in no bracket of their own.
    fn colons(&self, open: usize, close: usize) -> Vec<usize> {
        let mut depth = 0_i32;
        let mut found = Vec::new();
        for i in open + 1..close {
            match self.word(i) {
                _ if self.kind(i) != Some(Kind::Sign) => {}
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                ":" if depth == 0 => found.push(i),
                _ => {}
            }
        }
        found
    }

    /// `[a:b]` becomes a filter too, because a filter cannot be followed by brackets.
    fn slice(&mut self, open: usize, close: usize, colons: &[usize]) {
        let token = self.tokens[open];
        self.edit(token.start, token.end, format!("|{SLICE}("));
        let mut before = open;
        for colon in colons {
            let empty = if *colon == before + 1 { "none," } else { "," };
            let token = self.tokens[*colon];
            self.edit(token.start, token.end, empty);
            before = *colon;
        }
        let last = if close == before + 1 { "none)" } else { ")" };
        self.push_level(Some(last.to_string()));
    }

    /// `(a - b)` with nothing else in it becomes `((a)|minus(b))`.
    fn difference(&mut self, open: usize) -> bool {
        let Some(close) = self.closing(open) else {
            return false;
        };
        let mut depth = 0_i32;
        let mut minus = None;
        for i in open + 1..close {
            let sign = self.kind(i) == Some(Kind::Sign);
            match self.word(i) {
                "(" | "[" | "{" if sign => depth += 1,
                ")" | "]" | "}" if sign => depth -= 1,
                _ if depth > 0 => {}
                "." | "|" if sign => {}
                "-" if sign && minus.is_none() && i > open + 1 && i + 1 < close => minus = Some(i),
                word if sign || KEYWORDS.contains(&word) => return false,
                _ => {}
            }
        }
        let Some(minus) = minus.map(|i| self.tokens[i]) else {
            return false;
        };
        let begin = self.tokens[open].end;
        self.edit(begin, begin, "(");
        self.edit(minus.start, minus.end, format!(")|{MINUS}("));
        true
    }

    /// `'%s' % x`: the engine has no such operator, so it becomes a filter around what follows.
    fn percent(&mut self, i: usize) {
        let token = self.tokens[i];
        let Some(last) = self.operand_end(i + 1) else {
            return;
        };
        self.edit(token.start, token.end, format!("|{PERCENT}("));
        let end = self.tokens[last].end;
        self.edit(end, end, ")");
    }

    /// The last token of the operand that begins here.
    fn operand_end(&self, first: usize) -> Option<usize> {
        let mut depth = 0_i32;
        let mut last = None;
        for i in first..self.tokens.len() {
            let sign = self.kind(i) == Some(Kind::Sign);
            match self.word(i) {
                "(" | "[" | "{" if sign => depth += 1,
                ")" | "]" | "}" if sign && depth == 0 => break,
                ")" | "]" | "}" if sign => depth -= 1,
                "." | "|" | "-" if sign && (i == first || self.word(i) != "-") => {}
                _ if sign && depth == 0 => break,
                word if depth == 0 && KEYWORDS.contains(&word) => break,
                _ => {}
            }
            match self.kind(i) {
                Some(Kind::VariableEnd | Kind::BlockEnd) => break,
                _ => last = Some(i),
            }
        }
        last
    }

    fn close(&mut self, i: usize) {
        let level = self.levels.pop().unwrap_or_default();
        if let Some(new) = level.close {
            let token = self.tokens[i];
            self.edit(token.start, token.end, new);
        }
    }

    fn string(&mut self, token: Token) {
        let raw = token.of(self.text);
        if !raw.contains('\\') {
            return;
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        let literal = self.backslashes == Backslashes::Literal && !self.in_block;
        let value = if literal {
            inner.replace("\\'", "'").replace("\\\"", "\"")
        } else {
            unescape(inner)
        };
        self.edit(token.start, token.end, quoted(&value));
    }

    fn finish(mut self, single: Option<Range<usize>>) -> Rewritten {
        // Stable: what is put after a token comes in the order in which it was found.
        self.edits.sort_by_key(|e| (e.start, e.end));
        let mut at = 0;
        for edit in &self.edits {
            if edit.start < at {
                continue;
            }
            self.out.text.push_str(&self.text[at..edit.start]);
            self.out.map.push((self.out.text.len(), edit.start));
            self.out.text.push_str(&edit.new);
            at = edit.end;
            self.out.map.push((self.out.text.len(), at));
        }
        self.out.text.push_str(&self.text[at..]);
        let shrink = self.text.len() - single.as_ref().map_or(0, |s| s.end);
        self.out.single = single.map(|s| s.start..self.out.text.len() - shrink);
        self.out
    }
}

fn closing_of(open: &str) -> &'static str {
    if open == "[" { "]" } else { "}" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playbook(text: &str) -> String {
        template(text, &Delimiters::default(), Backslashes::Literal, true)
            .text
            .replace(STEP, "S")
            .replace(CALL, "C")
    }

    #[test]
    fn steps_become_filters() {
        assert_eq!(
            playbook("{{ a.b['c'].0 }}"),
            "{{ a|S('b',3,5,6)|S('c',3,7,10)|S(0,3,12,13) }}"
        );
        assert_eq!(
            playbook("{{ a.b.keys() | list }}"),
            "{{ a|S('b',3,5,6)|C('keys',3,7,11) | list }}"
        );
        assert_eq!(playbook("{{ h[x.y] }}"), "{{ h|S(x|S('y',5,7,8),3,5,8) }}");
    }

    #[test]
    fn what_would_bind_differently_stays() {
        for text in [
            "{{ -a.b }}",
            "{{ x is sameas a.b }}",
            "{% set ns.a = 1 %}",
            "{{ ['a', 'b'] }}",
            "{{ x | default(['a']) }}",
            "{{ 'a' in ['a'] }}",
            "{{ x is in ['a'] }}",
        ] {
            assert_eq!(playbook(text), text);
        }
    }

    #[test]
    fn backslashes_are_literal_in_a_playbooks_expression() {
        assert_eq!(playbook(r"{{ x | f('\1\d') }}"), r"{{ x | f('\\1\\d') }}");
        let file = template(
            r"{{ '\1\d\n' }}",
            &Delimiters::default(),
            Backslashes::Escapes,
            true,
        );
        assert_eq!(file.text, "{{ '\u{1}\\\\d\n' }}");
    }

    #[test]
    fn offsets_lead_back_to_the_written_text() {
        let text = "{{ a.b.c + d.e }}";
        let new = template(text, &Delimiters::default(), Backslashes::Literal, true);
        let at = new.text.find("d|").unwrap();
        assert_eq!(new.written(at), text.find("d.e").unwrap());
        assert_eq!(new.written(new.text.len()), text.len());
    }

    #[test]
    fn a_full_filter_name_is_shortened() {
        assert_eq!(
            playbook("{{ x | ansible.builtin.combine(y) is ansible.builtin.defined }}"),
            "{{ x | combine(y) is defined }}"
        );
    }
}
