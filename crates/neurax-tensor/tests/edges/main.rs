//! Rows of edge cases recorded from JAX: promotion, limits of dtypes, NaN and infinities, indices
//! out of range, first and second derivatives (see `fixtures/README.md` of the testkit). Each row
//! runs eagerly and under jit, values also under vmap; `scripts/on-interpreter.sh` runs them on the
//! reference interpreter.
//!
//! A failure prints one line for each row and way that differs.

mod functions;
mod harness;
mod report;

use neurax_testkit::edges;
use std::collections::BTreeSet;

macro_rules! families {
    ($($family:ident),* $(,)?) => {
        $(#[test]
        fn $family() {
            harness::check(stringify!($family));
        })*

        const FAMILIES: &[&str] = &[$(stringify!($family)),*];
    };
}

families!(
    promotion,
    scalars,
    conversions,
    integers,
    unary,
    binary,
    complex_numbers,
    reductions,
    indexing,
    derivatives,
    control,
);

#[test]
fn every_row_has_a_function_and_every_function_a_row() {
    let rows: Vec<_> = FAMILIES.iter().flat_map(|f| edges::read(f).unwrap()).collect();
    assert!(rows.len() >= 2000, "{} rows", rows.len());
    let recorded: BTreeSet<&str> = rows.iter().map(|r| &*r.function).collect();
    let written: BTreeSet<&str> = functions::names().collect();
    assert_eq!(recorded.difference(&written).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!(written.difference(&recorded).collect::<Vec<_>>(), Vec::<&&str>::new());
}
