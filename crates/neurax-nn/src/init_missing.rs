//! Variables of a changed model: those that exist are kept, the others are created.

use crate::lora::keep_adapters;
use crate::quantize::keep_quantized;
use crate::vars::FROZEN;
use crate::{Model, Params, Vars};
use neurax_tensor::{Error, Key, Place, Result, Tensor, TypeSpec};
use std::collections::BTreeMap;
use std::panic::Location;

impl Model {
    /// Creates the variables as [`Model::init`] does, but keeps those of `vars` with the same path:
    /// for a model that got other layers, or whose base was trained before. Frozen parameters stay
    /// frozen, quantized ones quantized, and adapters are kept; variables of `vars` that the model
    /// lacks are left out.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(8).relu().dense(2).named("head").model();
    /// let trained = model.init(key(0), &types![f32[_, 3]])?;
    /// let other = model.replace("head", |xs| xs[0].dense(5).named("new_head"))?;
    /// let vars = other.init_missing(&trained, key(1), &types![f32[_, 3]])?;
    /// let kernel = |vars: &Vars| vars.params["dense"]["kernel"].to_vec::<f32>();
    /// assert_eq!(kernel(&vars)?, kernel(&trained)?);
    /// assert_eq!(vars.params["new_head"]["kernel"].shape(), [8, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Model::init`], and if a variable of `vars` has another shape or dtype than the
    /// model needs; the message lists all of them.
    #[track_caller]
    pub fn init_missing(&self, vars: &Vars, key: Key, types: &[TypeSpec]) -> Result<Vars> {
        let at = Place::from(Location::caller());
        let mut new = self.init(key, types)?;
        let mut wrong = Vec::new();
        keep(&mut new.params, &vars.params, &mut wrong);
        keep(&mut new.state, &vars.state, &mut wrong);
        for (path, value) in vars.state.get(FROZEN).into_iter().flatten() {
            if new.get(path).is_ok() {
                new.freeze(path)?;
            }
            let mut one = frozen_entry(&mut new.state, path);
            let given = [(path.clone(), value.clone())].into();
            one.iter_mut().for_each(|own| keep_layer("", own, &given, &mut wrong));
        }
        keep_quantized(&mut new, vars);
        keep_adapters(&mut new, vars);
        match wrong.is_empty() {
            true => Ok(new),
            false => Err(Error::new("init_missing", wrong.join("; ")).at(&at)),
        }
    }
}

type LayerVars = BTreeMap<String, Tensor>;

/// Returns the map of frozen parameters if it has one at `path`.
fn frozen_entry<'s>(state: &'s mut Params, path: &str) -> Option<&'s mut LayerVars> {
    state.get_mut(FROZEN).filter(|frozen| frozen.contains_key(path))
}

/// Replaces variables of `own` by those of `given` with the same path and type, and adds what has
/// another type to `wrong`.
fn keep(own: &mut Params, given: &Params, wrong: &mut Vec<String>) {
    for (layer, own) in own.iter_mut().filter(|(layer, _)| *layer != FROZEN) {
        if let Some(given) = given.get(layer) {
            keep_layer(layer, own, given, wrong);
        }
    }
}

fn keep_layer(layer: &str, own: &mut LayerVars, given: &LayerVars, wrong: &mut Vec<String>) {
    for (name, value) in own.iter_mut() {
        let Some(found) = given.get(name) else { continue };
        match (value.ty(), found.ty()) {
            (Ok(want), Ok(got)) if want != got => {
                let dot = if layer.is_empty() { "" } else { "." };
                wrong.push(format!("expected `{layer}{dot}{name}` of type {want}, got {got}"));
            }
            _ => *value = found.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, input};
    use neurax_tensor::{dims, key, types};

    #[test]
    fn frozen_parameters_stay_frozen() {
        let model = input("x", dims![_, 3]).dense(4).dense(2).model();
        let mut vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
        vars.freeze("dense.*").unwrap();
        let longer = model.insert("dense_1", |y| y.dense(1)).unwrap();
        let new = longer.init_missing(&vars, key(1), &types![f32[_, 3]]).unwrap();
        assert_eq!(new.frozen(), ["dense.bias", "dense.kernel"]);
        let kernel = |vars: &Vars| vars.get("dense.kernel").unwrap().to_vec::<f32>().unwrap();
        assert_eq!(kernel(&new), kernel(&vars));
        let x = key(2).normal([2, 3]);
        assert_eq!(longer.apply(&new, x, &Mode::Eval).y().shape(), [2, 1]);
    }

    #[test]
    fn variables_of_other_shapes_are_listed_together() {
        let of = |units| input("x", dims![_, 3]).dense(units).dense(2).model();
        let vars = of(4).init(key(0), &types![f32[_, 3]]).unwrap();
        let e = of(5).init_missing(&vars, key(1), &types![f32[_, 3]]).unwrap_err();
        let want = "expected `dense.bias` of type f32[5], got f32[4]; expected `dense.kernel`";
        assert!(e.message().starts_with(want), "{e}");
        assert!(e.message().contains("`dense_1.kernel`"), "{e}");
    }
}
