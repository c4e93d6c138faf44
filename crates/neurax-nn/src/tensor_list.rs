//! A list of tensors that needs no memory for the usual number of them.

use neurax_tensor::tree::Visitor;
use neurax_tensor::{Tensor, Tree};
use smallvec::SmallVec;

/// The inputs or the outputs of a model, in order. The length is not static: types are compared
/// with those of a program, and so is their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct TensorList(pub(crate) SmallVec<[Tensor; 4]>);

impl Tree for TensorList {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        for (i, x) in self.0.iter().enumerate() {
            v.item(i, |v| x.visit(v));
        }
    }

    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> TensorList {
        TensorList(self.0.iter().map(|_| next()).collect())
    }

    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.extend(self.0);
    }
}

impl FromIterator<Tensor> for TensorList {
    fn from_iter<I: IntoIterator<Item = Tensor>>(all: I) -> TensorList {
        TensorList(all.into_iter().collect())
    }
}
