//! What a task registered: failed, changed, skipped.

use minijinja::Error;
use minijinja::value::ValueKind;

use crate::template::call::{Call, Test, complaint};

pub const TESTS: &[(&str, Test)] = &[
    ("change", |c| says(c, "changed")),
    ("changed", changed),
    ("failed", |c| says(c, "failed")),
    ("failure", |c| says(c, "failed")),
    ("finished", finished),
    ("reachable", |c| says(c, "unreachable").map(|u| !u)),
    ("skip", |c| says(c, "skipped")),
    ("skipped", |c| says(c, "skipped")),
    ("started", started),
    ("succeeded", |c| says(c, "failed").map(|f| !f)),
    ("success", |c| says(c, "failed").map(|f| !f)),
    ("successful", |c| says(c, "failed").map(|f| !f)),
    ("timedout", |c| says(c, "timedout")),
    ("unreachable", |c| says(c, "unreachable")),
];

/// Whether a member of a result is there and true.
fn says(call: &mut Call, name: &str) -> Result<bool, Error> {
    let value = call.value()?;
    if value.kind() != ValueKind::Map {
        return Err(complaint(format!(
            "`{}` wants a registered result, not {}",
            call.name,
            crate::template::failure::kind_name(&value)
        )));
    }
    Ok(value.get_attr(name)?.is_true())
}

/// A loop that was registered without a sum of its own has changed if one of its results has.
fn changed(call: &mut Call) -> Result<bool, Error> {
    if says(call, "changed")? {
        return Ok(true);
    }
    let value = call.value()?;
    let results = value.get_attr("results")?;
    if !value.get_attr("changed")?.is_undefined() || results.kind() != ValueKind::Seq {
        return Ok(false);
    }
    for result in results.try_iter()?.checked() {
        if result?.get_attr("changed").is_ok_and(|c| c.is_true()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn asynchronous(call: &mut Call, name: &str) -> Result<bool, Error> {
    says(call, name)?;
    let member = call.value()?.get_attr(name)?;
    Ok(member.is_undefined() || member.is_true())
}

fn finished(call: &mut Call) -> Result<bool, Error> {
    asynchronous(call, "finished")
}

fn started(call: &mut Call) -> Result<bool, Error> {
    asynchronous(call, "started")
}
