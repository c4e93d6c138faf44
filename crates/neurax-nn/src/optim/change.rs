//! The parameters that a state belongs to, and what becomes of it when others are trained.
//!
//! The slots of a state are lists in the order of the parameters. If a block is frozen or another
//! one is trained between two steps, the lists do not match the parameters any more. The state
//! therefore keeps the paths and types of the parameters that it was made for. A step for other
//! parameters first brings it in line: each list keeps the tensors of the paths that stay, and new
//! parameters get those of [`Rule::init`](super::Rule::init).
//!
//! The paths are a static part of the state, so that a compiled step has none of this; it is traced
//! again for other parameters.

use super::slots::Slots;
use super::starts::Starts;
use neurax_tensor::{DType, Error, Result, Tensor, Type};
use std::sync::Arc;

/// A parameter that a state belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrainedParam {
    pub path: String,
    pub ty: Type,
}

/// The parameters that a state belongs to, in the order of its slots. Clones are compared fast.
#[derive(Clone, Debug, Default)]
pub(super) struct TrainedParams(Arc<Vec<TrainedParam>>);

impl PartialEq for TrainedParams {
    fn eq(&self, other: &TrainedParams) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl From<Vec<TrainedParam>> for TrainedParams {
    fn from(all: Vec<TrainedParam>) -> TrainedParams {
        TrainedParams(Arc::new(all))
    }
}

impl TrainedParams {
    /// Returns the parameters.
    pub fn all(&self) -> &[TrainedParam] {
        &self.0
    }

    /// Returns these parameters; none if one of them carries an error, which the step reports.
    pub fn of(params: &[Tensor], paths: &[String]) -> TrainedParams {
        let param = |(t, path): (&Tensor, &String)| {
            Some(TrainedParam { path: path.clone(), ty: t.ty().ok()? })
        };
        let all: Option<Vec<TrainedParam>> = params.iter().zip(paths).map(param).collect();
        TrainedParams::from(all.unwrap_or_default())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if these are the types and paths.
    fn are(&self, params: &[Tensor], paths: &[String]) -> bool {
        let is_same = |(old, (t, path)): (&TrainedParam, (&Tensor, &String))| {
            old.path == *path && t.ty().is_ok_and(|ty| ty == old.ty)
        };
        self.0.len() == params.len() && self.0.iter().zip(params.iter().zip(paths)).all(is_same)
    }

    /// Returns the change to other parameters, if they differ.
    ///
    /// # Errors
    /// If a parameter has another shape than the one that the state was made for.
    pub fn change(&self, params: &[Tensor], paths: &[String]) -> Result<Option<ParamChange>> {
        if self.are(params, paths) || params.iter().any(|p| p.error().is_some()) {
            return Ok(None);
        }
        let change = ParamChange::new(self.0.to_vec(), params.to_vec(), paths.to_vec());
        change.check_shapes()?;
        Ok(Some(change))
    }
}

/// A change of the parameters that an optimizer trains: some were frozen, or others are trained
/// again.
#[derive(Clone, Debug)]
pub struct ParamChange {
    old: Vec<TrainedParam>,
    params: Vec<Tensor>,
    paths: Vec<String>,
    /// For each new parameter, the index of its path in `old`.
    sources: Vec<Option<usize>>,
}

impl ParamChange {
    fn new(old: Vec<TrainedParam>, params: Vec<Tensor>, paths: Vec<String>) -> ParamChange {
        let source = |path: &String| old.iter().position(|o| o.path == *path);
        let sources = paths.iter().map(source).collect();
        ParamChange { old, params, paths, sources }
    }

    /// Returns the new parameters, as in [`Rule::init`](super::Rule::init).
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }

    /// Returns the paths of the new parameters.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Returns the paths of the old parameters.
    pub(super) fn old_paths(&self) -> Vec<String> {
        self.old.iter().map(|o| o.path.clone()).collect()
    }

    /// Returns the new parameters and their starts; `now` is that of parameters that are added.
    pub(super) fn trained(&self, starts: Starts, now: &Tensor) -> (TrainedParams, Starts) {
        let trained = TrainedParams::of(&self.params, &self.paths);
        (trained, starts.changed(&self.sources, now))
    }

    /// Returns the types of the old parameters.
    pub(super) fn old_types(&self) -> impl Iterator<Item = &Type> {
        self.old.iter().map(|o| &o.ty)
    }

    /// Returns the change of some of the parameters.
    pub(super) fn of_chosen(&self, old: &[bool], new: &[bool]) -> ParamChange {
        ParamChange::new(
            chosen(&self.old, old),
            chosen(&self.params, new),
            chosen(&self.paths, new),
        )
    }

    /// Returns the change of the parameters with master copies.
    pub(super) fn narrow(&self) -> ParamChange {
        let is_narrow = |dtype: DType| dtype != dtype.at_least_f32();
        let old: Vec<bool> = self.old.iter().map(|o| is_narrow(o.ty.dtype)).collect();
        let new: Vec<bool> = self.params.iter().map(|p| is_narrow(p.dtype())).collect();
        self.of_chosen(&old, &new)
    }

    /// Returns the change with other values of the new parameters.
    pub(super) fn with_params(&self, params: Vec<Tensor>) -> ParamChange {
        ParamChange { params, ..self.clone() }
    }

    fn check_shapes(&self) -> Result<()> {
        for ((p, path), source) in self.params.iter().zip(&self.paths).zip(&self.sources) {
            let Some(old) = source.map(|i| &self.old[i].ty.shape) else { continue };
            if *p.shape() != old[..] {
                let why = format!(
                    "expected a state of the parameter `{path}` of shape {}, got one of shape \
                     {:?}; create the state with `init`",
                    p.shape(),
                    &old[..]
                );
                return Err(Error::new("optim", why));
            }
        }
        Ok(())
    }

    /// Merges the old slots into `fresh` ones; `none` are those of no parameters.
    pub(super) fn merged(&self, mut fresh: Slots, none: &Slots, mut slots: Slots) -> Slots {
        for (name, new) in &mut fresh {
            let Some(old) = slots.remove(name) else { continue };
            let is_for_each = none.get(name).is_some_and(Vec::is_empty);
            if is_for_each && old.len() == self.old.len() && new.len() == self.params.len() {
                let kept = self.sources.iter().map(|source| source.map(|i| old[i].clone()));
                new.iter_mut().zip(kept).for_each(|(new, old)| *new = old.unwrap_or(new.clone()));
            } else if !is_for_each && have_types(&old, new) {
                *new = old;
            }
        }
        slots.into_iter().chain(fresh).collect()
    }
}

/// Returns the chosen ones of `all`.
fn chosen<T: Clone>(all: &[T], chosen: &[bool]) -> Vec<T> {
    all.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(x, _)| x.clone()).collect()
}

/// Returns true if two slots have tensors of the same types.
fn have_types(a: &[Tensor], b: &[Tensor]) -> bool {
    let are_equal = |(a, b): (&Tensor, &Tensor)| a.ty().ok() == b.ty().ok();
    a.len() == b.len() && a.iter().zip(b).all(are_equal)
}

#[cfg(test)]
mod tests {
    use crate::ParamMask;
    use crate::optim::{self, NonFinite, OptState, Optim};
    use neurax_tensor::dtype_consts::BF16;
    use neurax_tensor::io::safetensors;
    use neurax_tensor::{Tensor, jit, tensor};
    use std::collections::BTreeMap;

    type Params = BTreeMap<String, Tensor>;

    fn some_of(all: &Params, names: &str) -> Params {
        all.iter()
            .filter(|(n, _)| names.contains(n.as_str()))
            .map(|(n, t)| (n.clone(), t.clone()))
            .collect()
    }

    fn params() -> Params {
        let of = |name: &str, x: f32| (name.to_string(), tensor([x, -x]));
        [of("a", 1.0), of("b", 2.0), of("c", 3.0)].into()
    }

    /// Trains the parameters `names` for a step, whose gradients are different for each of them.
    fn step(opt: &Optim, all: &mut Params, names: &str, state: OptState) -> OptState {
        let p = some_of(all, names);
        let grads = p.iter().map(|(n, p)| (n.clone(), p * (n.as_bytes()[0] as f32 - 90.0)));
        let grads: Params = grads.collect();
        let (new, state) = opt.step(&p, &grads, state);
        all.extend(new);
        state
    }

    /// Trains `b` alone and beside parameters that are frozen and trained again: its values are the
    /// same.
    fn assert_b_is_independent(opt: &Optim, what: &str) {
        let (mut all, mut alone) = (params(), params());
        let (mut state, mut one) = (opt.init(&all), opt.init(&some_of(&alone, "b")));
        for names in ["abc", "bc", "b", "abc", "ab"] {
            state = step(opt, &mut all, names, state);
            one = step(opt, &mut alone, "b", one);
        }
        let [found, want] = [&all, &alone].map(|p| p["b"].to_vec::<f32>());
        assert_eq!(found.unwrap(), want.unwrap(), "{what}");
    }

    #[test]
    fn frozen_parameters_do_not_shift_the_state_of_others() {
        let adam = || optim::adam(0.1);
        for (what, opt) in [
            ("adam", adam()),
            ("momentum", optim::momentum(0.1, 0.9)),
            ("adafactor", optim::adafactor(0.1)),
            (
                "masked",
                optim::chain([
                    optim::masked(["b"], optim::Adam::new().b2(0.99).transform()),
                    optim::sgd(0.1),
                ]),
            ),
            ("groups", optim::per_group_or([("b", adam())], optim::sgd(0.1))),
            ("accumulate", optim::accumulate(2, optim::masked(!ParamMask::kernels(), adam()))),
            ("lookahead", optim::chain([adam(), optim::lookahead(2, 0.5)])),
            ("schedule-free", optim::schedule_free_adamw(0.1, 0.01)),
            ("skip", adam().non_finite(NonFinite::Skip)),
        ] {
            assert_b_is_independent(&opt, what);
        }
    }

    /// Trains `a` for four steps, and then `b` beside it: `b` moves as if it was trained alone.
    #[test]
    fn averages_of_new_parameters_are_corrected_for_their_own_start() {
        for (what, opt) in [
            ("adam", optim::adam(0.1)),
            ("adafactor", optim::adafactor(0.1)),
            ("nadam", optim::nadam(0.1)),
            ("novograd", optim::novograd(0.1, 0.0)),
            ("radam", optim::radam(0.1)),
            (
                "groups",
                optim::per_group_or([(!ParamMask::kernels(), optim::adam(0.1))], optim::sgd(0.1)),
            ),
            ("accumulate", optim::accumulate(2, optim::adam(0.1))),
        ] {
            let (mut all, mut alone) = (params(), params());
            let mut state = opt.init(&some_of(&all, "ab"));
            for names in ["ab", "ab", "a", "a"] {
                state = step(&opt, &mut all, names, state);
            }
            all.insert("b".into(), params()["b"].clone());
            let mut one = opt.init(&some_of(&alone, "b"));
            for _ in 0..4 {
                state = step(&opt, &mut all, "ab", state);
                one = step(&opt, &mut alone, "b", one);
            }
            let [found, want] = [&all, &alone].map(|p| p["b"].to_vec::<f32>().unwrap());
            let is_near = found.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(is_near, "{what}: {found:?}, {want:?}");
            let starts = state.starts().to_vec::<i32>().unwrap();
            assert_eq!((state.step.item().unwrap(), &starts[..]), (8.0, &[0, 4][..]), "{what}");
        }
    }

    /// Trains `a` for four steps, `b` beside it for two, and both further with the state of a file.
    #[test]
    fn starts_are_kept_through_files() {
        let path = std::env::temp_dir().join("neurax-nn-optimizer-starts.safetensors");
        let opt =
            optim::chain([optim::accumulate(2, optim::adam(0.1)), optim::average_weights(0.9)]);
        let mut all = params();
        let mut state = opt.init(&some_of(&all, "a"));
        for names in ["a", "a", "a", "a", "ab", "ab"] {
            state = step(&opt, &mut all, names, state);
        }
        safetensors::save(&state, &path).unwrap();
        let fresh = opt.init(&some_of(&params(), "ab"));
        let read = safetensors::load_like(&fresh, &path).unwrap();
        assert_eq!(read.starts().to_vec::<i32>().unwrap(), [0, 4]);
        let compiled = {
            let opt = opt.clone();
            jit(move |(p, g, state): (Params, Params, OptState)| opt.step(&p, &g, state))
        };
        let p = some_of(&all, "ab");
        let g: Params = p.iter().map(|(n, p)| (n.clone(), p * 0.5)).collect();
        let (want, _) = opt.step(&p, &g, opt.step(&p, &g, state).1);
        let (found, _) = opt.step(&p, &g, opt.step(&p, &g, read.clone()).1);
        let (_, next) = compiled.run((p.clone(), g.clone(), read)).unwrap();
        let (jitted, next) = compiled.run((p.clone(), g.clone(), next)).unwrap();
        assert_eq!(next.starts().to_vec::<i32>().unwrap(), [0, 4]);
        let (uncorrected, _) = opt.step(&p, &g, opt.step(&p, &g, fresh).1);
        for name in ["a", "b"] {
            let values = |p: &Params| p[name].to_vec::<f32>().unwrap();
            assert_eq!(values(&found), values(&want), "{name}");
            let difference = (&jitted[name] - &want[name]).abs().max(..).item().unwrap();
            assert!(difference < 1e-6, "{name}: {difference}");
            assert_ne!(values(&uncorrected), values(&want), "{name}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn each_parameter_starts_when_it_is_added() {
        let (opt, mut all) = (optim::adam(0.1), params());
        let mut state = opt.init(&all);
        for names in ["abc", "a", "ab", "a", "ac", "abc", "bc", "abc"] {
            state = step(&opt, &mut all, names, state);
        }
        assert_eq!(state.starts().to_vec::<i32>().unwrap(), [7, 5, 4]);
        assert!(all.values().all(|p| p.error().is_none()));
    }

    #[test]
    fn a_changed_rate_stays() {
        let opt = optim::sgd(0.5);
        let mut all = params();
        let mut state = opt.init(&some_of(&all, "a"));
        state.slots[0].insert("rate".into(), vec![tensor(0.0)]);
        step(&opt, &mut all, "b", state);
        assert_eq!(all["b"].to_vec::<f32>().unwrap(), [2.0, -2.0]);
    }

    #[test]
    fn master_copies_and_the_history_of_lbfgs_change_with_the_parameters() {
        let opt = optim::sgd(1e-4).master_copies();
        let mut all: Params = params().into_iter().map(|(n, p)| (n, p.to(BF16))).collect();
        let state = opt.init(&all);
        let state = step(&opt, &mut all, "abc", state);
        let state = step(&opt, &mut all, "bc", state);
        assert_eq!(state.slots[1]["master"].len(), 2);
        assert_eq!(state.slots[1]["master"][0].to_vec::<f32>().unwrap()[0], 2.0 - 2e-4 * 16.0);

        let opt = optim::scale_by_lbfgs(3);
        let (mut all, mut fresh) = (params(), params());
        let state = opt.init(&some_of(&all, "ac"));
        let state = step(&opt, &mut all, "ac", state);
        step(&opt, &mut all, "b", state);
        let state = opt.init(&some_of(&fresh, "b"));
        step(&opt, &mut fresh, "b", state);
        let [found, want] = [&all, &fresh].map(|p| p["b"].to_vec::<f32>());
        assert_eq!(found.unwrap(), want.unwrap());
    }

    #[test]
    fn a_parameter_of_another_shape_is_an_error() {
        let opt = optim::adam(0.1);
        let mut all = params();
        let state = opt.init(&all);
        all.insert("b".into(), tensor([1.0, 2.0, 3.0]));
        step(&opt, &mut all, "abc", state);
        let e = all["a"].error().unwrap();
        let want = "expected a state of the parameter `b` of shape [3], got one of shape [2]";
        assert!(e.message().contains(want), "{e}");
    }

    #[test]
    fn a_compiled_step_is_traced_again_for_other_parameters() {
        let opt = optim::adam(0.1);
        let compiled = {
            let opt = opt.clone();
            jit(move |(p, state): (Params, OptState)| opt.step(&p, &p, state))
        };
        let (mut p, mut q) = (params(), params());
        let (mut s, mut t) = (opt.init(&p), opt.init(&q));
        for names in ["abc", "abc", "b", "bc"] {
            let (new, next) = compiled.run((some_of(&p, names), s)).unwrap();
            p.extend(new);
            let (new, after) = opt.step(&some_of(&q, names), &some_of(&q, names), t);
            q.extend(new);
            (s, t) = (next, after);
        }
        for name in ["a", "b", "c"] {
            let difference = (&p[name] - &q[name]).abs().max(..).item().unwrap();
            assert!(difference < 1e-6, "{name}: {difference}");
        }
    }
}
