//! Runs the mirror of a recorded function through every transform, and compares the results with
//! those of JAX.

use crate::counting::Counting;
use neurax::{
    Literal,
    ir::{self, Graph},
    prelude::*,
};
use neurax_testkit::{
    close::{Tolerance, close_within, epsilon, parts},
    fixtures::{self, Fixture},
};
use std::collections::BTreeSet;

/// A recorded function in Rust: from its inputs to its outputs, in the order of the fixture.
pub type Mirror = fn(&[Tensor]) -> Vec<Tensor>;

/// The mirrors of a family, by the names of their fixtures.
pub type Mirrors = &'static [(&'static str, Mirror)];

/// Defines `MIRRORS`. An entry is `name(inputs..) => result`, where inputs are `&Tensor` and the
/// result is any tree.
macro_rules! mirrors {
    ($($name:ident($($x:ident),*) => $body:expr;)*) => {
        pub const MIRRORS: crate::harness::Mirrors = &[$((stringify!($name), |xs| {
            let [$($x),*] = xs else { panic!("{} inputs were recorded", xs.len()) };
            crate::harness::leaves($body)
        })),*];
    };
}
pub(crate) use mirrors;

/// Returns the real and imaginary parts of complex numbers along a new last axis.
#[track_caller]
pub fn packed(z: &Tensor) -> Tensor {
    stack([z.real(), z.imag()], -1)
}

pub fn leaves(t: impl Tree) -> Vec<Tensor> {
    let mut v = vec![];
    t.into_leaves(&mut v);
    v
}

/// Functions with a custom derivative that is wrong on purpose: forward and reverse mode need not
/// agree, and the second derivative is not symmetric. Through 16-bit floats the derivative is
/// right, but each pass rounds differently.
const NO_SYMMETRY: [&str; 3] = ["custom_jvp_is_used", "through_bfloat16", "to_float16"];

/// Checks all mirrors of a family that are recorded, and reports everything that differs. That all
/// are recorded is another test; of drawn functions, some are.
pub fn check(mirrors: Mirrors) {
    let mut report = vec![];
    let recorded = fixtures::names().unwrap();
    for &(name, f) in mirrors.iter().filter(|m| recorded.iter().any(|name| name == m.0)) {
        let fixture = fixtures::read(name).unwrap();
        for prefix in ["f32", "f64"] {
            let case = Case::new(&fixture, prefix, f);
            case.all_modes();
            report.extend(case.report.into_inner().unwrap());
        }
        if fixture.has("bf16") {
            let case = Case::new(&fixture, "bf16", f);
            case.narrow_modes();
            report.extend(case.report.into_inner().unwrap());
        }
    }
    assert!(report.is_empty(), "{} differ:\n{}", report.len(), report.join("\n"));
}

/// Returns the nesting depth of loops, branches, rules and checkpoints in `f`.
pub fn depth(name: &str, f: Mirror) -> usize {
    let fixture = fixtures::read(name).unwrap();
    let counting = Counting::default();
    let device = counting.device().unwrap();
    let case = Case::new(&fixture, "f64", f);
    jit(case.of_all()).run(case.inputs.iter().map(|x| x.on(&device)).collect()).unwrap();
    counting.compiled().iter().map(depth_of).max().unwrap_or(0)
}

fn depth_of(g: &Graph) -> usize {
    let deep = |e: &ir::Eqn| {
        let own = ["scan", "case", "while", "function", "checkpoint"].contains(&e.op.name());
        own as usize + e.op.graphs().iter().map(|g| depth_of(g)).max().unwrap_or(0)
    };
    g.eqns().iter().map(deep).max().unwrap_or(0)
}

/// Runs the mirrors, their batches and their gradients under jit, and returns the equations that
/// reach the backend without a line of the user's program.
pub fn strays(mirrors: Mirrors) -> BTreeSet<String> {
    let mut strays = BTreeSet::new();
    for &(name, f) in mirrors {
        let fixture = fixtures::read(name).unwrap();
        let counting = Counting::default();
        let device = counting.device().unwrap();
        let mut case = Case::new(&fixture, "f64", f);
        case.inputs.iter_mut().for_each(|x| *x = x.on(&device));
        let on = |xs: Vec<Tensor>| xs.iter().map(|x| x.on(&device)).collect::<Vec<_>>();
        jit(case.of_all()).run(case.inputs.clone()).unwrap();
        jit(vmap(case.of_all())).run(on(case.recorded("vin"))).unwrap();
        if fixture.has("grad") {
            jit(grad(checkpoint(case.scalar(&case.inputs))))
                .run(case.chosen(&case.inputs))
                .unwrap();
        }
        counting.compiled().iter().for_each(|g| unplaced(g, name, &mut strays));
    }
    strays
}

fn unplaced(g: &Graph, path: &str, strays: &mut BTreeSet<String>) {
    for e in g.eqns() {
        let path = format!("{path}/{}", e.op.name());
        strays.extend(
            (e.at.place.to_string() == "an unknown place").then(|| format!("{path}: {:?}", e.at)),
        );
        e.op.graphs().iter().for_each(|g| unplaced(g, &path, strays));
    }
}

/// One function in one dtype.
struct Case<'a> {
    f: Mirror,
    fixture: &'a Fixture,
    prefix: &'static str,
    inputs: Vec<Tensor>,
    /// The indices of the float inputs, with respect to which the function is differentiated.
    floats: Vec<usize>,
    report: std::sync::Mutex<Vec<String>>,
}

impl<'a> Case<'a> {
    fn new(fixture: &'a Fixture, prefix: &'static str, f: Mirror) -> Case<'a> {
        let inputs = tensors(fixture.list(prefix, "in"));
        let floats = (0..inputs.len()).filter(|&i| inputs[i].dtype().is_float()).collect();
        Case { f, fixture, prefix, inputs, floats, report: Default::default() }
    }

    fn all_modes(&self) {
        let xs = || self.inputs.clone();
        self.expect("value", "out", (self.f)(&self.inputs));
        self.expect("jit", "out", jit(self.of_all()).run(xs()));
        let vxs = || self.recorded("vin");
        self.expect("vmap", "vout", vmap(self.of_all()).run(vxs()));
        self.expect("jit vmap", "vout", jit(vmap(self.of_all())).run(vxs()));
        if self.prefix == "f64" {
            self.mapped_over_each_axis();
        }
        if self.fixture.has("edges") {
            self.edges();
        }
        if self.fixture.has("jvp") {
            self.forward();
        }
        if self.fixture.has("grad") {
            self.reverse();
            self.mapped();
        }
        if self.fixture.has("hvp") {
            self.second_order();
        }
        if self.prefix == "f64" {
            self.other_orders();
        }
    }

    /// Checks the derivatives by checkpoints, other modes and other orders of transforms, which are
    /// those of the other dtypes as well.
    fn other_orders(&self) {
        if self.fixture.has("grad") {
            self.reverse_checkpointed();
            self.mapped_checkpointed();
        }
        let symmetric = self.fixture.has("jvp")
            && self.fixture.has("grad")
            && !NO_SYMMETRY.contains(&&*self.fixture.name);
        if symmetric {
            self.by_columns();
        }
        if symmetric && self.fixture.has("hvp") {
            self.reverse_over_reverse();
        }
    }

    /// Checks the values, batches and gradients in bf16.
    fn narrow_modes(&self) {
        let (xs, vxs) = (|| self.inputs.clone(), || self.recorded("vin"));
        self.expect("value", "out", (self.f)(&self.inputs));
        self.expect("jit", "out", jit(self.of_all()).run(xs()));
        self.expect("vmap", "vout", vmap(self.of_all()).run(vxs()));
        if self.fixture.has("bf16_grad") {
            let s = self.scalar(&self.inputs);
            self.expect("grad", "grad", grad(s).run(self.chosen(&self.inputs)));
        }
    }

    /// Checks batches whose mapped axis is not the first one: axis 1, 2, .. of each input, or its
    /// last one if it has fewer, and the last one of the outputs.
    fn mapped_over_each_axis(&self) {
        let vxs = self.recorded("vin");
        let most = vxs.iter().map(|x| x.rank() - 1).max().unwrap_or(0);
        for axis in 1..=most as i64 {
            let axes: Vec<i64> = vxs.iter().map(|x| axis.min(x.rank() as i64 - 1)).collect();
            let moved = vxs.iter().zip(&axes).map(|(x, &axis)| x.move_axis(0, axis)).collect();
            let inputs = Mapped::Each(axes.into_iter().map(Some).collect());
            let axes = Axes { inputs, outputs: (-1).into(), ..Axes::default() };
            let first = |ys: Vec<Tensor>| ys.iter().map(|y| y.move_axis(-1, 0)).collect::<Vec<_>>();
            let ys = vmap_with(self.of_all(), axes).run(moved).map(first);
            self.expect(&format!("vmap over axis {axis}"), "vout", ys);
        }
    }

    /// Checks the values at special numbers, of several shapes.
    fn edges(&self) {
        for i in 0.. {
            let xs = self.recorded(&format!("edge{i}.in"));
            if xs.is_empty() {
                break;
            }
            self.expect("edges", &format!("edge{i}.out"), (self.f)(&xs));
        }
    }

    fn forward(&self) {
        let tangent =
            |(p, t): (Vec<Tensor>, Vec<Tensor>)| jvp(self.of_floats(&self.inputs), p, t).1;
        let at = || (self.chosen(&self.inputs), self.recorded("tan"));
        let floats = |ys: Vec<Tensor>| -> Vec<Tensor> {
            ys.into_iter().filter(|y| y.error().is_some() || y.dtype().is_float()).collect()
        };
        self.expect("jvp", "jvp", floats(tangent(at())));
        self.expect("jit jvp", "jvp", jit(tangent).run(at()).map(floats));
    }

    fn reverse(&self) {
        let at = || self.chosen(&self.inputs);
        let s = || self.scalar(&self.inputs);
        self.expect("grad", "grad", grad(s()).run(at()));
        self.expect("jit grad", "grad", jit(grad(s())).run(at()));
    }

    fn reverse_checkpointed(&self) {
        let at = || self.chosen(&self.inputs);
        let s = || self.scalar(&self.inputs);
        self.expect("grad jit", "grad", grad(jit(s())).run(at()));
        self.expect("grad checkpoint", "grad", grad(checkpoint(s())).run(at()));
        self.expect("jit grad checkpoint", "grad", jit(grad(checkpoint(s()))).run(at()));
    }

    fn second_order(&self) {
        let at = || (self.chosen(&self.inputs), self.recorded("tan"));
        let s = || self.scalar(&self.inputs);
        let hvp = |(p, t): (Vec<Tensor>, Vec<Tensor>)| jvp(grad(s()), p, t).1;
        self.expect("jvp grad", "hvp", hvp(at()));
        self.expect("jit jvp grad", "hvp", jit(hvp).run(at()));
        let again = |(p, t): (Vec<Tensor>, Vec<Tensor>)| jvp(grad(checkpoint(s())), p, t).1;
        self.expect("jit jvp grad checkpoint", "hvp", jit(again).run(at()));
    }

    fn mapped(&self) {
        let vxs = self.recorded("vin");
        let each = |xs: Vec<Tensor>| grad(self.scalar(&xs))(self.chosen(&xs));
        self.expect("vmap grad", "vgrad", vmap(each).run(vxs.clone()));
        self.expect("jit vmap grad", "vgrad", jit(vmap(each)).run(vxs.clone()));
    }

    fn mapped_checkpointed(&self) {
        let vxs = self.recorded("vin");
        let each = |xs: Vec<Tensor>| grad(checkpoint(self.scalar(&xs)))(self.chosen(&xs));
        self.expect("vmap grad checkpoint", "vgrad", vmap(each).run(vxs.clone()));
        self.expect("jit vmap grad checkpoint", "vgrad", jit(vmap(each)).run(vxs.clone()));
        // The gradient of the sum over the axis is the gradient of each.
        let all = |fs: Vec<Tensor>| {
            vmap(|xs: Vec<Tensor>| self.scalar(&xs)(self.chosen(&xs)))(self.with(&vxs, fs)).sum(..)
        };
        self.expect("grad vmap", "vgrad", grad(all).run(self.chosen(&vxs)));
        self.expect("jit grad vmap", "vgrad", jit(grad(all)).run(self.chosen(&vxs)));
        let all = |fs: Vec<Tensor>| {
            vmap(|xs: Vec<Tensor>| checkpoint(self.scalar(&xs))(self.chosen(&xs)))(
                self.with(&vxs, fs),
            )
            .sum(..)
        };
        self.expect("grad vmap checkpoint", "vgrad", grad(all).run(self.chosen(&vxs)));
        self.expect("jit grad vmap checkpoint", "vgrad", jit(grad(all)).run(self.chosen(&vxs)));
    }

    /// Checks the gradient by forward mode.
    fn by_columns(&self) {
        let (at, s) = (self.chosen(&self.inputs), self.scalar(&self.inputs));
        let column = |i: usize| {
            let (s, at) = (&s, &at);
            let of_one = move |x: Tensor| {
                s(at.iter()
                    .enumerate()
                    .map(|(k, y)| if k == i { x.clone() } else { y.clone() })
                    .collect())
            };
            jacobian_forward(of_one)(at[i].clone())
        };
        self.expect("jacobian_forward", "grad", (0..at.len()).map(column).collect::<Vec<_>>());
    }

    /// Checks the second derivative by reverse mode over reverse mode.
    fn reverse_over_reverse(&self) {
        let (at, s, tan) =
            (self.chosen(&self.inputs), self.scalar(&self.inputs), self.recorded("tan"));
        let slope = |fs: Vec<Tensor>| {
            grad(&s)(fs).iter().zip(&tan).map(|(g, t)| (g * t).sum(..)).sum::<Tensor>()
        };
        self.expect("grad grad", "hvp", grad(slope).run(at.clone()));
        self.expect("jit grad grad", "hvp", jit(grad(slope)).run(at.clone()));
        let slope = |fs: Vec<Tensor>| {
            grad(checkpoint(&s))(fs).iter().zip(&tan).map(|(g, t)| (g * t).sum(..)).sum::<Tensor>()
        };
        self.expect("jit grad grad checkpoint", "hvp", jit(grad(slope)).run(at.clone()));
    }

    fn of_all(&self) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> {
        let f = self.f;
        move |xs| f(&xs)
    }

    /// Returns the function of the float inputs alone, with the other inputs fixed at `xs`.
    fn of_floats<'x>(&'x self, xs: &'x [Tensor]) -> impl Fn(Vec<Tensor>) -> Vec<Tensor> + 'x {
        move |fs| (self.f)(&self.with(xs, fs))
    }

    /// Returns the differentiated function: the sum of the first output times the recorded weights.
    fn scalar<'x>(&'x self, xs: &'x [Tensor]) -> impl Fn(Vec<Tensor>) -> Tensor + 'x {
        let weights = self.recorded("ct").swap_remove(0);
        move |fs| ((self.f)(&self.with(xs, fs)).swap_remove(0) * &weights).sum(..)
    }

    fn with(&self, xs: &[Tensor], floats: Vec<Tensor>) -> Vec<Tensor> {
        let mut all = xs.to_vec();
        self.floats.iter().zip(floats).for_each(|(&i, x)| all[i] = x);
        all
    }

    fn chosen(&self, xs: &[Tensor]) -> Vec<Tensor> {
        self.floats.iter().map(|&i| xs[i].clone()).collect()
    }

    fn recorded(&self, key: &str) -> Vec<Tensor> {
        tensors(self.fixture.list(self.prefix, key))
    }

    fn expect(&self, mode: &str, key: &str, have: impl Outcome) {
        let want = self.fixture.list(self.prefix, key);
        let errors = self.fixture.list(self.prefix, &format!("{key}_error"));
        let same = |(i, (have, want)): (usize, (&Literal, &Literal))| {
            let close = match errors.get(i) {
                Some(error) if want.dtype().is_float() => rounded_like(have, want)
                    .and_then(|have| close_within(&have, want, narrow_tolerance(want, error))),
                _ => close_within(have, want, tolerance(want)),
            };
            close.map_err(|e| format!("{key}.{i}: {e}"))
        };
        let result = have.literals().map_err(|e| e.to_string()).and_then(|have| {
            let counted = if have.len() == want.len() {
                Ok(())
            } else {
                Err(format!("{} values, not {}", have.len(), want.len()))
            };
            counted.and_then(|()| have.iter().zip(&want).enumerate().try_for_each(same))
        });
        if let Err(e) = result {
            self.report
                .lock()
                .unwrap()
                .push(format!("{} {} {mode}: {e}", self.fixture.name, self.prefix));
        }
    }
}

/// The result of a transform: values with or without a `Result` around them.
trait Outcome {
    fn literals(self) -> Result<Vec<Literal>>;
}

impl Outcome for Vec<Tensor> {
    fn literals(self) -> Result<Vec<Literal>> {
        self.iter().map(Tensor::to_literal).collect()
    }
}

impl Outcome for Result<Vec<Tensor>> {
    fn literals(self) -> Result<Vec<Literal>> {
        self?.literals()
    }
}

fn tensors(xs: Vec<Literal>) -> Vec<Tensor> {
    xs.into_iter().map(Tensor::from).collect()
}

/// Returns a tolerance relative to the largest magnitude of the array, as sums of elements may
/// cancel. The largest deviations seen in all modes of all functions: 7.6e-15 in f64 (second
/// derivatives of a recurrent network), 3.5e-6 in f32 (those of attention with several heads).
fn tolerance(want: &Literal) -> Tolerance {
    let rel = match want.dtype() {
        DType::F64 => 1e-13,
        DType::F32 => 1e-5,
        d => 2.0 * epsilon(d),
    };
    let largest = if want.dtype().is_float() {
        let finite = parts(want).into_iter().filter(|x| x.0.is_finite());
        finite.fold(1e-2, |m: f64, x| m.max(x.0.abs()))
    } else {
        0.0
    };
    Tolerance { rel, abs: rel * largest }
}

/// Returns a result in bf16 in the dtype of the recorded one.
fn rounded_like(have: &Literal, want: &Literal) -> std::result::Result<Literal, String> {
    if have.dtype() != BF16 {
        return Err(format!("expected bf16, got {}", have.dtype()));
    }
    Tensor::from(have.clone()).to(want.dtype()).to_literal().map_err(|e| e.to_string())
}

/// Returns the tolerance of results in bf16, from the exact ones: four units in the last place of
/// the largest magnitude, and twice the largest error of JAX in bf16, which is large where
/// roundings within the function matter.
fn narrow_tolerance(want: &Literal, error: &Literal) -> Tolerance {
    let magnitude = |x: &Literal| parts(x).iter().fold(0.0, |m: f64, x| m.max(x.0.abs())).max(1e-2);
    let of_jax = parts(error).iter().fold(0.0, |m: f64, x| m.max(x.0));
    Tolerance { rel: 0.0, abs: 4.0 * epsilon(BF16) * magnitude(want) + 2.0 * of_jax }
}
