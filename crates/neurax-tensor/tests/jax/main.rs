//! Law 9: the functions recorded from JAX (see `fixtures/README.md` of the testkit), written in Rust, give the same values, derivatives and batches.

#[allow(dead_code, reason = "the tests of costs use the rest")]
#[path = "../cost/counting.rs"]
mod counting;

mod control;
mod elementwise;
mod harness;
mod nested;
mod networks;
mod reductions;
mod rules;
mod shapes;
mod transforms;

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

families!(control, rules, transforms, networks, shapes, reductions, elementwise);

/// Recorded functions without a mirror, and why.
const WITHOUT: &[(&str, &str)] = &[];

#[test]
fn every_recorded_function_has_a_mirror() {
    let mut mirrored: Vec<&str> = FAMILIES.iter().copied().flatten().map(|m| m.0).collect();
    let modes = harness::modes(&mirrored);
    assert!(mirrored.len() >= 190, "{}", mirrored.len());
    mirrored.extend(WITHOUT.iter().map(|m| m.0));
    mirrored.sort();
    let recorded: Vec<String> = neurax_testkit::fixtures::names().unwrap().into_iter().filter(|n| n != "random").collect();
    assert_eq!(mirrored, recorded, "{modes:?}");
}

#[test]
fn every_equation_has_a_line_of_the_users_program() {
    let strays: Vec<String> = FAMILIES.iter().flat_map(|f| harness::strays(f)).collect();
    assert!(strays.is_empty(), "{} equations have lost their place:\n{}", strays.len(), strays.join("\n"));
}
