//! The equations that derivatives of a long loop execute, the residuals they keep, and the memory
//! that the loop reuses.

use crate::counting::Counting;
use neurax::ir;
use neurax::prelude::*;

const STEPS: usize = 1000;
const WIDTH: usize = 32;
/// The size in bytes of one vector for every step.
const VECTORS: usize = 4 * STEPS * WIDTH;

type Inputs = (Tensor, Tensor, Tensor);

/// Computes the loss of a recurrent network of 1,000 steps, `h = tanh(w h + x)`, with its weights
/// captured by the body of the loop.
fn rnn((w, h, xs): Inputs) -> Tensor {
    scan(h, xs, |h, x| ((w.matmul(h) + x).tanh(), ())).0.square().sum(..)
}

/// Computes the same loss, but keeps only the operands of each step.
fn rnn_of_checkpoints((w, h, xs): Inputs) -> Tensor {
    let step = checkpoint(|(w, h, x): Inputs| (w.matmul(h) + x).tanh());
    scan(h, xs, |h, x| (step((w.clone(), h, x)), ())).0.square().sum(..)
}

fn inputs(device: &Device) -> Inputs {
    let small = |shape: &[usize]| (Tensor::ones(shape) * 0.01).on(device);
    (small(&[WIDTH, WIDTH]), small(&[WIDTH]), small(&[STEPS, WIDTH]))
}

#[test]
fn a_gradient_through_a_thousand_steps_executes_a_small_multiple_of_the_value() -> Result<()> {
    let backend = Counting::default();
    let device = backend.device()?;
    let at = || inputs(&device);
    for (name, loss) in [("plain", rnn as fn(Inputs) -> Tensor), ("checkpoint", rnn_of_checkpoints)]
    {
        let value = backend.eqns(|| jit(loss).run(at()))?;
        assert!(value > 3 * STEPS as u64, "{name}: {value} equations");
        let costs = [
            ("jit jvp", 5, backend.eqns(|| jit(|x: Inputs| jvp(loss, x.clone(), x).1).run(at()))?),
            ("jit grad", 5, backend.eqns(|| jit(grad(loss)).run(at()))?),
            ("jit grad jit", 5, backend.eqns(|| jit(grad(jit(loss))).run(at()))?),
            ("grad", 5, backend.eqns(|| grad(loss).run(at()))?),
            (
                "jit grad grad",
                16,
                backend.eqns(|| jit(grad(|x| grad(loss)(x).1.sum(..))).run(at()))?,
            ),
        ];
        for (transforms, times, cost) in costs {
            assert!(
                cost <= times * value,
                "{transforms} of {name}: {cost} equations, {value} for the value"
            );
        }
    }
    Ok(())
}

/// Returns the size in bytes of all results of the loops of a graph: final carries and stacked
/// outputs.
fn handed_on(g: &ir::Graph) -> usize {
    let loops = g.eqns().iter().filter(|e| matches!(e.op, ir::Op::Scan(_)));
    loops.flat_map(|e| &e.outputs).map(|v| g.ty(*v).bytes().unwrap()).sum()
}

#[test]
fn the_weights_are_not_kept_for_every_step() -> Result<()> {
    let backend = Counting::default();
    let at = inputs(&backend.device()?);
    for (name, loss) in [("plain", rnn as fn(Inputs) -> Tensor), ("checkpoint", rnn_of_checkpoints)]
    {
        let _ = jit(grad(loss)).run(at.clone())?;
        let graph = backend.compiled().pop().unwrap();
        let kept = handed_on(&graph);
        // The weights for every step would be 32 vectors per step; the gradient of `xs` is one.
        assert!(
            (VECTORS..=4 * VECTORS).contains(&kept),
            "{name}: {kept} bytes; one vector per step is {VECTORS}\n{graph}"
        );
    }
    Ok(())
}

#[test]
fn a_loop_updates_a_hundred_megabytes_in_place() -> Result<()> {
    const TIMES: i64 = 10_000;
    let backend = Counting::default();
    // Besides the write, two ops reuse memory: they turn a negative start into one from the end.
    let write = |i: Tensor, big: Tensor| big.dynamic_update_slice(tensor([1.0]), i.reshape([1]));
    let fill = jit(|big: Tensor| fori(0..TIMES, big, write));
    let big = Tensor::zeros([25 << 20]).on(&backend.device()?);
    let address = big.address();
    let before = backend.interp.counters().reused();
    let big = fill.run(big)?;
    assert_eq!(
        backend.interp.counters().reused() - before,
        3 * TIMES as u64,
        "each step writes in place"
    );
    assert_eq!((fill.donated(), fill.copied()), (1, 0));
    assert_eq!((backend.addresses()[0], big.address()), (address, address));
    assert_eq!(big.slice(0, TIMES - 1..=TIMES).to_vec::<f32>()?, [1.0, 0.0]);
    Ok(())
}
