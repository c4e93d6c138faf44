//! Checks that a layer computes the same in other circumstances.

use super::failure::failed;
use super::outputs::all_of;
use crate::{Mode, Model, Node, Params, Vars, input};
use neurax_tensor::{DType, Dim, Result, Tensor, Tree, TypeSpec, jit, key};

/// Returns the elements of a result in f64.
pub(super) fn elements(y: &Tensor) -> Result<Vec<f64>> {
    y.to(DType::F64).to_vec()
}

/// Checks that two results are equal up to `tolerance` of the largest element.
fn assert_near(check: &str, want: &Tensor, got: &Tensor, tolerance: f64) -> Result<()> {
    if want.shape() != got.shape() {
        let why = format!("expected the shape {}, got {}", want.shape(), got.shape());
        return Err(failed(check, why));
    }
    let (want, got) = (elements(want)?, elements(got)?);
    let scale = 1.0 + want.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let is_near = |(a, b): &(&f64, &f64)| a == b || (*a - *b).abs() <= tolerance * scale;
    match want.iter().zip(&got).position(|pair| !is_near(&pair)) {
        Some(i) => Err(failed(check, format!("element {i}: expected {}, got {}", want[i], got[i]))),
        None => Ok(()),
    }
}

/// Checks that the results `got` are equal to `want`, all up to `tolerance`.
pub(super) fn assert_all_near(
    check: &str,
    want: &[Tensor],
    got: &[Tensor],
    tolerance: f64,
) -> Result<()> {
    if want.len() != got.len() {
        let why = format!("expected {} tensors, got {}", want.len(), got.len());
        return Err(failed(check, why));
    }
    want.iter().zip(got).try_for_each(|(want, got)| assert_near(check, want, got, tolerance))
}

/// Checks that a compiled application computes the same as an eager one, in both modes, and leaves
/// the same state.
pub(super) fn compiled(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    for mode in [Mode::Eval, Mode::Train(key(11))] {
        let apply = |xs: Vec<Tensor>| {
            let applied = model.apply(vars, xs, &mode);
            (all_of(&applied), applied.state)
        };
        let (eager, state) = apply(xs.to_vec());
        let (compiled, compiled_state) = jit(apply)(xs.to_vec());
        assert_all_near("jit", &eager, &compiled, 1e-5)?;
        let paths = |state: &Params| {
            state.leaves().iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        let (want, got) = (paths(&state), paths(&compiled_state));
        if want != got {
            return Err(failed("the state under jit", format!("expected {want:?}, got {got:?}")));
        }
        for ((path, want), (_, got)) in state.leaves().iter().zip(compiled_state.leaves()) {
            assert_near(&format!("state `{path}` under jit"), want, got, 1e-5)?;
        }
    }
    Ok(())
}

/// Checks that an empty batch is no error, and that the first example alone has the same result as
/// in its batch. Inputs whose first axes differ have no common batch.
pub(super) fn batch_sizes(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    let Some(n) = xs.first().filter(|x| x.rank() > 0).map(|x| x.dim(0)) else { return Ok(()) };
    if n == 0 || xs.iter().any(|x| x.rank() == 0 || x.dim(0) != n) {
        return Ok(());
    }
    // Inputs are declared with the size of this batch.
    let model = model.map(|l| {
        let rank = xs.iter().zip(model.inputs()).find(|(_, name)| *name == l.path)?.0.rank();
        let dims = vec![Dim::Any; rank];
        (l.kind == "input").then(|| input(&l.path, dims))
    });
    let first = |size: i64| xs.iter().map(|x| x.slice(0, ..size)).collect::<Vec<_>>();
    let whole = all_of(&model.apply(vars, xs, &Mode::Eval));
    for mode in [Mode::Eval, Mode::Train(key(12))] {
        let xs = first(0);
        let empty = model.apply(&vars_for(&model, vars, &xs)?, xs, &mode);
        for y in all_of(&empty) {
            elements(&y).map_err(|e| failed("empty batch", e.to_string()))?;
        }
    }
    let xs = first(1);
    let one = all_of(&model.apply(&vars_for(&model, vars, &xs)?, xs, &Mode::Eval));
    whole.iter().zip(&one).try_for_each(|(whole, one)| {
        match whole.rank() > 0 && whole.dim(0) == n {
            true => assert_near("batch of one", &whole.slice(0, ..1), one, 1e-5),
            false => elements(one).map(drop),
        }
    })
}

/// Returns the parameters with the state for other inputs: that of caches depends on the batch.
fn vars_for(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<Vars> {
    let types = xs.iter().map(|x| Ok(TypeSpec::from(&x.ty()?))).collect::<Result<Vec<_>>>()?;
    let state = model.init(key(7), &types)?.state;
    Ok(Vars { params: vars.params.clone(), state })
}

/// Checks that frozen parameters are used like all others.
pub(super) fn frozen(model: &Model, vars: &Vars, xs: &[Tensor]) -> Result<()> {
    if vars.params.is_empty() {
        return Ok(());
    }
    let mut frozen = vars.clone();
    frozen.freeze("**")?;
    let ys = |vars: &Vars| all_of(&model.apply(vars, xs, &Mode::Eval));
    assert_all_near("frozen", &ys(vars), &ys(&frozen), 0.0)
}

/// Checks that two calls share their variables, and compute the same if there is no state.
pub(super) fn shared_twice<const N: usize>(
    model: &Model,
    types: &[TypeSpec; N],
    vars: &Vars,
    xs: &[Tensor],
) -> Result<()> {
    let inputs: [Node; N] =
        std::array::from_fn(|i| input(&format!("input{i}"), types[i].dims.clone()));
    let [first, second] = [(); 2].map(|()| model.call(inputs.each_ref()));
    let pairs = (0..model.outputs().count()).flat_map(|i| {
        [(format!("first{i:02}"), first.sibling(i)), (format!("second{i:02}"), second.sibling(i))]
    });
    let twice = Model::new(pairs);
    let both = twice.init(key(7), types)?;
    if both.size() != vars.size() {
        let why = format!("expected {} parameters of two calls, got {}", vars.size(), both.size());
        return Err(failed("shared twice", why));
    }
    // In order of the names: all outputs of the first call, then those of the second.
    let ys = all_of(&twice.apply(&both, xs, &Mode::Eval));
    let (first, second) = ys.split_at(ys.len() / 2);
    if vars.state.is_empty() {
        return assert_all_near("shared twice", first, second, 0.0);
    }
    second.iter().try_for_each(|y| elements(y).map(drop))
}
