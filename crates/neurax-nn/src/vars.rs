//! What a model knows: its parameters and its state, by layer and name.

use neurax_tensor::{Error, Result, Tensor, Tree, io::safetensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Tensors by layer path and name: `params["dense_1"]["kernel"]`, which panics when there is none,
/// as every map's index does. [`params.leaf("dense_1.kernel")`](Tree::leaf) gives a tensor that
/// carries the error instead, `get` an `Option`.
pub type Params = BTreeMap<String, BTreeMap<String, Tensor>>;

/// The variables of a model: what training changes by gradients, and what the layers themselves
/// change.
///
/// A model never holds its variables; every function takes them and gives new ones back.
#[derive(Tree, Clone, Debug, Default)]
pub struct Vars {
    /// What is learnt: kernels, biases, gains.
    pub params: Params,
    /// What is carried from call to call: running statistics, caches.
    pub state: Params,
}

impl Vars {
    /// Writes the variables to a safetensors file, each under `params.<layer>.<name>` or
    /// `state.<layer>.<name>`. An existing file is replaced at once when the new one is complete.
    ///
    /// # Errors
    /// When a variable carries an error or the file cannot be written.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// # let path = std::env::temp_dir().join("neurax-doc-vars.safetensors");
    /// vars.save(&path)?;
    /// let loaded = Vars::load(&path)?;
    /// assert_eq!(loaded.params["dense"]["kernel"].to_vec::<f32>()?, vars.params["dense"]["kernel"].to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// The variables in a safetensors file, mapped: no value is read before it is used.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed, or holds something else than variables; the
    /// message names file and tensor.
    pub fn load(path: impl AsRef<Path>) -> Result<Vars> {
        let path = path.as_ref();
        let mut vars = Vars::default();
        for (name, tensor) in safetensors::load(path)? {
            let (place, layer, variable) = vars.place(&name).ok_or_else(|| {
                let shape = "variables are called params.<layer>.<name> or state.<layer>.<name>";
                Error::new(
                    "load",
                    format!(
                        "{}: holds `{name}`, which is no variable of a model: {shape}",
                        path.display()
                    ),
                )
            })?;
            place.entry(layer).or_default().insert(variable, tensor);
        }
        Ok(vars)
    }

    /// Number of parameters: the elements of all of [`Vars::params`]. Saturates.
    pub fn size(&self) -> usize {
        elements(&self.params)
    }

    /// Where a leaf of that path belongs. Layer paths may hold dots, names of variables may not.
    fn place(&mut self, path: &str) -> Option<(&mut Params, String, String)> {
        let (kind, rest) = path.split_once('.')?;
        let (layer, name) = rest.rsplit_once('.')?;
        let place = match kind {
            "params" => &mut self.params,
            "state" => &mut self.state,
            _ => return None,
        };
        Some((place, layer.into(), name.into()))
    }
}

/// Number of elements of all leaves. Saturates: sizes that only a file or a declaration claims may
/// be large.
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
    fn layers_with_dots_and_slashes_come_back() {
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
    fn other_files_are_refused_by_name() {
        safetensors::save(&vec![tensor(1.0)], path("other")).unwrap();
        let e = Vars::load(path("other")).unwrap_err().to_string();
        assert!(e.contains("holds `0`, which is no variable of a model"), "{e}");
    }

    #[test]
    fn sizes_that_are_only_claimed_are_counted() {
        let claims = |shape: &str| {
            let header = format!(
                r#"{{"params.a.b":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#
            );
            std::fs::write(
                path("claims"),
                [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat(),
            )
            .unwrap();
            Vars::load(path("claims"))
        };
        let e = claims("[1152921504606846976,1152921504606846976,0]").unwrap_err().to_string();
        assert!(e.contains("`params.a.b`") && e.contains("larger than the address space"), "{e}");
        assert_eq!(claims("[1099511627776,0]").unwrap().size(), 0);
        let mut vars = Vars::default();
        let large = vars.params.entry("a".into()).or_default();
        (0..128).for_each(|i| drop(large.insert(i.to_string(), Tensor::zeros([1 << 57]))));
        assert_eq!(vars.size(), usize::MAX);
    }
}
