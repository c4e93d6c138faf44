//! The variables of a model: parameters and state, by layer and name.

use neurax_tensor::{Error, Result, Tensor, Tree, io::safetensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Tensors by layer path and name: `params["dense_1"]["kernel"]`. As with every map, this index
/// panics if there is no such tensor; [`params.leaf("dense_1.kernel")`](Tree::leaf) returns a
/// tensor that carries the error instead, and `get` returns an `Option`.
pub type Params = BTreeMap<String, BTreeMap<String, Tensor>>;

/// The variables of a model: parameters, which the optimizer updates, and state, which the layers
/// update.
///
/// A model does not hold its variables; its functions take them and return new ones.
#[derive(Tree, Clone, Debug, Default)]
pub struct Vars {
    /// The trained parameters: kernels, biases, scales.
    pub params: Params,
    /// The state that is carried from call to call: running statistics, caches.
    pub state: Params,
}

impl Vars {
    /// Writes the variables to a safetensors file, each as `params.<layer>.<name>` or
    /// `state.<layer>.<name>`. An existing file is replaced atomically after the new one is
    /// complete.
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
        safetensors::save(self, path)
    }

    /// Loads variables from a safetensors file, which may change afterwards.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed, or holds tensors that are not variables; the
    /// message names the file and the tensor.
    pub fn load(path: impl AsRef<Path>) -> Result<Vars> {
        Vars::load_path(path.as_ref())
    }

    /// Loads variables as [`Vars::load`] does.
    fn load_path(path: &Path) -> Result<Vars> {
        let mut vars = Vars::default();
        for (name, tensor) in safetensors::load(path)? {
            let (map, layer, variable) = vars.entry_of(&name).ok_or_else(|| {
                let want =
                    "expected variables called params.<layer>.<name> or state.<layer>.<name>";
                Error::new("load", format!("{}: {want}, got `{name}`", path.display()))
            })?;
            map.entry(layer).or_default().insert(variable, tensor);
        }
        Ok(vars)
    }

    /// Returns the number of parameters: the elements of all tensors in [`Vars::params`],
    /// saturating.
    pub fn size(&self) -> usize {
        elements(&self.params)
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
