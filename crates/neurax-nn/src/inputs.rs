//! The inputs of a model, and their types.

use neurax_tensor::{Dim, Result, Tensor, TypeSpec};
use std::collections::BTreeMap;

/// The inputs of a model: a tensor, several in the model's order, or tensors by name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a model",
    note = "pass a Tensor, an array, tuple or Vec of Tensors in the order of the model's inputs, \
            or [(\"name\", tensor), ..]"
)]
pub trait Inputs {
    /// Calls `f` with every tensor, and with its name if it has one. Nothing is copied.
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor));

    /// Returns the tensors, each with its name if it has one.
    fn inputs(&self) -> Vec<(Option<String>, Tensor)> {
        let mut all = Vec::new();
        self.each_input(&mut |name, x| all.push((name.map(String::from), x.clone())));
        all
    }
}

impl Inputs for Tensor {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        f(None, self);
    }
}

impl<T: Inputs + ?Sized> Inputs for &T {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        (**self).each_input(f);
    }
}

impl Inputs for [Tensor] {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.iter().for_each(|x| f(None, x));
    }
}

impl<const N: usize> Inputs for [Tensor; N] {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.as_slice().each_input(f);
    }
}

impl Inputs for Vec<Tensor> {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.as_slice().each_input(f);
    }
}

impl<const N: usize> Inputs for [&Tensor; N] {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.iter().for_each(|x| f(None, x));
    }
}

impl Inputs for (Tensor, Tensor) {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        f(None, &self.0);
        f(None, &self.1);
    }
}

impl Inputs for (Tensor, Tensor, Tensor) {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        f(None, &self.0);
        f(None, &self.1);
        f(None, &self.2);
    }
}

impl<const N: usize> Inputs for [(&str, Tensor); N] {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.iter().for_each(|(name, x)| f(Some(name), x));
    }
}

impl<const N: usize> Inputs for [(&str, &Tensor); N] {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.iter().for_each(|(name, x)| f(Some(name), x));
    }
}

impl Inputs for BTreeMap<String, Tensor> {
    fn each_input<'t>(&'t self, f: &mut dyn FnMut(Option<&'t str>, &'t Tensor)) {
        self.iter().for_each(|(name, x)| f(Some(name), x));
    }
}

/// The types of a model's inputs: `types![..]` in the model's order, types by name, or tensors of
/// these types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the types of a model's inputs",
    note = "pass types![f32[1, 30]] with one type for each input, [(\"name\", type), ..], or a \
            Tensor of the type"
)]
pub trait InputTypes {
    /// Returns the types, each with its name if it has one.
    ///
    /// # Errors
    /// If a tensor carries an error instead of having a type.
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>>;
}

impl InputTypes for [TypeSpec] {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        Ok(self.iter().map(|t| (None, t.clone())).collect())
    }
}

impl<const N: usize> InputTypes for [TypeSpec; N] {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        self.as_slice().input_types()
    }
}

impl InputTypes for Vec<TypeSpec> {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        self.as_slice().input_types()
    }
}

impl<const N: usize> InputTypes for [(&str, TypeSpec); N] {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        Ok(self.iter().map(|(name, t)| (Some(name.to_string()), t.clone())).collect())
    }
}

impl InputTypes for Tensor {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        Ok(vec![(None, type_of(self)?)])
    }
}

impl InputTypes for Vec<Tensor> {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        self.iter().map(|x| Ok((None, type_of(x)?))).collect()
    }
}

impl<T: InputTypes + ?Sized> InputTypes for &T {
    fn input_types(&self) -> Result<Vec<(Option<String>, TypeSpec)>> {
        (**self).input_types()
    }
}

/// Returns the type of `x`.
///
/// # Errors
/// If it carries an error.
fn type_of(x: &Tensor) -> Result<TypeSpec> {
    let t = x.ty()?;
    Ok(TypeSpec { dtype: t.dtype, dims: t.shape.iter().copied().map(Dim::Size).collect() })
}
