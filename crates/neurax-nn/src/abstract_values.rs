//! The types of all layers and variables of a model, without values.

use crate::cx::VariableSource;
use crate::evaluate::LayerValues;
use crate::input_shapes::placeholder;
use crate::{Mode, Model, Vars};
use neurax_tensor::{DType, Result, Tensor, TypeSpec, eval_shape};
use std::cell::RefCell;
use std::collections::HashMap;

impl Model {
    /// Computes the types of the outputs and of all layers without their values, and new variables.
    pub(crate) fn abstract_values(
        &self,
        source: VariableSource,
        inputs: Vec<Tensor>,
    ) -> (Vec<Tensor>, Vec<LayerValues>, Vars) {
        let (vars, paths) = (RefCell::new(Vars::default()), RefCell::new(Vec::new()));
        let evaluate = |xs: Vec<Tensor>| {
            let mut layers = Vec::new();
            let mut observe = |path: &str, values: &[Tensor]| {
                layers.push(values.to_vec());
                paths.borrow_mut().push(path.to_string());
            };
            let new = &mut vars.borrow_mut();
            let outputs = self.evaluate(source, &xs, &Mode::Eval, new, Some(&mut observe));
            (outputs, layers)
        };
        let (outputs, layers) = eval_shape(evaluate, &inputs);
        let layers = paths.into_inner().into_iter().zip(layers);
        let layers = layers.map(|(path, values)| LayerValues { path, values }).collect();
        (outputs, layers, vars.into_inner())
    }

    /// Returns the types of all inputs and layers, and variables of which only the types matter, if
    /// input axes of any size have size `any`.
    pub(crate) fn values_for(&self, any: usize, dtypes: &[DType]) -> (Vec<LayerValues>, Vars) {
        let mut sizes = HashMap::new();
        let types = self.input_specs().zip(dtypes);
        let types = types.map(|(s, &dtype)| TypeSpec { dtype, dims: s.dims.clone() });
        let inputs = types.map(|t| placeholder(&t, any, &mut sizes)).collect();
        let (_, layers, vars) = self.abstract_values(VariableSource::Types, inputs);
        (layers, vars)
    }

    /// Returns the dtypes of the inputs: the declared ones, and f32 for others. If layers cannot be
    /// applied to these, i32 is tried, for all others and for each of them.
    pub(crate) fn guessed_dtypes(&self, any: usize) -> Vec<DType> {
        let declared: Vec<Option<DType>> = self.input_specs().map(|s| s.dtype).collect();
        let with = |is_integer: &dyn Fn(usize) -> bool| -> Vec<DType> {
            let guess = |i: usize| if is_integer(i) { DType::I32 } else { DType::F32 };
            declared.iter().enumerate().map(|(i, d)| d.unwrap_or_else(|| guess(i))).collect()
        };
        let floats = with(&|_| false);
        let each = (0..declared.len()).map(|n| with(&|i| i == n));
        let mut guesses = [floats.clone(), with(&|_| true)].into_iter().chain(each);
        let is_valid = |dtypes: &Vec<DType>| self.valid_vars(any, dtypes).is_ok();
        guesses.find(is_valid).unwrap_or(floats)
    }

    /// Returns the variables of the model, of which only the types matter. Input axes of any size
    /// have the first size with which all layers can be applied.
    ///
    /// # Errors
    /// The first error of a layer if there is no such size.
    pub(crate) fn expected_vars(&self) -> Result<Vars> {
        /// Sizes of images and sequences, and of the few layers that admit only small ones.
        const SIZES: [usize; 4] = [32, 224, 8, 2];
        let vars = |any| self.valid_vars(any, &self.guessed_dtypes(any));
        let first = vars(SIZES[0]);
        match first {
            Ok(vars) => Ok(vars),
            Err(e) => SIZES[1..].iter().find_map(|&any| vars(any).ok()).ok_or(e),
        }
    }

    fn valid_vars(&self, any: usize, dtypes: &[DType]) -> Result<Vars> {
        let (layers, vars) = self.values_for(any, dtypes);
        let mut values = layers.iter().flat_map(|layer| &layer.values);
        match values.find_map(Tensor::error) {
            Some(e) => Err(e.clone()),
            None => Ok(vars),
        }
    }
}
