//! Constraints of parameters: projections after a step, the last links of a chain.

use super::clip::{limit_error, limiting_factor};
use super::units::UnitAxis;
use super::{Optim, Rule, Slots, Step, invalid, masked};
use crate::ParamMask;
use neurax_tensor::{DType, Tensor};

/// Limits the norm of the weights of each unit of the chosen parameters to `limit` after the step
/// (Srivastava et al., 2014, <https://jmlr.org/papers/v15/srivastava14a.html>). Units are those of
/// [`centralize`](super::centralize); a vector is one unit. It is the last link of a chain.
///
/// # Errors
///
/// The updates carry an error if `limit` is negative or NaN, or if a pattern matches no parameter.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sgd(1.0), optim::max_norm("**", 1.0)]);
/// let p = tensor([[3.0, 0.1], [4.0, 0.1]]);
/// let (p, _) = opt.step(&p, &p.zeros_like(), opt.init(&p));
/// let want = tensor([[0.6, 0.1], [0.8, 0.1]]);
/// assert_eq!(p.allclose(want, 1e-6, 0.0).item()?, 1.0, "the columns are units");
/// # Ok::<(), Error>(())
/// ```
pub fn max_norm(mask: impl Into<ParamMask>, limit: f64) -> Optim {
    masked(mask, Optim::new(Constraint::MaxNorm(limit, UnitAxis(None))))
}

/// Limits norms as [`max_norm`] does, with units along `axis`, as in
/// [`centralize_at`](super::centralize_at).
///
/// # Errors
///
/// The updates carry an error as for [`max_norm`], and if a matrix or kernel has no such axis.
pub fn max_norm_at(axis: i64, mask: impl Into<ParamMask>, limit: f64) -> Optim {
    masked(mask, Optim::new(Constraint::MaxNorm(limit, UnitAxis(Some(axis)))))
}

/// Scales the weights of each unit of the chosen parameters to a norm of 1 after the step; those of
/// zeros stay. It is the last link of a chain.
///
/// # Errors
///
/// The updates carry an error if a pattern matches no parameter.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sgd(1.0), optim::unit_norm("**")]);
/// let (p, _) = opt.step(&tensor([3.0, 4.0]), &tensor([0.0, 0.0]), opt.init(&tensor([3.0, 4.0])));
/// assert_eq!(p.allclose(tensor([0.6, 0.8]), 1e-6, 0.0).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn unit_norm(mask: impl Into<ParamMask>) -> Optim {
    masked(mask, Optim::new(Constraint::UnitNorm(UnitAxis(None))))
}

/// Scales norms as [`unit_norm`] does, with units along `axis`, as in
/// [`centralize_at`](super::centralize_at).
///
/// # Errors
///
/// The updates carry an error if a pattern matches no parameter, or if a matrix or kernel has no
/// such axis.
pub fn unit_norm_at(axis: i64, mask: impl Into<ParamMask>) -> Optim {
    masked(mask, Optim::new(Constraint::UnitNorm(UnitAxis(Some(axis)))))
}

/// Sets negative elements of the chosen parameters to 0 after the step. It is the last link of a
/// chain.
///
/// # Errors
///
/// The updates carry an error if a pattern matches no parameter.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::sgd(1.0), optim::non_negative("**")]);
/// let (p, _) = opt.step(&tensor([0.7, 2.0]), &tensor([1.0, 1.0]), opt.init(&tensor([0.7, 2.0])));
/// assert_eq!(p.to_vec::<f32>()?, [0.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn non_negative(mask: impl Into<ParamMask>) -> Optim {
    masked(mask, Optim::new(Constraint::NonNegative))
}

enum Constraint {
    MaxNorm(f64, UnitAxis),
    UnitNorm(UnitAxis),
    NonNegative,
}

impl Rule for Constraint {
    fn update(&self, updates: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some((op, why)) = self.error(&updates) {
            return invalid(op, why, &updates);
        }
        updates.iter().zip(step.params).map(|(u, p)| self.constrained(u, p)).collect()
    }
}

impl Constraint {
    /// Returns the name of the constraint and the message of an invalid option.
    fn error(&self, updates: &[Tensor]) -> Option<(&'static str, String)> {
        match self {
            Constraint::MaxNorm(limit, axis) => {
                let why = limit_error(*limit).or_else(|| axis.error(updates))?;
                Some(("max_norm", why))
            }
            Constraint::UnitNorm(axis) => Some(("unit_norm", axis.error(updates)?)),
            Constraint::NonNegative => None,
        }
    }

    /// Returns the update of `p` in place of `u`.
    fn constrained(&self, u: &Tensor, p: &Tensor) -> Tensor {
        let new = p + u;
        let scaled = |factor: Tensor| (new.to(DType::F64) * factor).to(p.dtype()) - p;
        match self {
            Constraint::MaxNorm(limit, axis) => scaled(limiting_factor(&axis.norms(&new), *limit)),
            Constraint::UnitNorm(axis) => {
                let norms = axis.norms(&new);
                let is_zero = norms.equal(0.0);
                scaled(1.0 / is_zero.select(1.0, norms))
            }
            // The sum of `p` and `-p` is exactly 0.
            Constraint::NonNegative => new.lt(0.0).select(-p, u),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{chain, sgd};
    use neurax_tensor::{Tree, tensor};

    #[test]
    fn units_of_kernels_are_the_entries_of_axis_0() {
        let p = tensor([[[3.0, 4.0]], [[0.0, 0.0]]]);
        let zeros = p.zeros_like();
        for (opt, want) in [
            (max_norm("**", 1.0), [0.6, 0.8, 0.0, 0.0]),
            (max_norm("**", 10.0), [3.0, 4.0, 0.0, 0.0]),
            (unit_norm("**"), [0.6, 0.8, 0.0, 0.0]),
            (max_norm_at(-1, "**", 1.0), [1.0, 1.0, 0.0, 0.0]),
            (unit_norm_at(2, "**"), [1.0, 1.0, 0.0, 0.0]),
            (non_negative("**"), [3.0, 4.0, 0.0, 0.0]),
        ] {
            let (q, _) = opt.step(&p, &zeros, opt.init(&p));
            let close = |(a, b): (f32, f32)| (a - b).abs() < 1e-6;
            assert!(q.to_vec::<f32>().unwrap().into_iter().zip(want).all(close), "{q}");
        }
    }

    #[test]
    fn constraints_hold_in_narrow_dtypes_for_the_chosen_parameters() {
        for dtype in [DType::F16, DType::BF16] {
            let p = (tensor([0.3, 0.7]).to(dtype), tensor([0.3]).to(dtype));
            let opt = chain([sgd(0.77), non_negative("0")]).master_copies();
            let (q, _) = opt.step(&p, &p.map_leaves(Tensor::ones_like), opt.init(&p));
            assert_eq!(q.0.to(DType::F32).to_vec::<f32>().unwrap(), [0.0, 0.0]);
            assert!(q.1.item().unwrap() < 0.0);
        }
    }

    #[test]
    fn invalid_uses_are_errors() {
        let p = vec![tensor([[1.0]])];
        for (opt, part) in [
            (max_norm("**", -1.0), "a limit"),
            (unit_norm("1"), "a pattern of one"),
            (unit_norm_at(2, "**"), "with an axis 2"),
        ] {
            let (q, _) = opt.step(&p, &p, opt.init(&p));
            assert!(q.ok().unwrap_err().message().contains(part));
        }
    }
}
