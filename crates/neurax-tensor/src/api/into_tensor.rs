//! The data of which [`tensor`] and `Tensor::from` make tensors.

use crate::{Element, Tensor, tensor};

/// Arguments of [`tensor`]: f32, i32, i64, u8, u32 and bool, and arrays, vectors and slices of
/// them.
#[diagnostic::on_unimplemented(
    message = "`tensor` cannot be made of `{Self}`",
    note = "float literals are f32 here; `Tensor::from_vec(data, shape)` keeps the type of its \
            data, f64 for example"
)]
pub trait IntoTensor {
    /// The type of the elements.
    type Of: Element;
    /// Appends the elements to `out`. `depth` is the number of enclosing arrays; `shape` holds the
    /// length of the first array at each level.
    ///
    /// # Errors
    ///
    /// Returns a message if arrays at one level differ in length.
    fn collect(
        &self,
        depth: usize,
        shape: &mut Vec<usize>,
        out: &mut Vec<Self::Of>,
    ) -> Result<(), String>;
}

/// Implementations of [`IntoTensor`], and of `From` for tensors, for scalars.
macro_rules! literals {
    ($($t:ty),*) => {$(
        impl IntoTensor for $t {
            type Of = $t;
            fn collect(
                &self,
                _: usize,
                _: &mut Vec<usize>,
                out: &mut Vec<$t>,
            ) -> Result<(), String> {
                out.push(*self);
                Ok(())
            }
        }

        impl From<$t> for Tensor {
            #[track_caller]
            fn from(x: $t) -> Tensor {
                tensor(x)
            }
        }
    )*};
}

literals!(f32, i32, i64, u8, u32, bool);

/// Appends the elements of an array, and checks its length against that of the first array at this
/// level.
fn collect_all<T: IntoTensor>(
    items: &[T],
    depth: usize,
    shape: &mut Vec<usize>,
    out: &mut Vec<T::Of>,
) -> Result<(), String> {
    match shape.get(depth) {
        None => shape.push(items.len()),
        Some(&n) if n == items.len() => {}
        Some(n) => return Err(format!("rows differ in length: {n} and {}", items.len())),
    }
    items.iter().try_for_each(|x| x.collect(depth + 1, shape, out))
}

/// Implementations of [`IntoTensor`] for sequences, which are slices of their items.
macro_rules! sequences {
    ($($t:ty $(, $n:ident)?;)*) => {$(
        impl<T: IntoTensor $(, const $n: usize)?> IntoTensor for $t {
            type Of = T::Of;
            fn collect(
                &self,
                depth: usize,
                shape: &mut Vec<usize>,
                out: &mut Vec<T::Of>,
            ) -> Result<(), String> {
                collect_all(&self[..], depth, shape, out)
            }
        }
    )*};
}

sequences! {
    [T; N], N;
    &[T; N], N;
    Vec<T>;
    &Vec<T>;
    &[T];
}

/// Implementations of `From` for tensors, as [`tensor`], whose errors the tensor carries.
macro_rules! from_sequences {
    ($($t:ty $(, $n:ident)?;)*) => {$(
        impl<T: IntoTensor $(, const $n: usize)?> From<$t> for Tensor {
            #[track_caller]
            fn from(data: $t) -> Tensor {
                tensor(data)
            }
        }
    )*};
}

from_sequences! {
    [T; N], N;
    Vec<T>;
    &[T];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sequences_of_equal_elements_are_equal_tensors() {
        let nested = [[1.0, 2.0], [3.0, 4.0]];
        let by_reference = &nested;
        let rows = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        let slices = [&rows[0][..], &rows[1]];
        let all = [
            tensor(nested),
            tensor(by_reference),
            tensor(slices),
            tensor(&rows),
            tensor(&rows[..]),
            Tensor::from([[1.0, 2.0], [3.0, 4.0]]),
            Tensor::from(&rows[..]),
            rows.into(),
        ];
        for t in all {
            assert_eq!(t.ty().unwrap().to_string(), "f32[2, 2]");
            assert_eq!(t.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        }
        let scalars = [Tensor::from(3), Tensor::from(3.0), Tensor::from(true), Tensor::from(3u8)];
        assert_eq!(
            scalars.map(|t| t.to_string()),
            ["i32[] 3", "f32[] 3.0", "bool[] true", "u8[] 3"]
        );
    }

    #[test]
    fn rows_of_different_lengths_are_an_error() {
        let e = Tensor::from(vec![vec![1, 2], vec![3]]);
        let e = e.error().unwrap();
        assert_eq!(e.message(), "rows differ in length: 2 and 1");
    }
}
