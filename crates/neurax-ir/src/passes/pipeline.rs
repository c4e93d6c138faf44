//! The passes in their order.

use super::{cse, dce, fold, hoist, simplify};
use crate::{Error, Graph, Result, verify};

/// One pass with its name in timings and dumps.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The name.
    pub name: &'static str,
    /// The pass; `None` if it changes nothing.
    pub run: fn(&Graph) -> Result<Option<Graph>>,
}

/// The steps of one round, read top to bottom. Rounds are repeated until each step has changed
/// nothing since the last that did.
pub const PIPELINE: &[Step] = &[
    Step { name: "simplify", run: simplify::pass },
    Step { name: "fold", run: fold::pass },
    Step { name: "hoist", run: hoist::pass },
    Step { name: "cse", run: cse::pass },
    Step { name: "dce", run: dce::pass },
];

/// Rounds after which no more is tried: what one round opens to the next is found in the first few.
const ROUNDS: usize = 4;

/// Runs the steps of [`PIPELINE`]. `log` hears the name of each step and the graph it gave, as soon
/// as it is there: a clock read there times the steps. Debug builds verify the graph after that.
///
/// ```
/// use neurax_ir::{Graph, passes};
/// let graph = Graph::parse("graph() {
///   %0: i8[] = constant[value=i8[] 5]()
///   %1: i8[] = constant[value=i8[] 5]()
///   return %0, %1
/// }")?;
/// let mut names = vec![];
/// let small = passes::optimise(&graph, &mut |name, _| names.push(name))?;
/// assert_eq!(small.eqns().len(), 1);
/// assert!(names.contains(&"cse"));
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// When a pass fails, with its name.
pub fn optimise(graph: &Graph, log: &mut dyn FnMut(&'static str, &Graph)) -> Result<Graph> {
    let mut graph = graph.clone();
    // How many steps have changed nothing since the last one that did.
    let mut quiet = 0;
    for step in PIPELINE.iter().cycle().take(ROUNDS * PIPELINE.len()) {
        let new = (step.run)(&graph).map_err(|e| e.inside(step.name))?;
        quiet = if new.is_some() { 0 } else { quiet + 1 };
        if let Some(new) = new {
            graph = if cfg!(debug_assertions) { checked(step, &graph, new)? } else { new };
        }
        log(step.name, &graph);
        if quiet == PIPELINE.len() {
            break;
        }
    }
    Ok(graph)
}

/// The graph, if it verifies and has the signature that it had.
fn checked(step: &Step, before: &Graph, after: Graph) -> Result<Graph> {
    verify(&after).map_err(|e| e.inside(step.name))?;
    let same = before.input_types() == after.input_types()
        && before.output_types() == after.output_types();
    if same {
        Ok(after)
    } else {
        Err(Error::new(step.name, "the pass changed the types of the arguments or results"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::same_value;
    use super::*;
    use crate::{Builder, DType, Literal, Type, Value, op::Scan, transform};

    fn row() -> Type {
        Type::new(DType::F64, [3])
    }

    fn names(g: &Graph) -> Vec<&'static str> {
        g.eqns().iter().map(|e| e.op.name()).collect()
    }

    fn step(make: impl FnOnce(&mut Builder, Value, Value) -> Value) -> Graph {
        let mut b = Builder::new();
        let (k, c) = (b.input(row()), b.input(row()));
        let y = make(&mut b, k, c);
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn work_leaves_the_loop_once() {
        let body = step(|b, k, c| {
            let (s, t) = (b.sin(k), b.sin(k));
            let (f, one) = (b.mul(s, t), b.full(row(), 1.0));
            let c = b.mul(c, one);
            b.mul(c, f)
        });
        let mut b = Builder::new();
        let (k, c) = (b.input(row()), b.input(row()));
        let scan = Scan { body: body.into(), length: 4, reverse: false, consts: 1, carries: 1 };
        let y = b.emit_n(scan, &[k, c], 1);
        let g = b.finish(&y).unwrap();
        let small = optimise(&g, &mut |_, _| {}).unwrap();
        assert_eq!(names(&small), ["sine", "multiply", "scan"]);
        assert_eq!(names(&small.eqns()[2].op.graphs()[0]), ["multiply"]);
        let args = [0.5, 2.0].map(|x| Literal::from_f64s(DType::F64, [3], &[x, -x, 0.1]));
        same_value(&g, &small, args.to_vec());
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let g = step(|b, k, c| {
            let p = b.emit(crate::composite::Softmax { axis: 0 }, &[k]);
            let q = b.mul(p, c);
            let r = b.logistic(q);
            b.sum(r, &[0])
        });
        let g = transform::grad(&g, &[true, true]).unwrap();
        let mut steps = vec![];
        let small = optimise(&g, &mut |name, _| steps.push(name)).unwrap();
        assert_eq!(steps[..PIPELINE.len()], PIPELINE.iter().map(|s| s.name).collect::<Vec<_>>());
        assert_eq!(optimise(&small, &mut |_, _| {}).unwrap(), small);
        assert!(small.count_eqns() < g.count_eqns());
        let args = [0.5, 2.0].map(|x| Literal::from_f64s(DType::F64, [3], &[x, -x, 0.1]));
        same_value(&g, &small, args.to_vec());
    }
}
