//! The recorded cases: reading a family's file, and comparing values and gradients with it.

use neurax::prelude::*;
use std::collections::BTreeMap;

/// One case: the tensors that a script recorded, by name.
pub struct Case {
    pub name: String,
    tensors: BTreeMap<String, Tensor>,
}

/// Returns the cases of `tests/torch/<family>.safetensors`. Their number is stated in the test, so
/// that none can be lost.
pub fn cases(family: &str, count: usize) -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torch");
    let tensors = neurax::io::safetensors::load(format!("{folder}/{family}.safetensors")).unwrap();
    let mut found: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let (case, part) = name.rsplit_once('/').unwrap();
        found.entry(case.into()).or_default().insert(part.into(), tensor);
    }
    assert_eq!(found.len(), count, "the number of cases of {family}");
    found.into_iter().map(|(name, tensors)| Case { name, tensors }).collect()
}

impl Case {
    /// Returns a tensor of the case, if it was recorded.
    pub fn find(&self, part: &str) -> Option<Tensor> {
        self.tensors.get(part).cloned()
    }

    /// Returns the tensors whose names begin with `prefix`, without it.
    pub fn with_prefix(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let named = |(name, x): (&String, &Tensor)| {
            name.strip_prefix(prefix).map(|name| (name.to_string(), x.clone()))
        };
        self.tensors.iter().filter_map(named).collect()
    }

    /// Returns a tensor of the case.
    pub fn get(&self, part: &str) -> Tensor {
        self.find(part).unwrap_or_else(|| panic!("{}: no tensor {part}", self.name))
    }

    /// Returns the tensors `in0`, `in1`, ..
    pub fn inputs(&self) -> Vec<Tensor> {
        (0..).map_while(|i| self.find(&format!("in{i}"))).collect()
    }

    /// Returns the parameters: the tensors `p.<path of the layer>.<name>`.
    pub fn params(&self) -> nn::Params {
        let mut params = nn::Params::new();
        for (part, x) in &self.tensors {
            let Some((path, name)) = part.strip_prefix("p.").and_then(|p| p.rsplit_once('.'))
            else {
                continue;
            };
            params.entry(path.into()).or_default().insert(name.into(), x.clone());
        }
        params
    }

    /// Asserts that a result is near the recorded tensor `part`, within `tolerance` of its largest
    /// element or of 1.
    #[track_caller]
    pub fn assert_near(&self, part: &str, found: &Tensor, tolerance: f64) {
        let want = self.get(part);
        if let Some(e) = found.error() {
            panic!("{}, {part}: {e}", self.name);
        }
        assert_eq!(found.shape(), want.shape(), "{}, {part}", self.name);
        let [found, want] = [found, &want].map(|x| x.to(F64).to_vec::<f64>().unwrap());
        let scale = want.iter().filter(|w| w.is_finite()).fold(1.0, |s: f64, w| s.max(w.abs()));
        for (i, (f, w)) in found.iter().zip(&want).enumerate() {
            let is_near =
                f == w || (f.is_nan() && w.is_nan()) || (f - w).abs() <= tolerance * scale;
            assert!(is_near, "{}, {part}, element {i}: expected {w}, got {f}", self.name);
        }
    }

    /// Asserts that the outputs of a function of the inputs `in0`, .. and its gradients are near
    /// those that the script recorded with `add_function`, eagerly and under `jit`.
    #[track_caller]
    pub fn assert_function(&self, f: impl Fn(&[Tensor]) -> Vec<Tensor> + Sync, tolerance: f64) {
        let inputs = self.inputs();
        for (i, y) in f(&inputs).iter().enumerate() {
            self.assert_near(&format!("out{i}"), y, tolerance);
        }
        for (i, y) in jit(|xs: Vec<Tensor>| f(&xs))(inputs.clone()).iter().enumerate() {
            self.assert_near(&format!("out{i}"), y, tolerance);
        }
        let total = |xs: Vec<Tensor>| {
            let ys = f(&xs);
            let products =
                ys.iter().enumerate().map(|(i, y)| (y * self.get(&format!("ct{i}"))).sum(..));
            products.reduce(|a, b| a + b).unwrap()
        };
        for (i, g) in grad(total)(inputs).iter().enumerate() {
            let part = format!("grad.in{i}");
            if self.find(&part).is_some() {
                self.assert_near(&part, g, tolerance);
            }
        }
    }
}
