//! Copies in f32 of parameters of fewer than 32 bits.

use super::state::{Slots, take};
use crate::precision::at_least_f32;
use neurax_tensor::Tensor;

/// The slot of the copies, one for each narrow parameter.
pub(super) const COPIES: &str = "master";

/// Returns true if `x` is a float of fewer than 32 bits.
pub(super) fn is_narrow(x: &Tensor) -> bool {
    x.dtype() != x.dtype().at_least_f32()
}

/// Returns the copies of `params` before the first step.
pub(super) fn copies(params: &[Tensor]) -> Vec<Tensor> {
    params.iter().filter(|p| is_narrow(p)).map(at_least_f32).collect()
}

/// Takes the copies out of the slots and returns them in place of narrow parameters, and the other
/// parameters as they are. A copy that does not round to its parameter is replaced by it.
pub(super) fn synchronized(params: &[Tensor], own: &mut Slots) -> Vec<Tensor> {
    let narrow: Vec<Tensor> = params.iter().filter(|p| is_narrow(p)).cloned().collect();
    let mut copies = take(own, COPIES, &narrow).into_iter();
    let base = |p: &Tensor| match is_narrow(p).then(|| copies.next()).flatten() {
        Some(copy) => copy.to(p.dtype()).equal(p).select(&copy, at_least_f32(p)),
        None => p.clone(),
    };
    params.iter().map(base).collect()
}

#[cfg(test)]
mod tests {
    use crate::optim::{OptState, adam, sgd};
    use neurax_tensor::dtype_consts::{BF16, F16};
    use neurax_tensor::{Tensor, tensor};

    #[test]
    fn updates_below_the_precision_of_a_parameter_add_up() {
        for dtype in [F16, BF16] {
            let opt = sgd(1e-4).master_copies();
            let (mut p, mut q) = (tensor([1.0]).to(dtype), tensor([1.0]).to(dtype));
            let (g, mut s, mut r) = (tensor([1.0]).to(dtype), opt.init(&p), opt.init(&q));
            for _ in 0..1000 {
                (p, s) = opt.step(&p, &g, s);
                let (u, next) = opt.update(&q, &g, r);
                (q, r) = (q + u, next);
            }
            assert!((p.item().unwrap() - 0.9).abs() < 3e-3, "{p}");
            assert_eq!(p.item().unwrap(), q.item().unwrap(), "`update` leads to the same");
        }
    }

    #[test]
    fn a_copy_of_a_parameter_that_was_changed_starts_anew() {
        let opt = sgd(0.5).master_copies();
        let p = (tensor([1.0]).to(BF16), tensor([1.0]));
        let (p, state) = opt.step(&p, &p, opt.init(&p));
        assert_eq!((p.0.item().unwrap(), p.1.item().unwrap()), (0.5, 0.5));
        let changed = (tensor([8.0]).to(BF16), p.1);
        let (p, _) = opt.step(&changed, &changed, state);
        assert_eq!((p.0.item().unwrap(), p.1.item().unwrap()), (4.0, 0.25));
    }

    #[test]
    fn the_state_without_copies_is_an_error() {
        let p = tensor([1.0]).to(F16);
        let opt = adam(0.1).master_copies();
        let (q, _): (Tensor, OptState) = opt.step(&p, &p, adam(0.1).init(&p));
        assert!(q.error().unwrap().message().contains("missing slot `master`"), "{q:?}");
    }
}
