//! Template files: what the `template` module renders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind};

use super::engine::{Engine, Moment, finish};
use super::environment::{environment, with_line_ends};
use super::escapes;
use super::evaluation::Evaluation;
use super::failure::{Failing, explain};
use super::lexer::Delimiters;
use super::rewrite::{self, Backslashes, Rewritten};
use super::scope::{Scope, TemplateError};
use super::variables::{Root, carried};
use crate::source::{Diagnostic, Source, Span};

/// How a template file is read; `#jinja2:` in its first line overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    pub keep_trailing_newline: bool,
    /// What a line ends with in the result.
    pub newline_sequence: String,
    pub delimiters: Delimiters,
    /// Where `include`, `import` and `extends` look.
    pub search_path: Vec<PathBuf>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: true,
            newline_sequence: "\n".into(),
            delimiters: Delimiters::default(),
            search_path: Vec::new(),
        }
    }
}

const HEADER: &str = "#jinja2:";

impl FileOptions {
    /// Takes the `#jinja2:` line into account; returns how many bytes of the text it covers.
    fn with_header(mut self, text: &str) -> Result<(Self, usize), String> {
        let Some(header) = text.strip_prefix(HEADER) else {
            return Ok((self, 0));
        };
        let end = header.find('\n');
        let line = &header[..end.unwrap_or(header.len())];
        for pair in line.split(',') {
            let (name, value) = pair
                .split_once(':')
                .ok_or_else(|| format!("`{}` in the `#jinja2:` line is not `name: value`", pair.trim()))?;
            self.set(name.trim(), value.trim())?;
        }
        let length = HEADER.len() + end.map_or(header.len(), |e| e + 1);
        Ok((self, length))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.trim_matches(['\'', '"']).to_string();
        let flag = matches!(value, "True" | "true" | "yes");
        match name {
            "trim_blocks" => self.trim_blocks = flag,
            "lstrip_blocks" => self.lstrip_blocks = flag,
            "keep_trailing_newline" => self.keep_trailing_newline = flag,
            "newline_sequence" => self.newline_sequence = escapes::unescape(&text()),
            "block_start_string" => self.delimiters.block.0 = text(),
            "block_end_string" => self.delimiters.block.1 = text(),
            "variable_start_string" => self.delimiters.variable.0 = text(),
            "variable_end_string" => self.delimiters.variable.1 = text(),
            "comment_start_string" => self.delimiters.comment.0 = text(),
            "comment_end_string" => self.delimiters.comment.1 = text(),
            other => return Err(format!("unknown setting `{other}` in the `#jinja2:` line")),
        }
        Ok(())
    }

    fn syntax(&self) -> Result<SyntaxConfig, Error> {
        let d = &self.delimiters;
        SyntaxConfig::builder()
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(false)
            .block_delimiters(d.block.0.clone(), d.block.1.clone())
            .variable_delimiters(d.variable.0.clone(), d.variable.1.clone())
            .comment_delimiters(d.comment.0.clone(), d.comment.1.clone())
            .build()
    }
}

/// A file that takes part: its text as written and as the engine reads it.
#[derive(Debug)]
struct Part {
    source: Arc<Source>,
    rewritten: Rewritten,
    /// The `#jinja2:` line is not part of the template.
    skipped: usize,
}

type Parts = Arc<Mutex<HashMap<String, Arc<Part>>>>;

impl Engine {
    /// Renders a template file.
    pub fn file(
        &self,
        source: &Arc<Source>,
        options: &FileOptions,
        scope: &Arc<dyn Scope>,
        moment: Moment,
    ) -> Result<String, TemplateError> {
        let root = Root {
            shared: self.shared_arc(),
            evaluation: Evaluation::new(self.shared_arc().outside.clone(), moment),
            scope: scope.clone(),
        };
        let context = Jinja::from_object(root.clone());
        let rendered = render(source, options, &root, context);
        finish(rendered, &root)
    }
}

impl Root {
    /// `lookup('template')`: in the same evaluation, with more variables on top.
    pub fn file(
        &self,
        path: &Path,
        text: &str,
        options: &FileOptions,
        extra: Option<&Jinja>,
    ) -> Result<String, Error> {
        let source = Source::new(path, text);
        let mut options = options.clone();
        options.search_path.extend(path.parent().map(Path::to_path_buf));
        let base = Jinja::from_object(self.clone());
        let context = match extra {
            Some(extra) => Jinja::from_object(Over {
                over: extra.clone(),
                base,
            }),
            None => base,
        };
        render(&source, &options, self, context).map_err(carried)
    }
}

/// Variables over variables.
#[derive(Debug)]
struct Over {
    over: Jinja,
    base: Jinja,
}

impl Object for Over {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let over = self.over.get_item(key).ok().filter(|v| !v.is_undefined());
        over.or_else(|| {
            let object = self.base.as_object()?;
            object.get_value(key)
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

fn failed(source: &Arc<Source>, message: String) -> TemplateError {
    let span = Span::new(source, 0, source.text.lines().next().map_or(0, str::len));
    TemplateError::Failed(Box::new(Diagnostic::error(message).at(&span)))
}

fn render(
    source: &Arc<Source>,
    options: &FileOptions,
    root: &Root,
    context: Jinja,
) -> Result<String, TemplateError> {
    let (options, skipped) = options
        .clone()
        .with_header(&source.text)
        .map_err(|message| failed(source, message))?;
    let main = Arc::new(part(source, &options, skipped));
    let parts: Parts = Arc::default();
    let mut env: Environment<'static> = environment().clone();
    let syntax = options
        .syntax()
        .map_err(|e| failed(source, e.detail().unwrap_or("wrong delimiters").to_string()))?;
    env.set_syntax(syntax);
    env.set_loader(loader(root, &options, parts.clone()));
    let name = source.path.display().to_string();
    lock(&parts).insert(name.clone(), main.clone());
    let written: Arc<str> = source.text.clone();
    let span = Span::new(source, 0, source.text.len());
    let entered = root.evaluation.enter(&written, Some(&span), &root.scope)?;
    let frame = root.evaluation.frame();
    let rendered = env.render_named_str(&name, &main.rewritten.text, context);
    drop(entered);
    match rendered {
        Ok(text) if options.keep_trailing_newline => {
            let text = with_line_ends(&source.text[skipped..], text);
            Ok(line_ends(text, &options))
        }
        Ok(text) => Ok(line_ends(text, &options)),
        Err(error) => {
            let part = origin(&error, &parts).unwrap_or(main);
            let span = Span::new(&part.source, part.skipped, part.source.text.len());
            let failing = Failing {
                text: span.text(),
                span: Some(&span),
                bare: false,
                rewritten: &part.rewritten,
                offset: 0,
                delimiters: &options.delimiters,
            };
            Err(explain(&error, &failing, frame, &root.evaluation, &root.scope))
        }
    }
}

fn lock(parts: &Parts) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Part>>> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn part(source: &Arc<Source>, options: &FileOptions, skipped: usize) -> Part {
    let text = &source.text[skipped..];
    let rewritten = rewrite::template(text, &options.delimiters, Backslashes::Escapes, true);
    Part {
        source: source.clone(),
        rewritten,
        skipped,
    }
}

/// The innermost file that an error names.
fn origin(error: &Error, parts: &Parts) -> Option<Arc<Part>> {
    let mut found = None;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let name = error.downcast_ref::<Error>().and_then(Error::name);
        found = name.and_then(|n| lock(parts).get(n).cloned()).or(found);
        next = error.source();
    }
    found
}

/// Reads files for `include`, `import` and `extends`.
fn loader(
    root: &Root,
    options: &FileOptions,
    parts: Parts,
) -> impl Fn(&str) -> Result<Option<String>, Error> + Send + Sync + 'static {
    let evaluation = root.evaluation.clone();
    let options = options.clone();
    move |name: &str| {
        let outside = evaluation.outside()?;
        let candidates = options
            .search_path
            .iter()
            .flat_map(|base| [base.join(name), base.join("templates").join(name)]);
        let found = candidates
            .into_iter()
            .find(|p| outside.entry(p, true).is_some_and(|e| e.is_file));
        let Some(path) = found else {
            return Ok(None);
        };
        let bytes = outside.read(&path).map_err(|e| {
            Error::new(
                ErrorKind::TemplateNotFound,
                format!("cannot read `{}`: {e}", path.display()),
            )
        })?;
        let source = Source::new(path, String::from_utf8_lossy(&bytes).into_owned());
        let part = Arc::new(part(&source, &options, 0));
        let text = part.rewritten.text.clone();
        lock(&parts).insert(name.to_string(), part);
        Ok(Some(text))
    }
}

fn line_ends(text: String, options: &FileOptions) -> String {
    if options.newline_sequence == "\n" {
        return text;
    }
    text.replace('\n', &options.newline_sequence)
}
