//! The two small data sets that are embedded in the crate; `NOTICE` names their sources.

use crate::{Dataset, one_hot};
use flate2::read::GzDecoder;
use neurax_tensor::{Error, Result, Tensor};
use std::io::Read;

const DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");
const IRIS: &str = include_str!("../data/iris.csv");

/// Returns 1,797 handwritten digits of 8 x 8 pixels: `x` is f32[1797, 64] in 0..=1, `y` is one-hot
/// f32[1797, 10].
///
/// E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
/// Repository, CC BY 4.0 (<https://doi.org/10.24432/C50P49>).
///
/// # Errors
/// Only if the embedded data cannot be decoded, which no caller can cause.
///
/// ```
/// use neurax::prelude::*;
/// let digits = data::digits()?;
/// assert_eq!(digits.x.shape(), [1797, 64]);
/// assert_eq!(digits.y.shape(), [1797, 10]);
/// # Ok::<(), Error>(())
/// ```
pub fn digits() -> Result<Dataset> {
    let mut text = String::new();
    GzDecoder::new(DIGITS).read_to_string(&mut text)?;
    labelled(text.lines(), 64, 10, 1.0 / 16.0)
}

/// Returns Fisher's 150 irises: `x` is f32[150, 4] (sepal length, sepal width, petal length, petal
/// width, in centimetres), `y` is one-hot f32[150, 3] (setosa, versicolor, virginica).
///
/// R. A. Fisher, The use of multiple measurements in taxonomic problems, 1936
/// (<https://doi.org/10.24432/C56C76>).
///
/// # Errors
/// Only if the embedded data cannot be decoded, which no caller can cause.
///
/// ```
/// use neurax::prelude::*;
/// let iris = data::iris()?;
/// assert_eq!(iris.x.shape(), [150, 4]);
/// assert_eq!(iris.y.shape(), [150, 3]);
/// # Ok::<(), Error>(())
/// ```
pub fn iris() -> Result<Dataset> {
    labelled(IRIS.lines().skip(1), 4, 3, 1.0)
}

/// Parses rows of comma-separated numbers whose last column is the class index.
fn labelled<'a>(
    lines: impl Iterator<Item = &'a str>,
    columns: usize,
    classes: usize,
    scale: f32,
) -> Result<Dataset> {
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for line in lines {
        let mut row = numbers(line)?;
        labels.extend(row.pop().map(|label| label as usize));
        x.extend(row.iter().map(|v| v * scale));
    }
    Dataset::new(Tensor::from_vec(x, [labels.len(), columns]), one_hot(labels, classes))
}

fn numbers(line: &str) -> Result<Vec<f32>> {
    line.split(',')
        .map(|f| f.parse().map_err(|e| Error::new("data", format!("`{f}`: {e}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_scaled_and_labelled() {
        let d = digits().unwrap();
        let x = d.x.to_vec::<f32>().unwrap();
        assert_eq!(&x[..4], [0.0, 0.0, 5.0 / 16.0, 13.0 / 16.0]);
        assert!(x.iter().all(|v| (0.0..=1.0).contains(v)));
        let y = d.y.to_vec::<f32>().unwrap();
        assert_eq!(&y[..10], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(y.iter().sum::<f32>(), 1797.0);
    }

    #[test]
    fn irises_come_in_three_equal_classes() {
        let y = iris().unwrap().y.to_vec::<f32>().unwrap();
        assert_eq!(
            (0..3).map(|c| y.iter().skip(c).step_by(3).sum::<f32>()).collect::<Vec<_>>(),
            [50.0; 3]
        );
    }
}
