//! Selections whose size depends on values: elements that are not 0, different elements, boxes
//! without overlap.
//!
//! The values must be known, as the shapes of the results depend on them. A mask alone that is
//! known selects of data that may be traced.

use super::axes::axis_of;
use super::shapes::{moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::{DType, Tensor, stack};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Compress", &[9, 11, 28], 2..=2, compress).attributes(&["axis"]).data_dependent(),
    op("NonMaxSuppression", &[10, 11], 2..=5, suppress)
        .attributes(&["center_point_box"])
        .data_dependent(),
    op("NonZero", &[9, 13], 1..=1, nonzero).data_dependent(),
    op("Unique", &[11, 28], 1..=1, unique).attributes(&["axis", "sorted"]).data_dependent(),
];

/// Returns the indices of elements that are not 0, a row for each axis; of a scalar there are none.
fn nonzero(c: &NodeCall) -> RuleOutcome {
    let x = match c.value(0)? {
        OnnxValue::Strings(x) => {
            let is_filled = x.elements().iter().map(|s| !s.is_empty()).collect::<Vec<bool>>();
            Tensor::from_vec(is_filled, x.shape())
        }
        _ => c.known(0)?,
    };
    if x.rank() == 0 {
        let count = x.reshape([1]).flatnonzero().size();
        return one(Tensor::zeros_of(DType::I64, [0, count]));
    }
    one(stack(x.nonzero(), 0).to(DType::I64))
}

/// Selects entries along an axis, or elements in row-major order, where the condition is true; it
/// may leave out entries at the end.
fn compress(c: &NodeCall) -> RuleOutcome {
    let (x, condition) = (c.value(0)?, c.known(1)?);
    let shape = shape_of(x)?;
    let axis = c.int("axis")?.map(|axis| axis_of(axis, shape.len())).transpose()?;
    let size = axis.map_or(shape.iter().product(), |axis| shape[axis]);
    if condition.rank() != 1 || condition.size() > size || condition.dtype() != DType::Bool {
        let ty = condition.ty()?;
        return fail(format!("expected a vector of at most {size} bools as condition, got {ty}"));
    }
    let places = condition.flatnonzero();
    moved(x, |x| {
        Ok(match axis {
            Some(axis) => x.take(&places, axis),
            None => x.reshape([size]).take(&places, 0),
        })
    })
}

/// Returns the different elements, or entries along an axis, in ascending order or in that of their
/// first occurrence; the indices of these, where the elements went, and how many there are.
fn unique(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = c.int("axis")?.map(|axis| axis_of(axis, shape.len())).transpose()?;
    // Strings are numbered in their order; the numbers are sorted in their place.
    let (numbers, names) = match x {
        OnnxValue::Strings(x) => {
            let (numbers, names) = numbered(x)?;
            (numbers, Some(names))
        }
        _ => (c.known(0)?, None),
    };
    let (found, axis) = match axis {
        Some(axis) => (numbers.unique_along(axis), axis),
        None => (numbers.unique_all(), 0),
    };
    let (mut values, mut indices, mut counts) = (found.values, found.indices, found.counts);
    let mut inverse = found.inverse.reshape([found.inverse.size()]);
    if !c.flag("sorted", true)? {
        let order = indices.argsort(0);
        values = values.take(&order, axis);
        (indices, counts) = (indices.take(&order, 0), counts.take(&order, 0));
        inverse = order.argsort(0).take(inverse, 0);
    }
    let values = match names {
        Some(names) => named(&values, &names)?,
        None => OnnxValue::Tensor(values),
    };
    let places = [indices, inverse, counts].map(|x| OnnxValue::Tensor(x.to(DType::I64)));
    Ok([vec![values], places.to_vec()].concat())
}

/// Returns the number of each string among the different ones in ascending order, and these.
fn numbered(x: &Strings) -> Result<(Tensor, Vec<String>), RuleFailure> {
    let mut names = x.elements().to_vec();
    names.sort_unstable();
    names.dedup();
    let number = |s| names.binary_search(s).unwrap_or_default() as i64;
    let numbers: Vec<i64> = x.elements().iter().map(number).collect();
    Ok((Tensor::from_vec(numbers, x.shape()), names))
}

fn named(numbers: &Tensor, names: &[String]) -> Result<OnnxValue, RuleFailure> {
    let elements = numbers.to_vec::<i64>()?.into_iter().map(|i| names[i as usize].clone());
    Ok(Strings::new(numbers.shape().to_vec(), elements.collect())?.into())
}

/// Selects boxes of each class of each image by descending score, without those that overlap a
/// selected one: rows `[image, class, box]`.
fn suppress(c: &NodeCall) -> RuleOutcome {
    let (boxes, scores) = (c.known(0)?, c.known(1)?);
    let (&[images, count, 4], &[batch, classes, of_scores]) =
        (&boxes.shape()[..], &scores.shape()[..])
    else {
        let types = (boxes.ty()?, scores.ty()?);
        return fail(format!("expected boxes [n, k, 4] and scores [n, classes, k], got {types:?}"));
    };
    if images != batch || count != of_scores {
        return fail(format!("the boxes {} do not fit the scores {}", boxes.ty()?, scores.ty()?));
    }
    let number =
        |i: usize| Ok::<_, RuleFailure>(c.known_floats(i)?.and_then(|x| x.first().copied()));
    let limits = Limits {
        count: number(2)?.unwrap_or(0.0).max(0.0) as usize,
        overlap: number(3)?.unwrap_or(0.0) as f32,
        score: number(4)?.map(|score| score as f32),
    };
    if !(0.0..=1.0).contains(&limits.overlap) {
        return fail(format!("expected a threshold of 0 to 1, got {}", limits.overlap));
    }
    let is_centered = c.flag("center_point_box", false)?;
    let boxes = boxes.to(DType::F32).to_vec::<f32>()?;
    let boxes: Vec<Corners> =
        boxes.chunks_exact(4).map(|b| corners([b[0], b[1], b[2], b[3]], is_centered)).collect();
    let scores = scores.to(DType::F32).to_vec::<f32>()?;
    let mut rows = Vec::new();
    for image in 0..images {
        for class in 0..classes {
            let at = (image * classes + class) * count;
            let of_image = &boxes[image * count..(image + 1) * count];
            for chosen in limits.select(of_image, &scores[at..at + count]) {
                rows.extend([image as i64, class as i64, chosen as i64]);
            }
        }
    }
    let found = rows.len() / 3;
    one(Tensor::from_vec(rows, [found, 3]))
}

/// The least and the greatest coordinates of a box, along two axes.
type Corners = [[f32; 2]; 2];

/// Returns the corners of a box, which is given by two opposite ones, or by its center and sizes.
fn corners(b: [f32; 4], is_centered: bool) -> Corners {
    let [[a0, a1], [b0, b1]] = match is_centered {
        true => {
            let [x, y, width, height] = b;
            let (w, h) = (width / 2.0, height / 2.0);
            [[x - w, x + w], [y - h, y + h]]
        }
        false => [[b[0], b[2]], [b[1], b[3]]],
    };
    [[a0.min(a1), a0.max(a1)], [b0.min(b1), b0.max(b1)]]
}

fn area(b: &Corners) -> f32 {
    b.iter().map(|[low, high]| high - low).product()
}

/// Returns true if the intersection of two boxes is more than `limit` of their union. Boxes without
/// an area do not overlap.
fn overlaps(a: &Corners, b: &Corners, limit: f32) -> bool {
    let sides = a.iter().zip(b).map(|(a, b)| (a[1].min(b[1]) - a[0].max(b[0])).max(0.0));
    let intersection: f32 = sides.product();
    let (of_a, of_b) = (area(a), area(b));
    let has_area = of_a > 0.0 && of_b > 0.0 && intersection > 0.0;
    has_area && intersection / (of_a + of_b - intersection) > limit
}

/// The limits of the selection in one class of one image.
struct Limits {
    count: usize,
    overlap: f32,
    /// Only boxes with a larger score are selected.
    score: Option<f32>,
}

impl Limits {
    /// Returns the indices of the selected boxes, in descending order of the scores.
    fn select(&self, boxes: &[Corners], scores: &[f32]) -> Vec<usize> {
        let is_candidate = |&i: &usize| self.score.is_none_or(|least| scores[i] > least);
        let mut candidates: Vec<usize> = (0..boxes.len()).filter(is_candidate).collect();
        // The sort is stable: of equal scores, the lower index comes first.
        candidates.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]));
        let mut chosen: Vec<usize> = Vec::new();
        for i in candidates {
            if chosen.len() >= self.count {
                break;
            }
            if !chosen.iter().any(|&j| overlaps(&boxes[i], &boxes[j], self.overlap)) {
                chosen.push(i);
            }
        }
        chosen
    }
}
