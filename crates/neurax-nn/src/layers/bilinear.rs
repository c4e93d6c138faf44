//! The bilinear layer.

use crate::init::{self, Init};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer};
use neurax_tensor::{Error, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Computes `y[o] = sum of a[i] kernel[o, i, j] b[j] + bias[o]` over the last axes: `a` is
/// `[.., n]`, `b` `[.., m]` with the same leading axes, `kernel` `[units, n, m]`, `bias` `[units]`,
/// the result `[.., units]`.
///
/// If `a` is a float of fewer than 32 bits, everything is computed in f32, and the result is
/// rounded once to the dtype of `a`.
///
/// # Errors
/// The result carries an error if `a` and `b` have other leading axes, or sizes that are not those
/// of the kernel.
///
/// ```
/// use neurax::prelude::*;
/// let kernel = tensor([[[1.0, 0.0], [0.0, 10.0]]]);
/// let (a, b) = (tensor([[2.0, 3.0]]), tensor([[5.0, 7.0]]));
/// assert_eq!(nn::layers::bilinear(&a, &b, &kernel, None).to_vec::<f32>()?, [220.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn bilinear(a: &Tensor, b: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    if let Err(e) = check(a, b, kernel) {
        return Tensor::from_error(e);
    }
    let [wide_a, wide_b, kernel] = [a, b, kernel].map(at_least_f32);
    let (units, n, m) = (kernel.dim(0), kernel.dim(1), kernel.dim(2));
    // The product with `a` is one matrix product for all units.
    let matrix = kernel.move_axis(1, 0).reshape([n, units * m]);
    let leading: Vec<usize> = a.shape().iter().take(a.rank() - 1).copied().collect();
    let products = wide_a.matmul(matrix).reshape([&leading[..], &[units, m]].concat());
    let y = (products * wide_b.expand_dims(-2)).sum(-1);
    let y = match bias {
        Some(bias) => y + at_least_f32(bias),
        None => y,
    };
    narrow_as(a, y)
}

/// Checks the shapes of the arguments of [`bilinear`].
fn check(a: &Tensor, b: &Tensor, kernel: &Tensor) -> Result<()> {
    let (a, b, kernel) = (a.ty()?, b.ty()?, kernel.ty()?);
    let fail = |why: String| Err(Error::new("bilinear", why));
    let [.., n, m] = kernel.shape[..] else {
        return fail(format!("expected a kernel [units, n, m], got {kernel}"));
    };
    match (a.shape.split_last(), b.shape.split_last()) {
        (Some((i, x)), Some((j, y))) if x == y && (*i, *j) == (n, m) && kernel.rank() == 3 => {
            Ok(())
        }
        _ => fail(format!(
            "expected inputs [.., {n}] and [.., {m}] with equal leading axes, got {a} and {b}"
        )),
    }
}

/// The layer of [`bilinear`], with parameters `kernel` and `bias`: each output is a weighted sum of
/// the products of all pairs of features of two inputs. Follows `torch.nn.Bilinear`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 3]), nn::input("b", dims![_, 2]));
/// let y = nn::Bilinear::new(4).call([&a, &b]);
/// let vars = y.init(key(0), &types![f32[_, 3], f32[_, 2]])?;
/// assert_eq!(vars.params["bilinear"]["kernel"].shape(), [4, 3, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bilinear {
    units: usize,
    bias: bool,
    kernel: Init,
    bias_init: Init,
}

impl Bilinear {
    /// Creates a layer with `units` outputs, a kernel that is initialized with
    /// [`init::glorot_uniform`], and a bias of zeros.
    pub fn new(units: usize) -> Bilinear {
        let kernel = init::glorot_uniform().axes(1, 0);
        Bilinear { units, bias: true, kernel, bias_init: init::zeros() }
    }

    /// Sets whether the layer has a bias.
    pub fn bias(self, bias: bool) -> Bilinear {
        Bilinear { bias, ..self }
    }

    /// Sets the initializer of the kernel, whose axis 0 are the outputs.
    pub fn kernel(self, kernel: Init) -> Bilinear {
        Bilinear { kernel, ..self }
    }

    /// Sets the initializer of the bias.
    pub fn bias_init(self, bias_init: Init) -> Bilinear {
        Bilinear { bias_init, ..self }
    }
}

impl Layer<2> for Bilinear {
    const NAME: &'static str = "bilinear";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [a, b]: [Tensor; 2]) -> Tensor {
        let kernel = cx.param("kernel", [self.units, a.dim(-1), b.dim(-1)], self.kernel.clone());
        let bias = self.bias.then(|| cx.param("bias", self.units, self.bias_init.clone()));
        bilinear(&a, &b, &kernel, bias.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{DType, tensor, types};

    #[test]
    fn is_a_layer() {
        check::nodes(|x| Bilinear::new(4).call(x), &types![f32[2, 3], f32[2, 2]]).unwrap();
        let no_bias = Bilinear::new(1).bias(false);
        check::nodes(|x| no_bias.call(x), &types![f32[2, 5, 3], f32[2, 5, 1]]).unwrap();
    }

    #[test]
    fn narrow_products_do_not_overflow() {
        let a = tensor([[300.0, 300.0]]).to(DType::F16);
        let kernel = tensor([[[1.0, 0.0], [0.0, -1.0]]]);
        let b = tensor([[300.0, 299.0]]).to(DType::F16);
        let y = bilinear(&a, &b, &kernel, None);
        assert_eq!(y.dtype(), DType::F16);
        assert_eq!(y.to(DType::F32).to_vec::<f32>().unwrap(), [300.0]);
    }

    #[test]
    fn inputs_of_other_shapes_are_errors() {
        for types in [
            types![f32[2, 3], f32[3, 2]],
            types![f32[2, 3], f32[2]],
            types![f32[], f32[]],
            types![f32[2, 1, 3], f32[2, 3]],
        ] {
            let e = check::nodes(|x| Bilinear::new(2).call(x), &types).unwrap_err().to_string();
            assert!(e.contains("bilinear: expected inputs [..") && e.contains("in layer"), "{e}");
        }
        let (a, b) = (Tensor::ones([2, 3]), Tensor::ones([2, 4]));
        for kernel in [Tensor::ones([4]), Tensor::ones([5, 4, 3])] {
            let y = bilinear(&a, &b, &kernel, None);
            assert!(
                y.error().is_some_and(|e| e.to_string().starts_with("bilinear: expected")),
                "{y}"
            );
        }
    }
}
