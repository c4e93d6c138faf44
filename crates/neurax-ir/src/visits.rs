//! A counter of the equations that walkers visit, for tests that bound the work of compiling:
//! unlike a time, it does not depend on the machine. Other builds count nothing.

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts the visit of an equation.
#[inline(always)]
pub(crate) fn visit() {
    #[cfg(test)]
    VISITS.with(|v| v.set(v.get() + 1));
}

/// Returns the number of equations that `f` visits.
#[cfg(test)]
pub(crate) fn visits_of(f: impl FnOnce()) -> usize {
    let before = VISITS.with(std::cell::Cell::get);
    f();
    VISITS.with(std::cell::Cell::get) - before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Call, Checkpoint, Concatenate, Cond, Direction, Scan, While};
    use crate::{Axis, Builder, DType, Graph, Literal, Op, Type, Value, passes, transform, verify};

    /// An op that applies a body `(constant, x) -> (x)` to a constant and a value.
    type Nest = fn(Graph) -> Graph;

    fn ty() -> Type {
        Type::new(DType::F32, [3])
    }

    fn function(make: impl FnOnce(&mut Builder, Value, Value) -> Value) -> Graph {
        let mut b = Builder::new();
        let (k, x) = (b.input(ty()), b.input(ty()));
        let y = make(&mut b, k, x);
        b.finish(&[y]).unwrap()
    }

    /// Wraps a body in an op that holds graphs, with work before and after it.
    fn wrapped(
        op: impl Into<Op>,
        operands: impl Fn(&mut Builder, Value, Value) -> Vec<Value>,
    ) -> Graph {
        function(|b, k, x| {
            let s = b.sin(x);
            let xs = operands(b, k, s);
            let y = b.emit_n(op, &xs, 1)[0];
            let dead = b.mul(y, k);
            b.exp(dead);
            b.add(y, x)
        })
    }

    fn scan(body: Graph) -> Graph {
        let op = Scan { body: body.into(), length: 2, reverse: false, consts: 1, carries: 1 };
        wrapped(op, |_, k, x| vec![k, x])
    }

    fn repeat(body: Graph) -> Graph {
        let mut b = Builder::new();
        let x = b.input(ty());
        let (sum, limit) = (b.sum(x, &[0]), b.constant(Literal::scalar(DType::F32, 10.0)));
        let less = b.compare(Direction::Lt, sum, limit);
        let cond = b.finish(&[less]).unwrap();
        let op = While { cond: cond.into(), body: body.into(), cond_consts: 0, body_consts: 1 };
        wrapped(op, |_, k, x| vec![k, x])
    }

    fn cond(body: Graph) -> Graph {
        let other = function(|b, k, x| b.mul(k, x));
        let op = Cond { branches: vec![body.into(), other.into()] };
        wrapped(op, |b, k, x| {
            let s = b.sum(x, &[0]);
            vec![b.convert(s, DType::I32), k, x]
        })
    }

    fn checkpoint(body: Graph) -> Graph {
        wrapped(Checkpoint { body: body.into() }, |_, k, x| vec![k, x])
    }

    fn call(body: Graph) -> Graph {
        wrapped(Call { callee: "f".into(), body: body.into() }, |_, k, x| vec![k, x])
    }

    /// Nests an op `depth` deep.
    fn nested(nest: Nest, depth: usize) -> Graph {
        (1..depth).fold(function(|b, k, x| b.mul(k, x)), |body, _| nest(body))
    }

    /// A way of compiling or transforming a graph.
    type Work = fn(&Graph);

    const WORKS: [(&str, Work); 6] = [
        ("optimize", |g| _ = passes::optimize(g, &mut |_, _| {}).unwrap()),
        ("verify", |g| verify(g).unwrap()),
        ("jvp", |g| _ = transform::jvp(g, &[true, true]).unwrap()),
        ("vjp", |g| _ = transform::vjp(g, &[true, true]).map_err(|e| e.to_string())),
        ("vmap", |g| {
            let axis = Axis { size: 2, name: None };
            _ = transform::vmap(g, &[None, Some(0)], &axis).unwrap();
        }),
        ("optimized vjp", |g| {
            if let Ok(v) = transform::vjp(g, &[true, true]) {
                passes::optimize(&v.backward, &mut |_, _| {}).unwrap();
            }
        }),
    ];

    // The rule of a loop transforms its body a few times, and walks over the loops in it: the
    // square of the depth. The branches of a case return zeros for the residuals of each other, so
    // that the graph of its gradient grows with the square itself.
    #[test]
    fn nested_graphs_cost_at_most_the_square_of_their_depth() {
        let nests: [(&str, Nest); 5] = [
            ("scan", scan),
            ("while", repeat),
            ("case", cond),
            ("checkpoint", checkpoint),
            ("call", call),
        ];
        for (op, nest) in nests {
            for (name, work) in WORKS {
                let cost = |depth: usize| {
                    let g = nested(nest, depth);
                    visits_of(|| work(&g))
                };
                let costs = [8, 16, 32].map(cost);
                let most = if op == "case" && name.contains("vjp") { 8 } else { 4 };
                for pair in costs.windows(2) {
                    let bound = most * pair[0] + pair[0] / 2;
                    assert!(pair[1] <= bound, "{name} of {op}: {costs:?}");
                }
            }
        }
    }

    /// Builds a graph of `n` equations, or a small multiple.
    type Wide = fn(usize) -> Graph;

    const WIDE: [(&str, Wide); 4] = [
        ("chain", |n| function(|b, _, x| (0..n).fold(x, |x, _| b.sin(x)))),
        ("concatenate", |n| {
            function(|b, k, x| {
                let parts: Vec<Value> = (0..n).map(|i| scaled(b, x, i)).collect();
                let all = b.emit(Concatenate { axis: 0 }, &parts);
                let s = b.sum(all, &[0]);
                let s = b.broadcast(s, [3], &[]);
                b.mul(s, k)
            })
        }),
        ("outputs", |n| {
            let mut b = Builder::new();
            let (_, x) = (b.input(ty()), b.input(ty()));
            let ys: Vec<Value> = (0..n).map(|i| scaled(&mut b, x, i)).collect();
            b.finish(&ys).unwrap()
        }),
        ("invariants", |n| {
            scan(function(|b, k, x| {
                (0..n).fold(x, |x, i| {
                    let y = scaled(b, k, i);
                    b.mul(x, y)
                })
            }))
        }),
    ];

    /// Emits a function of `x` that differs for each `i`.
    fn scaled(b: &mut Builder, x: Value, i: usize) -> Value {
        let y = b.add_scalar(x, i as f64 + 1.0);
        b.sin(y)
    }

    #[test]
    fn wide_graphs_cost_in_proportion_to_their_size() {
        for (kind, wide) in WIDE {
            for (name, work) in WORKS {
                let cost = |n: usize| {
                    let g = wide(n);
                    visits_of(|| work(&g))
                };
                let costs = [50, 100, 200].map(cost);
                for pair in costs.windows(2) {
                    let bound = 2 * pair[0] + pair[0] / 5;
                    assert!(pair[1] <= bound, "{name} of {kind}: {costs:?}");
                }
            }
        }
    }

    #[test]
    fn graphs_that_are_nested_too_deeply_are_an_error() {
        let deep = nested(scan, crate::tuning::MAX_GRAPH_DEPTH);
        assert_eq!(deep.depth(), crate::tuning::MAX_GRAPH_DEPTH);
        assert_eq!(Graph::parse(&deep.to_string()).unwrap(), deep);
        let mut b = Builder::new();
        let (k, x) = (b.input(ty()), b.input(ty()));
        let e = b.try_emit(Checkpoint { body: deep.into() }, &[k, x]).unwrap_err().to_string();
        assert!(e.starts_with("checkpoint: expected loops, branches"), "{e}");
    }
}
