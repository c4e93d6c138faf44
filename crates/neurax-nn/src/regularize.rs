//! Penalties of parameters, which are added to a loss.
//!
//! ```
//! use neurax::prelude::*;
//! let penalty = nn::regularize::l2("**.kernel", 1e-2) + nn::regularize::l1("head.*", 1e-3);
//! let model = nn::input("x", dims![_, 1]).dense(4).relu().dense(1).named("head").model();
//! let set = Dataset::new(tensor([[1.0], [2.0]]), tensor([[2.0], [4.0]]))?;
//! let trainer = Trainer::new(&model, loss::mse, optim::adam(0.1)).penalty(penalty).quiet();
//! assert!(trainer.run(&set.batched(2), epochs(3))?.loss > 0.0);
//! # Ok::<(), Error>(())
//! ```

use crate::ParamMask;
use crate::optim::UnitAxis;
use crate::precision::at_least_f32;
use neurax_tensor::{DType, Error, Tensor, Tree};
use std::ops::Add;

/// A penalty of parameters: a sum of terms, each for the parameters of a mask.
#[derive(Clone, Debug, Default)]
pub struct Penalty(Vec<PenaltyTerm>);

#[derive(Clone, Debug)]
struct PenaltyTerm {
    kind: TermKind,
    mask: ParamMask,
    factor: f64,
}

#[derive(Clone, Copy, Debug)]
enum TermKind {
    L1,
    L2,
    Orthogonal(UnitAxis),
}

impl TermKind {
    fn name(self) -> &'static str {
        match self {
            TermKind::L1 => "l1",
            TermKind::L2 => "l2",
            TermKind::Orthogonal(_) => "orthogonal",
        }
    }
}

/// Returns the penalty `factor · Σ |p|` of the parameters that `mask` chooses, which makes them
/// sparse.
///
/// ```
/// use neurax::prelude::*;
/// let penalty = nn::regularize::l1("0", 0.5).of(&vec![tensor([1.0, -3.0]), tensor([9.0])]);
/// assert_eq!(penalty.item()?, 2.0);
/// # Ok::<(), Error>(())
/// ```
pub fn l1(mask: impl Into<ParamMask>, factor: f64) -> Penalty {
    Penalty(vec![PenaltyTerm { kind: TermKind::L1, mask: mask.into(), factor }])
}

/// Returns the penalty `factor · Σ p²` of the parameters that `mask` chooses. With SGD, it is
/// weight decay of twice the factor; with Adam, decoupled weight decay is usual: see
/// [`adamw_masked`](crate::optim::adamw_masked).
///
/// ```
/// use neurax::prelude::*;
/// let penalty = nn::regularize::l2("**", 0.5).of(&tensor([1.0, -3.0]));
/// assert_eq!(penalty.item()?, 5.0);
/// # Ok::<(), Error>(())
/// ```
pub fn l2(mask: impl Into<ParamMask>, factor: f64) -> Penalty {
    Penalty(vec![PenaltyTerm { kind: TermKind::L2, mask: mask.into(), factor }])
}

/// Returns a penalty that makes the units of a parameter orthogonal: `factor` times the mean of the
/// absolute cosine of the angle between two units, as in Keras's `OrthogonalRegularizer`. Units are
/// those of [`centralize`](crate::optim::centralize): the columns of a matrix, the filters of a
/// convolution.
///
/// ```
/// use neurax::prelude::*;
/// let penalty = nn::regularize::orthogonal("**", 1.0);
/// assert_eq!(penalty.of(&tensor([[1.0, 0.0], [0.0, 2.0]])).item()?, 0.0);
/// assert_eq!(penalty.of(&tensor([[3.0, 3.0], [4.0, 4.0]])).item()? as f32, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn orthogonal(mask: impl Into<ParamMask>, factor: f64) -> Penalty {
    let kind = TermKind::Orthogonal(UnitAxis(None));
    Penalty(vec![PenaltyTerm { kind, mask: mask.into(), factor }])
}

/// Returns the penalty of [`orthogonal`] with units along `axis`, as in
/// [`centralize_at`](crate::optim::centralize_at).
///
/// ```
/// use neurax::prelude::*;
/// let penalty = nn::regularize::orthogonal_at(0, "**", 1.0);
/// assert_eq!(penalty.of(&tensor([[3.0, 4.0], [6.0, 8.0]])).item()? as f32, 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn orthogonal_at(axis: i64, mask: impl Into<ParamMask>, factor: f64) -> Penalty {
    let kind = TermKind::Orthogonal(UnitAxis(Some(axis)));
    Penalty(vec![PenaltyTerm { kind, mask: mask.into(), factor }])
}

impl Penalty {
    /// Returns true if the penalty has no terms.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the penalty of the parameters, f32[], or f64[] if one of them is f64. Parameters of
    /// other dtypes than floats are left out. It is differentiable, so that it can be added to the
    /// loss inside of `grad`.
    ///
    /// # Errors
    ///
    /// The penalty carries an error if a pattern matches no parameter, or if a factor is negative
    /// or NaN.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let decay = nn::regularize::l2("**", 0.5);
    /// let slope = grad(|p: Tensor| decay.of(&p));
    /// assert_eq!(slope.run(tensor([1.0, -3.0]))?.to_vec::<f32>()?, [1.0, -3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn of(&self, params: &impl Tree) -> Tensor {
        let leaves = params.leaves().into_iter().filter(|(_, t)| t.dtype().is_float());
        let (paths, params): (Vec<String>, Vec<Tensor>) =
            leaves.map(|(path, t)| (path, at_least_f32(t))).unzip();
        let terms = self.0.iter().map(|term| term.of(&paths, &params));
        terms.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(DType::F32, 0.0))
    }
}

impl Add for Penalty {
    type Output = Penalty;

    fn add(mut self, other: Penalty) -> Penalty {
        self.0.extend(other.0);
        self
    }
}

impl PenaltyTerm {
    fn of(&self, paths: &[String], params: &[Tensor]) -> Tensor {
        let is_valid = self.factor >= 0.0;
        let chosen = match self.mask.select(paths, params) {
            Ok(chosen) if is_valid => chosen,
            Ok(_) => {
                let why = format!("expected a factor of at least 0, got {}", self.factor);
                return self.fail(why);
            }
            Err(why) => return self.fail(why),
        };
        let chosen = params.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(p, _)| p);
        let chosen: Vec<Tensor> = chosen.cloned().collect();
        if let TermKind::Orthogonal(axis) = self.kind
            && let Some(why) = axis.error(&chosen)
        {
            return self.fail(why);
        }
        let sum = chosen.iter().map(|p| self.of_one(p)).reduce(|a, b| a + b);
        sum.unwrap_or_else(|| Tensor::scalar(DType::F32, 0.0)) * self.factor
    }

    fn of_one(&self, p: &Tensor) -> Tensor {
        match self.kind {
            TermKind::L1 => p.abs().sum(..),
            TermKind::L2 => p.square().sum(..),
            TermKind::Orthogonal(axis) => mean_cosine(p, axis),
        }
    }

    fn fail(&self, why: String) -> Tensor {
        Tensor::from_error(Error::new(self.kind.name(), why))
    }
}

/// Returns the mean absolute cosine of the angles between the units of a parameter; 0 if there are
/// no two of them.
fn mean_cosine(p: &Tensor, axis: UnitAxis) -> Tensor {
    let Some(rows) = axis.rows(p) else { return Tensor::scalar(p.dtype(), 0.0) };
    let units = rows.shape()[0];
    if units < 2 {
        return Tensor::scalar(p.dtype(), 0.0);
    }
    let squares = rows.square().sum(neurax_tensor::keep(-1));
    let is_zero = squares.equal(0.0);
    let rows = rows / is_zero.select(1.0, squares).sqrt();
    let others = 1.0 - Tensor::eye(units).to(p.dtype());
    let pairs = units as f64 * (units as f64 - 1.0);
    (rows.matmul(rows.t()) * others).abs().sum(..) / pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::dtype_consts::{BF16, F64};
    use neurax_tensor::{grad, tensor};

    #[test]
    fn orthogonal_is_that_of_keras() {
        // keras.regularizers.OrthogonalRegularizer(0.5, mode="rows") of Keras 3.15, transposed.
        let kernel = tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]]);
        let found = orthogonal("**", 0.5).of(&kernel).item().unwrap();
        assert!((found - 0.241_421_3).abs() < 1e-5, "{found}");
        // Filters of a convolution, `[filters, channels, taps]`, are rows.
        let filters = kernel.t().reshape([3, 1, 2]);
        let found = orthogonal("**", 0.5).of(&filters).item().unwrap();
        assert!((found - 0.241_421_3).abs() < 1e-5, "{found}");
    }

    #[test]
    fn vectors_zeros_and_empty_parameters_have_finite_penalties() {
        let all = || l1("**", 1.0) + l2("**", 1.0) + orthogonal("**", 1.0);
        for p in
            [tensor([1.0]), Tensor::zeros([2, 3]), Tensor::zeros([0, 3]), Tensor::zeros([3, 0])]
        {
            let slope = grad(|p: Tensor| all().of(&p))(p.clone());
            assert!(slope.is_finite().all(..).item().unwrap() == 1.0, "{p}: {slope}");
        }
        assert_eq!(Penalty::default().of(&tensor([1.0])).item().unwrap(), 0.0);
    }

    #[test]
    fn narrow_parameters_are_summed_in_f32() {
        let p = (Tensor::ones([300]).to(BF16), tensor([3]));
        let penalty = l2("0", 1.0).of(&p);
        assert_eq!((penalty.dtype(), penalty.item().unwrap()), (DType::F32, 300.0));
        assert_eq!(l2("**", 1.0).of(&tensor([1.0]).to(F64)).dtype(), F64);
    }

    #[test]
    fn invalid_uses_are_errors() {
        let p = vec![tensor([1.0])];
        let e = |penalty: Penalty| penalty.of(&p).error().unwrap().message().to_string();
        assert!(e(l1("a.*", 1.0)).contains("one of the parameters 0; got `a.*`"));
        assert!(e(l2("**", -1.0)).contains("a factor of at least 0, got -1"));
        let e = orthogonal_at(2, "**", 1.0).of(&tensor([[1.0]])).error().unwrap().to_string();
        assert!(e.contains("with an axis 2, got the shape [1, 1]"), "{e}");
    }
}
