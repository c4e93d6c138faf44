//! A counter of the pairs and steps that the scheduler visits, for tests that bound the work of
//! compiling: unlike a time, it does not depend on the machine. Other builds count nothing.

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts a visit.
#[inline(always)]
pub fn visit() {
    #[cfg(test)]
    VISITS.with(|v| v.set(v.get() + 1));
}

/// Returns the number of visits while `f` runs.
#[cfg(test)]
pub fn visits_of(f: impl FnOnce()) -> usize {
    let before = VISITS.with(std::cell::Cell::get);
    f();
    VISITS.with(std::cell::Cell::get) - before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::schedule;
    use neurax_ir::{Builder, DType, Graph, Type, Value};

    /// Emits a function of `x` that differs for each `i`.
    fn scaled(b: &mut Builder, x: Value, i: usize) -> Value {
        let y = b.add_scalar(x, i as f64 + 1.0);
        b.sin(y)
    }

    /// Builds a graph of a small multiple of `n` equations.
    type Wide = fn(usize) -> Graph;

    const WIDE: [(&str, Wide); 5] = [
        ("concatenate", |n| {
            let mut b = Builder::new();
            let x = b.input(Type::new(DType::F32, [64]));
            let parts: Vec<Value> = (0..n).map(|i| scaled(&mut b, x, i)).collect();
            let y = b.concat(&parts, 0);
            b.finish(&[y]).unwrap()
        }),
        ("sum of a concatenate", |n| {
            let mut b = Builder::new();
            let x = b.input(Type::new(DType::F32, [64]));
            let parts: Vec<Value> = (0..n).map(|i| scaled(&mut b, x, i)).collect();
            let y = b.concat(&parts, 0);
            let y = b.sum(y, &[0]);
            b.finish(&[y]).unwrap()
        }),
        ("sums of one value", |n| {
            let mut b = Builder::new();
            let x = b.input(Type::new(DType::F32, [64]));
            let ys: Vec<Value> = (0..n)
                .map(|i| {
                    let y = scaled(&mut b, x, i);
                    b.sum(y, &[0])
                })
                .collect();
            b.finish(&ys).unwrap()
        }),
        ("chain of sums", |n| {
            let mut b = Builder::new();
            let x = b.input(Type::new(DType::F32, [64]));
            let y = (0..n).fold(x, |x, i| {
                let s = b.sum(x, &[0]);
                let s = b.broadcast(s, [64], &[]);
                let y = scaled(&mut b, x, i);
                b.mul(y, s)
            });
            b.finish(&[y]).unwrap()
        }),
        ("parameters that share a scalar", |n| {
            let mut b = Builder::new();
            let rate = b.input(Type::scalar(DType::F32));
            let ws = b.inputs(&vec![Type::new(DType::F32, [64]); n]);
            let ys: Vec<Value> = ws
                .iter()
                .map(|&w| {
                    let (g, r) = (b.sin(w), b.broadcast(rate, [64], &[]));
                    let step = b.mul(g, r);
                    b.sub(w, step)
                })
                .collect();
            b.finish(&ys).unwrap()
        }),
    ];

    // Fusion tries pairs of steps, and searches for paths between them: without bounds, both are
    // quadratic, and together they were cubic. From the sizes here on, the bounds are reached.
    #[test]
    fn scheduling_costs_in_proportion_to_the_size_of_a_graph() {
        for (kind, wide) in WIDE {
            let costs = [1200, 2400, 4800].map(|n| {
                let g = wide(n);
                visits_of(|| _ = schedule(&g, true).unwrap())
            });
            for pair in costs.windows(2) {
                let bound = 2 * pair[0] + pair[0] / 4;
                assert!(pair[1] <= bound, "{kind}: {costs:?}");
            }
        }
    }
}
