//! The variables of a model: parameters and state, by layer and name.

use crate::files::{load_frozen, load_tensors, metadata_of, save_sharded};
use crate::path_pattern::PathPattern;
use crate::stored_param::quantized_elements;
use neurax_tensor::{DType, Error, Result, Tensor, Tree, io::safetensors};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Tensors by layer path and name: `params["dense_1"]["kernel"]`. As with every map, this index
/// panics if there is no such tensor; [`params.leaf("dense_1.kernel")`](Tree::leaf) returns a
/// tensor that carries the error instead, and `get` returns an `Option`.
pub type Params = BTreeMap<String, BTreeMap<String, Tensor>>;

/// The entry of the state that holds frozen parameters by their paths, which have dots; the names
/// of variables have none.
pub(crate) const FROZEN: &str = "frozen";

/// The variables of a model: parameters, which the optimizer updates, and state, which the layers
/// update.
///
/// A model does not hold its variables; its functions take them and return new ones.
#[derive(Tree, Clone, Debug, Default)]
pub struct Vars {
    /// The trained parameters: kernels, biases, scales.
    pub params: Params,
    /// The state that is carried from call to call: running statistics, caches. The entry `frozen`
    /// holds the frozen parameters by their paths.
    pub state: Params,
}

impl Vars {
    /// Writes the variables to a safetensors file, each as `params.<layer>.<name>` or
    /// `state.<layer>.<name>`. Frozen parameters are written like all others; their paths are
    /// metadata of the file, a JSON list called `frozen`. An existing file is replaced atomically
    /// after the new one is complete.
    ///
    /// # Errors
    /// If a variable carries an error or the file cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// # let path = std::env::temp_dir().join("neurax-doc-vars.safetensors");
    /// vars.save(&path)?;
    /// let loaded = Vars::load(&path)?;
    /// let kernel = |vars: &Vars| vars.params["dense"]["kernel"].to_vec::<f32>();
    /// assert_eq!(kernel(&loaded)?, kernel(&vars)?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save_with_metadata(&*self.unfrozen()?, &metadata_of(&self.frozen())?, path)
    }

    /// Returns the variables without frozen parameters, as files hold them.
    pub(crate) fn unfrozen(&self) -> Result<Cow<'_, Vars>> {
        if !self.state.contains_key(FROZEN) {
            return Ok(Cow::Borrowed(self));
        }
        let mut all = self.clone();
        all.unfreeze("**")?;
        Ok(Cow::Owned(all))
    }

    /// Writes the variables to safetensors files of at most `bytes` bytes of elements each, beside
    /// an index that [`Vars::load`] and [`load_tensors`] read: `directory`
    /// gets the files `model-00001-of-00002.safetensors`, .. and `model.safetensors.index.json`. A
    /// larger tensor has a file for itself. The directory is created.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 8]).dense(8).dense(8).model();
    /// let vars = model.init(key(0), &types![f32[_, 8]])?;
    /// # let directory = std::env::temp_dir().join("neurax-doc-sharded");
    /// vars.save_sharded(&directory, 300)?;
    /// assert!(directory.join("model-00002-of-00002.safetensors").exists());
    /// let loaded = Vars::load(directory.join("model.safetensors.index.json"))?;
    /// assert_eq!(loaded.size(), vars.size());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If a variable carries an error or a file cannot be written.
    pub fn save_sharded(&self, directory: impl AsRef<Path>, bytes: usize) -> Result<()> {
        save_sharded(&*self.unfrozen()?, self.frozen(), directory.as_ref(), bytes)
    }

    /// Loads variables from a safetensors file, which may change afterwards, or from any other
    /// checkpoint of [`load_tensors`] whose tensors have the names that [`Vars::save`] gives them.
    /// For other names, see [`Vars::load_renamed`]. Parameters that were frozen when they were
    /// written are frozen again; [`Vars::load_unfrozen`] leaves them trainable.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or holds tensors that are not variables; the
    /// message names the file and the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).dense(2);
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// vars.freeze("dense.*")?;
    /// # let path = std::env::temp_dir().join("neurax-doc-vars-frozen.safetensors");
    /// vars.save(&path)?;
    /// assert_eq!(Vars::load(&path)?.frozen(), ["dense.bias", "dense.kernel"]);
    /// assert!(Vars::load_unfrozen(&path)?.frozen().is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Vars> {
        Vars::load_frozen_again(path.as_ref())
    }

    /// Loads variables as [`Vars::load`] does, with all parameters trainable.
    ///
    /// # Errors
    /// As [`Vars::load`].
    pub fn load_unfrozen(path: impl AsRef<Path>) -> Result<Vars> {
        Vars::load_path(path.as_ref())
    }

    fn load_frozen_again(path: &Path) -> Result<Vars> {
        let mut vars = Vars::load_path(path)?;
        for frozen in load_frozen(path)? {
            let t = remove(&mut vars.params, &frozen).ok_or_else(|| {
                let want = "expected parameters with the paths in the metadata `frozen`";
                let advice = "`Vars::load_unfrozen` ignores them";
                let why = format!("{}: {want}, got no `{frozen}`; {advice}", path.display());
                Error::new("load", why)
            })?;
            vars.state.entry(FROZEN.into()).or_default().insert(frozen, t);
        }
        Ok(vars)
    }

    fn load_path(path: &Path) -> Result<Vars> {
        let mut vars = Vars::default();
        for (name, tensor) in load_tensors(path)? {
            let (map, layer, variable) = vars.entry_of(&name).ok_or_else(|| {
                let want =
                    "expected variables called params.<layer>.<name> or state.<layer>.<name>";
                Error::new("load", format!("{}: {want}, got `{name}`", path.display()))
            })?;
            map.entry(layer).or_default().insert(variable, tensor);
        }
        Ok(vars)
    }

    /// Returns the number of parameters: the elements of all parameters, frozen and quantized ones
    /// included, saturating.
    pub fn size(&self) -> usize {
        let frozen = self.state.get(FROZEN).map_or(0, elements);
        let quantized = quantized_elements(&self.state);
        elements(&self.params).saturating_add(frozen).saturating_add(quantized)
    }

    /// Returns the variables with float parameters, frozen or not, in another dtype. State such as
    /// running statistics stays, since f16 does not hold large variances. See also
    /// [`Net::cast`](crate::Net::cast).
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// vars.freeze("**.bias")?;
    /// let half = vars.cast(F16);
    /// assert_eq!(half.get("dense.bias")?.dtype(), F16);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cast(&self, dtype: DType) -> Vars {
        let cast = |t: &Tensor| if t.dtype().is_float() { t.to(dtype) } else { t.clone() };
        let mut new = Vars { params: self.params.map_leaves(cast), state: self.state.clone() };
        if let Some(frozen) = new.state.get_mut(FROZEN) {
            *frozen = frozen.map_leaves(cast);
        }
        new
    }

    /// Freezes the parameters whose path matches a pattern: they are moved into the state, so that
    /// no gradient is computed for them and no optimizer changes them. Models find them there.
    /// Returns the number of parameters that match, those that were frozen before included.
    ///
    /// In a pattern, `*` stands for any characters but dots, and `**` for any number of names.
    ///
    /// # Errors
    /// If the pattern matches no parameter or is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let encoder = nn::block("encoder", |x| x.dense(4).relu());
    /// let model = encoder.call(nn::input("x", dims![_, 3])).dense(2).model();
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// assert_eq!(vars.freeze("encoder.**")?, 2);
    /// assert_eq!(vars.trainable(), ["dense.bias", "dense.kernel"]);
    /// assert_eq!(vars.frozen(), ["encoder.dense.bias", "encoder.dense.kernel"]);
    /// assert_eq!(model.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval).y().shape(), [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn freeze(&mut self, pattern: &str) -> Result<usize> {
        let found = self.matching(pattern)?;
        for path in &found {
            if let Some(t) = remove(&mut self.params, path) {
                self.state.entry(FROZEN.into()).or_default().insert(path.clone(), t);
            }
        }
        Ok(found.len())
    }

    /// Makes frozen parameters whose path matches a pattern trainable again. Returns the number of
    /// parameters that match, those that were not frozen included.
    ///
    /// # Errors
    /// If the pattern matches no parameter, or is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).dense(2);
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// vars.freeze("**")?;
    /// vars.unfreeze("dense_1.*")?;
    /// assert_eq!(vars.trainable(), ["dense_1.bias", "dense_1.kernel"]);
    /// let e = vars.unfreeze("densse.*").unwrap_err();
    /// let want = "expected a pattern of one of the parameters dense.bias, dense.kernel, ";
    /// assert!(e.message().starts_with(want));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unfreeze(&mut self, pattern: &str) -> Result<usize> {
        let found = self.matching(pattern)?;
        let Some(frozen) = self.state.get_mut(FROZEN) else { return Ok(found.len()) };
        for path in &found {
            if let (Some((layer, name)), Some(t)) = (path.rsplit_once('.'), frozen.remove(path)) {
                self.params.entry(layer.into()).or_default().insert(name.into(), t);
            }
        }
        if frozen.is_empty() {
            self.state.remove(FROZEN);
        }
        Ok(found.len())
    }

    /// Returns the paths of the trainable parameters: those that are not frozen.
    pub fn trainable(&self) -> Vec<String> {
        let names = |(layer, vars): (&String, &BTreeMap<String, Tensor>)| {
            vars.keys().map(|name| format!("{layer}.{name}")).collect::<Vec<_>>()
        };
        self.params.iter().flat_map(names).collect()
    }

    /// Returns the paths of the frozen parameters.
    pub fn frozen(&self) -> Vec<String> {
        self.state.get(FROZEN).map_or_else(Vec::new, |frozen| frozen.keys().cloned().collect())
    }

    /// Returns the paths of the parameters, frozen or not, that a pattern matches.
    #[track_caller]
    fn matching(&self, pattern: &str) -> Result<Vec<String>> {
        let at = std::panic::Location::caller();
        let mut all = self.trainable();
        all.append(&mut self.frozen());
        all.sort_unstable();
        let chosen = PathPattern::select(pattern, &all).map_err(|e| e.at(&at.into()))?;
        Ok(all
            .into_iter()
            .zip(chosen)
            .filter(|(_, chosen)| *chosen)
            .map(|(path, _)| path)
            .collect())
    }

    /// Returns the parameter at a path, frozen or not, or the state at a path.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// vars.set("dense.bias", tensor([1.0, 2.0]))?;
    /// assert_eq!(vars.get("dense.bias")?.to_vec::<f32>()?, [1.0, 2.0]);
    /// let e = vars.set("dense.bias", tensor([1.0])).unwrap_err();
    /// assert_eq!(e.message(), "expected `dense.bias` of type f32[2], got f32[1]");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such variable; the message lists the variables of the layer, or the layers.
    #[track_caller]
    pub fn get(&self, path: &str) -> Result<Tensor> {
        let (layer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let found = [&self.params, &self.state].into_iter().find_map(|m| m.get(layer)?.get(name));
        found.or_else(|| self.state.get(FROZEN)?.get(path)).cloned().ok_or_else(|| {
            let at = std::panic::Location::caller();
            self.no_variable(path, layer).at(&at.into())
        })
    }

    /// Replaces the parameter, frozen or not, or the state at a path: see [`Vars::get`].
    ///
    /// # Errors
    /// If there is no such variable, or it has another type than `value`.
    #[track_caller]
    pub fn set(&mut self, path: &str, value: Tensor) -> Result<()> {
        let at = std::panic::Location::caller();
        let (want, got) = (self.get(path)?.ty()?, value.ty()?);
        if want != got {
            let why = format!("expected `{path}` of type {want}, got {got}");
            return Err(Error::new("set", why).at(&at.into()));
        }
        let (layer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let own = [&mut self.params, &mut self.state];
        let own = own.into_iter().find_map(|m| m.get_mut(layer)?.get_mut(name));
        match own {
            Some(own) => *own = value,
            None => drop(self.state.entry(FROZEN.into()).or_default().insert(path.into(), value)),
        }
        Ok(())
    }

    /// Returns the error of a path without a variable.
    fn no_variable(&self, path: &str, layer: &str) -> Error {
        let of_layer = |m: &Params| m.get(layer).map(|l| l.keys().cloned().collect::<Vec<_>>());
        let names: Vec<String> =
            [&self.params, &self.state].into_iter().filter_map(of_layer).flatten().collect();
        let why = match names.is_empty() {
            true => {
                let layers: Vec<&String> =
                    self.params.keys().chain(self.state.keys()).filter(|l| *l != FROZEN).collect();
                format!("expected a variable of one of the layers {layers:?}, got `{path}`")
            }
            false => format!("expected one of {} of `{layer}`, got `{path}`", names.join(", ")),
        };
        Error::new("get", why)
    }

    /// Splits the path of a leaf into its map, layer path and name. Layer paths may contain dots,
    /// names may not.
    fn entry_of(&mut self, path: &str) -> Option<(&mut Params, String, String)> {
        let (kind, rest) = path.split_once('.')?;
        let (layer, name) = rest.rsplit_once('.')?;
        let map = match kind {
            "params" => &mut self.params,
            "state" => &mut self.state,
            _ => return None,
        };
        Some((map, layer.into(), name.into()))
    }
}

/// Removes the parameter at a path, and its layer if that has no other.
pub(crate) fn remove(params: &mut Params, path: &str) -> Option<Tensor> {
    let (layer, name) = path.rsplit_once('.')?;
    let vars = params.get_mut(layer)?;
    let found = vars.remove(name);
    if vars.is_empty() {
        params.remove(layer);
    }
    found
}

/// Returns the number of elements of all leaves, saturating: sizes that a file declares may be
/// arbitrarily large.
pub(crate) fn elements(tree: &impl Tree) -> usize {
    let mut n: usize = 0;
    tree.each_leaf(|t| n = n.saturating_add(t.ty().map_or(0, |t| t.size())));
    n
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("neurax-vars-{}-{name}", std::process::id()))
    }

    #[test]
    fn layer_paths_with_dots_and_slashes_survive_a_file() {
        let mut vars = Vars::default();
        vars.params
            .entry("encoder/v1.0".into())
            .or_default()
            .insert("kernel".into(), tensor([1.0, 2.0]));
        vars.state.entry("norm".into()).or_default().insert("mean".into(), tensor(3.0));
        vars.save(path("dots")).unwrap();
        let back = Vars::load(path("dots")).unwrap();
        assert_eq!(back.params["encoder/v1.0"]["kernel"].to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(back.state["norm"]["mean"].to_vec::<f32>().unwrap(), [3.0]);
        assert_eq!(back.size(), 2);
    }

    #[test]
    fn frozen_parameters_are_frozen_after_a_file() {
        let mut vars = Vars::default();
        for layer in ["a.b", "c"] {
            vars.params.entry(layer.into()).or_default().insert("kernel".into(), tensor([1.0]));
        }
        vars.save(path("none")).unwrap();
        assert!(safetensors::load_metadata(path("none")).unwrap().is_empty());
        vars.freeze("a.**").unwrap();
        vars.save(path("frozen")).unwrap();
        let back = Vars::load(path("frozen")).unwrap();
        assert_eq!((back.trainable(), back.frozen()), (vars.trainable(), vars.frozen()));
        let all = Vars::load_unfrozen(path("frozen")).unwrap();
        assert_eq!((all.trainable().len(), all.frozen().len()), (2, 0));
        let write = |text: &str| {
            let metadata = [("frozen".to_string(), text.to_string())].into();
            safetensors::save_with_metadata(&all, &metadata, path("wrong")).unwrap();
            assert!(Vars::load_unfrozen(path("wrong")).is_ok());
            Vars::load(path("wrong")).unwrap_err().to_string()
        };
        let e = write(r#"["a.b.bias"]"#);
        assert!(e.contains("got no `a.b.bias`; `Vars::load_unfrozen` ignores them"), "{e}");
        let e = write("a.b.kernel");
        assert!(e.contains("a list of paths in the metadata `frozen`"), "{e}");
    }

    #[test]
    fn files_of_other_tensors_are_errors() {
        safetensors::save(&vec![tensor(1.0)], path("other")).unwrap();
        let e = Vars::load(path("other")).unwrap_err().to_string();
        assert!(e.contains("state.<layer>.<name>, got `0`"), "{e}");
    }

    #[test]
    fn sizes_that_are_only_declared_are_counted() {
        let declares = |shape: &str| {
            let header = format!(
                r#"{{"params.a.b":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#
            );
            std::fs::write(
                path("declares"),
                [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat(),
            )
            .unwrap();
            Vars::load(path("declares"))
        };
        let e = declares("[1152921504606846976,1152921504606846976,0]").unwrap_err().to_string();
        assert!(e.contains("`params.a.b`") && e.contains("larger than the address space"), "{e}");
        assert_eq!(declares("[1099511627776,0]").unwrap().size(), 0);
        let mut vars = Vars::default();
        let large = vars.params.entry("a".into()).or_default();
        (0..128).for_each(|i| drop(large.insert(i.to_string(), Tensor::zeros([1 << 57]))));
        assert_eq!(vars.size(), usize::MAX);
    }
}
