//! Lowering: rewrites a graph into the ops that the scheduler classifies.
//!
//! Transforms, composites and calls make a graph that people and other backends read. The scheduler
//! wants fewer kinds of op, in a form in which data movement is strides. Lowering walks the graph
//! once and gives every equation to the first rule of [`LOWERING_RULES`] that applies; an equation
//! that no rule takes is copied. The graphs of loops and branches stay as they are: they are
//! compiled, and so lowered, on their own. The passes of `neurax-ir` then clean up.
//!
//! ```text
//! %1: f32[4, 4] = silu(%0)          ->  %1: f32[4, 4] = logistic(%0)
//!                                       %2: f32[4, 4] = multiply(%0, %1)
//! %2: f16[8] = dot_general(..)      ->  converted to f32, a sum of products, converted back
//! %1: f32[] = reduce(%0: f32[2^20]) ->  %1: f32[32] = reduce(reshape(%0)), %2: f32[] = reduce(%1)
//! ```
//!
//! Invariants: a rule keeps the types of the results (checked for every application), and the value
//! up to the order of sums, which depends on the shapes alone.

mod channels_last;
mod products;
mod quantized_dot;
mod reductions;
mod scatter;
mod sparse;
mod state;
mod windows;

use neurax_ir::{
    Builder, Error, Graph, Op, Result, Type, Value, Values,
    op::{Linear, Threefry},
    passes,
};
use rustc_hash::FxHashMap;
use state::{Lowering, LoweringEqn};

/// A rule: the values that replace the results of an equation, or `None` if it does not apply.
type LoweringRule = fn(&mut Lowering, &LoweringEqn) -> Result<Option<Values>>;

/// The rules, tried from top to bottom; the function of each says what it does.
const LOWERING_RULES: &[(&str, LoweringRule)] = &[
    ("compute nothing without elements", without_elements),
    ("sparse product of plain numbers", sparse::sparse_dot),
    ("convolution with features last", channels_last::channels_last),
    ("quantized product", quantized_dot::quantized_dot),
    ("inline a call or composite", inline),
    ("expand random bits", random_bits),
    ("swap the operands of a transposed product", products::transposed),
    ("product for the matrix kernel, or sum of products", products::product),
    ("extremum, then its first index", reductions::arg_reduce),
    ("split a large reduction", reductions::split),
    ("widen a scatter that rounds often", scatter::scatter),
    ("widen a convolution of narrow floats", windows::convolution),
    ("widen windows over narrow floats", windows::windows),
];

/// Lowers `graph`.
///
/// # Errors
/// If an op has no value, such as a linear map without a forward function.
pub fn lower(graph: &Graph) -> Result<Graph> {
    let mut l = Lowering { b: Builder::new(), products: FxHashMap::default() };
    let xs = l.b.inputs(graph.input_types());
    let ys = l.graph(graph, &xs)?;
    passes::optimize(&l.b.finish(&ys)?, &mut |_, _| {})
}

impl Lowering {
    /// Appends the equations of `graph` on `args` and returns its results.
    ///
    /// `owns_first` counts the readers in one graph. Products that two graphs may read are
    /// therefore forgotten: those among the arguments, and results that the graph itself reads,
    /// too.
    fn graph(&mut self, graph: &Graph, args: &[Value]) -> Result<Values> {
        args.iter().for_each(|v| _ = self.products.remove(v));
        let mut env: Vec<Value> = args.to_vec();
        let uses = graph.use_counts();
        for eqn in graph.eqns() {
            let xs: Values = eqn.inputs.iter().map(|v| env[v.index()]).collect();
            let owns_first = eqn.inputs.first().is_some_and(|v| uses[v.index()] == 1);
            self.b.set_origin(eqn.at.clone());
            let ys = self.equation(&LoweringEqn { eqn, xs, owns_first })?;
            env.extend(ys);
        }
        let shared = graph.outputs().iter().filter(|v| uses[v.index()] != 1);
        shared.for_each(|v| _ = self.products.remove(&env[v.index()]));
        Ok(graph.outputs().iter().map(|v| env[v.index()]).collect())
    }

    /// Appends what the first rule that applies makes of an equation, or the equation itself.
    fn equation(&mut self, e: &LoweringEqn) -> Result<Values> {
        for (name, rule) in LOWERING_RULES {
            if let Some(ys) = rule(self, e)? {
                self.check(name, e, &ys)?;
                return Ok(ys);
            }
        }
        Ok(self.b.emit_n(e.eqn.op.clone(), &e.xs, e.eqn.outputs.len()))
    }

    /// Checks that a rule kept the types of the results. An error of the builder is reported later,
    /// by `finish`.
    fn check(&self, rule: &str, e: &LoweringEqn, ys: &[Value]) -> Result<()> {
        let Ok(want) = e.eqn.op.infer(&self.b.types_of(&e.xs)) else { return Ok(()) };
        let have = self.b.types_of(ys);
        if have == want {
            return Ok(());
        }
        let what = format!("the lowering rule `{rule}` turned {want:?} into {have:?}");
        Err(Error::bug(what).at_origin(&e.eqn.at))
    }
}

/// Replaces results without elements by constants, so that nothing is computed for them: a sum of
/// each of 2^40 rows without elements is a long loop, although its readers have no elements.
fn without_elements(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let runs_anyway = matches!(e.eqn.op, Op::Custom(_)) || e.eqn.op.has_effects();
    if runs_anyway || e.xs.iter().all(|&x| l.b.ty(x).size() > 0) {
        return Ok(None);
    }
    let types = e.eqn.op.infer(&l.b.types_of(&e.xs))?;
    if types.is_empty() || types.iter().any(|t| t.size() > 0) {
        return Ok(None);
    }
    Ok(Some(types.into_iter().map(|t| l.b.zeros(t)).collect()))
}

/// Replaces a call, a checkpoint, a composite or a linear map by its body.
fn inline(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    match &e.eqn.op {
        Op::Call(op) => l.graph(&op.body, &e.xs).map(Some),
        Op::Checkpoint(op) => l.graph(&op.body, &e.xs).map(Some),
        Op::Composite(op) => {
            let types: Vec<Type> = l.b.types_of(&e.xs);
            l.graph(&op.graph(&types)?, &e.xs).map(Some)
        }
        Op::Linear(Linear { forward: Some(forward), .. }) => l.graph(forward, &e.xs).map(Some),
        // other: nothing to inline; the bodies of loops and branches are separate programs.
        _ => Ok(None),
    }
}

/// Expands `threefry2x32` into additions, rotations and exclusive ors.
fn random_bits(l: &mut Lowering, e: &LoweringEqn) -> Result<Option<Values>> {
    let Op::Threefry(_) = &e.eqn.op else { return Ok(None) };
    Ok(Some(Threefry::expanded(&mut l.b, &e.xs).to_vec().into()))
}
