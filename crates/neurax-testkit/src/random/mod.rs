//! Random programs: valid graphs with nested control flow, and what must hold for every one of
//! them.
//!
//! Derivatives are compared with differences, so the programs are smooth where it matters: values
//! in double precision (`f64`, `c128`) may depend on differentiated inputs and meet smooth ops
//! only, inside their domains; all other values (`f32`, `i32`, `bool`) never depend on them, and
//! meet everything: comparisons, rounding, indices, branches.

mod control;
mod custom;
mod generate;
mod leaf;
mod named;
mod places;
mod property;
mod shrink;
mod structure;
mod windows;

pub use property::{Failure, Verdict, check};
pub use shrink::shrink;

use neurax_ir::{Axis, DType, Graph, Literal, Op};

/// A graph with arguments, and with respect to which of them it is differentiated.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it was made from.
    pub seed: u64,
    /// The graph.
    pub graph: Graph,
    /// Its arguments.
    pub args: Vec<Literal>,
    /// Which inputs are differentiated.
    pub active: Vec<bool>,
    /// The graph of one member, where `graph` is `vmap` of it over an axis with a name that it
    /// talks along.
    pub member: Option<Member>,
}

/// What `vmap` over a named axis was given.
#[derive(Clone, Debug)]
pub struct Member {
    /// The graph.
    pub graph: Graph,
    /// Where its inputs have the axis.
    pub dims: Vec<Option<usize>>,
    /// The axis.
    pub axis: Axis,
}

impl Program {
    /// The program of that seed.
    ///
    /// # Errors
    /// When the generator has made an invalid one, which is an error in the generator or in an op's
    /// `infer`.
    pub fn new(seed: u64) -> Result<Program, String> {
        generate::program(seed)
    }

    /// The graph and its arguments, to be read and to be pasted into a test.
    pub fn listing(&self) -> String {
        let args = self.args.iter().zip(&self.active).enumerate();
        let line = |(i, (x, a)): (usize, (&Literal, &bool))| {
            format!("  %{i}{} = {:?}\n", if *a { " (active)" } else { "" }, x.to_f64s())
        };
        format!("{}\nat\n{}", self.graph, args.map(line).collect::<String>())
    }

    /// Does it hold a `while` loop that carries values in double precision? Such a loop has no
    /// reverse mode.
    pub fn has_smooth_while(&self) -> bool {
        smooth_while(&self.graph)
    }
}

fn smooth_while(g: &Graph) -> bool {
    let double = |d: DType| matches!(d, DType::F64 | DType::C128);
    g.eqns().iter().any(|e| {
        let carries =
            matches!(e.op, Op::While(_)) && e.outputs.iter().any(|&v| double(g.ty(v).dtype));
        carries || e.op.graphs().iter().any(|g| smooth_while(g))
    })
}
