//! The cotangents of a backward walk, by value.
//!
//! Cotangents of a value with several readers are added. Those of readers that are slices are kept
//! apart: disjoint ranges along one axis become one concatenation, instead of a sum of arrays with
//! zeros around them, which would read and write the whole array once for each slice:
//!
//! ```text
//! %1 = slice[0..2](%0)               %0' = concatenate(%1', %2')
//! %2 = slice[2..5](%0)      not      %0' = add(pad[high=3](%1'), pad[low=2](%2'))
//! ```

use crate::op::Slice;
use crate::{Builder, Shape, Type, Value};

/// The cotangents of all values of a graph.
pub(super) struct Cotangents(Vec<Cotangent>);

/// The cotangent of a value: a sum, and the cotangents of slices.
#[derive(Clone, Default)]
struct Cotangent {
    sum: Option<Value>,
    slices: Vec<(Slice, Value)>,
}

impl Cotangents {
    /// Creates the cotangents of `n` values, all zero.
    pub fn new(n: usize) -> Cotangents {
        Cotangents(vec![Cotangent::default(); n])
    }

    /// Adds a cotangent to that of `v`.
    pub fn add(&mut self, b: &mut Builder, v: Value, ct: Option<Value>) {
        let sum = &mut self.0[v.index()].sum;
        *sum = b.add_tangents(*sum, ct);
    }

    /// Adds the cotangent `ct` of a slice of `v`.
    pub fn add_slice(&mut self, v: Value, slice: &Slice, ct: Value) {
        self.0[v.index()].slices.push((slice.clone(), ct));
    }

    /// Returns the cotangent of `v`, which has type `ty`.
    pub fn get(&mut self, b: &mut Builder, v: Value, ty: &Type) -> Option<Value> {
        let slices = std::mem::take(&mut self.0[v.index()].slices);
        let parts = match concatenated(b, ty, &slices) {
            Some(whole) => vec![whole],
            None => slices.iter().map(|(s, ct)| s.padded(b, &ty.shape, *ct)).collect(),
        };
        for part in parts {
            self.add(b, v, Some(part));
        }
        self.0[v.index()].sum
    }
}

/// Emits the sum of the cotangents of several slices that are disjoint ranges along one axis of a
/// value of type `ty`.
fn concatenated(b: &mut Builder, ty: &Type, slices: &[(Slice, Value)]) -> Option<Value> {
    let [(first, _), _, ..] = slices else { return None };
    let axis = first.only_axis(&ty.shape)?;
    if slices.iter().any(|(s, _)| s.only_axis(&ty.shape) != Some(axis)) {
        return None;
    }
    let range = |s: &Slice| s.start[axis]..s.limit[axis];
    let mut sorted: Vec<_> = slices.iter().map(|(s, ct)| (range(s), *ct)).collect();
    sorted.sort_by_key(|(range, _)| (range.start, range.end));
    if sorted.windows(2).any(|w| w[0].0.end > w[1].0.start) {
        return None;
    }
    let (mut all, mut end) = (vec![], 0);
    for (range, ct) in sorted {
        all.extend(zeros(b, ty, axis, range.start - end));
        all.push(ct);
        end = range.end;
    }
    all.extend(zeros(b, ty, axis, ty.shape[axis] - end));
    Some(b.concat(&all, axis))
}

/// Emits zeros of type `ty` but for the size `n` of one axis; nothing if it is zero.
fn zeros(b: &mut Builder, ty: &Type, axis: usize, n: usize) -> Option<Value> {
    let size = |(a, &whole): (usize, &usize)| if a == axis { n } else { whole };
    let shape: Shape = ty.shape.iter().enumerate().map(size).collect();
    (n > 0).then(|| b.zeros(ty.with_shape(shape)))
}

#[cfg(test)]
mod tests {
    use crate::{Graph, transform::transpose};

    /// Returns the transpose of a graph that is linear in its only input.
    fn transposed(graph: &str) -> String {
        let g = Graph::parse(graph).unwrap();
        transpose(&g, &[true]).unwrap().to_string()
    }

    #[test]
    fn cotangents_of_disjoint_slices_are_concatenated() {
        let graph = "graph(%0: f32[2, 7]) {
          %1: f32[2, 3] = slice[start=[0, 3], limit=[2, 6], stride=[1, 1]](%0)
          %2: f32[2, 2] = slice[start=[0, 0], limit=[2, 2], stride=[1, 1]](%0)
          return %1, %2
        }";
        let want = "\
graph(%0: f32[2, 3], %1: f32[2, 2]) {
  %2: f32[] = constant[value=f32[] 0.0]()
  %3: f32[2, 1] = broadcast_in_dim[shape=[2, 1], dims=[]](%2)
  %4: f32[] = constant[value=f32[] 0.0]()
  %5: f32[2, 1] = broadcast_in_dim[shape=[2, 1], dims=[]](%4)
  %6: f32[2, 7] = concatenate[axis=1](%1, %3, %0, %5)
  return %6
}";
        assert_eq!(transposed(graph), want);
    }

    #[test]
    fn cotangents_of_other_slices_are_padded() {
        let overlap = "graph(%0: f32[5]) {
          %1: f32[3] = slice[start=[0], limit=[3], stride=[1]](%0)
          %2: f32[3] = slice[start=[2], limit=[5], stride=[1]](%0)
          return %1, %2
        }";
        let axes = "graph(%0: f32[4, 4]) {
          %1: f32[2, 4] = slice[start=[0, 0], limit=[2, 4], stride=[1, 1]](%0)
          %2: f32[4, 2] = slice[start=[0, 2], limit=[4, 4], stride=[1, 1]](%0)
          return %1, %2
        }";
        let steps = "graph(%0: f32[4]) {
          %1: f32[2] = slice[start=[0], limit=[4], stride=[2]](%0)
          %2: f32[2] = slice[start=[1], limit=[4], stride=[2]](%0)
          return %1, %2
        }";
        for graph in [overlap, axes, steps] {
            let text = transposed(graph);
            assert_eq!(text.matches("pad").count(), 2, "{text}");
            assert!(!text.contains("concatenate"), "{text}");
        }
    }
}
