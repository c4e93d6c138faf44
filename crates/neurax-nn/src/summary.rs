//! The table of a model.

use crate::model::stand_in;
use crate::vars::elements;
use crate::{Model, Vars};
use neurax_tensor::{DType, Dim, Tensor, Type, TypeSpec, key};
use std::collections::HashMap;

impl Model {
    /// A table of the layers: their paths, the types of what they give, how many parameters they
    /// have; and the totals. A layer that cannot take what it gets shows its error.
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
        // Two sizes for what is open: an axis whose size differs between the two is open, too.
        let (small, vars) = self.values_for(2);
        let (large, _) = self.values_for(3);
        let rows: Vec<[String; 3]> = self
            .steps()
            .iter()
            .zip(small.iter().zip(&large))
            .map(|(step, (a, b))| {
                [step.path.clone(), output(a, b), grouped(parameters(&vars, &step.path))]
            })
            .collect();
        table(&rows, &grouped(vars.size()))
    }

    fn values_for(&self, open: usize) -> (Vec<Tensor>, Vars) {
        let mut names = HashMap::new();
        let types =
            self.input_dims().map(|dims| TypeSpec { dtype: DType::F32, dims: dims.to_vec() });
        self.outline(&key(0), types.map(|t| stand_in(&t, open, &mut names)).collect())
    }
}

fn output(a: &Tensor, b: &Tensor) -> String {
    match (a.ty(), b.ty()) {
        (Ok(a), Ok(b)) if a.rank() == b.rank() => opened(&a, &b).to_string(),
        (Ok(a), _) => a.to_string(),
        (Err(e), _) => e.to_string(),
    }
}

fn opened(a: &Type, b: &Type) -> TypeSpec {
    let dims = a
        .shape
        .iter()
        .zip(b.shape.iter())
        .map(|(x, y)| if x == y { Dim::Size(*x) } else { Dim::Any });
    TypeSpec { dtype: a.dtype, dims: dims.collect() }
}

fn parameters(vars: &Vars, path: &str) -> usize {
    vars.params.get(path).map_or(0, elements)
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

/// `1234567` as `1,234,567`.
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
    use neurax_tensor::dims;

    #[test]
    fn a_layer_that_cannot_is_shown_with_its_error() {
        let s = input("x", dims![_, 3]).reshape([2]).dense(1).summary();
        assert!(s.contains("reshape  reshape:"), "{s}");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
