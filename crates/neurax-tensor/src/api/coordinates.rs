//! Values of a grid at coordinates between its entries.
//!
//! Along each axis a coordinate lies between two entries, which count by their distance; the value
//! is the sum over the corners of the cell, two to the power of the rank. One gather reads a corner
//! for all coordinates.

use super::{
    common::{cloned, promote_and_broadcast, tensor_or_error},
    gather::gather,
};
use crate::{Boundary, DType, MapOptions, Tensor, tensor::CallSite};
use std::{borrow::Borrow, panic::Location};

/// An entry of a grid along an axis: its index, whether it is within the grid if others count, and
/// its weight.
type GridCorner = (Tensor, Option<Tensor>, Option<Tensor>);

impl Tensor {
    /// Interpolates the values of the tensor, a grid, at `coordinates`: a tensor for each axis,
    /// which broadcast to the shape of the result. Entry `i` of an axis has the coordinate `i`.
    ///
    /// The dtype is kept; integers are rounded, ties away from zero. Floats below 32 bits are
    /// computed in f32. Follows `jax.scipy.ndimage.map_coordinates`, whose modes `constant` and
    /// `wrap` are `grid-constant` and `grid-wrap` in scipy.
    ///
    /// # Errors
    ///
    /// The result carries an error if there is not one real tensor of coordinates for each axis, if
    /// these do not broadcast, if an axis is empty, and for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{MapOptions, prelude::*};
    /// let x = tensor([[0.0, 1.0], [2.0, 3.0]]);
    /// let (rows, columns) = (tensor([0.5, 1.0]), tensor([0.5, 0.0]));
    /// let y = x.map_coordinates([rows, columns], MapOptions::new());
    /// assert_eq!(y.to_vec::<f32>()?, [1.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn map_coordinates<T: Borrow<Tensor>>(
        &self,
        coordinates: impl IntoIterator<Item = T>,
        options: MapOptions,
    ) -> Tensor {
        tensor_or_error(self.mapped(&cloned(coordinates), &options))
    }

    #[track_caller]
    fn mapped(&self, coordinates: &[Tensor], options: &MapOptions) -> Result<Tensor, Tensor> {
        let (op, at) = ("map_coordinates", Location::caller());
        let (x, _) = self.real_float(op, at)?.wide(at);
        if coordinates.len() != x.rank() || (x.size() == 0 && x.rank() > 0) {
            let why = format!(
                "expected a grid that is not empty and coordinates for each axis, got {} and {}",
                self.dtype_and_shape(),
                coordinates.len()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let mut floats = vec![];
        for c in coordinates {
            floats.push(c.real_float(op, at)?.wide(at).0);
        }
        let coordinates = promote_and_broadcast(op, &floats, at)?;
        let Some(first) = coordinates.first() else { return Ok(self.clone()) };
        let mut corners: Vec<Vec<GridCorner>> = vec![vec![]];
        for (axis, c) in coordinates.iter().enumerate() {
            let along = neighbours(c, x.shape()[axis], options, at);
            let mut extended = vec![];
            for corner in &corners {
                for next in &along {
                    extended.push([&corner[..], std::slice::from_ref(next)].concat());
                }
            }
            corners = extended;
        }
        let mut sum = first.zeros_like().convert(x.dtype(), at);
        for corner in &corners {
            sum += x.weighted(op, corner, options.boundary, at)?;
        }
        let y = if self.dtype().is_float() { sum } else { sum.round_half_away() };
        Ok(y.convert(self.dtype(), at))
    }

    /// Returns the values at a corner of the cells, times their weights.
    #[track_caller]
    fn weighted(
        &self,
        op: &str,
        corner: &[GridCorner],
        boundary: Boundary,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let indices: Vec<(usize, Tensor)> =
            corner.iter().enumerate().map(|(axis, c)| (axis, c.0.clone())).collect();
        let mut y = gather(op, self, &indices, at)?;
        let mut inside: Option<Tensor> = None;
        for next in corner.iter().filter_map(|c| c.1.as_ref()) {
            inside = Some(match inside {
                Some(inside) => inside & next,
                None => next.clone(),
            });
        }
        if let (Some(inside), Boundary::Constant(outside)) = (inside, boundary) {
            y = inside.select(y, outside);
        }
        for weight in corner.iter().filter_map(|c| c.2.as_ref()) {
            y *= weight.convert(self.dtype(), at);
        }
        Ok(y)
    }
}

/// Returns the entries of an axis of size `n` that count at the coordinates `c`.
#[track_caller]
fn neighbours(c: &Tensor, n: usize, options: &MapOptions, at: CallSite) -> Vec<GridCorner> {
    if options.is_nearest {
        let index = c.round_half_away().convert(DType::I32, at);
        return vec![grid_corner(index, n, options.boundary, None)];
    }
    let low = c.floor();
    let weight = c - &low;
    let index = low.convert(DType::I32, at);
    let next = &index + 1;
    vec![
        grid_corner(index, n, options.boundary, Some(1 - &weight)),
        grid_corner(next, n, options.boundary, Some(weight)),
    ]
}

/// Returns the entry of an axis of size `n` at `index`.
#[track_caller]
fn grid_corner(index: Tensor, n: usize, boundary: Boundary, weight: Option<Tensor>) -> GridCorner {
    let inside = match boundary {
        Boundary::Constant(_) => Some(index.ge(0) & index.lt(n)),
        _ => None,
    };
    (within(&index, n, boundary), inside, weight)
}

/// Returns indices within an axis of size `n` that continue it as `boundary` says.
#[track_caller]
fn within(index: &Tensor, n: usize, boundary: Boundary) -> Tensor {
    let last = n.saturating_sub(1);
    match boundary {
        Boundary::Constant(_) | Boundary::Nearest => index.clip(0, last),
        Boundary::Wrap => index.remainder(n.max(1)),
        Boundary::Mirror if n < 2 => index.zeros_like(),
        Boundary::Mirror => ((index + last).remainder(2 * last) - last).abs(),
        Boundary::Reflect => {
            let folded = index.remainder(2 * n);
            folded.ge(n).select(-&folded + (2 * n - 1), folded)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::{Boundary, MapOptions};

    #[test]
    fn boundaries_continue_a_grid() {
        let x = tensor([1.0, 2.0, 3.0]);
        let places = tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        for (boundary, want) in [
            (Boundary::Constant(9.0), [9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0]),
            (Boundary::Nearest, [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]),
            (Boundary::Wrap, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]),
            (Boundary::Mirror, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]),
            (Boundary::Reflect, [2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0]),
        ] {
            for options in [MapOptions::new(), MapOptions::new().nearest()] {
                let y = x.map_coordinates([&places], options.boundary(boundary));
                assert_eq!(y.to_vec::<f32>().unwrap(), want, "{boundary:?}");
            }
        }
        let one = tensor([5]).map_coordinates([tensor([4])], MapOptions::new());
        assert_eq!(one.to_vec::<i32>().unwrap(), [0]);
        let x = tensor([[0, 4], [2, 7]]);
        let y = x.map_coordinates([tensor([0.5]), tensor([0.5])], MapOptions::new());
        assert_eq!(y.to_vec::<i32>().unwrap(), [3], "3.25 is rounded");
    }

    #[test]
    fn misuse_is_an_error() {
        let x = tensor([[1.0, 2.0]]);
        let y = x.map_coordinates([tensor([0.0])], MapOptions::new());
        assert!(
            y.error().unwrap().to_string().contains("coordinates for each axis, got f32[1, 2]")
        );
        let places = [tensor([0.0, 1.0]), tensor([0.0, 1.0, 2.0])];
        assert!(x.map_coordinates(places, MapOptions::new()).error().is_some());
        let none = Tensor::zeros([0]).map_coordinates([tensor([0.0])], MapOptions::new());
        assert!(none.error().is_some());
    }
}
