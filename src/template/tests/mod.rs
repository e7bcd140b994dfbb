//! Tests (`is …`), one file per family. A test is a function there and one line in its family's list.

mod files;
mod results;
mod values;
mod versions;

use super::call::Test;

const FAMILIES: [&[(&str, Test)]; 4] = [files::TESTS, results::TESTS, values::TESTS, versions::TESTS];

/// All tests that are ours.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Test)> {
    FAMILIES.into_iter().flatten().copied()
}
