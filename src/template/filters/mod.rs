//! Filters, one file per family. A filter is a function there and one line in its family's list.

mod attributes;
pub(super) mod codes;
mod data;
pub(super) mod lists;
mod maps;
mod numbers;
mod paths;
pub(super) mod regexes;
mod spans;
pub(super) mod texts;
mod times;
mod yaml;

pub(super) use spans::Span;
pub(super) use times::now;

use super::call::Function;

const FAMILIES: [&[(&str, Function)]; 10] = [
    attributes::FILTERS,
    codes::FILTERS,
    data::FILTERS,
    lists::FILTERS,
    maps::FILTERS,
    numbers::FILTERS,
    paths::FILTERS,
    regexes::FILTERS,
    texts::FILTERS,
    times::FILTERS,
];

/// All filters that are ours.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Function)> {
    FAMILIES.into_iter().flatten().copied()
}
