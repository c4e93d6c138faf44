//! What a layer asks for beside its inputs: variables, the mode, randomness.

use crate::init::Init;
use crate::{Mode, Params, Vars};
use neurax_tensor::{Dim, Error, IntoShape, Key, Tensor};

/// The context of one layer in one application of a model. Layers ask it for parameters, state and
/// random keys; shapes are known here, so a parameter's shape is written once, as a function of the
/// inputs.
#[derive(Debug)]
pub struct Cx<'m> {
    path: &'m str,
    mode: &'m Mode,
    from: From<'m>,
    new: &'m mut Vars,
    draws: u32,
}

/// Where variables come from: they are made by `init`, or given to `apply`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From<'m> {
    Key(&'m Key),
    Vars { params: &'m Params, state: &'m Params },
}

impl<'m> Cx<'m> {
    pub(crate) fn new(path: &'m str, mode: &'m Mode, from: From<'m>, new: &'m mut Vars) -> Cx<'m> {
        Cx { path, mode, from, new, draws: 0 }
    }

    /// The parameter of that name. `init` makes it when the model is initialised; afterwards it
    /// must have that shape. Names hold no dot: the path of a leaf is `params.<layer>.<name>`.
    #[track_caller]
    pub fn param(&mut self, name: &str, shape: impl IntoShape, init: Init) -> Tensor {
        self.variable(Kind::Param, name, shape.dims(), init)
    }

    /// The state of that name, as the last call left it; [`Cx::set`] leaves it to the next one.
    #[track_caller]
    pub fn state(&mut self, name: &str, shape: impl IntoShape, init: Init) -> Tensor {
        self.variable(Kind::State, name, shape.dims(), init)
    }

    /// Leaves `value` as the state of that name to the next call. A model that is being initialised
    /// keeps its first state.
    pub fn set(&mut self, name: &str, value: Tensor) {
        if let From::Vars { .. } = self.from {
            self.new.state.entry(self.path.into()).or_default().insert(name.into(), value);
        }
    }

    /// Is the model being trained?
    pub fn training(&self) -> bool {
        matches!(self.mode, Mode::Train(_))
    }

    /// A random key of this layer's own, another one at each call; `None` unless the model is being
    /// trained.
    ///
    /// It is derived from the mode's key and the layer's path, so it does not change when other
    /// layers come or go.
    pub fn key(&mut self) -> Option<Key> {
        let Mode::Train(key) = self.mode else { return None };
        self.draws += 1;
        Some(derive(key, self.path).fold_in(self.draws))
    }

    /// The path of this layer in its model, e.g. `dense_1`.
    pub fn path(&self) -> &str {
        self.path
    }

    #[track_caller]
    fn variable(&mut self, kind: Kind, name: &str, dims: Vec<Dim>, init: Init) -> Tensor {
        let shape = match sizes(&dims) {
            Ok(shape) if !name.contains('.') => shape,
            Ok(_) => {
                return fail(
                    kind,
                    format!("`{name}` holds a dot: a dot separates layer and name in files"),
                );
            }
            Err(why) => return fail(kind, format!("`{name}`: {why}")),
        };
        match self.from {
            From::Key(key) => {
                let value = init.make(&derive(&derive(key, self.path), name), &shape);
                kind.of_mut(self.new)
                    .entry(self.path.into())
                    .or_default()
                    .insert(name.into(), value.clone());
                value
            }
            From::Vars { params, state } => {
                let from = if let Kind::Param = kind { params } else { state };
                match from.get(self.path).and_then(|layer| layer.get(name)) {
                    Some(t) if t.error().is_some() || *t.shape() == shape[..] => t.clone(),
                    Some(t) => fail(
                        kind,
                        format!("`{name}` is {}, but {shape:?} is needed here", t.shape()),
                    ),
                    None => fail(
                        kind,
                        format!(
                            "`{name}` is missing from the variables; `init` of this model makes them"
                        ),
                    ),
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Param,
    State,
}

impl Kind {
    fn of_mut(self, vars: &mut Vars) -> &mut Params {
        match self {
            Kind::Param => &mut vars.params,
            Kind::State => &mut vars.state,
        }
    }
}

#[track_caller]
fn fail(kind: Kind, why: String) -> Tensor {
    Tensor::from_error(Error::new(if let Kind::Param = kind { "param" } else { "state" }, why))
}

fn sizes(dims: &[Dim]) -> Result<Vec<usize>, String> {
    let size = |d: &Dim| match d {
        Dim::Size(n) => Ok(*n),
        other => Err(format!("a size is needed for each axis, not {other:?}")),
    };
    dims.iter().map(size).collect()
}

/// The key for a thing of that name: 64 bits of its hash folded in, so that two names never meet.
fn derive(key: &Key, name: &str) -> Key {
    // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): the same on every machine, unlike std's
    // hashers.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ b as u64).wrapping_mul(0x0100_0000_01b3));
    key.fold_in((hash >> 32) as u32).fold_in(hash as u32)
}
