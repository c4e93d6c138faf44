//! Metrics of object detection, computed on the host.

use std::collections::BTreeSet;

/// A box with corners `(x1, y1)` and `(x2, y2)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// The smaller horizontal coordinate.
    pub x1: f64,
    /// The smaller vertical coordinate.
    pub y1: f64,
    /// The larger horizontal coordinate.
    pub x2: f64,
    /// The larger vertical coordinate.
    pub y2: f64,
}

impl BoundingBox {
    /// Creates a box from `x1, y1, x2, y2`.
    pub fn new(x1: f64, y1: f64, x2: f64, y2: f64) -> BoundingBox {
        BoundingBox { x1, y1, x2, y2 }
    }

    fn area(&self) -> f64 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// Returns the intersection over union of two boxes; 0 if both have no area.
    ///
    /// ```
    /// use neurax::nn::metric::detection::BoundingBox;
    /// let a = BoundingBox::new(0.0, 0.0, 2.0, 2.0);
    /// assert_eq!(a.iou(&BoundingBox::new(1.0, 0.0, 3.0, 2.0)), 1.0 / 3.0);
    /// ```
    pub fn iou(&self, other: &BoundingBox) -> f64 {
        let both = BoundingBox {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        };
        let union = self.area() + other.area() - both.area();
        if union > 0.0 { both.area() / union } else { 0.0 }
    }
}

/// A detected or true object of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// The index of the image.
    pub image: usize,
    /// The class.
    pub class: usize,
    /// The box around the object.
    pub bounds: BoundingBox,
}

/// Returns the mean over the classes of true objects of the average precision at an IoU of at least
/// `iou`. Detections come with their scores; of those that overlap a true object, the one with the
/// highest score finds it. Precisions are interpolated at every recall, as in PASCAL VOC 2010. 0
/// without true objects.
///
/// ```
/// use neurax::prelude::*;
/// use nn::metric::detection::{BoundingBox, Object, mean_average_precision};
/// let at = |x| BoundingBox::new(x, 0.0, x + 4.0, 4.0);
/// let object = |image, x| Object { image, class: 0, bounds: at(x) };
/// let truth = [object(0, 0.0), object(1, 8.0)];
/// let detected = [(object(0, 0.5), 0.9), (object(0, 20.0), 0.8), (object(1, 8.0), 0.7)];
/// let value = mean_average_precision(&detected, &truth, 0.5);
/// assert!((value - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
/// ```
pub fn mean_average_precision(detected: &[(Object, f64)], truth: &[Object], iou: f64) -> f64 {
    let classes: BTreeSet<usize> = truth.iter().map(|o| o.class).collect();
    let each = classes.iter().map(|&class| average_precision(detected, truth, class, iou));
    each.sum::<f64>() / classes.len().max(1) as f64
}

/// Returns the mean of [`mean_average_precision`] over the IoUs 0.5, 0.55, .. 0.95, the main metric
/// of COCO (without its limits of 100 detections and of 101 recalls).
pub fn coco_average_precision(detected: &[(Object, f64)], truth: &[Object]) -> f64 {
    let each = (0..10).map(|i| mean_average_precision(detected, truth, 0.5 + 0.05 * i as f64));
    each.sum::<f64>() / 10.0
}

/// Returns the average precision of a class.
fn average_precision(detected: &[(Object, f64)], truth: &[Object], class: usize, iou: f64) -> f64 {
    let truth: Vec<&Object> = truth.iter().filter(|o| o.class == class).collect();
    let mut detected: Vec<&(Object, f64)> =
        detected.iter().filter(|(o, _)| o.class == class).collect();
    detected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut found = vec![false; truth.len()];
    let mut hits = Vec::with_capacity(detected.len());
    for (object, _) in detected {
        let best = (0..truth.len())
            .filter(|&i| !found[i] && truth[i].image == object.image)
            .map(|i| (i, truth[i].bounds.iou(&object.bounds)))
            .filter(|(_, overlap)| *overlap >= iou)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, _)) = best {
            found[i] = true;
        }
        hits.push(best.is_some());
    }
    interpolated(&hits, truth.len())
}

/// Returns the area under the precisions of ranked detections, each raised to the largest at the
/// same or a higher recall.
fn interpolated(hits: &[bool], objects: usize) -> f64 {
    let mut count = 0;
    let mut precisions = Vec::new();
    for (i, hit) in hits.iter().enumerate() {
        count += usize::from(*hit);
        precisions.push(count as f64 / (i + 1) as f64);
    }
    let (mut largest, mut area) = (0.0f64, 0.0);
    for (hit, precision) in hits.iter().zip(&precisions).rev() {
        largest = largest.max(*precision);
        if *hit {
            area += largest;
        }
    }
    area / objects.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(image: usize, class: usize, x: f64) -> Object {
        Object { image, class, bounds: BoundingBox::new(x, 0.0, x + 10.0, 10.0) }
    }

    #[test]
    fn an_object_is_found_once_and_only_in_its_image_and_class() {
        let truth = [at(0, 0, 0.0)];
        let ap = |d: &[(Object, f64)]| mean_average_precision(d, &truth, 0.5);
        assert_eq!(ap(&[(at(0, 0, 0.0), 0.5)]), 1.0);
        // The second detection of the same object is wrong, but behind the first.
        assert_eq!(ap(&[(at(0, 0, 0.0), 0.5), (at(0, 0, 1.0), 0.4)]), 1.0);
        assert_eq!(ap(&[(at(0, 0, 30.0), 0.9), (at(0, 0, 0.0), 0.5)]), 0.5);
        assert_eq!(ap(&[(at(1, 0, 0.0), 0.5)]), 0.0);
        assert_eq!(ap(&[(at(0, 1, 0.0), 0.5)]), 0.0);
        assert_eq!(ap(&[]), 0.0);
        assert_eq!(mean_average_precision(&[(at(0, 0, 0.0), 0.5)], &[], 0.5), 0.0);
    }

    #[test]
    fn coco_averages_over_overlaps() {
        // An IoU of 9 / 11 counts up to 0.8: seven of ten.
        let value = coco_average_precision(&[(at(0, 0, 1.0), 0.5)], &[at(0, 0, 0.0)]);
        assert!((value - 0.7).abs() < 1e-12, "{value}");
    }

    #[test]
    fn boxes_without_area_overlap_nothing() {
        let point = BoundingBox::new(1.0, 1.0, 1.0, 1.0);
        assert_eq!(point.iou(&point), 0.0);
        assert_eq!(point.iou(&BoundingBox::new(0.0, 0.0, 2.0, 2.0)), 0.0);
    }
}
