//! The values that a pickle builds, in a heap: lists and dicts are filled after others refer to
//! them.

use neurax_tensor::DType;

/// The index of a value in the heap.
pub(super) type Id = usize;

#[derive(Clone, Debug)]
pub(super) enum PickleValue {
    None,
    Bool,
    Int(i64),
    Float,
    Str(String),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function or class, by module and name.
    Global(String),
    Storage(StorageRef),
    Tensor(StoredTensor),
    /// The result of a function that is not known, which is not called.
    Opaque,
}

/// The elements of one or several tensors.
#[derive(Clone, Debug)]
pub(super) struct StorageRef {
    pub dtype: DType,
    /// The name of the file in the archive.
    pub key: String,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub(super) struct StoredTensor {
    pub storage: StorageRef,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl PickleValue {
    /// Returns a key of a dict as a part of a name.
    pub fn name(&self) -> Option<String> {
        match self {
            PickleValue::Str(s) => Some(s.clone()),
            PickleValue::Int(i) => Some(i.to_string()),
            _ => None,
        }
    }
}

/// All values of a pickle.
#[derive(Default)]
pub(super) struct Heap(Vec<PickleValue>);

impl Heap {
    pub fn push(&mut self, value: PickleValue) -> Id {
        self.0.push(value);
        self.0.len() - 1
    }

    pub fn get(&self, id: Id) -> &PickleValue {
        &self.0[id]
    }

    pub fn get_mut(&mut self, id: Id) -> &mut PickleValue {
        &mut self.0[id]
    }

    /// Returns the elements of a tuple or list.
    pub fn elements(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            PickleValue::Tuple(ids) | PickleValue::List(ids) => Some(ids),
            _ => None,
        }
    }

    /// Returns a number that is not negative.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            PickleValue::Int(i) => usize::try_from(*i).ok(),
            _ => None,
        }
    }

    /// Returns numbers that are not negative, in a tuple or list.
    pub fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.elements(id)?.iter().map(|&id| self.size(id)).collect()
    }
}
