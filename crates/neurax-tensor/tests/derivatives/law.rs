//! The law of derivatives: all modes of first and second order agree with differences.

use neurax::prelude::*;

/// A function at a point: of a vector, whose elements include the ties, zeros and equal elements at
/// which the law is checked.
pub type Case = (&'static [f64], fn(&Tensor) -> Tensor);

pub fn f64s(x: &[f64]) -> Tensor {
    Tensor::from_vec(x.to_vec(), [x.len()])
}

/// Returns the two halves of a vector: the operands of a function of two.
pub fn halves(x: &Tensor) -> [Tensor; 2] {
    let n = (x.size() / 2) as i64;
    [x.slice(0, ..n), x.slice(0, n..)]
}

/// Returns the vector of the real parts, then the imaginary parts, as complex numbers.
pub fn complex(x: &Tensor) -> Tensor {
    let [re, im] = halves(x);
    re.complex(im)
}

/// The value and the derivatives of the weighted sum of a function's results, at one point.
struct Derivatives {
    value: f64,
    gradient: Vec<f64>,
    /// The derivative along the direction, by forward mode.
    slope: f64,
    /// The second derivatives along the direction, by forward over reverse and by reverse over
    /// reverse mode.
    curvatures: [Vec<f64>; 2],
    /// The second derivative in the direction, by forward over forward mode.
    twice: f64,
}

/// Compares all derivatives of `f` at `point` with differences along a direction without zeros and
/// symmetries.
///
/// # Errors
/// The derivative that differs.
pub fn check((point, f): Case) -> Result<(), String> {
    let n = point.len();
    let direction: Vec<f64> = (0..n).map(|i| (1.7 * i as f64 + 0.9).sin() + 0.1).collect();
    let v = f64s(&direction);
    let total = |x: Tensor| weighted_sum(&f(&x));
    let along = |x: Tensor| (grad(total)(x) * &v).sum(..);
    let forward = |x: Tensor| jvp(total, x, v.clone()).1;
    let all = jit(|x: Tensor| {
        let gradient = grad(total);
        let once = (total(x.clone()), gradient(x.clone()), forward(x.clone()));
        let curvatures = (jvp(&gradient, x.clone(), v.clone()).1, grad(along)(x.clone()));
        (once, curvatures, jvp(forward, x, v.clone()).1)
    });
    let at = |step: f64| -> Result<Derivatives, String> {
        let x: Vec<f64> = point.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
        let list = |x: &Tensor| x.to_vec::<f64>().map_err(|e| e.to_string());
        let number = |x: &Tensor| x.item().map_err(|e| e.to_string());
        let ((value, gradient, slope), (fr, rr), ff) =
            all.run(f64s(&x)).map_err(|e| e.to_string())?;
        Ok(Derivatives {
            value: number(&value)?,
            gradient: list(&gradient)?,
            slope: number(&slope)?,
            curvatures: [list(&fr)?, list(&rr)?],
            twice: number(&ff)?,
        })
    };
    let (here, h) = (at(0.0)?, 1e-3);
    let around = [at(-2.0 * h)?, at(-h)?, at(h)?, at(2.0 * h)?];
    let difference = |of: &dyn Fn(&Derivatives) -> f64| {
        let [a, b, c, d] = around.each_ref().map(of);
        (8.0 * (c - b) - (d - a)) / (12.0 * h)
    };
    let dot = |x: &[f64]| x.iter().zip(&direction).map(|(x, d)| x * d).sum::<f64>();
    let slope = difference(&|d| d.value);
    near("reverse mode", dot(&here.gradient), slope)?;
    near("forward mode", here.slope, slope)?;
    for i in 0..n {
        let curvature = difference(&|d| d.gradient[i]);
        near(&format!("forward over reverse, element {i}"), here.curvatures[0][i], curvature)?;
        near(&format!("reverse over reverse, element {i}"), here.curvatures[1][i], curvature)?;
    }
    near("forward over forward", here.twice, dot(&here.curvatures[0]))
}

/// Sums all elements, each with another weight; of complex numbers both parts.
fn weighted_sum(y: &Tensor) -> Tensor {
    if y.dtype().is_complex() {
        return weighted_sum(&y.real()) + weighted_sum(&y.imag()) * 0.6;
    }
    let weights = (Tensor::arange(y.size()).to(F64) * 1.3 + 0.4).sin() + 0.2;
    (y.flatten() * weights).sum(..)
}

fn near(what: &str, have: f64, want: f64) -> Result<(), String> {
    if (have - want).abs() <= 1e-7 * (1.0 + want.abs()) {
        return Ok(());
    }
    Err(format!("{what}: {have} is not {want}"))
}
