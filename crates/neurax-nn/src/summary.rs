//! The summary table of a model.

use crate::input_shapes::placeholder;
use crate::vars::elements;
use crate::{Model, Vars};
use neurax_tensor::{DType, Dim, Tensor, Type, TypeSpec, key};
use std::collections::HashMap;

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
        let (small, vars) = self.values_for(2);
        let (large, _) = self.values_for(3);
        let rows: Vec<[String; 3]> = self
            .graph_nodes()
            .iter()
            .zip(small.iter().zip(&large))
            .map(|(n, (a, b))| [n.path.clone(), output(a, b), grouped(parameters(&vars, &n.path))])
            .collect();
        table(&rows, &grouped(vars.size()))
    }

    /// Returns the types of all nodes and the variables, if input axes of any size have size `any`.
    fn values_for(&self, any: usize) -> (Vec<Tensor>, Vars) {
        let mut sizes = HashMap::new();
        let types =
            self.input_dims().map(|dims| TypeSpec { dtype: DType::F32, dims: dims.to_vec() });
        self.abstract_values(&key(0), types.map(|t| placeholder(&t, any, &mut sizes)).collect())
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
    use neurax_tensor::dims;

    #[test]
    fn a_layer_that_cannot_be_applied_shows_its_error() {
        let s = input("x", dims![_, 3]).reshape([2]).dense(1).summary();
        assert!(s.contains("reshape  reshape:"), "{s}");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
