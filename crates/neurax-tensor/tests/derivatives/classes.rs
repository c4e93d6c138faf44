//! Every function of `docs/functions.md` has a class: smooth, smooth in pieces, or without a
//! derivative. A new function is listed in one of the tables.

use crate::{law, piecewise::PIECEWISE, smooth, smooth_matrices};
use std::collections::BTreeSet;

/// Functions whose results do not depend differentiably on an argument, with the reason.
const CONSTANT: &[(&str, &[&str])] = &[
    (
        "the result is a bool",
        &[
            "x.equal",
            "x.not_equal",
            "x.lt",
            "x.le",
            "x.gt",
            "x.ge",
            "x.all",
            "x.any",
            "x.all_with",
            "x.any_with",
            "x.isclose",
            "x.allclose",
            "x.isclose_with",
            "x.allclose_with",
            "x.array_equal",
            "x.array_equiv",
            "x.isin",
            "x.logical_not",
            "x.logical_and",
            "x.logical_or",
            "x.logical_xor",
            "x.is_nan",
            "x.is_inf",
            "x.is_finite",
            "x.signbit",
            "x.is_pos_inf",
            "x.is_neg_inf",
            "x.is_real",
            "x.is_complex",
        ],
    ),
    (
        "integers and bool only",
        &[
            "x.one_hot",
            "x.bitwise_not",
            "x.population_count",
            "x.count_leading_zeros",
            "x.bitwise_and",
            "x.bitwise_or",
            "x.bitwise_xor",
            "x.left_shift",
            "x.right_shift",
            "x & y",
            "x | y",
            "x ^ y",
            "x.bincount",
            "x.reduce_and",
            "x.reduce_or",
            "x.reduce_xor",
            "x.packbits",
            "x.unpackbits",
            "x.gcd",
            "x.lcm",
            "x.mulhi",
        ],
    ),
    (
        "the result is an index or a count",
        &[
            "x.argmax",
            "x.argmin",
            "x.argmax_with",
            "x.argmin_with",
            "x.max_pool_indices",
            "x.matrix_rank",
            "x.matrix_rank_with",
            "x.count_nonzero",
            "x.argsort",
            "x.argsort_with",
            "lexsort",
            "x.searchsorted",
            "x.digitize",
            "x.histogram",
            "x.nanargmax",
            "x.nanargmin",
            "x.argpartition",
            "x.nonzero",
            "x.nonzero_with",
            "x.argwhere",
            "x.argwhere_with",
            "x.flatnonzero",
            "x.flatnonzero_with",
            "x.unravel_index",
            "ravel_multi_index",
            "x.diag_indices_from",
            "x.tril_indices_from",
            "x.triu_indices_from",
            "ix_",
        ],
    ),
    (
        "a step function: the derivative is 0 between the jumps",
        &[
            "x.floor",
            "x.ceil",
            "x.round",
            "x.round_to",
            "x.round_half_away",
            "x.trunc",
            "x.floor_divide",
            "x.heaviside",
            "x.gammasgn",
            "x.spacing",
        ],
    ),
    ("the values of the tensor are not read", &["x.zeros_like", "x.ones_like", "x.full_like"]),
    (
        "rounds to another format; the derivative is that of the identity, rounded",
        &["x.reduce_precision"],
    ),
    ("products of windows; a derivative is an error", &["x.window_prod"]),
    ("products of segments; a derivative is an error", &["x.segment_prod"]),
    ("the bits of a number; a derivative is 0 or an error", &["x.bitcast"]),
    ("the factors are not unique; a derivative is an error", &["x.schur"]),
    ("steps between representable numbers; a derivative is an error", &["x.nextafter"]),
    (
        "takes no tensor",
        &[
            "tensor",
            "Tensor::full",
            "Tensor::full_of",
            "Tensor::zeros",
            "Tensor::zeros_of",
            "Tensor::ones",
            "Tensor::ones_of",
            "Tensor::eye",
            "Tensor::eye_of",
            "Tensor::arange",
            "Tensor::linspace",
            "Tensor::range",
            "Tensor::logspace",
            "Tensor::indices",
            "Tensor::tri",
            "Tensor::geomspace",
            "Tensor::diag_indices",
            "Tensor::tril_indices",
            "Tensor::triu_indices",
            "Tensor::mask_indices",
            "fromfunction",
            "broadcast_shapes",
            "Tensor::bartlett",
            "Tensor::hanning",
            "Tensor::hamming",
            "Tensor::blackman",
            "Tensor::bernoulli",
            "Tensor::fftfreq",
            "Tensor::rfftfreq",
        ],
    ),
    (
        "the size of the result depends on values; the forms with a size are listed",
        &[
            "x.unique",
            "x.unique_all",
            "x.unique_counts",
            "x.unique_inverse",
            "x.unique_along",
            "x.union1d",
            "x.intersect1d",
            "x.setdiff1d",
            "x.setxor1d",
            "x.compress",
            "x.extract",
            "x.trim_zeros",
            "x.trim_zeros_with",
        ],
    ),
    (
        "has a derivative of the first order only, which tests/special.rs and \
         tests/distributions.rs check",
        &[
            "Key::gamma",
            "Key::loggamma",
            "Key::beta",
            "Key::dirichlet",
            "Key::chisquare",
            "Key::t",
            "Key::f",
            "Key::generalized_normal",
            "Key::ball",
        ],
    ),
    ("selects places; its methods are listed", &["step", "x.at", "x.at(i).unique", "x.at(i).mode"]),
    (
        "random: of keys and shapes only, or a sample that jumps with the parameter",
        &[
            "key",
            "Key::from_tensor",
            "Key::tensor",
            "Key::split",
            "Key::split_n",
            "Key::fold_in",
            "Key::bits_of",
            "Key::uniform",
            "Key::normal",
            "Key::normal_of",
            "Key::gumbel_of",
            "Key::randint",
            "Key::randint_of",
            "Key::bernoulli",
            "Key::categorical",
            "Key::permutation",
            "Key::exponential",
            "Key::exponential_of",
            "Key::laplace",
            "Key::laplace_of",
            "Key::logistic",
            "Key::logistic_of",
            "Key::cauchy",
            "Key::cauchy_of",
            "Key::gumbel",
            "Key::maxwell",
            "Key::maxwell_of",
            "Key::rademacher",
            "Key::rademacher_of",
            "Key::geometric",
            "Key::poisson",
            "Key::binomial",
            "Key::multinomial",
            "Key::orthogonal",
            "Key::orthogonal_of",
            "Key::choice",
            "Key::choice_with",
            "Key::categorical_with",
            "Key::randint_between",
        ],
    ),
];

#[test]
fn every_function_has_a_class() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/functions.md");
    let page = std::fs::read_to_string(path).unwrap().replace("\\|", "|");
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `"));
    let listed: BTreeSet<&str> = rows.map(|row| name(row.split('`').next().unwrap())).collect();
    let smooth = smooth::SMOOTH.iter().chain(smooth_matrices::SMOOTH).map(|r| r.0);
    let piecewise = PIECEWISE.iter().map(|r| r.0);
    let constant = CONSTANT.iter().flat_map(|(_, names)| names.iter().copied());
    let of = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<BTreeSet<_>>();
    let classes = [of(&mut { smooth }), of(&mut { piecewise }), of(&mut { constant })];
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        let both: Vec<_> = classes[i].intersection(&classes[j]).collect();
        assert!(both.is_empty(), "in two classes: {both:?}");
    }
    let classified: BTreeSet<&str> = classes.into_iter().flatten().collect();
    let missing: Vec<_> = listed.difference(&classified).collect();
    assert!(
        missing.is_empty(),
        "add each of these functions to SMOOTH with points of interest, to PIECEWISE with the \
         reason, or to CONSTANT: {missing:?}"
    );
    let gone: Vec<_> = classified.difference(&listed).collect();
    assert!(gone.is_empty(), "not in docs/functions.md: {gone:?}");
}

/// Returns the name of a function in its row, without the arguments.
fn name(row: &str) -> &str {
    let from = if row.starts_with("x.at(i)") { "x.at(i)".len() } else { 0 };
    row[from..].find('(').map_or(row, |end| &row[..from + end])
}

#[test]
fn smooth_functions_are_smooth_at_ties_zeros_and_equal_elements() {
    let failures: Vec<String> = smooth::SMOOTH
        .iter()
        .chain(smooth_matrices::SMOOTH)
        .filter_map(|&(name, point, f)| {
            law::check((point, f)).err().map(|e| format!("{name} at {point:?}: {e}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn other_functions_are_smooth_between_their_kinks() {
    let failures: Vec<String> = PIECEWISE
        .iter()
        .filter_map(|&(name, _, point, f)| {
            law::check((point, f)).err().map(|e| format!("{name} at {point:?}: {e}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
