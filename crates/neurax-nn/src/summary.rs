//! The summary table of a model.

use crate::vars::elements;
use crate::{Model, Vars};
use neurax_tensor::{Dim, Tensor, Type, TypeSpec};

impl Model {
    /// Returns a table of the layers: paths, output types, numbers of parameters and their total. A
    /// layer that cannot be applied to its inputs shows its error.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax();
    /// assert_eq!(model.summary(), "\
    /// layer    output       parameters
    /// --------------------------------
    /// image    f32[_, 64]            0
    /// dense    f32[_, 128]       8,320
    /// relu     f32[_, 128]           0
    /// dense_1  f32[_, 10]        1,290
    /// softmax  f32[_, 10]            0
    /// --------------------------------
    /// total                      9,610
    /// ");
    /// ```
    pub fn summary(&self) -> String {
        // Axes of any size get two different sizes; an output axis that differs between the two
        // runs has any size, too.
        let dtypes = self.guessed_dtypes(2);
        let (small, vars) = self.values_for(2, &dtypes);
        let (large, _) = self.values_for(3, &dtypes);
        let rows: Vec<[String; 3]> = small
            .iter()
            .zip(&large)
            .map(|(a, b)| {
                let outputs = a.values.iter().zip(&b.values).map(|(a, b)| output(a, b));
                let outputs: Vec<String> = outputs.collect();
                [a.path.clone(), outputs.join(", "), grouped(parameters(&vars, &a.path))]
            })
            .collect();
        table(&rows, &grouped(vars.size()))
    }
}

fn output(a: &Tensor, b: &Tensor) -> String {
    match (a.ty(), b.ty()) {
        (Ok(a), Ok(b)) if a.rank() == b.rank() => generalized(&a, &b).to_string(),
        (Ok(a), _) => a.to_string(),
        (Err(e), _) => e.to_string(),
    }
}

/// Returns the type of both, with `_` for each axis whose size differs.
fn generalized(a: &Type, b: &Type) -> TypeSpec {
    let dims = a
        .shape
        .iter()
        .zip(b.shape.iter())
        .map(|(x, y)| if x == y { Dim::Size(*x) } else { Dim::Any });
    TypeSpec { dtype: a.dtype, dims: dims.collect() }
}

/// Returns the number of parameters of the layer at `path` and of its parts.
fn parameters(vars: &Vars, path: &str) -> usize {
    let is_part = |p: &str| p.strip_prefix(path).is_some_and(|p| p.starts_with('.'));
    let layers = vars.params.iter().filter(|(p, _)| *p == path || is_part(p));
    layers.map(|(_, tensors)| elements(tensors)).sum()
}

fn table(rows: &[[String; 3]], total: &str) -> String {
    let head = ["layer", "output", "parameters"];
    let width = |i: usize| {
        rows.iter().map(|r| r[i].chars().count()).chain([head[i].len()]).max().unwrap_or(0)
    };
    let (a, b, c) = (width(0), width(1), width(2));
    let line = |x: &str, y: &str, z: &str| format!("{x:a$}  {y:b$}  {z:>c$}\n");
    let rule = format!("{}\n", "-".repeat(a + b + c + 4));
    let body: String = rows.iter().map(|[x, y, z]| line(x, y, z)).collect();
    format!("{}{rule}{body}{rule}{}", line(head[0], head[1], head[2]), line("total", "", total))
}

/// Formats `1234567` as `1,234,567`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;
    use neurax_tensor::{DType, dims, key};

    #[test]
    fn a_layer_that_cannot_be_applied_shows_its_error() {
        let s = input("x", dims![_, 3]).reshape([2]).dense(1).summary();
        assert!(s.contains("reshape  reshape:"), "{s}");
    }

    #[test]
    fn integer_inputs_are_shown_whether_declared_or_not() {
        let embed = |cx: &mut crate::Cx, [x]: [Tensor; 1]| {
            cx.param("table", [9, 4], crate::init::ones()).take(&x, 0)
        };
        for tokens in [input("t", dims![_, 3]), crate::typed_input("t", DType::I64, dims![_, 3])] {
            let words = crate::layer("embed", [&tokens], embed).reshape([12]);
            let s = (words + input("x", dims![_, 12])).summary();
            assert!(s.contains("embed    f32[_, 3, 4]") && !s.contains("expected"), "{s}");
        }
    }

    #[test]
    fn an_input_of_another_dtype_is_an_error() {
        let model = crate::typed_input("t", DType::I32, dims![_, 3]).model();
        let out = model.apply(&Vars::default(), Tensor::zeros([2, 3]), &crate::Mode::Eval);
        let e = out.y().error().map(|e| e.message().to_string());
        assert_eq!(e.as_deref(), Some("input `t`: expected dtype i32, got f32[2, 3]"));
        let types = neurax_tensor::types![f32[_, 3]];
        assert!(model.init(key(0), &types).unwrap_err().message().contains("expected dtype i32"));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
