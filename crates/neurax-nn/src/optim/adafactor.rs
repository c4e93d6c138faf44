//! Adafactor: Shazeer and Stern, 2018 (<https://arxiv.org/abs/1804.04235>).

use super::averages::with_finite_square;
use super::clip::{global_norm, limit_error};
use super::option_checks::{not_above, option_error};
use super::options::{decay_options, options, with_decay, with_default, with_rate};
use super::param_rule::{ParamRule, for_each_param};
use super::{Optim, Rate, Rule, Slots, Step, chain, clip_rms, invalid};
use crate::precision::normal_epsilon;
use neurax_tensor::{DType, Tensor, keep};
use std::slice;

/// Returns [`Adafactor`] with an exponent of 0.8, factored from a size of 128, ε = 1e-30, a limit
/// of 1 and a least root mean square of 1e-3. The paper uses the rate `min(0.01, 1 / √t)`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::adafactor(0.1);
/// let p = tensor([2.0, -2.0]);
/// let (p, _) = opt.step(&p, &tensor([5.0, 5.0]), opt.init(&p));
/// assert!((p.get(0).item()? - 1.8).abs() < 1e-6, "a step of 0.1 · 2");
/// # Ok::<(), Error>(())
/// ```
pub fn adafactor(rate: impl Rate) -> Optim {
    Adafactor::new().rate(rate)
}

/// Adafactor with options: the direction of [`FactoredRms`], limited to a root mean square by
/// [`clip_rms`], and scaled to that of the parameter by [`scale_by_param_rms`].
///
/// # Errors
///
/// The updates carry an error if the exponent is not above 0, or if another option is negative.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::Adafactor::new().least(2).clipping(0.5).weight_decay(0.1).rate(1e-2);
/// let p = tensor([[4.0, -4.0], [4.0, 4.0]]);
/// let (p, _) = opt.step(&p, &p, opt.init(&p));
/// assert!((p.max(..).item()? - (4.0 - 1e-2 * (0.5 * 4.0 + 0.1 * 4.0))).abs() < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adafactor {
    rms: FactoredRms,
    clipping: f64,
    least_rms: f64,
    weight_decay: Option<Optim>,
}

impl Adafactor {
    /// Creates Adafactor with the options of [`FactoredRms::new`], a limit of 1, a least root mean
    /// square of 1e-3, and without weight decay.
    pub fn new() -> Adafactor {
        Adafactor { rms: FactoredRms::new(), clipping: 1.0, least_rms: 1e-3, weight_decay: None }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        let limited = chain([self.rms.transform(), clip_rms(self.clipping)]);
        let scaled = chain([limited, scale_by_param_rms(self.least_rms)]);
        with_decay(self.weight_decay, scaled)
    }
}

options! {
    impl Adafactor {
        /// Sets the exponent of the decay of the averages.
        exponent: f64 = rms.exponent;
        /// Sets the size from which on axes are factored.
        least: usize = rms.least;
        /// Sets ε, which is added to each square.
        eps: f64 = rms.eps;
        /// Sets the largest root mean square of a direction before it is scaled.
        clipping: f64 = clipping;
        /// Sets the least root mean square of a parameter: one below counts as this number.
        least_rms: f64 = least_rms;
    }
}
decay_options!(Adafactor);
with_rate!(Adafactor);

/// A direction with factored averages, with options: Optax's `scale_by_factored_rms`. It divides
/// gradients by the root of the moving average of `g² + ε`, with the decay `1 - t^-exponent` in
/// step `t`. Of a parameter with at least two axes of size `least` or more, only the averages over
/// each of the two largest axes are kept; their product, divided by the mean, stands for the
/// average.
///
/// # Errors
///
/// The updates carry an error if the exponent is not above 0, or ε is negative.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let direction = optim::FactoredRms::new().least(2).transform();
/// let state = direction.init(&Tensor::zeros([3, 4]));
/// assert_eq!(state.slots[0]["row"][0].shape(), [3, 1]);
/// assert_eq!(state.slots[0]["column"][0].shape(), [1, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct FactoredRms {
    exponent: f64,
    least: usize,
    eps: f64,
}

impl FactoredRms {
    /// Creates the direction with an exponent of 0.8, factored from a size of 128 on, and ε =
    /// 1e-30.
    pub fn new() -> FactoredRms {
        FactoredRms { exponent: 0.8, least: 128, eps: 1e-30 }
    }

    /// Returns the direction without a learning rate, for custom chains.
    pub fn transform(self) -> Optim {
        for_each_param(self)
    }
}

options! {
    impl FactoredRms {
        /// Sets the exponent of the decay of the averages.
        exponent: f64 = exponent;
        /// Sets the size from which on axes are factored.
        least: usize = least;
        /// Sets ε, which is added to each square.
        eps: f64 = eps;
    }
}
with_default!(FactoredRms);

/// Multiplies the update of each parameter by the root of the mean of the squares of the parameter,
/// which counts as at least `least`.
///
/// # Errors
///
/// The updates carry an error if `least` is negative or NaN.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (opt, p) = (optim::scale_by_param_rms(1e-3), tensor([3.0, -3.0]));
/// let (u, _) = opt.update(&p, &tensor([1.0, 2.0]), opt.init(&p));
/// assert_eq!(u.to_vec::<f32>()?, [3.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn scale_by_param_rms(least: f64) -> Optim {
    Optim::new(ParamRms(least))
}

impl FactoredRms {
    /// Returns the two largest axes of a parameter whose averages are kept separately.
    fn factored_axes(&self, param: &Tensor) -> Option<[i64; 2]> {
        let shape = param.shape();
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        axes.sort_by_key(|&axis| shape[axis]);
        let [.., second, largest] = axes[..] else { return None };
        let is_factored = shape[second] >= self.least.max(1);
        is_factored.then_some([second as i64, largest as i64])
    }
}

impl ParamRule<2> for FactoredRms {
    /// The decay of the averages, f32[].
    type Scalars = Tensor;
    const NAME: &'static str = "scale_by_factored_rms";
    const SLOTS: [&'static str; 2] = ["row", "column"];

    fn error(&self) -> Option<String> {
        let exponent = not_above("an exponent", self.exponent, 0.0, "0.8 is usual");
        exponent.or_else(|| option_error(&[], &[self.eps]))
    }

    /// Returns the averages over the largest and over the second largest axis; of a parameter that
    /// is not factored, all averages and a scalar of zero.
    fn init(&self, param: &Tensor) -> [Tensor; 2] {
        let zeros = param.zeros_like();
        match self.factored_axes(param) {
            Some([second, largest]) => [zeros.sum(keep(largest)), zeros.sum(keep(second))],
            None => [zeros, Tensor::scalar(param.dtype(), 0.0)],
        }
    }

    fn scalars(&self, t: &Tensor) -> Tensor {
        1.0 - t.pow(-self.exponent)
    }

    fn update(
        &self,
        g: &Tensor,
        param: &Tensor,
        [row, column]: [Tensor; 2],
        decay: &Tensor,
    ) -> (Tensor, [Tensor; 2]) {
        let (g, decay) = (with_finite_square(g), decay.to(g.dtype()));
        let square = &g * &g + normal_epsilon(self.eps, &g);
        let average = |old: Tensor, new: Tensor| old * &decay + new * (1.0 - &decay);
        let Some([second, largest]) = self.factored_axes(param) else {
            let row = average(row, square);
            return (g / row.sqrt(), [row, column]);
        };
        let row = average(row, mean_of_large(&square, largest));
        let column = average(column, mean_of_large(&square, second));
        let relative = &row / mean_of_large(&row, second);
        // Quotients of roots: the derivative of `column.rsqrt()` would overflow.
        (g / relative.sqrt() / column.sqrt(), [row, column])
    }
}

/// Returns the mean along an axis, which is kept, of numbers whose sum may overflow.
fn mean_of_large(x: &Tensor, axis: i64) -> Tensor {
    let share = 1.0 / x.shape()[axis as usize] as f64;
    (x * share).sum(keep(axis))
}

struct ParamRms(f64);

impl Rule for ParamRms {
    fn update(&self, grads: Vec<Tensor>, _: &mut Slots, step: &Step) -> Vec<Tensor> {
        if let Some(why) = limit_error(self.0) {
            return invalid("scale_by_param_rms", why, &grads);
        }
        let scaled = |(u, p): (&Tensor, &Tensor)| match global_norm(slice::from_ref(p)) {
            Some(norm) => {
                let rms = (norm / (p.size() as f64).sqrt()).maximum(self.0);
                (u.to(DType::F64) * rms).to(u.dtype())
            }
            None => u.clone(),
        };
        grads.iter().zip(step.params).map(scaled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::reference::{formula, near_formula};
    use neurax_tensor::{Tree, tensor};

    #[test]
    fn steps_of_a_vector_equal_those_of_the_paper() {
        let mut v = 0.0;
        let want = formula(|p, g, t| {
            let decay = 1.0 - f64::from(t).powf(-0.8);
            v = decay * v + (1.0 - decay) * (g * g + 1e-30);
            let u = g / f64::sqrt(v);
            p - 0.1 * u / u.abs().max(1.0) * p.abs().max(1e-3)
        });
        near_formula(adafactor(0.1), want);
    }

    #[test]
    fn the_average_of_a_matrix_is_the_product_of_those_of_rows_and_columns() {
        let p = Tensor::zeros([2, 3]);
        let opt = FactoredRms::new().least(2).transform();
        let mut state = opt.init(&p);
        let (mut rows, mut columns) = ([0.0; 2], [0.0; 3]);
        for t in 1..=20 {
            let g: [[f64; 3]; 2] = std::array::from_fn(|i| {
                std::array::from_fn(|j| f64::from(((t * (i + 2) + j) as f32).cos()))
            });
            let u;
            let flat = g.as_flattened();
            let grads = Tensor::from_slice(flat, [2, 3]).to(DType::F32);
            (u, state) = opt.update(&p, &grads, state);
            let decay = 1.0 - (t as f64).powf(-0.8);
            for (i, row) in rows.iter_mut().enumerate() {
                let mean = g[i].iter().map(|g| g * g).sum::<f64>() / 3.0;
                *row = decay * *row + (1.0 - decay) * mean;
            }
            for (j, column) in columns.iter_mut().enumerate() {
                let mean = (g[0][j] * g[0][j] + g[1][j] * g[1][j]) / 2.0;
                *column = decay * *column + (1.0 - decay) * mean;
            }
            let mean = (rows[0] + rows[1]) / 2.0;
            for (k, found) in u.to_vec::<f32>().unwrap().into_iter().enumerate() {
                let want = flat[k] / (rows[k / 3] * columns[k % 3] / mean).sqrt();
                assert!((f64::from(found) - want).abs() < 1e-5, "step {t}: {found}, {want}");
            }
        }
        assert_eq!(state.slots[0]["row"][0].shape(), [2, 1]);
        assert_eq!(state.slots[0]["column"][0].shape(), [1, 3]);
    }

    #[test]
    fn zeros_and_parameters_without_elements_stay() {
        for p in [Tensor::zeros([200, 200]), Tensor::zeros([0, 3]), tensor(0.0)] {
            let opt = adafactor(0.1);
            let (q, state) = opt.step(&p, &p, opt.init(&p));
            assert!(q.abs().sum(..).item().unwrap() == 0.0 && state.ok().is_ok());
        }
        let (p, opt) = (tensor([1.0]), FactoredRms::new().exponent(0.0).transform());
        let (u, _) = opt.update(&p, &p, opt.init(&p));
        assert!(u.error().unwrap().message().contains("an exponent above 0"), "{u:?}");
    }
}
