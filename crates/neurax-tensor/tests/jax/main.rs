//! The functions recorded from JAX (see `fixtures/README.md` of the testkit), written in Rust, have
//! the same values, derivatives and batches.

#[allow(dead_code, reason = "the tests of costs use the rest")]
#[path = "../cost/counting.rs"]
mod counting;

mod activations;
mod arranged;
mod complex_arrays;
mod complex_elements;
mod control;
mod elements;
mod elementwise;
mod fft;
mod harness;
mod images;
mod indices;
mod linear_algebra;
mod linear_options;
mod matrices;
mod nested;
mod networks;
mod options;
mod primitives;
mod reduced;
mod reductions;
mod rules;
mod shapes;
mod signals;
mod special;
mod spectra;
mod transforms;
mod windows;

use std::collections::BTreeSet;

macro_rules! families {
    ($($family:ident),* $(,)?) => {
        $(#[test]
        fn $family() {
            harness::check($family::MIRRORS);
        })*

        /// All mirrors.
        const FAMILIES: &[harness::Mirrors] = &[$($family::MIRRORS),*];
    };
}

families!(
    control,
    fft,
    images,
    indices,
    rules,
    transforms,
    networks,
    options,
    shapes,
    signals,
    reductions,
    linear_algebra,
    linear_options,
    elementwise,
    windows,
    activations,
    arranged,
    complex_arrays,
    complex_elements,
    elements,
    matrices,
    primitives,
    reduced,
    special,
    spectra
);

#[test]
fn every_recorded_function_has_a_mirror() {
    let mut mirrored: Vec<&str> = FAMILIES.iter().copied().flatten().map(|m| m.0).collect();
    assert!(mirrored.len() >= 700, "{}", mirrored.len());
    mirrored.sort();
    let recorded: Vec<String> =
        neurax_testkit::fixtures::names().unwrap().into_iter().filter(|n| n != "random").collect();
    assert_eq!(mirrored, recorded);
}

/// Functions whose first result is not a float.
const NO_FLOAT: [&str; 9] = [
    "all_any",
    "argmax_argmin",
    "argsort",
    "bit_reductions",
    "gcd_lcm",
    "histogram_grid",
    "mode",
    "mulhi",
    "packed_bits",
];
/// Functions with a custom reverse rule, which have no forward mode.
const REVERSE_ONLY: [&str; 3] =
    ["custom_vjp_clip_gradient", "custom_vjp_in_scan", "custom_vjp_straight_through"];
/// Functions with a loop whose number of iterations is only known at run time, which have no
/// reverse mode.
const FORWARD_ONLY: [&str; 4] = ["fori_dynamic", "while_counter", "while_data", "while_in_scan"];

#[test]
fn every_function_was_recorded_in_every_mode_that_it_has() {
    let names = || FAMILIES.iter().copied().flatten().map(|m| m.0);
    let without = |mode: &str| {
        names()
            .filter(|n| !neurax_testkit::fixtures::read(n).unwrap().has(mode))
            .collect::<BTreeSet<_>>()
    };
    let set = |lists: [&[&'static str]; 2]| lists.concat().into_iter().collect::<BTreeSet<_>>();
    assert_eq!((without("value"), without("vmap")), Default::default());
    assert_eq!(without("jvp"), set([&NO_FLOAT, &REVERSE_ONLY]));
    for mode in ["grad", "hvp", "vgrad"] {
        assert_eq!(without(mode), set([&NO_FLOAT, &FORWARD_ONLY]), "{mode}");
    }
}

/// Half of the modes put a checkpoint around the function, so a single loop in it is nested
/// already.
#[test]
fn loops_branches_rules_and_checkpoints_are_nested_in_many() {
    let differentiated = FAMILIES
        .iter()
        .copied()
        .flatten()
        .filter(|m| neurax_testkit::fixtures::read(m.0).unwrap().has("grad"));
    let depths: Vec<usize> = differentiated.map(|&(name, f)| harness::depth(name, f)).collect();
    let at_least = |n: usize| depths.iter().filter(|&&d| d >= n).count();
    assert!(
        at_least(1) >= 30 && at_least(2) >= 9,
        "{} hold a loop, branch, rule or checkpoint, {} one in another",
        at_least(1),
        at_least(2)
    );
}

#[test]
fn every_equation_names_a_line_of_the_users_program() {
    let strays: Vec<String> = FAMILIES.iter().flat_map(|f| harness::strays(f)).collect();
    assert!(
        strays.is_empty(),
        "{} equations have lost their location:\n{}",
        strays.len(),
        strays.join("\n")
    );
}
