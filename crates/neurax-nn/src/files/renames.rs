//! Variables under names that another library chose: renaming, transposing, splitting.

use super::checkpoint::load_tensors;
use super::differences::Differences;
use super::error::failed;
use super::torch_rnn;
use crate::path_pattern::PathPattern;
use crate::{Model, Vars};
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Rules that give the tensors of a checkpoint the paths of a model's variables: see
/// [`Vars::load_renamed`].
///
/// A tensor gets its path from the first rule whose pattern matches its name, or keeps its name.
/// `*` stands for any characters but dots and `**` for any number of names; `{1}`, `{2}`, .. in a
/// new name stand for what the stars stood for.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::block("encoder", |x| x.dense(4)).call(nn::input("x", dims![_, 3])).model();
/// # let path = std::env::temp_dir().join("neurax-doc-renames.safetensors");
/// let file = std::collections::BTreeMap::from([
///     ("bert.layer.weight", Tensor::ones([4, 3])),
///     ("bert.layer.bias", Tensor::zeros(4)),
///     ("bert.position_ids", Tensor::zeros(9)),
/// ]);
/// # let file: std::collections::BTreeMap<String, Tensor> =
/// #     file.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
/// neurax::io::safetensors::save(&file, &path)?;
///
/// let rules = nn::Renames::torch()
///     .rename("bert.layer.**", "encoder.dense.{1}")
///     .ignore("**.position_ids");
/// let vars = Vars::load_renamed(&path, &model, &rules)?;
/// assert_eq!(vars.get("encoder.dense.kernel")?.shape(), [3, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Renames {
    rules: Vec<Rename>,
    joins: Vec<Join>,
    prefixes: Vec<String>,
    ignored: Vec<String>,
    missing: Vec<String>,
    is_torch: bool,
}

#[derive(Clone)]
struct Rename {
    from: String,
    to: Vec<String>,
    change: Arc<ChangeFn>,
}

/// A function that changes a tensor into the values of the new names.
type ChangeFn = dyn Fn(&Tensor, usize) -> Vec<Tensor> + Send + Sync;

/// A rule that makes one variable of several tensors.
#[derive(Clone)]
struct Join {
    from: Vec<String>,
    to: String,
    join: Arc<JoinFn>,
}

/// A function of the tensors that become one variable.
type JoinFn = dyn Fn(&[Tensor]) -> Tensor + Send + Sync;

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} -> {}", self.from.join(", "), self.to)
    }
}

impl fmt::Debug for Rename {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to.join(", "))
    }
}

impl Renames {
    /// Creates rules that rename nothing.
    pub fn new() -> Renames {
        Renames::default()
    }

    /// Creates rules for the variables of PyTorch's modules, which are applied after all others to
    /// the last part of a name: `weight` becomes the `kernel`, `scale` or `table` of the layer (the
    /// kernel of a dense layer is transposed, as PyTorch's is `[outputs, inputs]`) or the `alpha`
    /// of a PReLU, `running_mean` and `running_var` become the state `mean` and `var`;
    /// `num_batches_tracked` is ignored.
    ///
    /// `weight_ih_l0` and the like of LSTM, GRU and RNN modules become the parameters of our layers
    /// in one or both directions: kernels are transposed, the gates of a GRU reordered, and the two
    /// biases of an LSTM or RNN added. A module of several layers is a
    /// [`Stacked`](crate::Stacked), or separate layers with rules such as
    /// `rename("rnn.weight_ih_l1", "rnn_1.weight_ih_l0")`.
    pub fn torch() -> Renames {
        Renames { is_torch: true, ..Renames::new() }.ignore("**.num_batches_tracked")
    }

    /// Renames tensors.
    pub fn rename(self, from: &str, to: &str) -> Renames {
        self.map(from, to, Tensor::clone)
    }

    /// Renames tensors and swaps their last two axes.
    pub fn transpose(self, from: &str, to: &str) -> Renames {
        self.map(from, to, |t| t.swap_axes(-2, -1))
    }

    /// Renames tensors and changes them by `f`.
    pub fn map(
        self,
        from: &str,
        to: &str,
        f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Renames {
        self.rule(from, &[to], move |t, _| vec![f(t)])
    }

    /// Renames the variables of PyTorch's linear modules to those of a layer with several kernels:
    /// `<from>.weight` to `<to>_kernel`, transposed, and `<from>.bias` to `<to>_bias`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rules = nn::Renames::torch().linear("layers.*.fc1", "layers.{1}.feed_forward.hidden");
    /// ```
    pub fn linear(self, from: &str, to: &str) -> Renames {
        self.transpose(&format!("{from}.weight"), &format!("{to}_kernel"))
            .rename(&format!("{from}.bias"), &format!("{to}_bias"))
    }

    /// Leaves out `prefix` of the names that begin with it, before all rules: a checkpoint may hold
    /// a model as a part of another one. Several prefixes are left out one after the other.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rules = nn::Renames::torch().without_prefix("module.").without_prefix("encoder.");
    /// ```
    pub fn without_prefix(mut self, prefix: &str) -> Renames {
        self.prefixes.push(prefix.into());
        self
    }

    /// Returns a name without the prefixes.
    fn shortened<'n>(&self, name: &'n str) -> &'n str {
        self.prefixes.iter().fold(name, |name, prefix| name.strip_prefix(prefix).unwrap_or(name))
    }

    /// Splits tensors into equal parts along an axis, such as the fused projection of queries, keys
    /// and values, and changes each by `f`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = ["q.kernel", "k.kernel", "v.kernel"].map(|p| format!("{{1}}.attention.{p}"));
    /// let rules = nn::Renames::new().split("h.*.attn.c_attn.weight", &parts, -1, |t| t.clone());
    /// ```
    pub fn split(
        self,
        from: &str,
        to: &[impl AsRef<str>],
        axis: i64,
        f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Renames {
        let to: Vec<&str> = to.iter().map(AsRef::as_ref).collect();
        self.rule(from, &to, move |t, n| t.split(n, axis).iter().map(&f).collect())
    }

    /// Makes one variable of several tensors, such as a bias that is the sum of two: `f` gets the
    /// tensors in the order of the patterns. Stars stand for the same names in all patterns.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rules = nn::Renames::new()
    ///     .join(["*.bias_ih", "*.bias_hh"], "{1}.bias", |biases| &biases[0] + &biases[1]);
    /// ```
    pub fn join<const N: usize>(
        mut self,
        from: [&str; N],
        to: &str,
        f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Renames {
        let (from, join) = (from.map(String::from).to_vec(), Arc::new(f));
        self.joins.push(Join { from, to: to.into(), join });
        self
    }

    /// Leaves out the tensors of a pattern.
    pub fn ignore(mut self, pattern: &str) -> Renames {
        self.ignored.push(pattern.into());
        self
    }

    /// Allows that the checkpoint lacks the variables of a pattern, such as a new head's.
    /// [`Model::init_missing`] creates them.
    pub fn allow_missing(mut self, pattern: &str) -> Renames {
        self.missing.push(pattern.into());
        self
    }

    fn rule(
        mut self,
        from: &str,
        to: &[&str],
        change: impl Fn(&Tensor, usize) -> Vec<Tensor> + Send + Sync + 'static,
    ) -> Renames {
        let to = to.iter().map(|s| s.to_string()).collect();
        self.rules.push(Rename { from: from.into(), to, change: Arc::new(change) });
        self
    }
}

impl Vars {
    /// Loads the variables of a model from a checkpoint of another library: see
    /// [`load_tensors`](crate::load_tensors) for the formats and [`Renames`] for the rules. Tensors
    /// are named by the path of their variable, with or without `params.` or `state.` in front, and
    /// floats are converted to the dtype that the model's initializer gives.
    ///
    /// # Errors
    /// If the file cannot be read, a pattern of the rules is malformed, or variables are missing,
    /// left over or of another shape; one message lists all of these, a line for each.
    #[track_caller]
    pub fn load_renamed(path: impl AsRef<Path>, model: &Model, rules: &Renames) -> Result<Vars> {
        let path = path.as_ref();
        let at = std::panic::Location::caller();
        load(path, model, rules).map_err(|e| e.at(&at.into()))
    }
}

fn load(path: &Path, model: &Model, rules: &Renames) -> Result<Vars> {
    let expected = model.expected_vars()?;
    let kinds = model.layers().into_iter().map(|l| (l.path, l.kind)).collect();
    let mut loading = Loading { expected, kinds, ..Loading::default() };
    let (patterns, ignored) =
        (parsed(rules.rules.iter().map(|r| &r.from))?, parsed(&rules.ignored)?);
    let join_patterns = rules.joins.iter().map(|j| parsed(&j.from)).collect::<Result<Vec<_>>>()?;
    let missing = parsed(&rules.missing)?;
    for (name, tensor) in load_tensors(path)? {
        let short = rules.shortened(&name);
        if ignored.iter().any(|p| p.matches(short)) {
            continue;
        }
        let part = join_patterns.iter().zip(&rules.joins).find_map(|(patterns, rule)| {
            let of =
                |(i, p): (usize, &PathPattern)| Some((i, filled(&rule.to, &p.captures(short)?)));
            patterns.iter().enumerate().find_map(of).map(|(i, to)| (i, to, rule))
        });
        if let Some((i, to, rule)) = part {
            loading.add_part(&to, (i, &name, tensor), rule.from.len(), &rule.join);
            continue;
        }
        let found = patterns.iter().zip(&rules.rules);
        let found = found.into_iter().find_map(|(p, rule)| Some((p.captures(short)?, rule)));
        match found {
            None => loading.add(&name, short, tensor, rules.is_torch),
            Some((captures, rule)) => {
                let values = (rule.change)(&tensor, rule.to.len());
                for (to, value) in rule.to.iter().zip(values) {
                    loading.add(&name, &filled(to, &captures), value, rules.is_torch);
                }
            }
        }
    }
    loading.join(rules.is_torch);
    loading.finish(&missing).map_err(|e| failed(path, e.message()))
}

fn parsed<'p>(patterns: impl IntoIterator<Item = &'p String>) -> Result<Vec<PathPattern>> {
    patterns.into_iter().map(|p| PathPattern::parse(p)).collect()
}

/// Returns a new name with what the stars stood for.
fn filled(to: &str, captures: &[String]) -> String {
    let fill =
        |name: String, (i, star): (usize, &String)| name.replace(&format!("{{{}}}", i + 1), star);
    let name = captures.iter().enumerate().fold(to.to_string(), fill);
    // `**` may stand for no name.
    name.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// The tensors that become one variable, with their names, as far as they were found.
struct Parts {
    found: Vec<Option<(String, Tensor)>>,
    join: Arc<JoinFn>,
}

/// The variables that are loaded so far.
#[derive(Default)]
struct Loading {
    /// The variables of the model, whose values are not used.
    expected: Vars,
    /// The kinds of layers by path.
    kinds: BTreeMap<String, String>,
    vars: Vars,
    /// The parts of variables by path.
    parts: BTreeMap<String, Parts>,
    differences: Differences,
}

impl Loading {
    /// Adds the tensor `name` of the file, to which the rules gave the path `given`.
    fn add(&mut self, name: &str, given: &str, value: Tensor, is_torch: bool) {
        let path = given.strip_prefix("params.").or(given.strip_prefix("state.")).unwrap_or(given);
        let (path, value) = match is_torch {
            true => match torch_rnn::renamed(&self.expected, path, &value) {
                Some(torch_rnn::Renamed::Variable(path, value)) => (path, value),
                Some(torch_rnn::Renamed::Part(path, i, value)) => {
                    let sum: Arc<JoinFn> = Arc::new(|xs: &[Tensor]| &xs[0] + &xs[1]);
                    return self.add_part(&path, (i, name, value), 2, &sum);
                }
                None => self.of_torch(path, value),
            },
            false => (path.to_string(), value),
        };
        let Ok(expected) = self.expected.get(&path) else {
            // What `Renames::torch` changes is not worth a word: the user knows the name.
            let by_rule =
                if name == given { String::new() } else { format!(" (renamed to {given})") };
            self.differences.left_over.push(format!("{name}{by_rule}"));
            return;
        };
        match converted(&expected, value) {
            Ok(value) => self.put(&path, value),
            Err(e) => self.differences.add_other_type(&path, e.message()),
        }
    }

    /// Adds part `i` of the `count` parts of the variable at `path`, a tensor with its name.
    fn add_part(
        &mut self,
        path: &str,
        (i, name, value): (usize, &str, Tensor),
        count: usize,
        join: &Arc<JoinFn>,
    ) {
        let none = || Parts { found: vec![None; count], join: join.clone() };
        let parts = self.parts.entry(path.into()).or_insert_with(none);
        match parts.found.get_mut(i) {
            Some(part @ None) => *part = Some((name.into(), value)),
            _ => {
                let why = format!("two tensors for a part, one is {name}");
                self.differences.add_other_count(path, &why);
            }
        }
    }

    /// Adds the variables of which all parts were found.
    fn join(&mut self, is_torch: bool) {
        for (path, Parts { found, join }) in std::mem::take(&mut self.parts) {
            let count = found.len();
            let (names, values): (Vec<String>, Vec<Tensor>) = found.into_iter().flatten().unzip();
            let names = names.join(" and ");
            match values.len() == count {
                true => self.add(&names, &path, join(&values), is_torch),
                false => {
                    let why = format!("expected {count} tensors to join, got only {names}");
                    self.differences.add_other_count(&path, &why);
                }
            }
        }
    }

    fn put(&mut self, path: &str, value: Tensor) {
        let (layer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let is_state = self.expected.state.get(layer).is_some_and(|l| l.contains_key(name));
        let map = if is_state { &mut self.vars.state } else { &mut self.vars.params };
        if map.entry(layer.into()).or_default().insert(name.into(), value).is_some() {
            self.differences.add_other_count(path, "two tensors");
        }
    }

    /// Returns path and value of a variable of a PyTorch module.
    fn of_torch(&self, path: &str, value: Tensor) -> (String, Tensor) {
        let (layer, name) = path.rsplit_once('.').unwrap_or(("", path));
        // A kernel that is not called `weight` is one of this library.
        let is_torch = name == "weight";
        let name = match name {
            "weight" => ["kernel", "scale", "table", "alpha"]
                .into_iter()
                .find(|name| self.expected.get(&format!("{layer}.{name}")).is_ok())
                .unwrap_or("weight"),
            "running_mean" => "mean",
            "running_var" => "var",
            other => other,
        };
        let is_dense = self.kinds.get(layer).is_some_and(|kind| kind == "dense");
        let is_turned = is_torch && name == "kernel" && is_dense && value.rank() == 2;
        let value = if is_turned { value.swap_axes(0, 1) } else { value };
        let dot = if layer.is_empty() { "" } else { "." };
        (format!("{layer}{dot}{name}"), value)
    }

    /// Returns the variables, or one error with all differences.
    fn finish(mut self, missing: &[PathPattern]) -> Result<Vars> {
        let loaded: BTreeSet<String> = paths(&self.vars).collect();
        let is_known = |p: &String| loaded.contains(p) || self.differences.is_refused(p);
        let is_missing = |p: &String| !is_known(p) && !missing.iter().any(|m| m.matches(p));
        self.differences.missing = paths(&self.expected).filter(is_missing).collect();
        match self.differences.is_empty() {
            true => Ok(self.vars),
            false => Err(Error::new("load", self.differences.to_string())),
        }
    }
}

/// Returns a value in the dtype of the variable.
///
/// # Errors
/// If it has another shape, or a dtype to which it is not converted.
fn converted(expected: &Tensor, value: Tensor) -> Result<Tensor> {
    let (want, got) = (expected.ty()?, value.ty()?);
    let both_float = want.dtype.is_float() && got.dtype.is_float();
    if want.shape != got.shape || (want.dtype != got.dtype && !both_float) {
        return Err(Error::new("load", format!("expected {want}, got {got}")));
    }
    if want.dtype == got.dtype { Ok(value) } else { value.to(want.dtype).ok() }
}

/// Returns the paths of all variables.
fn paths(vars: &Vars) -> impl Iterator<Item = String> {
    let maps = [&vars.params, &vars.state].into_iter().flatten();
    maps.flat_map(|(layer, vars)| vars.keys().map(move |name| format!("{layer}.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchNorm, Conv, Mode, input};
    use neurax_tensor::{DType, dims, io::safetensors, tensor};

    fn file(name: &str, tensors: &[(&str, Tensor)]) -> std::path::PathBuf {
        let path =
            std::env::temp_dir().join(format!("neurax-renames-{}-{name}", std::process::id()));
        let tensors: BTreeMap<String, Tensor> =
            tensors.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        safetensors::save(&tensors, &path).unwrap();
        path
    }

    fn net() -> Model {
        let x = input("x", dims![_, 2, 4]).layer(Conv::new(3, 1)).named("stem");
        x.layer(BatchNorm::new()).named("bn").flatten().dense(2).named("fc").model()
    }

    fn tensors() -> Vec<(&'static str, Tensor)> {
        vec![
            ("m.stem.weight", Tensor::ones([3, 2, 1])),
            ("m.stem.bias", Tensor::zeros(3)),
            ("m.bn.weight", Tensor::ones(3)),
            ("m.bn.bias", Tensor::zeros(3)),
            ("m.bn.running_mean", tensor([1.0, 2.0, 3.0])),
            ("m.bn.running_var", Tensor::ones(3)),
            ("m.bn.num_batches_tracked", tensor(7)),
            ("m.fc.weight", Tensor::ones([2, 12]).to(DType::F16)),
            ("m.fc.bias", Tensor::zeros(2)),
        ]
    }

    #[test]
    fn modules_of_pytorch_are_loaded() {
        let rules = Renames::torch().rename("m.**", "{1}");
        let vars = Vars::load_renamed(file("torch", &tensors()), &net(), &rules).unwrap();
        assert_eq!(vars.get("bn.mean").unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(vars.get("fc.kernel").unwrap().ty().unwrap().to_string(), "f32[12, 2]");
        let y = net().apply(&vars, Tensor::ones([1, 2, 4]), &Mode::Eval);
        assert_eq!(y.y().shape(), [1, 2]);
    }

    #[test]
    fn all_problems_are_listed_at_once() {
        let mut tensors = tensors();
        tensors[0] = ("m.stem.weight", Tensor::ones([3, 9, 1]));
        drop(tensors.remove(8));
        tensors.push(("m.extra", tensor(1.0)));
        tensors.push(("m.bn9.running_mean", tensor(1.0)));
        tensors.push(("other.num", tensor(1.0)));
        let rules = Renames::torch().rename("m.**", "{1}");
        let path = file("problems", &tensors);
        let e = Vars::load_renamed(&path, &net(), &rules).unwrap_err().message().to_string();
        let report = "the checkpoint does not fit the model
  missing in the checkpoint:
    fc.bias
  left over in the checkpoint:
    m.bn9.running_mean (renamed to bn9.running_mean)
    m.extra (renamed to extra)
    other.num
  of another shape or dtype:
    stem.kernel: expected f32[3, 2, 1], got f32[3, 9, 1]
rename, leave out or allow these with the rules of `Renames`";
        assert_eq!(e, format!("{}: {report}", path.display()));
        let rules = rules.ignore("m.extra").allow_missing("fc.**").ignore("m.stem.weight");
        let rules = rules.ignore("m.bn9.*").ignore("other.*");
        let e = Vars::load_renamed(&path, &net(), &rules).unwrap_err().message().to_string();
        let report = "\n  missing in the checkpoint:\n    stem.kernel\nrename, ";
        assert!(e.contains(report) && !e.contains("left over"), "{e}");
    }

    #[test]
    fn prefixes_are_left_out_before_all_rules() {
        let named: Vec<(String, Tensor)> =
            tensors().into_iter().map(|(n, t)| (format!("model.{n}"), t)).collect();
        let named: Vec<(&str, Tensor)> =
            named.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        let path = file("prefixes", &named);
        let rules = Renames::torch().without_prefix("model.").without_prefix("m.");
        let vars = Vars::load_renamed(&path, &net(), &rules).unwrap();
        assert_eq!(vars.get("fc.kernel").unwrap().shape(), [12, 2]);
        let rules = rules.rename("bn.*", "norm.{1}");
        let e = Vars::load_renamed(&path, &net(), &rules).unwrap_err();
        assert!(e.message().contains("\n    model.m.bn.bias (renamed to norm.bias)\n"), "{e}");
    }

    #[test]
    fn several_tensors_become_one_variable() {
        let model = input("x", dims![_, 2]).dense(2).named("q").model();
        let mut tensors = vec![
            ("m.q.kernel", Tensor::eye(2)),
            ("m.q.second", tensor([1.0, 2.0])),
            ("m.q.first", tensor([10.0, 20.0])),
        ];
        let rules = Renames::new().rename("m.q.kernel", "q.kernel").join(
            ["m.*.first", "m.*.second"],
            "{1}.bias",
            |b| &b[0] - &b[1],
        );
        let vars = Vars::load_renamed(file("join", &tensors), &model, &rules).unwrap();
        assert_eq!(vars.get("q.bias").unwrap().to_vec::<f32>().unwrap(), [9.0, 18.0]);
        tensors.pop();
        let e = Vars::load_renamed(file("part", &tensors), &model, &rules).unwrap_err();
        let want = "\n    q.bias: expected 2 tensors to join, got only m.q.second\n";
        assert!(e.message().contains(want), "{e}");
    }

    #[test]
    fn fused_projections_are_split() {
        let x = input("x", dims![_, 2]);
        let model = Model::new([("q", x.dense(2).named("q")), ("k", x.dense(2).named("k"))]);
        let tensors = [
            ("attn.weight", tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])),
            ("attn.bias", tensor([1.0, 2.0, 3.0, 4.0])),
        ];
        let rules = Renames::new()
            .split("attn.weight", &["q.kernel", "k.kernel"], 1, |t| t.clone())
            .split("attn.bias", &["q.bias", "k.bias"], 0, |t| t.clone());
        let vars = Vars::load_renamed(file("split", &tensors), &model, &rules).unwrap();
        let values = |path: &str| vars.get(path).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(values("k.kernel"), [3.0, 4.0, 7.0, 8.0]);
        assert_eq!(values("q.bias"), [1.0, 2.0]);
    }
}
