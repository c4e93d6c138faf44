//! Random programs: valid graphs with nested control flow, and the properties that each must have.
//!
//! Derivatives are compared with finite differences, so the programs are smooth where it matters:
//! values in double precision (`f64`, `c128`) may depend on differentiated inputs and pass through
//! smooth ops only, inside their domains; all other values (`f32`, `i32`, `bool`) never depend on
//! these inputs and pass through all ops: comparisons, rounding, indexing, branches.

mod composite;
mod control;
mod custom;
mod elementwise;
mod generate;
mod indexing;
mod linear_algebra;
mod movement;
mod property;
mod shrink;
mod windows;

pub use property::{Failure, Verdict, check};
pub use shrink::shrink;

use neurax_ir::{Axis, DType, Graph, Literal, Op};

/// A graph with arguments, some of which are differentiated.
#[derive(Clone, Debug)]
pub struct RandomProgram {
    /// The seed of the generator.
    pub seed: u64,
    /// The graph.
    pub graph: Graph,
    /// The arguments.
    pub args: Vec<Literal>,
    /// For each input, true if it is differentiated.
    pub active: Vec<bool>,
    /// The unbatched program, if `graph` is its `vmap` over the axis of its collectives.
    pub member: Option<Member>,
}

/// The arguments of `vmap` over a named axis.
#[derive(Clone, Debug)]
pub struct Member {
    /// The unbatched graph.
    pub graph: Graph,
    /// The position of the axis in each input.
    pub dims: Vec<Option<usize>>,
    /// The axis.
    pub axis: Axis,
}

impl RandomProgram {
    /// Generates the program of `seed`.
    ///
    /// # Errors
    /// If the program is invalid, which is a bug of the generator or of an op's `infer`.
    pub fn new(seed: u64) -> Result<RandomProgram, String> {
        generate::program(seed)
    }

    /// Returns the graph and its arguments as text, to be pasted into a test.
    pub fn listing(&self) -> String {
        let args = self.args.iter().zip(&self.active).enumerate();
        let line = |(i, (x, a)): (usize, (&Literal, &bool))| {
            format!("  %{i}{} = {:?}\n", if *a { " (active)" } else { "" }, x.to_f64s())
        };
        format!("{}\nat\n{}", self.graph, args.map(line).collect::<String>())
    }

    /// Returns true if the program contains a `while` loop that carries values in double precision.
    /// Such a loop has no reverse mode.
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
