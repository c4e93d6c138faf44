//! A bias, a scale, and a dense layer by axis names.

use super::axes::positions;
use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, Tensor, einsum};
use serde::{Deserialize, Serialize};

macro_rules! vectors {
    ($($(#[$doc:meta])* $Name:ident $name:ident $start:ident |$x:ident, $p:ident| $f:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $Name {
            axis: i64,
            init: Init,
        }

        impl $Name {
            #[doc = "Creates a layer over the last axis with a parameter of"]
            #[doc = concat!(stringify!($start), ".")]
            pub fn new() -> $Name {
                $Name { axis: -1, init: init::$start() }
            }

            /// Sets the axis of the features.
            pub fn axis(self, axis: i64) -> $Name {
                $Name { axis, ..self }
            }

            /// Sets the initializer of the parameter.
            pub fn init(self, init: Init) -> $Name {
                $Name { init, ..self }
            }
        }

        impl Default for $Name {
            fn default() -> $Name {
                $Name::new()
            }
        }

        impl Layer for $Name {
            const NAME: &'static str = stringify!($name);
            type Output = Tensor;

            fn apply(&self, cx: &mut Cx, [$x]: [Tensor; 1]) -> Tensor {
                let axis = match positions(stringify!($name), &$x, &[self.axis]) {
                    Ok(axis) => axis[0],
                    Err(e) => return Tensor::from_error(e),
                };
                let mut shape = vec![1; $x.rank()];
                shape[axis] = $x.shape()[axis];
                let parameter = cx.param(stringify!($name), shape[axis], self.init.clone());
                let $p = parameter.reshape(shape);
                $f
            }
        }
    )*};
}

vectors! {
    /// A layer that adds a parameter `bias` to each feature, Axon's `bias`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).layer(nn::Bias::new().init(init::constant(2.0)));
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let out = model.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [3.0; 3]);
    /// # Ok::<(), Error>(())
    /// ```
    Bias bias zeros |x, p| x + p;
    /// A layer that multiplies each feature by a parameter `scale`, the layer scale of Touvron et
    /// al., 2021 (<https://arxiv.org/abs/2103.17239>).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).layer(nn::Scale::new().init(init::constant(0.5)));
    /// let vars = model.init(key(0), &types![f32[_, 3]])?;
    /// let out = model.apply(&vars, Tensor::ones([1, 3]), &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [0.5; 3]);
    /// # Ok::<(), Error>(())
    /// ```
    Scale scale ones |x, p| x * p;
}

/// A dense layer by axis names: `einsum` of the input and a parameter `kernel`, plus a `bias` along
/// named axes. Keras's `EinsumDense`.
///
/// ```
/// use neurax::prelude::*;
/// // Projects features `f` to heads `h` of size `k`.
/// let layer = nn::EinsumDense::new("btf,fhk->bthk", [('h', 2), ('k', 3)]).bias("hk");
/// let model = nn::input("x", dims![_, _, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, _, 8]])?;
/// assert_eq!(vars.params["einsum_dense"]["kernel"].shape(), [8, 2, 3]);
/// let y = model.apply(&vars, Tensor::ones([4, 5, 8]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [4, 5, 2, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EinsumDense {
    formula: String,
    sizes: Vec<(char, usize)>,
    bias: Option<String>,
    kernel: Init,
    #[serde(default = "init::zeros")]
    bias_init: Init,
}

/// The names of the axes of input, kernel and output.
struct AxisNames {
    input: Vec<char>,
    kernel: Vec<char>,
    output: Vec<char>,
}

impl EinsumDense {
    /// Creates a layer with a formula `input,kernel->output` of axis names without spaces; `...` in
    /// input and output stands for any number of axes. `sizes` are those of the names that the
    /// input has not. The kernel is initialized with [`init::glorot_uniform`] as a matrix: its
    /// inputs are the axes that the output has not, its outputs the new ones, and there is one
    /// matrix for each element of the axes that it shares with both. [`Init::axes`] states other
    /// axes.
    pub fn new(formula: &str, sizes: impl AsRef<[(char, usize)]>) -> EinsumDense {
        let (sizes, kernel) = (sizes.as_ref().to_vec(), init::glorot_uniform());
        let bias_init = init::zeros();
        EinsumDense { formula: formula.into(), sizes, bias: None, kernel, bias_init }
    }

    /// Adds a bias along the named axes of the output, in the order of the output.
    pub fn bias(self, axes: &str) -> EinsumDense {
        EinsumDense { bias: Some(axes.into()), ..self }
    }

    /// Sets the initializer of the kernel.
    pub fn kernel(self, kernel: Init) -> EinsumDense {
        EinsumDense { kernel, ..self }
    }

    /// Sets the initializer of the bias, which is zeros by default.
    pub fn bias_init(self, bias_init: Init) -> EinsumDense {
        EinsumDense { bias_init, ..self }
    }

    /// Returns the names of the axes for an input of rank `rank`, with other letters in place of
    /// `...`, or `None` if the formula is not valid.
    fn names(&self, rank: usize) -> Option<AxisNames> {
        let (operands, output) = self.formula.split_once("->")?;
        let (input, kernel) = operands.split_once(',')?;
        let used = |c: &char| self.formula.contains(*c) || self.bias.iter().any(|b| b.contains(*c));
        let named = input.chars().filter(|&c| c != '.').count();
        let letters = ('a'..='z').chain('A'..='Z').filter(|c| !used(c));
        let further: String = letters.take(rank.saturating_sub(named)).collect();
        if input.contains("...") != output.contains("...") {
            return None;
        }
        let [input, output] = [input, output].map(|n| n.replacen("...", &further, 1));
        let names = [&input, kernel, &output].map(|n| n.chars().collect::<Vec<_>>());
        let are_letters = names.iter().flatten().all(|c| c.is_ascii_alphabetic());
        let [input, kernel, output] = names;
        are_letters.then_some(AxisNames { input, kernel, output })
    }

    fn fail(&self, why: String) -> Tensor {
        Tensor::from_error(Error::new("einsum_dense", format!("`{}`: {why}", self.formula)))
    }
}

impl Layer for EinsumDense {
    const NAME: &'static str = "einsum_dense";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let Some(AxisNames { input, kernel, output }) = self.names(x.rank()) else {
            return self.fail("expected a formula like `abc,cd->abd` or `...c,cd->...d`".into());
        };
        if x.error().is_none() && x.rank() != input.len() {
            return self.fail(format!("expected {} axes, got {}", input.len(), x.rank()));
        }
        let size_of = |name: &char| {
            let of_input = input.iter().position(|n| n == name).map(|i| x.dim(i as i64));
            of_input.or_else(|| self.sizes.iter().find(|(n, _)| n == name).map(|(_, size)| *size))
        };
        let Some(shape) = kernel.iter().map(size_of).collect::<Option<Vec<usize>>>() else {
            return self.fail("expected a size for each new name of the kernel".into());
        };
        let role = |name: &char| match (input.contains(name), output.contains(name)) {
            (_, false) => 'i',
            (false, true) => 'o',
            (true, true) => 'b',
        };
        let init = self.kernel.clone().of_roles(&kernel.iter().map(role).collect::<String>());
        let [of_input, of_kernel, of_output] =
            [&input, &kernel, &output].map(|names| names.iter().collect::<String>());
        let formula = format!("{of_input},{of_kernel}->{of_output}");
        let y = einsum(&formula, [&x, &cx.param("kernel", shape, init)]);
        let Some(bias) = &self.bias else { return y };
        let is_along = |name: &&char| bias.contains(**name);
        let sizes: Option<Vec<usize>> = output.iter().filter(is_along).map(size_of).collect();
        let Some(sizes) = sizes.filter(|s| s.len() == bias.chars().count() && !s.is_empty()) else {
            return self.fail(format!("expected a bias along axes of the output, got `{bias}`"));
        };
        let bias = cx.param("bias", &sizes[..], self.bias_init.clone());
        let size = |name: &char| if is_along(&name) { size_of(name).unwrap_or(1) } else { 1 };
        y + bias.reshape(output.iter().map(size).collect::<Vec<_>>())
    }
}

impl Node {
    /// Adds a parameter to each feature: see [`Bias`].
    #[track_caller]
    pub fn bias(&self) -> Node {
        self.layer(Bias::new())
    }

    /// Multiplies each feature by a parameter: see [`Scale`].
    #[track_caller]
    pub fn scale(&self) -> Node {
        self.layer(Scale::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::{Mode, input};
    use neurax_tensor::{Dim, TypeSpec, dims, key, tensor, types};

    #[test]
    fn are_layers() {
        check::layer(Bias::new(), &types![f32[2, 3]]).unwrap();
        check::layer(Bias::new().axis(1), &types![f32[2, 3, 4]]).unwrap();
        check::layer(Scale::new().axis(-2), &types![f32[2, 3, 4]]).unwrap();
        check::layer(EinsumDense::new("ab,bc->ac", [('c', 2)]), &types![f32[2, 3]]).unwrap();
        // A function of the user gets the shape of the kernel.
        let numbers =
            Init::new("numbers", |_, shape| tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).reshape(shape));
        let layer = EinsumDense::new("bf,of->bo", [('o', 2)]).kernel(numbers);
        let model = input("x", dims![_, 3]).layer(layer).named("l").model();
        let vars = model.init(key(0), &types![f32[_, 3]]).unwrap();
        let kernel = vars.get("l.kernel").unwrap();
        assert_eq!(kernel.shape(), [2, 3]);
        assert_eq!(kernel.to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let heads = EinsumDense::new("btf,fhk->bthk", [('h', 2), ('k', 2)]).bias("hk");
        check::layer(heads, &types![f32[2, 3, 4]]).unwrap();
        let any = EinsumDense::new("...f,fhk->...hk", [('h', 2), ('k', 2)]).bias("k");
        check::layer(any.clone(), &types![f32[2, 4]]).unwrap();
        check::layer(any, &types![f32[2, 3, 4]]).unwrap();
        check::layer(EinsumDense::new("a...b,bc->ac...", [('c', 2)]), &types![f32[2, 3, 4]])
            .unwrap();
    }

    #[test]
    fn an_ellipsis_stands_for_any_axes() {
        let run = |formula: &str, x: &Tensor| {
            let layer = EinsumDense::new(formula, [('h', 2), ('k', 3)]).bias("hk");
            let layer = layer.bias_init(init::constant(0.5));
            let model = input("x", vec![Dim::Any; x.rank()]).layer(layer).model();
            let vars = model.init(key(0), &[TypeSpec::from(&x.ty().unwrap())]).unwrap();
            let y = model.apply(&vars, x, &Mode::Eval).y().clone();
            (y.shape().to_vec(), y.to_vec::<f32>().unwrap())
        };
        let x = key(1).normal([2, 3, 4]);
        assert_eq!(run("...f,fhk->...hk", &x), run("btf,fhk->bthk", &x));
        assert_eq!(run("...f,fhk->...hk", &x.get(0)), run("tf,fhk->thk", &x.get(0)));
        let zero = run("...f,fhk->...hk", &Tensor::zeros([1, 4]));
        assert_eq!(zero, (vec![1, 2, 3], vec![0.5; 6]));
    }

    #[test]
    fn axes_and_formulas_that_do_not_fit_are_errors() {
        let e = check::layer(Bias::new().axis(2), &types![f32[2, 3]]).unwrap_err().to_string();
        assert!(e.contains("axes [2], got f32[2, 3]") && e.contains("in layer bias"), "{e}");
        for (layer, want) in [
            (EinsumDense::new("ab->b", []), "expected a formula like"),
            (EinsumDense::new("abc,cd->abd", [('d', 1)]), "expected 3 axes, got 2"),
            (EinsumDense::new("abc...,cd->abd...", [('d', 1)]), "expected 3 axes, got 2"),
            (EinsumDense::new("...b,bc->ac", [('c', 2)]), "expected a formula like"),
            (EinsumDense::new("a..b,bc->a..c", [('c', 2)]), "expected a formula like"),
            (EinsumDense::new("ab,bc->ac", []), "expected a size for each new name"),
            (EinsumDense::new("ab,bc->ac", [('c', 2)]).bias("x"), "along axes of the output"),
        ] {
            let e = check::layer(layer, &types![f32[2, 3]]).unwrap_err().to_string();
            assert!(e.contains(want) && e.contains("in layer einsum_dense"), "{e}");
        }
    }
}
