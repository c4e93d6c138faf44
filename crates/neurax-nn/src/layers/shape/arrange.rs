//! Permuting, repeating and splitting.

use crate::layers::axes::positions;
use crate::{Cx, Layer, MaskRule, Node};
use neurax_tensor::{Error, Tensor};
use serde::{Deserialize, Serialize};

/// A layer that permutes the axes of each example: Keras's `Permute`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 2, 3]).layer(nn::Permute::new([2, 1])).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([5, 2, 3]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [5, 3, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Permute {
    axes: Vec<i64>,
}

impl Permute {
    /// Creates a layer whose output has, behind axis 0, the axes `axes` of the input in this order.
    pub fn new(axes: impl AsRef<[i64]>) -> Permute {
        Permute { axes: axes.as_ref().to_vec() }
    }
}

impl Layer for Permute {
    const NAME: &'static str = "permute";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let order = [&[0], &self.axes[..]].concat();
        x.permute(&order[..])
    }
}

/// A layer that repeats each example along a new axis 1: `[batch, ..]` becomes `[batch, n, ..]`.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 2]).layer(nn::RepeatVector::new(2)).model();
/// let out = model.apply(&Vars::default(), tensor([[1.0, 2.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RepeatVector {
    n: usize,
}

impl RepeatVector {
    /// Creates a layer that repeats each example `n` times.
    pub fn new(n: usize) -> RepeatVector {
        RepeatVector { n }
    }
}

impl Layer for RepeatVector {
    const NAME: &'static str = "repeat_vector";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        match x.rank() {
            0 => x.expand_dims(1),
            _ => x.expand_dims(1).repeat(self.n, 1),
        }
    }
}

/// A layer with `N` outputs, the parts of an axis.
///
/// ```
/// use neurax::prelude::*;
/// let [a, b] = nn::input("x", dims![_, 4]).layer(nn::Split::new(-1).sizes([1, 3]));
/// let model = Model::new([("a", a), ("b", b)]);
/// let out = model.apply(&Vars::default(), tensor([[1.0, 2.0, 3.0, 4.0]]), &Mode::Eval);
/// assert_eq!(out["b"].to_vec::<f32>()?, [2.0, 3.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Split<const N: usize> {
    axis: i64,
    sizes: Option<Vec<usize>>,
}

impl<const N: usize> Split<N> {
    /// Creates a layer that splits `axis`, counted from the end if negative, into `N` equal parts.
    pub fn new(axis: i64) -> Split<N> {
        Split { axis, sizes: None }
    }

    /// Sets the sizes of the parts, whose sum is that of the axis.
    pub fn sizes(self, sizes: [usize; N]) -> Split<N> {
        Split { sizes: Some(sizes.to_vec()), ..self }
    }
}

impl<const N: usize> Layer for Split<N> {
    const NAME: &'static str = "split";
    type Output = [Tensor; N];

    fn mask_rule(&self) -> MaskRule {
        MaskRule::of_axes(&[self.axis])
    }

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> [Tensor; N] {
        let axis = match positions("split", &x, &[self.axis]) {
            Ok(axis) => axis[0],
            Err(e) => return std::array::from_fn(|_| Tensor::from_error(e.clone())),
        };
        let n = x.shape()[axis];
        let sizes = self.sizes.clone().unwrap_or_else(|| vec![n / N.max(1); N]);
        if sizes.iter().fold(0usize, |a, b| a.saturating_add(*b)) != n {
            let parts = match &self.sizes {
                Some(sizes) => format!("parts of sizes {sizes:?}"),
                None => format!("{N} equal parts"),
            };
            let why = format!("expected an axis {axis} in {parts}, got {n} elements");
            return std::array::from_fn(|_| Tensor::from_error(Error::new("split", why.clone())));
        }
        let mut start = 0;
        std::array::from_fn(|i| {
            start += sizes[i];
            x.slice(axis as i64, (start - sizes[i]) as i64..start as i64)
        })
    }
}

impl Node {
    /// Permutes the axes of each example: see [`Permute`].
    #[track_caller]
    pub fn permute(&self, axes: impl AsRef<[i64]>) -> Node {
        self.layer(Permute::new(axes))
    }

    /// Splits an axis into `N` equal parts: see [`Split`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [query, key, value] = nn::input("x", dims![_, 4]).dense(24).split(-1);
    /// ```
    #[track_caller]
    pub fn split<const N: usize>(&self, axis: i64) -> [Node; N] {
        self.layer(Split::new(axis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(Permute::new([3, 1, -2]), &types![f32[2, 2, 3, 4]]).unwrap();
        check::layer(RepeatVector::new(3), &types![f32[2, 3]]).unwrap();
        let swapped = |[x]: [Node; 1]| {
            let [a, b, c] = x.split(1);
            crate::concat([c, b, a], 1)
        };
        check::nodes(swapped, &types![f32[2, 6]]).unwrap();
        check::layer(Split::<2>::new(1).sizes([1, 3]), &types![f32[2, 4]]).unwrap();
    }

    #[test]
    fn axes_and_sizes_that_do_not_fit_are_errors() {
        let message =
            |split: Split<2>| check::layer(split, &types![f32[2, 5]]).unwrap_err().to_string();
        let e = message(Split::new(-1));
        assert!(e.contains("expected an axis 1 in 2 equal parts, got 5 elements"), "{e}");
        let e = message(Split::new(1).sizes([1, 3]));
        assert!(e.contains("in parts of sizes [1, 3], got 5 elements"), "{e}");
        let e = message(Split::new(2));
        assert!(e.contains("axes [2], got f32[2, 5]") && e.contains("in layer split"), "{e}");
        let e = check::layer(Permute::new([1, 1]), &types![f32[2, 3, 4]]).unwrap_err();
        assert!(e.to_string().contains("in layer permute"), "{e}");
        assert!(check::layer(RepeatVector::new(2), &types![f32[]]).is_err());
    }
}
